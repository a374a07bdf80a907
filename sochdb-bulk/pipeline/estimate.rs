//! How long a run will take, told from a short one of the same pipeline over its first rows.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::{Monitoring, Pipeline, Plan, Report, RunOptions, Text};
use crate::Failure;

/// More rows than an index compares all with all anyway, or the probe would take another way than the run.
const PROBE_ROWS: u64 = 12_288;

/// Of short vectors more rows are looked at, up to so many bytes of values.
const PROBE_BYTES: u64 = 16 << 20;

/// How long a run will take.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Estimate {
    /// Seconds of the whole run.
    pub secs: f64,
    /// Seconds that the probe took.
    pub probe_secs: f64,
    /// Rows that the probe went through.
    pub probe_rows: u64,
}

/// Runs the pipeline of `text` over its first rows, with all outputs in a temporary folder that is removed, and concludes from
/// that to the run of `plan`. Nothing if that cannot be told: if nobody knows how many rows there are, or if the input can be
/// read only once.
///
/// # Errors
/// What would go wrong in the run as well, and a temporary folder that is full.
pub(crate) fn estimate(
    text: &Text,
    run: &RunOptions,
    plan: &Plan,
    plan_secs: f64,
    monitoring: &Monitoring,
) -> Result<Option<Estimate>, Failure> {
    let Some(rows) = plan.read_rows() else { return Ok(None) };
    let mut pipeline = Pipeline::parse(text.clone())?;
    // What goes on with a file does not grow with its own rows alone, and may replace it.
    if pipeline.reads_once() || pipeline.sinks.iter().any(|(sink, _)| !sink.inputs().is_empty()) {
        return Ok(None);
    }
    let row_bytes = (plan.dim() as u64 * 4).max(1);
    let probe_rows = PROBE_ROWS.max(PROBE_BYTES / row_bytes).min(rows);
    let folder = tempfile::tempdir()
        .map_err(|e| Failure::io("make a temporary folder in", &tempfile::env::temp_dir(), &e))?;
    pipeline.run = RunOptions { if_exists: super::IfExists::Replace, resume: false, ..run.clone() };
    pipeline.check = None;
    pipeline.first_rows = Some(probe_rows);
    pipeline.write_into(folder.path())?;
    let start = Instant::now();
    let report = pipeline.plan_with(monitoring)?.run(monitoring)?;
    let probe_secs = start.elapsed().as_secs_f64();
    if probe_rows == 0 {
        return Ok(Some(Estimate { secs: probe_secs, probe_secs, probe_rows }));
    }
    let secs = plan_secs + concluded(&report, probe_rows, rows);
    Ok(Some(Estimate { secs, probe_secs, probe_rows }))
}

/// The seconds of a run of `rows` rows, from one of `probe_rows`. All grows with the rows, but for the build of an index, which
/// grows as n log n, or, where all rows are compared with all, as n^2.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn concluded(report: &Report, probe_rows: u64, rows: u64) -> f64 {
    let (few, many) = (probe_rows as f64, rows as f64);
    let log = |n: f64| n.max(2.0).log2();
    let mut rest = report.elapsed_secs;
    let mut builds = 0.0;
    for output in &report.outputs {
        let Some(build) = output.details.get("build_secs").and_then(serde_json::Value::as_f64) else {
            continue;
        };
        rest -= build;
        let all_with_all =
            output.details.get("partition_rounds").and_then(serde_json::Value::as_u64) == Some(0);
        builds += build
            * match all_with_all && probe_rows > super::SMALL_INDEX_ROWS {
                true => (many / few).powi(2),
                false => many * log(many) / (few * log(few)),
            };
    }
    rest.max(0.0) * many / few + builds
}

impl Pipeline {
    /// Whether its input can be read only once: standard input, or what a program writes.
    fn reads_once(&self) -> bool {
        self.sources.iter().any(super::source::Source::reads_once)
    }

    /// Puts all outputs into a folder.
    fn write_into(&mut self, folder: &Path) -> Result<(), Failure> {
        for (number, (sink, _)) in self.sinks.iter_mut().enumerate() {
            // A folder each: files beside each other may be taken for parts of one another.
            let own = folder.join(format!("sink-{number}"));
            std::fs::create_dir(&own).map_err(|e| Failure::io("make the folder", &own, &e))?;
            sink.resolve_paths(&|path| in_folder(&own, path));
        }
        for (number, (stage, _)) in self.stages.iter_mut().enumerate() {
            let outputs = stage.outputs();
            let own = folder.join(format!("stage-{number}"));
            std::fs::create_dir(&own).map_err(|e| Failure::io("make the folder", &own, &e))?;
            stage.resolve_paths(&|path| match outputs.iter().any(|output| output == path) {
                true => in_folder(&own, path),
                false => path.to_path_buf(),
            });
        }
        Ok(())
    }
}

fn in_folder(folder: &Path, path: &Path) -> PathBuf {
    match path.file_name() {
        Some(name) if !super::is_stdio(path) => folder.join(name),
        _ => folder.join("output"),
    }
}
