//! `run`: a pipeline from a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::shared::{RunFlags, run_pipeline};
use crate::Failure;
use crate::output::diagnostics::Verbosity;
use crate::pipeline::{Pipeline, Text, is_stdio};

/// A pipeline file is written by hand: a larger one is some other file.
const MAX_BYTES: u64 = 1 << 20;

/// Run a pipeline from a TOML file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk run pipeline.toml
  sochdb-bulk run pipeline.toml --set source.path=other.npy --set sink.m=32
  sochdb-bulk build-index -i a.npy -o a.hnsw --print-pipeline | sochdb-bulk run -

Paths in a file begin in the file's own folder, those of standard input and of --set in the current one.")]
pub(super) struct Args {
    /// The pipeline; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    overrides: Overrides,

    /// Flags here win over [run] of the file.
    #[command(flatten)]
    run: RunFlags,
}

/// What is to be changed in a pipeline file.
#[derive(Debug, clap::Args)]
pub(super) struct Overrides {
    /// Put another value into the pipeline: the key is a path such as sink.m or stage.0.dim (stage.-1 is the last), the
    /// value is TOML, or else text as it is; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Overrides {
    /// Whether nothing is to be changed.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let mut pipeline = Pipeline::parse(read(&args.file, &args.overrides)?)?;
    pipeline.run.threads = args.run.threads.unwrap_or(pipeline.run.threads);
    pipeline.run.if_exists = args.run.if_exists.unwrap_or(pipeline.run.if_exists);
    pipeline.allow_exec = args.run.allow_exec;
    run_pipeline(pipeline, &args.run.stats, verbosity)
}

/// The text of a pipeline file, with what is to be changed in it.
pub(super) fn read(path: &Path, overrides: &Overrides) -> Result<Text, Failure> {
    let name = if is_stdio(path) { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = if is_stdio(path) {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::failed(format!("{name}: cannot read: {e}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::refused(format!(
            "{name}: expected a pipeline of up to {MAX_BYTES} bytes, found more"
        ))
        .with_help("name the TOML file; the vectors are named inside it"));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::refused(format!("{name}: byte {at}: expected TOML in UTF-8, found other bytes"))
            .with_help("name the TOML file; the vectors are named inside it")
    })?;
    let text = if is_stdio(path) { Text::of_standard_input(text) } else { Text::of_file(path, text) };
    text.with_overrides(&overrides.set)
}
