//! `guess`: a pipeline for files that nobody has described.

mod dimension;
mod look;
mod paths;
mod write;

use std::path::PathBuf;

use readers::FormatDescriptor;

use super::pipeline_file::OutputArgs;
use super::shared::parse_format;
use super::sources::Request;
use crate::output::diagnostics::{Verbosity, say};
use crate::pipeline::{Cancel, Monitoring, Pipeline, is_stdio};
use crate::sinks::{self, SinkDescriptor};
use crate::{Code, Failure};

/// Write a pipeline for files as they are found: format, columns, dimension, rows that cannot be used
///
/// Every line that was guessed says so and why. The pipeline runs as it is; look at it first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk guess embeddings.parquet --output pipeline.toml
  sochdb-bulk guess 'shards/*.npy' --to parquet
  sochdb-bulk guess vectors.bin | sochdb-bulk run -")]
pub(super) struct Args {
    /// Files of vectors, in any format, also packed. A pattern in quotes ('shards/*.npy') is all files that match
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Where the rows are to go: an index, or a format as `convert` writes them
    #[arg(long, value_name = "NAME", value_parser = parse_sink, default_value = "hnsw")]
    to: &'static SinkDescriptor,

    /// Format (told from the file's content and name where it is not given)
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format, help_heading = "Input")]
    format: Option<&'static FormatDescriptor>,

    /// Vector dimension (guessed where neither the file nor its sidecar has it)
    #[arg(short, long, value_name = "DIM", value_parser = clap::value_parser!(u32).range(1..=readers::MAX_DIM as i64), help_heading = "Input")]
    dimension: Option<u32>,

    /// Column of the vectors, for formats with columns; of other formats the array, tensor or dataset
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    vector_column: Option<String>,

    /// Column of the ids, for formats with columns
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    id_column: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

fn parse_sink(word: &str) -> Result<&'static SinkDescriptor, String> {
    sinks::called(word).ok_or_else(|| {
        let known: Vec<_> = sinks::all().iter().map(|sink| sink.name).collect();
        format!("known sinks: {}", known.join(", "))
    })
}

/// What was found out.
struct Findings<'a> {
    args: &'a Args,
    /// The formats of the files, each once, and why.
    formats: Vec<(&'static FormatDescriptor, String)>,
    info: readers::DatasetInfo,
    /// The dimension, where neither the person nor the files say it.
    dimension: Option<dimension::Guess>,
    look: look::Look,
    /// The name of the first file without folder and extension, unpacked.
    stem: String,
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let cancel = Cancel::by_signals();
    if args.files.iter().any(|file| is_stdio(file)) {
        return Err(Failure::refused("expected files, found standard input")
            .with_code(Code::Stdio)
            .with_help("a pipeline is for files that can be read again: save it to a file"));
    }
    let mut request = Request {
        names: args.files.clone(),
        format: args.format,
        dim: args.dimension.map(|dim| dim as usize),
        vector_column: args.vector_column.clone(),
        id_column: args.id_column.clone(),
        columns_where_there_are: false,
        ids: true,
        payload: false,
    };
    let files = request.files()?;
    if !args.output.is_wanted(&files, verbosity)? {
        return Ok(());
    }
    let dimension = if request.dim.is_none() { dimension::guess(&request, &files, &cancel)? } else { None };
    request.dim = request.dim.or(dimension.as_ref().map(|guess| guess.dim));
    let opened = request.open(&cancel)?;
    let look = look::look(&*opened.dataset, &cancel)?;
    if look.rows > 0 && look.lengths.is_none() {
        let names: Vec<_> = args.files.iter().map(|file| file.display().to_string()).collect();
        let message = format!(
            "{}: expected vectors, found only NaN, infinity and zeros in the {} rows that were looked at",
            names.join(", "),
            look.rows
        );
        return Err(Failure::failed(message)
            .with_code(Code::NotFinite)
            .with_help("the dimension or the byte order may be another; `sochdb-bulk inspect` says more"));
    }
    let stem = paths::stem(&files);
    let info = opened.dataset.info().clone();
    for note in &info.notes {
        say(Verbosity::Verbose, verbosity, &format!("note: {note}"));
    }
    let findings = Findings { args: &args, formats: opened.formats, info, dimension, look, stem };
    let text = write::text(&findings)?;
    // What the sink refuses is better said now than by `run`.
    let monitoring = Monitoring { cancel, ..Monitoring::silent() };
    Pipeline::parse(args.output.text(&text))?.plan_with(&monitoring)?;
    args.output.write(&text, verbosity)
}
