//! Everything that can be found out before a byte is written.

use std::path::{Path, PathBuf};

use readers::{Chosen, Dataset, DatasetInfo, IdType, Rows, Scan};
use toml::Spanned;

use super::memory::{self, Fixed, StreamMemory};
use super::open::{Found, Opened, Wanted, open};
use super::outline::{Outline, OutputOutline, StepOutline};
use super::passes::{Planned, note};
use super::remedies;
use super::resume::{self, Resume};
use super::run::threads_or_all;
use super::source::Source;
use super::spec::Span;
use super::{IfExists, MemoryLimit, Monitoring, Pipeline, RecallCheck, StreamInfo, Text};
use crate::output::atomic::{check_not_input, check_target, is_same_place};
use crate::sinks::{AnySink, SinkPlan, Tee};
use crate::stages::{Action, NonFinite};
use crate::{Code, Failure};

/// About so many bytes of values make a batch where nobody says how many rows: large enough that the work on a batch
/// outweighs passing it on, small enough to stay in a core's cache.
const BATCH_BYTES: usize = 3 << 19;

/// No batch is larger, however many rows were asked for: memory is bounded, and the result does not depend on it.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// What is kept of each of several files: its name, its options, what its header said.
const FILE_BYTES: u64 = 4096;

/// A pipeline that fits its input, ready to run.
pub struct Plan {
    pub(super) name: Option<String>,
    pub(super) dataset: Box<dyn Dataset>,
    pub(super) found: Found,
    pub(super) scan: Scan,
    pub(super) stages: Vec<Planned>,
    /// What each stage makes of NaN and infinities.
    pub(super) handling: Vec<NonFinite>,
    pub(super) sink: Box<dyn AnySink>,
    pub(super) output: StreamInfo,
    pub(super) recipe: String,
    pub(super) threads: usize,
    pub(super) memory: Vec<(&'static str, u64)>,
    pub(super) notes: Vec<String>,
    pub(super) skipped: Option<PathBuf>,
    /// What to go on with, if that is wanted.
    pub(super) resume: Option<Resume>,
    can_resume: bool,
    /// The recall that the output must have.
    pub(super) check: Option<RecallCheck>,
    /// The types of the sinks.
    pub(super) sink_names: Vec<&'static str>,
    steps: Vec<StepOutline>,
    memory_limit: Option<MemoryLimit>,
    files: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
    output_bytes: Option<u64>,
    uses_stdout: bool,
}

/// Where in the text it was decided what the stream is.
struct Origins {
    dim: Span,
    ids: Span,
}

impl Origins {
    /// Shows the other place of two that disagree.
    fn explain(&self, text: &Text, stream: &StreamInfo, failure: Failure) -> Failure {
        match failure.code() {
            Code::Dimension => {
                let note = format!("vectors of {} values come from here", stream.dim);
                text.label(self.dim.clone(), &note, failure)
            }
            Code::Ids => text.label(self.ids.clone(), "the ids come from here", failure),
            _ => failure,
        }
    }
}

impl Plan {
    pub(super) fn new(pipeline: Pipeline, monitoring: &Monitoring) -> Result<Self, Failure> {
        let is_typed = !pipeline.text.is_of_flags();
        let planned = Self::of(pipeline, monitoring);
        if is_typed { planned.map_err(remedies::in_keys) } else { planned }
    }

