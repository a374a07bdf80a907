//! Everything that can be found out before a byte is written.

use std::path::{Path, PathBuf};

use readers::{Dataset, DatasetInfo, IdType, Rows, Scan};

use super::open::{Found, Opened, Wanted, open};
use super::passes::{Planned, note};
use super::run::threads_or_all;
use super::{IfExists, Monitoring, Pipeline, StreamInfo};
use crate::Failure;
use crate::output::atomic::{check_not_input, check_target, is_same_place};
use crate::sinks::AnySink;
use crate::stages::NonFinite;

/// About so many bytes of values make a batch where nobody says how many rows: large enough that the work on a batch
/// outweighs passing it on, small enough to stay in a core's cache.
const BATCH_BYTES: usize = 3 << 19;

/// No batch is larger, however many rows were asked for: memory is bounded, and the result does not depend on it.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Batches in flight for each thread: the one it works on and those that may wait behind it.
const BATCHES_A_THREAD: u64 = 4;

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
    files: Vec<PathBuf>,
    uses_stdout: bool,
}

impl Plan {
    pub(super) fn new(pipeline: Pipeline, monitoring: &Monitoring) -> Result<Self, Failure> {
        let Pipeline { text, name, run, allow_exec, sources, stages, mut sink, sink_span } = pipeline;
        let threads = threads_or_all(run.threads);

        let own_ids = !stages.iter().any(|(stage, _)| stage.replaces_ids());
        let payload = sink.keeps_payload() || stages.iter().any(|(stage, _)| stage.reads_payload());
        let Opened { dataset, found, ids_name, mut notes } =
            open(&text, &sources, Wanted { ids: own_ids, payload }, monitoring, allow_exec)?;
        let info = dataset.info();

        // Of several sources all rows are wanted.
        let source = &sources[0];
        let (first, end) = source.rows(&text)?;
        let scan_rows = wanted_rows(info.rows, first, end, source.limit()).map_err(|message| {
            let message = format!("{}: {message}", found.name.display());
            text.refuse(source.vectors.span.clone(), &message).with_help(
                "rows are counted from 0, and the end is the row behind the last: `0..10` are ten rows",
            )
        })?;
        let row_bytes = info.dim * 4;
        let batch_rows = run.batch_rows.unwrap_or_else(|| (BATCH_BYTES / row_bytes).clamp(1, 1 << 16));
        let batch_rows = batch_rows.min((MAX_BATCH_BYTES / row_bytes).max(1));
        let rows = match info.rows {
            Rows::Exact(_) => Rows::Exact(scan_rows.end - scan_rows.start),
            _ => Rows::Unknown,
        };
        let scan = Scan { rows: scan_rows, batch_rows };

        let mut stream = StreamInfo::of_source(&found.name, &*dataset, rows, scan.rows.start);
        stream.ids_file = ids_name.map(|name| name.as_path().into());
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
            let (output, action) = stage.build(&stream).map_err(|e| text.locate(span, e))?;
            notes.extend(note(&*stage, &action));
            let input = std::mem::replace(&mut stream, output);
            planned.push(Planned { stage, input, action });
        }
        let sink_plan = sink.plan(&stream, threads).map_err(|e| text.locate(sink_span, e))?;
        notes.extend(sink_plan.notes.iter().cloned());
        let mut memory = sink_plan.memory;
        memory.push(("source", dataset.memory_bytes(&scan, threads)));
        memory.push(("stages", stage_bytes));
        memory.push(("files", info.files.len().saturating_sub(1) as u64 * FILE_BYTES));
        let row_bytes = info.dim.max(stream.dim) as u64 * 4 + 8 + text_bytes(info);
        memory.push(("stream", stream_bytes(&scan, row_bytes, threads, planned.len())));
        memory.retain(|&(_, bytes)| bytes > 0);

