//! What several commands have in common.

use std::path::{Path, PathBuf};

use readers::{Io, Metric};
use serde::Serialize;
use toml::{Table, Value};

use crate::output::atomic::{is_same_place, partial_name};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::progress::{Progress, ProgressStyle};
use crate::output::stats::{self, Destination};
use crate::output::{stdout, units};
use crate::pipeline::{
    Cancel, IfExists, MAX_THREADS, MemoryLimit, Monitoring, Pipeline, Report, Text, escaped, is_stdio,
    listed_memory,
};
use crate::stages::Dropped;
use crate::{Code, Failure, Kind};

/// The format that runs a program.
pub(super) const EXEC: &str = "exec";

/// What to read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Input")]
pub(super) struct InputArgs {
    /// Input vector file, also packed by gzip or zstd; `-` is standard input. A pattern in quotes ('shards/*.npy') is all
    /// files that match, in natural order; may be given several times, and all files are one input
    #[arg(short, long, value_name = "FILE", required_unless_present = "command")]
    input: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) source: SourceArgs,
}

/// How to read it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Input")]
pub(super) struct SourceArgs {
    /// File or files of the ids and further columns of the same rows, where they are not beside the vectors: Parquet or Arrow
    #[arg(long, value_name = "FILE")]
    columns_from: Vec<PathBuf>,

    /// File with one id for each row, in the place of those of the input: bare u64, a .npy of integers or of strings, or
    /// texts in a file called .txt, a line each
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,

    /// A program and its arguments that writes the vectors to its standard output, as an Arrow IPC stream; `{path}` in
    /// them becomes the input, if there is one. Needs --allow-exec
    #[arg(last = true, value_name = "PROGRAM")]
    command: Vec<String>,

    /// Vector dimension (read from the file or its sidecar where that has it; must agree)
    #[arg(short, long, value_name = "DIM", value_parser = clap::value_parser!(u32).range(1..=readers::MAX_DIM as i64))]
    dimension: Option<u32>,

    /// Column of the vectors, for formats with columns; a dotted path inside structs
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,

    /// Column of the ids, for formats with columns; of --columns-from, if that is given
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,

    /// Only these rows, such as 0..1000
    #[arg(long, value_name = "FROM..TO")]
    rows: Option<String>,

    /// At most so many rows, the first ones
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,

    /// The byte at which bare f32 values begin, in a file that has something else before them
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    offset: Option<u64>,

    /// How many rows of bare f32 there are, in a file that has something else behind them
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    count: Option<u64>,

    /// How the bytes come in: mapped where that is possible, or read
    #[arg(long, value_name = "WAY", value_parser = parse_io, default_value = "auto", hide_default_value = true)]
    io: Io,
}

/// How to run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Running")]
pub(super) struct RunArgs {
    /// Rows of one batch of the stream; the result does not depend on it
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    batch_size: u64,

    #[command(flatten)]
    shared: RunFlags,

    /// Print the pipeline as TOML and do nothing
    #[arg(long)]
    print_pipeline: bool,
}

/// The flags of every command that runs a pipeline.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RunFlags {
    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", value_parser = parse_threads)]
    pub(super) threads: Option<usize>,

    /// What to do if the output exists
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(super) if_exists: Option<IfExists>,

    /// Let a source of type exec run its program
    #[arg(long)]
    pub(super) allow_exec: bool,

    /// Keep what was written when the run is stopped, and go on with what an earlier run has kept; for outputs of rows of one size
    #[arg(long)]
    pub(super) resume: bool,

    /// The most memory that may be planned for, mapped files not counted, such as 2GiB; batches become smaller to keep it
    #[arg(long, value_name = "BYTES")]
    pub(super) memory_limit: Option<MemoryLimit>,

    /// How progress is shown on standard error; auto is a bar on a terminal, and nothing elsewhere
    #[arg(long, value_enum, value_name = "HOW", default_value_t, hide_default_value = true)]
    pub(super) progress: ProgressStyle,

    /// Say nothing but errors
    #[arg(short, hide = true)]
    pub(super) quiet_here: bool,

    #[command(flatten)]
    pub(super) stats: StatsFlag,
}

impl RunFlags {
    /// Puts what was said into a pipeline, in the place of what its text says.
    pub(super) fn put_into(&self, pipeline: &mut Pipeline) {
        pipeline.run.threads = self.threads.unwrap_or(pipeline.run.threads);
        pipeline.run.if_exists = self.if_exists.unwrap_or(pipeline.run.if_exists);
        pipeline.run.memory_limit = self.memory_limit.or(pipeline.run.memory_limit);
        pipeline.run.resume |= self.resume;
        pipeline.allow_exec = self.allow_exec;
    }
}

