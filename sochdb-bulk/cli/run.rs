//! `run`: a pipeline from a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::info::{open_failure, recipe_of};
use super::recipe::Recipe;
use super::shared::{RunFlags, run_pipeline};
use crate::output::diagnostics::Verbosity;
use crate::pipeline::{Pipeline, Text, is_stdio};
use crate::{Code, Failure};

/// A pipeline file is written by hand: a larger one is some other file.
const MAX_BYTES: u64 = 1 << 20;

/// Run a pipeline from a TOML file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk run pipeline.toml
  sochdb-bulk run pipeline.toml --set source.path=other.npy --set sink.m=32
  sochdb-bulk build-index -i a.npy -o a.hnsw --print-pipeline | sochdb-bulk run -
  sochdb-bulk run --from a.hnsw --set source.path=a.npy --set sink.path=again.hnsw
  sochdb-bulk run --from a.hnsw --set 'source.paths=[\"a.npy\", \"b.npy\"]' --set sink.path=again.hnsw

Paths in a file begin in the file's own folder, those of standard input and of --set in the current one.")]
pub(super) struct Args {
    /// The pipeline; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "from")]
    file: Option<PathBuf>,

    /// Run the pipeline that built this index once more. It has no paths: name them by --set source.path=FILE and
    /// --set sink.path=FILE, and what else it asks for
    #[arg(long, value_name = "INDEX", conflicts_with = "file")]
    from: Option<PathBuf>,

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

    /// The folder in which the paths of the pipeline begin, in the place of that of its file
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Overrides {
    /// Whether nothing is to be changed.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.folder.is_none()
    }
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let pipeline = text_of(&args).and_then(Pipeline::parse).map(|mut pipeline| {
        args.run.put_into(&mut pipeline);
        pipeline
    });
    let done = run_pipeline(pipeline, &args.run, verbosity);
    if args.from.is_some() { done.map_err(Recipe::explain) } else { done }
}

fn text_of(args: &Args) -> Result<Text, Failure> {
    match (&args.file, &args.from) {
        (_, Some(index)) => {
            let (_, recipe) = index::file::read_header(index).map_err(|e| open_failure(index, &e))?;
            recipe_of(index, &recipe)?.with(&args.overrides.set)
        }
        (Some(file), None) => read(file, &args.overrides),
        (None, None) => Err(Failure::refused("expected a pipeline file, found none")),
    }
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
    read.map_err(|e| {
        let failure = Failure::failed(format!("{name}: cannot read: {e}"));
        match e.kind() {
            std::io::ErrorKind::NotFound => failure
                .with_code(Code::NoFile)
                .with_help("name a pipeline file; `sochdb-bulk guess VECTORS` writes one"),
            _ => failure.with_code(Code::NoFile),
        }
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::refused(format!(
            "{name}: expected a pipeline of up to {MAX_BYTES} bytes, found more"
        ))
        .with_code(Code::Syntax)
        .with_help("name the TOML file; the vectors are named inside it"));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::refused(format!("{name}: byte {at}: expected TOML in UTF-8, found other bytes"))
            .with_code(Code::Syntax)
            .with_help("name the TOML file; the vectors are named inside it")
    })?;
    let text = if is_stdio(path) { Text::of_standard_input(text) } else { Text::of_file(path, text) };
    // The current folder is no part of a path, as where nobody names it.
    let here = Path::new("");
    let folder =
        overrides.folder.as_deref().map(|folder| if folder == Path::new(".") { here } else { folder });
    let text = folder.into_iter().fold(text, Text::in_folder);
    text.with_overrides(&overrides.set)
}