    fn of(pipeline: Pipeline, monitoring: &Monitoring) -> Result<Self, Failure> {
        let Pipeline { text, name, run, allow_exec, sources, stages, sinks, check, first_rows } = pipeline;
        let reads_once = sources.iter().any(Source::reads_once);
        let threads = threads_or_all(run.threads);

        let own_ids = !stages.iter().any(|(stage, _)| stage.replaces_ids());
        let keeps_payload = sinks.iter().any(|(sink, _)| sink.keeps_payload());
        let payload = keeps_payload || stages.iter().any(|(stage, _)| stage.reads_payload());
        let Opened { dataset, found, ids_name, mut notes } =
            open(&text, &sources, Wanted { ids: own_ids, payload }, monitoring, allow_exec)?;
        let info = dataset.info();

        // Of several sources all rows are wanted.
        let source = &sources[0];
        let (first, end) = match &run.rows {
            Some(rows) => super::source::parse_rows(&text, rows)?,
            None => source.rows(&text)?,
        };
        let mut scan_rows = wanted_rows(info.rows, first, end, source.limit()).map_err(|message| {
            let message = format!("{}: {message}", found.name.display());
            let span = run.rows.as_ref().map_or(source.vectors.span.clone(), Spanned::span);
            text.refuse(span, &message).with_code(Code::Rows).with_help(
                "rows are counted from 0, and the end is the row behind the last: `0..10` are ten rows",
            )
        })?;
        if let Some(most) = first_rows {
            scan_rows.end = scan_rows.end.min(scan_rows.start.saturating_add(most));
        }
        let row_bytes = info.dim * 4;
        let batch_rows = run.batch_rows.unwrap_or_else(|| (BATCH_BYTES / row_bytes).clamp(1, 1 << 16));
        let batch_rows = batch_rows.min((MAX_BATCH_BYTES / row_bytes).max(1));
        let rows = match info.rows {
            Rows::Exact(_) => Rows::Exact(scan_rows.end - scan_rows.start),
            _ => Rows::Unknown,
        };
        let mut scan = Scan { rows: scan_rows, batch_rows };

        let mut stream = StreamInfo::of_source(&found.name, &*dataset, rows, scan.rows.start);
        stream.ids_file = ids_name.map(|name| name.as_path().into());
        // Values that are used where they are take no memory until a stage makes new ones.
        let mut copies = u64::from(dataset.matrix().is_none());
        let vectors_of = |stream: &StreamInfo, copies: u64| match (stream.is_reordered, copies) {
            (true, _) => "set_aside",
            (false, 0) => "in_place",
            (false, _) => "copied",
        };
        let mut steps = vec![StepOutline::new("source", info.format, &stream, vectors_of(&stream, copies))];
        let columns = source.columns.as_ref().map_or(&source.vectors.span, |columns| &columns.span);
        let mut origins = Origins { dim: source.vectors.span.clone(), ids: columns.clone() };
        let mut has_plain_stages = true;
        let mut planned: Vec<Planned> = Vec::new();
        let mut stage_outputs = Vec::new();
        let mut inputs = info.files.clone();
        inputs.extend(text.file().map(Path::to_path_buf));
        let mut recipe_stages = Vec::new();
        let mut stage_bytes = 0u64;
        let handling = stages.iter().map(|(stage, _)| stage.non_finite()).collect();
        for (stage, span) in stages {
            inputs.extend(stage.inputs());
            stage_outputs.extend(stage.outputs());
            recipe_stages.push(toml::Value::Table(stage.recipe()));
            stage_bytes = stage_bytes.saturating_add(stage.memory_bytes(&stream));
            let (output, action) = stage.build(&stream).map_err(|e| {
                origins.explain(&text, &stream, text.locate(span.clone(), e.or_code(Code::Step)))
            })?;
            notes.extend(note(&*stage, &action));
            has_plain_stages &= stage.outputs().is_empty()
                && match &action {
                    Action::Map(map) => !map.needs_order(),
                    Action::Fit(_) => true,
                    Action::Reorder(_) => false,
                };
            if output.dim != stream.dim {
                origins.dim = span.clone();
            }
            if stage.replaces_ids() {
                origins.ids = span;
            }
            copies += u64::from(!output.values_untouched || output.drops_rows);
            let step = StepOutline::new("stage", stage.name(), &output, vectors_of(&output, copies));
            steps.push(step.doing(&action));
            let input = std::mem::replace(&mut stream, output);
            planned.push(Planned { stage, input, action });
        }
        let (mut sink_plans, mut sink_parts, mut sink_inputs) = (Vec::new(), Vec::new(), Vec::new());
        for (mut sink, span) in sinks {
            let plan = sink.plan(&stream, threads).map_err(|e| {
                origins.explain(&text, &stream, text.locate(span.clone(), e.or_code(Code::Step)))
            })?;
            if plan.uses_stdout && sink_plans.iter().any(|other: &SinkPlan| other.uses_stdout) {
                let refused = text.refuse(span, "expected one sink on standard output, found two");
                return Err(refused.with_code(Code::Stdio).with_help("write one of the two to a file"));
            }
            steps.push(StepOutline::new("sink", sink.name(), &stream, vectors_of(&stream, copies)));
            sink_plans.push(plan);
            // They are no inputs of the stream: an output may have the name of one.
            sink_inputs.extend(sink.inputs());
            sink_parts.push(sink);
        }
        let several_sinks = sink_plans.len() > 1;
        let firsts: Vec<PathBuf> =
            sink_parts.iter().filter_map(|sink| sink.outputs(&stream).into_iter().next()).collect();
        let (sink_plan, sink) = (SinkPlan::together(sink_plans), Tee::of(sink_parts));
        notes.extend(sink_plan.notes.iter().cloned());
        let mut memory = sink_plan.memory;
        memory.push(("stages", stage_bytes));
        memory.push(("files", info.files.len().saturating_sub(1) as u64 * FILE_BYTES));
        let stream_memory = StreamMemory {
            vector_bytes: info.dim.max(stream.dim) as u64 * 4,
            other_bytes: 8 + text_bytes(info),
            copies,
            in_order: !(sink_plan.is_positional && has_plain_stages && stream.knows_places()),
            threads,
        };
        let fixed = Fixed { always: memory, after: sink_plan.memory_after };
        let memory = memory::fit(&mut scan, &fixed, stream_memory, &*dataset, run.memory_limit)?;

        // The sink's first: that is what a person calls the output.
        let outputs = [sink.outputs(&stream), stage_outputs].concat();
        for (i, output) in outputs.iter().enumerate() {
            check_target(output)?;
            check_not_input(output, &inputs)?;
            if outputs[..i].iter().any(|other| is_same_place(other, output)) {
                let message = format!("{}: two outputs would have this name", output.display());
                let refused = Failure::refused(message).with_code(Code::OverInput).about(output);
                return Err(refused.with_help("choose another name for the output"));
            }
        }
        let skipped = existing(&outputs, &firsts, run.if_exists)?;
        let recipe = recipe(&found, info, &scan, recipe_stages, &*sink);
        let cannot_resume = [
            (several_sinks, "it has several sinks"),
            (!sink_plan.can_resume, "its sink begins anew every time, or has to write ids at the end"),
            (!stream.knows_places(), "the place of a row is not known before all rows before it were read"),
            (!has_plain_stages, "a stage writes files, or wants the rows in their order"),
            (reads_once, "its input can be read only once"),
        ];
        let cannot_resume = cannot_resume.into_iter().find(|&(is_so, _)| is_so).map(|(_, why)| why);
        let resume = match (run.resume, cannot_resume, outputs.first()) {
            (false, ..) => None,
            (true, None, Some(target)) => {
                let inputs: Vec<PathBuf> =
                    inputs.iter().filter(|path| Some(path.as_path()) != text.file()).cloned().collect();
                let fingerprint = resume::fingerprint(&recipe, &scan, &inputs)?;
                Some(Resume { target: target.clone(), fingerprint })
            }
            (true, why, _) => return Err(resume::refuse(why.unwrap_or("it writes no file"))),
        };
        Ok(Self {
            name,
            scan,
            stages: planned,
            handling,
            output: stream,
            recipe,
            threads,
            memory,
            notes,
            skipped,
            resume,
            can_resume: cannot_resume.is_none(),
            check,
            sink_names: sink.names(),
            steps,
            memory_limit: run.memory_limit,
            files: inputs.into_iter().chain(sink_inputs).chain(outputs.iter().cloned()).collect(),
            outputs,
            output_bytes: sink_plan.output_bytes,
            uses_stdout: sink_plan.uses_stdout,
            sink,
            dataset,
            found,
        })
    }

