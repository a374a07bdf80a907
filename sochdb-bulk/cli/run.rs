//! `run`: a pipeline from a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::info::{open_failure, recipe_of};
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

Paths in a file begin in the file's own folder, those of standard input and of --set in the current one.")]
pub(super) struct Args {
    /// The pipeline; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "from")]
    file: Option<PathBuf>,

    /// Run the pipeline that built this index once more. It has no paths: name them by --set source.path=FILE and
    /// --set sink.path=FILE
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
}

impl Overrides {
    /// Whether nothing is to be changed.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let text = match (&args.file, &args.from) {
        (_, Some(index)) => {
            let (_, recipe) = index::file::read_header(index).map_err(|e| open_failure(index, &e))?;
            let name = format!("recipe of {}", index.display());
            let recipe = runnable(recipe_of(index, &recipe)?, &name, &args.overrides)?;
            Text::new(name, recipe, "").with_overrides(&args.overrides.set)?
        }
        (Some(file), None) => read(file, &args.overrides)?,
        (None, None) => return Err(Failure::refused("expected a pipeline file, found none")),
    };
    let mut pipeline = Pipeline::parse(text)?;
    args.run.put_into(&mut pipeline);
    run_pipeline(pipeline, &args.run, verbosity)
}

/// A recipe as a pipeline that can be run. It has no paths; of stages that read a file it says so, and that file has to be named.
fn runnable(recipe: &str, name: &str, overrides: &Overrides) -> Result<String, Failure> {
    let mut table: toml::Table =
        recipe.parse().map_err(|e: toml::de::Error| Failure::failed(format!("{name}: {}", e.message())))?;
    // Of several formats each file tells its own.
    if let Some(source) = table.get_mut("source").and_then(toml::Value::as_table_mut)
        && source.get("type").is_some_and(toml::Value::is_array)
    {
        source.remove("type");
    }
    let sink = table.get_mut("sink").and_then(toml::Value::as_table_mut);
    if let Some(rows) = sink.and_then(|sink| sink.remove("appended_to_rows")) {
        if !table.contains_key("source") {
            let message =
                format!("{name}: it was merged from indexes of {rows} rows, which the recipe does not name");
            return Err(Failure::refused(message)
                .with_code(Code::Missing)
                .with_help("merge them once more: sochdb-bulk merge INDEX INDEX... -o FILE"));
        }
        let is_append = |set: &String| set.replace(' ', "").starts_with("sink.append=");
        if !overrides.set.iter().any(is_append) {
            let message =
                format!("{name}: it went on with an index of {rows} rows, which the recipe does not name");
            return Err(Failure::refused(message)
                .with_code(Code::Missing)
                .with_help("name it: --set sink.append=INDEX"));
        }
    }
    let stages = table.get_mut("stage").and_then(toml::Value::as_array_mut);
    for (number, stage) in stages.into_iter().flatten().enumerate() {
        let Some(stage) = stage.as_table_mut() else { continue };
        for (mark, option) in [("loaded", "load"), ("from_file", "path")] {
            if stage.remove(mark).is_none() {
                continue;
            }
            // What counting has is not wanted beside a file.
            stage.remove("offset");
            let wanted = format!("stage.{number}.{option}=");
            if !overrides.set.iter().any(|set| set.replace(' ', "").starts_with(&wanted)) {
                let kind = stage.get("type").and_then(toml::Value::as_str).unwrap_or_default();
                let message =
                    format!("{name}: stage {number} ({kind}) read a file, which the recipe does not name");
                return Err(Failure::refused(message)
                    .with_code(Code::Missing)
                    .with_help(format!("name it: --set {wanted}FILE")));
            }
        }
    }
    Ok(table.to_string())
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
    text.with_overrides(&overrides.set)
}
