//! Running a plan.

use std::path::{Path, PathBuf};
use std::time::Instant;

use readers::Matrix;
use readers::arrow_buffer::ScalarBuffer;
use serde::Serialize;

use super::flow::{Clock, Clocks, NamedMap, unordered};
use super::passes::{Way, begin};
use super::resume::{self, Resume};
use super::{Monitoring, Plan, direct, ordered};
use crate::Failure;
use crate::output::partial::Partial;
use crate::output::together::publish_all;
use crate::sinks::{Finish, InOrder, SinkJob, Writer};
use crate::stages::Dropped;

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The pipeline's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rows that went through.
    pub rows: u64,
    /// Values a row, as they came to the sink.
    pub dim: usize,
    /// The size of the input.
    pub input_bytes: u64,
    /// From the first row to the last output's name.
    pub elapsed_secs: f64,
    /// How long each step was busy, over all threads, and how long it waited.
    pub steps: Vec<StepReport>,
    /// What was written.
    pub outputs: Vec<OutputReport>,
    /// Rows that an earlier run had written, where one was to be gone on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_rows: Option<u64>,
    /// The output that existed already, if that is why nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<PathBuf>,
    /// The most threads at a time.
    pub threads: usize,
    /// Rows of one batch.
    pub batch_rows: usize,
    /// The bound of memory that was planned for, mapped files not counted.
    pub planned_memory_bytes: u64,
    /// The parts of it, by what they are for.
    pub planned_memory_parts: serde_json::Map<String, serde_json::Value>,
    /// Whether the vectors were used where they are in the input.
    pub vectors_in_place: bool,
}