/// `--stats`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StatsFlag {
    /// Write statistics: `json` to standard output, anything else is a file
    #[arg(long, value_name = "json|FILE")]
    stats: Option<String>,
}

impl StatsFlag {
    /// Whether statistics are wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.stats.is_some()
    }
}

/// A number of threads that a person can mean.
pub(super) fn parse_threads(word: &str) -> Result<usize, String> {
    let threads: usize = word.parse().map_err(|_| "expected a number".to_owned())?;
    if threads <= MAX_THREADS { Ok(threads) } else { Err(format!("expected up to {MAX_THREADS}")) }
}

fn parse_io(word: &str) -> Result<Io, String> {
    match word {
        "auto" => Ok(Io::Auto),
        "mmap" => Ok(Io::Mmap),
        "read" => Ok(Io::Read),
        _ => Err("expected auto, mmap or read".to_owned()),
    }
}

/// A metric by any of its names.
pub(super) fn parse_metric(word: &str) -> Result<Metric, String> {
    word.parse().map_err(|e: readers::UnknownMetric| e.to_string())
}

/// A format by any of its names.
pub(super) fn parse_format(word: &str) -> Result<&'static readers::FormatDescriptor, String> {
    readers::format_called(word).ok_or_else(|| {
        let known: Vec<_> = readers::formats().iter().map(|format| format.name).collect();
        let known = || format!("known formats: {}", known.join(", "));
        readers::other_build(word).map_or_else(known, str::to_owned)
    })
}

/// A path as TOML holds it.
pub(super) fn path_value(path: &Path) -> Result<Value, Failure> {
    match path.to_str() {
        Some(path) => Ok(path.into()),
        None => Err(Failure::refused(format!("{}: expected a name in UTF-8", path.display()))
            .with_help("rename the file, or use a link with a plain name")),
    }
}

/// `[source]` of a command.
pub(super) fn source_table(
    input: &InputArgs,
    format: Option<&readers::FormatDescriptor>,
) -> Result<Table, Failure> {
    source_of(&input.input, &input.source, format)
}

/// `[source]` of these files.
pub(super) fn source_of(
    files: &[PathBuf],
    input: &SourceArgs,
    format: Option<&readers::FormatDescriptor>,
) -> Result<Table, Failure> {
    let mut source = Table::new();
    let exec = (!input.command.is_empty()).then_some(EXEC);
    match (format.map(|format| format.name), exec) {
        (Some(EXEC), None) => {
            return Err(Failure::refused("--format exec: expected a program, found none")
                .with_code(Code::Missing)
                .with_help("put it at the end, behind `--`: --allow-exec -- python3 reader.py"));
        }
        (Some(other), Some(_)) if other != EXEC => {
            let message = format!("expected the format exec, as a program is given, found {other}");
            return Err(Failure::refused(message)
                .with_code(Code::Conflict)
                .with_help("leave one of the two away"));
        }
        (format, exec) => {
            if let Some(name) = format.or(exec) {
                source.insert("type".to_owned(), name.into());
            }
        }
    }
    if exec.is_some() {
        source.insert("command".to_owned(), input.command.clone().into());
    }
    if !files.is_empty() {
        put_paths(&mut source, files)?;
    }
    if let Some(dim) = input.dimension {
        source.insert("dim".to_owned(), i64::from(dim).into());
    }
    let mut columns = Table::new();
    let with_ids = if input.columns_from.is_empty() { &mut source } else { &mut columns };
    if let Some(name) = &input.id_column {
        with_ids.insert("id_column".to_owned(), name.as_str().into());
    }
    if let Some(name) = &input.vector_column {
        source.insert("vector_column".to_owned(), name.as_str().into());
    }
    if let Some(rows) = &input.rows {
        source.insert("rows".to_owned(), rows.as_str().into());
    }
    if let Some(limit) = input.limit {
        source.insert("limit".to_owned(), i64::try_from(limit).unwrap_or(i64::MAX).into());
    }
    // The ranges of the flags are those of TOML's integers.
    let part = [("offset_bytes", input.offset), ("count_rows", input.count)];
    for (key, value) in part.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        source.insert(key.to_owned(), i64::try_from(value).unwrap_or(i64::MAX).into());
    }
    match input.io {
        Io::Auto => None,
        Io::Mmap => source.insert("io".to_owned(), "mmap".into()),
        Io::Read => source.insert("io".to_owned(), "read".into()),
    };
    if !input.columns_from.is_empty() {
        put_paths(&mut columns, &input.columns_from)?;
        source.insert("columns".to_owned(), columns.into());
    }
    Ok(source)
}

/// The stage that puts the ids of a file in the place of the input's, if there is one.
pub(super) fn ids_stage(input: &SourceArgs) -> Result<Vec<Value>, Failure> {
    let Some(ids) = &input.ids else { return Ok(Vec::new()) };
    let mut stage = Table::new();
    stage.insert("type".to_owned(), "ids".into());
    stage.insert("path".to_owned(), path_value(ids)?);
    Ok(vec![Value::Table(stage)])
}

