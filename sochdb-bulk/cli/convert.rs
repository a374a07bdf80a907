//! `convert`: a file of vectors to a file of vectors.

use std::path::PathBuf;

use readers::FormatDescriptor;
use toml::{Table, Value};

use super::shared::{self, InputArgs, RunArgs, ids_stage, parse_format, path_value, source_table};
use crate::output::diagnostics::Verbosity;
use crate::sinks::{self, SinkDescriptor};
use crate::{Code, Failure, sinks::Hnsw, sinks::Sink as _};

/// Convert a file of vectors into another format
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sochdb-bulk convert --input embeddings.npy --output embeddings.f32 --to-format raw_f32
  sochdb-bulk convert --input embeddings.npy --output embeddings.parquet --to-option compression=zstd")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// Output file; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Input format (told from the file's content and name where it is not given)
    #[arg(long, visible_alias = "format", short = 'f', value_name = "FORMAT", value_parser = parse_format, help_heading = "Input")]
    from_format: Option<&'static FormatDescriptor>,

    /// Output format (told from the output's extension where it is not given)
    #[arg(long, value_name = "FORMAT", value_parser = parse_sink)]
    to_format: Option<&'static SinkDescriptor>,

    /// Option of the output format, as in the `[sink]` of a pipeline; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option)]
    to_option: Vec<(String, Value)>,

    #[command(flatten)]
    run: RunArgs,
}

/// The sinks that `convert` writes with: an index is built by `build-index`.
fn targets() -> impl Iterator<Item = &'static SinkDescriptor> {
    sinks::all().into_iter().filter(|sink| sink.name != Hnsw::NAME)
}

fn target_names() -> String {
    targets().map(|sink| sink.name).collect::<Vec<_>>().join(", ")
}

fn parse_sink(word: &str) -> Result<&'static SinkDescriptor, String> {
    sinks::called(word)
        .filter(|sink| targets().any(|target| target.name == sink.name))
        .ok_or_else(|| format!("known formats: {}", target_names()))
}

/// `KEY=VALUE`, the value as in TOML; a word needs no quotes.
fn parse_option(word: &str) -> Result<(String, Value), String> {
    let (key, value) = word.split_once('=').ok_or("expected KEY=VALUE, such as dtype=f16")?;
    let table = format!("value = {value}").parse::<Table>().ok().filter(|table| table.len() == 1);
    let parsed = table.and_then(|mut table| table.remove("value"));
    Ok((key.trim().to_owned(), parsed.unwrap_or_else(|| value.into())))
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let source = source_table(&args.input, args.from_format)?;
    let descriptor = match args.to_format {
        Some(descriptor) => descriptor,
        None => by_extension(&args.output)?,
    };
    let mut sink = Table::new();
    sink.insert("type".to_owned(), descriptor.name.into());
    if descriptor.name != sinks::Null::NAME {
        sink.insert("path".to_owned(), path_value(&args.output)?);
    }
    for (key, value) in args.to_option {
        if sink.insert(key.clone(), value).is_some() {
            return Err(Failure::refused(format!("--to-option {key}: `{key}` is given already"))
                .with_code(Code::Conflict)
                .with_help("say it once"));
        }
    }
    let done = shared::execute(source, ids_stage(&args.input.source)?, sink, &args.run, verbosity);
    // Readers know one name of the flag; here there are two formats.
    done.map_err(|failure| match failure.help() {
        Some(help) if help.contains("--format") => {
            let help = help.replace("--format", "--from-format");
            failure.with_help(help)
        }
        _ => failure,
    })
}

fn by_extension(output: &std::path::Path) -> Result<&'static SinkDescriptor, Failure> {
    // What ends in .zst is told by what is inside.
    let inner = sinks::inside_zst(output);
    let inner = inner.as_deref().unwrap_or(output);
    let extension = inner.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let mut fitting = targets().filter(|sink| sink.extensions.contains(&extension.as_str()));
    match (fitting.next(), fitting.next()) {
        (Some(sink), None) => Ok(sink),
        _ => {
            Err(Failure::refused(format!("{}: the name does not tell the format to write", output.display()))
                .with_code(Code::Format)
                .with_help(format!("say it with --to-format: {}", target_names())))
        }
    }
}