        // The sink's first: that is what a person calls the output.
        let outputs = [sink.outputs(&stream), stage_outputs].concat();
        for (i, output) in outputs.iter().enumerate() {
            check_target(output)?;
            check_not_input(output, &inputs)?;
            if outputs[..i].iter().any(|other| is_same_place(other, output)) {
                let message = format!("{}: two outputs would have this name", output.display());
                return Err(Failure::refused(message).with_help("choose another name for the output"));
            }
        }
        let skipped = existing(&outputs, run.if_exists)?;
        let formats = [found.formats.clone(), found.column_formats.clone()];
        let recipe = recipe(formats, info.dim, &scan, info.rows, recipe_stages, &*sink);
        Ok(Self {
            name,
            scan,
            stages: planned,
            handling,
            sink,
            output: stream,
            recipe,
            threads,
            memory,
            notes,
            skipped,
            files: inputs.into_iter().chain(outputs).collect(),
            uses_stdout: sink_plan.uses_stdout,
            dataset,
            found,
        })
    }

    /// How many rows will come to the sink, where that is known.
    pub fn rows(&self) -> Option<u64> {
        self.output.rows.exact()
    }

    /// An upper bound of the memory that the run will need, mapped files not counted.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.iter().fold(0, |sum, &(_, bytes)| sum.saturating_add(bytes))
    }

    /// The parts of that memory: what for, and a bound in bytes.
    pub fn memory_parts(&self) -> &[(&'static str, u64)] {
        &self.memory
    }

    /// Every file that will be read or written.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
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

/// A bound of the memory of the stream itself: the batches in flight with their ids, once more for every stage that may
/// change them, the list of pieces, and what any process needs.
fn stream_bytes(scan: &Scan, row_bytes: u64, threads: usize, stages: usize) -> u64 {
    const PROCESS_BYTES: u64 = 6 << 20;
    let rows = scan.rows.end - scan.rows.start;
    let batch_rows = rows.min(scan.batch_rows as u64);
    let batch_bytes = batch_rows.saturating_mul(row_bytes);
    let batches = threads as u64 * BATCHES_A_THREAD * (1 + stages as u64);
    let pieces = match rows.div_ceil(scan.batch_rows as u64) {
        // A stream of unknown length is one piece.
        _ if scan.rows.end == u64::MAX => 1,
        pieces => pieces,
    };
    batches
        .saturating_mul(batch_bytes)
        .saturating_add(pieces.saturating_mul(16))
        .saturating_add(PROCESS_BYTES)
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
fn existing(outputs: &[PathBuf], if_exists: IfExists) -> Result<Option<PathBuf>, Failure> {
    // To be content with what is there, the first output has to be: the one that a person named.
    let first = outputs.first().filter(|path| path.exists());
    let any = outputs.iter().find(|path| path.exists());
    match (if_exists, first, any) {
        (IfExists::Skip, Some(path), _) => Ok(Some(path.clone())),
        (IfExists::Error, _, Some(path)) => {
            Err(Failure::refused(format!("{}: exists already", path.display()))
                .with_help("write to another file, or replace it with --if-exists replace"))
        }
        _ => Ok(None),
    }
}

/// The pipeline as far as it decides the result, as TOML. No paths, not even how many, and nothing of how it is run. The
/// formats are those of the vectors, and of columns in other files.
fn recipe(
    [formats, column_formats]: [Vec<&str>; 2],
    dim: usize,
    scan: &Scan,
    rows: Rows,
    stages: Vec<toml::Value>,
    sink: &dyn AnySink,
) -> String {
    let mut source = toml::Table::new();
    let kind = |formats: Vec<&str>| match formats.as_slice() {
        [format] => toml::Value::from(*format),
        _ => formats.into(),
    };
    source.insert("type".to_owned(), kind(formats));
    source.insert("dim".to_owned(), i64::try_from(dim).unwrap_or(i64::MAX).into());
    if rows != Rows::Exact(scan.rows.end) || scan.rows.start > 0 {
        source.insert("rows".to_owned(), format!("{}..{}", scan.rows.start, scan.rows.end).into());
    }
    if !column_formats.is_empty() {
        let columns = toml::Table::from_iter([("type".to_owned(), kind(column_formats))]);
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