/// `path` or `paths` of a table.
fn put_paths(table: &mut Table, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut values = paths.iter().map(|path| path_value(path)).collect::<Result<Vec<_>, _>>()?;
    if let [_] = values.as_slice() {
        table.extend(values.pop().map(|path| ("path".to_owned(), path)));
    } else {
        table.insert("paths".to_owned(), values.into());
    }
    Ok(())
}

/// Puts the tables of a command together, and prints them or runs them. The text that is printed is the text that is
/// run.
pub(super) fn execute(
    source: Table,
    stages: Vec<Value>,
    sink: Table,
    args: &RunArgs,
    verbosity: Verbosity,
) -> Result<(), Failure> {
    let mut run = Table::new();
    run.insert("batch_rows".to_owned(), i64::try_from(args.batch_size).unwrap_or(i64::MAX).into());
    if let Some(threads) = args.shared.threads {
        run.insert("threads".to_owned(), i64::try_from(threads).unwrap_or(i64::MAX).into());
    }
    if let Some(if_exists) = args.shared.if_exists {
        let word = Value::try_from(if_exists).map_err(|e| Failure::refused(e.to_string()))?;
        run.insert("if_exists".to_owned(), word);
    }
    if let Some(MemoryLimit(bytes)) = args.shared.memory_limit {
        run.insert("memory_limit".to_owned(), i64::try_from(bytes).unwrap_or(i64::MAX).into());
    }
    let mut pipeline = Table::new();
    pipeline.insert("version".to_owned(), 1.into());
    pipeline.insert("run".to_owned(), run.into());
    pipeline.insert("source".to_owned(), source.into());
    if !stages.is_empty() {
        pipeline.insert("stage".to_owned(), stages.into());
    }
    pipeline.insert("sink".to_owned(), sink.into());
    escape(&mut pipeline);
    let text = pipeline.to_string();
    let pipeline = Pipeline::parse(Text::of_flags(text.clone())).map(|mut pipeline| {
        args.shared.put_into(&mut pipeline);
        pipeline
    });
    if args.print_pipeline {
        return pipeline.and_then(|_| stdout::write(text.as_bytes()));
    }
    run_pipeline(pipeline, &args.shared, verbosity)
}

/// Writes all strings so that they hold no variables: a shell has put those in already, and what looks like one now is none.
pub(super) fn escape(table: &mut Table) {
    table.iter_mut().for_each(|(_, value)| escape_value(value));
}

fn escape_value(value: &mut Value) {
    match value {
        Value::String(string) => *string = escaped(string),
        Value::Array(values) => values.iter_mut().for_each(escape_value),
        Value::Table(table) => escape(table),
        _ => {}
    }
}