/// One step of a run.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// The step's type.
    pub r#type: String,
    /// `source`, `stage` or `sink`.
    pub kind: &'static str,
    /// Seconds of work, over all threads.
    pub busy_secs: f64,
    /// Seconds that a source waited for the sink to take rows, over all threads, or a sink for rows to come: the step that
    /// others wait for is the one that takes the time.
    pub wait_secs: f64,
    /// Rows that a stage left out because something is wrong with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// What a person should hear of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// More, by the stage.
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
pub struct OutputReport {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub r#type: &'static str,
    /// Its size.
    pub size_bytes: u64,
    /// The stage that wrote it, if it was not the sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// The XXH3 of its bytes (128 bits, hexadecimal), where statistics are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xxh3_128: Option<String>,
    /// More, by the sink.
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl OutputReport {
    /// A file without more to say of it.
    pub fn new(path: &Path, r#type: &'static str, size_bytes: u64) -> Self {
        Self {
            path: path.to_path_buf(),
            r#type,
            size_bytes,
            stage: None,
            xxh3_128: None,
            details: serde_json::Map::new(),
        }
    }
}

/// `threads`, or one for each core where it is 0.
pub(crate) fn threads_or_all(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

impl Plan {
    /// Does the work. Outputs appear whole at the end, or not at all.
    ///
    /// # Errors
    /// What went wrong. Older outputs are untouched then, and nothing is left behind.
    pub fn run(mut self, monitoring: &Monitoring) -> Result<Report, Failure> {
        let start = Instant::now();
        let Monitoring { cancel, progress } = monitoring;
        let matrix = self.matrix();
        let mut report = Report {
            name: self.name.clone(),
            rows: 0,
            dim: self.output.dim,
            input_bytes: self.dataset.info().size_bytes,
            elapsed_secs: 0.0,
            steps: Vec::new(),
            outputs: Vec::new(),
            resumed_rows: None,
            skipped: self.skipped.clone(),
            threads: self.threads,
            batch_rows: self.scan.batch_rows,
            planned_memory_bytes: self.memory_bytes(),
            planned_memory_parts: (self.memory.iter())
                .map(|&(name, bytes)| (name.replace(' ', "_"), bytes.into()))
                .collect(),
            vectors_in_place: matrix.is_some(),
        };
        if self.skipped.is_some() {
            return Ok(report);
        }
        let clocks = Clocks::new(self.stages.len());
        let mut partial = match &self.resume {
            Some(Resume { target, fingerprint }) => Some(Partial::of(target, fingerprint)?),
            None => None,
        };
        report.resumed_rows = partial.as_ref().map(Partial::rows);
        let job = SinkJob {
            input: self.output.clone(),
            matrix,
            recipe: self.recipe.clone(),
            check: self.check,
            resume: partial.is_some(),
        };
        let mut writer = self.sink.open(job)?;
        let way = Way {
            dataset: &*self.dataset,
            scan: &self.scan,
            handling: &self.handling,
            clocks: &clocks,
            threads: self.threads,
            monitoring,
            writes: true,
        };
        let prepared = way.prepare(std::mem::take(&mut self.stages))?;
        let left = &prepared.maps[prepared.first..];
        begin(left)?;
        let flow = way.flow(&prepared, left, prepared.first);
        // A row's place in the output is its number in the source only where no row is missing before it.
        let needs_order = !self.output.knows_places() || unordered(left) < left.len();
        if needs_order && let Writer::Positional(positional) = writer {
            writer = Writer::Ordered(Box::new(InOrder::new(positional)));
        }
        progress.begin("reading", self.output.rows.exact());
        let streamed = match (&mut writer, &mut partial) {
            (Writer::Positional(writer), Some(partial)) => {
                let all = self.output.rows.exact().unwrap_or_default();
                resume::run(&flow, self.threads, &**writer, partial).map(|()| all)
            }
            (Writer::Positional(writer), None) => {
                direct::run(&flow, self.threads, &flow.pieces(), &|batch| {
                    writer.write_at(batch.first_row() - flow.scan.rows.start, batch)
                })
            }
            (Writer::Ordered(writer), _) => {
                ordered::run(&flow, self.threads, &mut |batch| clocks.sink.time(|| writer.append(batch)))
            }
        };
        let finished = streamed.and_then(|rows| {
            let finish = Finish { rows, threads: self.threads, cancel, progress };
            report.rows = rows;
            prepared.maps.iter().try_for_each(|(_, map)| map.check())?;
            clocks.sink.time(|| match writer {
                Writer::Positional(writer) => writer.finish(&finish),
                Writer::Ordered(writer) => writer.finish(&finish),
            })
        });
        progress.clear();
        let mut finished = finished?;
        for (name, map) in &prepared.maps {
            let Some(theirs) = map.finish()? else { continue };
            finished.files.extend(theirs.files);
            let of_stage = |output| OutputReport { stage: Some(name), ..output };
            finished.outputs.extend(theirs.outputs.into_iter().map(of_stage));
        }
        // The vectors may have been used in place until now: what somebody changed meanwhile is in the output.
        self.dataset.check_unchanged()?;
        let mut files = finished.files;
        for file in &mut files {
            clocks.sink.time(|| file.prepare())?;
        }
        cancel.check()?;
        publish_all(files)?;
        if let Some(partial) = partial {
            partial.remove();
        }
        report.outputs = finished.outputs;
        report.elapsed_secs = start.elapsed().as_secs_f64();
        report.steps = self.step_reports(&prepared.maps, &clocks);
        Ok(report)
    }

    /// The wanted rows as one matrix, where the source has them so and no stage changes them.
    fn matrix(&self) -> Option<Matrix> {
        let all =
            self.dataset.matrix().filter(|_| self.output.values_untouched && !self.output.drops_rows)?;
        let first = usize::try_from(self.scan.rows.start).ok()?.checked_mul(all.dim)?;
        let rows = usize::try_from(self.output.rows.exact()?).ok()?;
        let values: ScalarBuffer<f32> = all.values.slice(first, rows.checked_mul(all.dim)?);
        Some(Matrix { values, dim: all.dim })
    }

    fn step_reports(&self, maps: &[NamedMap], clocks: &Clocks) -> Vec<StepReport> {
        let step = |kind, name: &str, clock: &Clock| StepReport {
            r#type: name.to_owned(),
            kind,
            busy_secs: clock.secs(),
            wait_secs: 0.0,
            dropped: Vec::new(),
            notes: Vec::new(),
            details: serde_json::Map::new(),
        };
        let source = StepReport {
            wait_secs: clocks.source_wait.secs(),
            ..step("source", self.dataset.info().format, &clocks.source)
        };
        let stages = maps.iter().zip(&clocks.stages);
        let stages = stages.map(|((name, stage), clock)| StepReport {
            dropped: stage.dropped(),
            notes: stage.notes(),
            details: stage.details(),
            ..step("stage", name, clock)
        });
        let wait_secs = clocks.sink_wait.secs();
        let sink = StepReport { wait_secs, ..step("sink", &self.sink_names.join(" + "), &clocks.sink) };
        // Several sinks wait for the same rows.
        let of_several = self.sink_names.iter().zip(self.sink.busy_secs());
        let several = of_several.map(|(name, busy_secs)| StepReport {
            r#type: (*name).to_owned(),
            busy_secs,
            ..sink.clone()
        });
        let mut sinks: Vec<StepReport> = several.collect();
        if sinks.is_empty() {
            sinks.push(sink);
        }
        std::iter::once(source).chain(stages).chain(sinks).collect()
    }
}