    /// How many rows will come to the sink, where that is known.
    pub fn rows(&self) -> Option<u64> {
        self.output.rows.exact()
    }

    /// How many rows will be read, where that is known.
    pub(super) fn read_rows(&self) -> Option<u64> {
        let is_known = self.scan.rows.end < u64::MAX && self.dataset.info().rows.exact().is_some();
        is_known.then_some(self.scan.rows.end - self.scan.rows.start)
    }

    /// Values a row, as they come to the sink.
    pub fn dim(&self) -> usize {
        self.output.dim
    }

    /// An upper bound of the memory that the run will need, mapped files not counted.
    pub fn memory_bytes(&self) -> u64 {
        memory::total(&self.memory)
    }

    /// The parts of that memory: what for, and a bound in bytes.
    pub fn memory_parts(&self) -> &[(&'static str, u64)] {
        &self.memory
    }

    /// Every file that will be written.
    pub fn outputs(&self) -> &[PathBuf] {
        &self.outputs
    }

    /// Every file that will be read or written.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What will be done, for a person or a program to look at before.
    pub fn outline(&self) -> Outline {
        let learns = self.steps.iter().filter(|step| step.first.is_some()).count();
        Outline {
            name: self.name.clone(),
            steps: self.steps.clone(),
            passes: 1 + u32::try_from(learns).unwrap_or(u32::MAX - 1),
            input_bytes: self.dataset.info().size_bytes,
            output_bytes: self.output_bytes,
            outputs: (self.outputs.iter())
                .map(|path| OutputOutline { path: path.clone(), exists: path.exists() })
                .collect(),
            memory_bytes: self.memory_bytes(),
            memory_parts: (self.memory.iter())
                .map(|&(name, bytes)| (name.replace(' ', "_"), bytes.into()))
                .collect(),
            memory_limit_bytes: self.memory_limit.map(|limit| limit.0),
            threads: self.threads,
            batch_rows: self.scan.batch_rows,
            can_resume: self.can_resume,
            notes: self.notes.clone(),
        }
    }

    /// Whether the rows go to standard output, which then has no room for anything else.
    pub fn uses_stdout(&self) -> bool {
        self.uses_stdout
    }

    /// Things a person should hear once.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// What a row has besides vector and number, on average: texts and further columns are no larger than they are in a file
/// that is not compressed.
fn text_bytes(info: &DatasetInfo) -> u64 {
    let carries = info.payload.is_some() || info.ids == Some(IdType::Text);
    let rows = info.rows.exact().unwrap_or_default().max(1);
    if carries { info.size_bytes.div_ceil(rows) } else { 0 }
}

/// The rows to read, as numbers of the dataset.
fn wanted_rows(
    rows: Rows,
    first: u64,
    end: Option<u64>,
    limit: Option<u64>,
) -> Result<std::ops::Range<u64>, String> {
    let all = rows.exact();
    if let Some(all) = all
        && (first > all || end.is_some_and(|end| end > all))
    {
        return Err(format!("expected rows up to {all}, found {first}..{}", end.unwrap_or(all)));
    }
    let end = end.or(all).unwrap_or(u64::MAX);
    let limited = limit.map_or(end, |limit| first.saturating_add(limit).min(end));
    Ok(first..limited)
}

/// The output that exists, if that means that there is nothing to do.
fn existing(
    outputs: &[PathBuf],
    firsts: &[PathBuf],
    if_exists: IfExists,
) -> Result<Option<PathBuf>, Failure> {
    // To be content with what is there, the first output of each sink has to be: the one that a person named.
    let there = firsts.iter().filter(|path| path.exists()).count();
    let first = firsts.iter().find(|path| path.exists());
    let any = outputs.iter().find(|path| path.exists());
    match (if_exists, first, any) {
        (IfExists::Skip, Some(path), _) if there == firsts.len() => Ok(Some(path.clone())),
        (IfExists::Skip, Some(path), _) => {
            let message =
                format!("{}: exists already, and the outputs of other sinks do not", path.display());
            Err(Failure::refused(message).with_code(Code::Exists).about(path).with_help(
                "remove it, or the sinks that have been served already, or say --if-exists replace",
            ))
        }
        (IfExists::Error, _, Some(path)) => {
            Err(Failure::refused(format!("{}: exists already", path.display()))
                .with_code(Code::Exists)
                .about(path)
                .with_help("write to another file, or replace it with --if-exists replace"))
        }
        _ => Ok(None),
    }
}

/// The pipeline as far as it decides the result, as TOML. No paths, not even how many, and nothing of how it is run. The
/// formats are those of the vectors, and of columns in other files.
fn recipe(
    found: &Found,
    info: &DatasetInfo,
    scan: &Scan,
    stages: Vec<toml::Value>,
    sink: &dyn AnySink,
) -> String {
    let files = |formats: &[&str]| {
        let kind = match formats {
            [format] => toml::Value::from(*format),
            formats => formats.to_vec().into(),
        };
        toml::Table::from_iter([("type".to_owned(), kind)])
    };
    // Which column or array, also where it went without saying: another file may have others.
    let choose = |table: &mut toml::Table, chosen: &[Chosen]| {
        table.extend(chosen.iter().map(|one| (one.option.to_owned(), one.value.as_str().into())));
    };
    let mut source = files(&found.formats);
    source.insert("dim".to_owned(), i64::try_from(info.dim).unwrap_or(i64::MAX).into());
    choose(&mut source, &found.chosen);
    if info.rows != Rows::Exact(scan.rows.end) || scan.rows.start > 0 {
        source.insert("rows".to_owned(), format!("{}..{}", scan.rows.start, scan.rows.end).into());
    }
    if !found.column_formats.is_empty() {
        let mut columns = files(&found.column_formats);
        choose(&mut columns, &found.column_chosen);
        source.insert("columns".to_owned(), columns.into());
    }
    let mut table = toml::Table::new();
    table.insert("version".to_owned(), 1.into());
    table.insert("source".to_owned(), source.into());
    if !stages.is_empty() {
        table.insert("stage".to_owned(), stages.into());
    }
    table.insert("sink".to_owned(), sink.recipe().into());
    table.to_string()
}