/// Plans and runs a pipeline, and says how it went, also where the pipeline itself is wrong.
pub(super) fn run_pipeline(
    pipeline: Result<Pipeline, Failure>,
    flags: &RunFlags,
    verbosity: Verbosity,
) -> Result<(), Failure> {
    let verbosity = if flags.quiet_here { Verbosity::Quiet } else { verbosity };
    let progress = Progress::new(verbosity, flags.progress);
    let monitoring = Monitoring { cancel: Cancel::by_signals(), progress };
    let resumes = pipeline.as_ref().is_ok_and(|pipeline| pipeline.run.resume);
    let mut stats = Stats::new(&flags.stats)?;
    let outcome = pipeline.and_then(|pipeline| pipeline.plan_with(&monitoring)).and_then(|plan| {
        stats.keep_off(plan.files(), plan.uses_stdout().then_some("rows"))?;
        for note in plan.notes() {
            say(Verbosity::Verbose, verbosity, &format!("note: {note}"));
        }
        let memory = units::bytes(plan.memory_bytes());
        let parts = listed_memory(plan.memory_parts());
        let line = format!("memory: up to {memory} besides mapped files ({parts})");
        say(Verbosity::Verbose, verbosity, &line);
        let writes_files = !plan.outputs().is_empty();
        let mut report = plan.run(&monitoring).map_err(|failure| match failure.kind() {
            // Whoever read the rows has seen enough, but there were to be files as well.
            Kind::Unheard if writes_files => Failure::failed(
                "standard output was closed before all rows were written, and so no file was written either",
            )
            .with_code(Code::Io)
            .with_help("let its reader take all rows, or write them to a file"),
            Kind::Stopped(_) if resumes && !failure.message().contains("kept") => {
                failure.with_message("stopped; what an earlier run has kept is still there".to_owned())
            }
            _ => failure,
        })?;
        if stats.are_wanted() {
            for output in report.outputs.iter_mut().filter(|output| !is_stdio(&output.path)) {
                output.xxh3_128 = Some(stats::digest(&output.path)?);
            }
        }
        Ok(report)
    });
    let report = stats.write(outcome)?;
    for step in &report.steps {
        for dropped in &step.dropped {
            say(Verbosity::Normal, verbosity, &left_out(&step.r#type, dropped));
        }
        for note in &step.notes {
            say(Verbosity::Normal, verbosity, &format!("{}: {note}", step.r#type));
        }
    }
    say(Verbosity::Normal, verbosity, &summary(&report));
    for output in report.outputs.iter().filter(|_| !resumes) {
        let kept = partial_name(&output.path);
        if kept.is_file() {
            let (kept, name) = (kept.display(), output.path.display());
            let line = format!(
                "note: {kept} is what a run that was stopped has kept of {name}; nothing needs it any more: remove it, and {kept}.json"
            );
            say(Verbosity::Normal, verbosity, &line);
        }
    }
    Ok(())
}

/// The statistics of one command, if they are wanted.
#[derive(Debug)]
pub(super) struct Stats(Option<Destination>);

impl Stats {
    /// Fails if they cannot or must not be put where the flag says.
    pub(super) fn new(flag: &StatsFlag) -> Result<Self, Failure> {
        let destination = flag.stats.as_deref().map(Destination::from);
        destination.as_ref().map_or(Ok(()), Destination::check)?;
        Ok(Self(destination))
    }

    /// Whether anybody wants them.
    fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Fails if they would get in the way of the work, before it begins: of the files that it reads or writes, or of
    /// what it puts on standard output. They are not written then.
    pub(super) fn keep_off(&mut self, files: &[PathBuf], on_stdout: Option<&str>) -> Result<(), Failure> {
        let refused = match (&self.0, on_stdout) {
            (Some(Destination::Stdout), Some(what)) => {
                Failure::refused(format!("{what} and statistics cannot both go to standard output"))
                    .with_code(Code::Stdio)
                    .with_help("write the statistics to a file: --stats FILE")
            }
            (Some(Destination::File(path)), _) if files.iter().any(|file| is_same_place(file, path)) => {
                let message = format!("{}: output and statistics would have one name", path.display());
                Failure::refused(message)
                    .with_code(Code::OverInput)
                    .with_help("write the statistics to another file")
            }
            _ => return Ok(()),
        };
        self.0 = None;
        Err(refused)
    }

    /// Writes down how the work ended, and hands that on.
    pub(super) fn write<R: Serialize>(self, outcome: Result<R, Failure>) -> Result<R, Failure> {
        let written = self.0.map_or(Ok(()), |destination| stats::write(&destination, outcome.as_ref()));
        // The failure of the work is the one to tell.
        let report = outcome?;
        written.map(|()| report)
    }
}

/// One line on the rows that a stage left out.
fn left_out(stage: &str, dropped: &Dropped) -> String {
    let named: Vec<_> = dropped.first_rows.iter().map(u64::to_string).collect();
    let more = if dropped.rows > named.len() as u64 { ", ..." } else { "" };
    let rows = if dropped.rows == 1 { "row" } else { "rows" };
    let (count, reason) = (units::count(dropped.rows), dropped.reason);
    format!("{stage}: left out {count} {rows} ({reason}): {rows} {}{more}", named.join(", "))
}

/// One line on what was done.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "rounded for people")]
fn summary(report: &Report) -> String {
    if let Some(path) = &report.skipped {
        return format!("{}: exists already, nothing was done", path.display());
    }
    let rows = format!("{} x {}", units::rows(report.rows), report.dim);
    let rows = match report.resumed_rows {
        Some(earlier @ 1..) => format!("{rows} ({} of them were there)", units::count(earlier)),
        _ => rows,
    };
    let rate = report.rows as f64 / report.elapsed_secs.max(1e-9);
    let time = format!("{} ({} rows/s)", units::seconds(report.elapsed_secs), units::count(rate as u64));
    let (of_sink, of_stages): (Vec<_>, Vec<_>) =
        report.outputs.iter().partition(|output| output.stage.is_none());
    let Some((output, others)) = of_sink.split_first() else {
        let others: String = of_stages.iter().map(|other| format!("; {}", other.path.display())).collect();
        return format!("read {rows} in {time}{others}");
    };
    let mut line = format!("wrote {}: {rows}", output.path.display());
    if let Some(metric) = output.details.get("metric").and_then(|metric| metric.as_str()) {
        let number = |name| output.details.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        line += &format!(", {metric}, M {}, ef_construction {}", number("m"), number("ef_construction"));
    }
    line += &format!(", {} in {time}", units::bytes(output.size_bytes));
    for other in others.iter().chain(&of_stages) {
        line += &format!("; {}", other.path.display());
    }
    line
}
