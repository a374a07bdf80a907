//! `validate`: whether pipeline files are well formed.

use std::path::PathBuf;

use super::run::{Overrides, read};
use crate::Failure;
use crate::output::stdout;
use crate::pipeline::Pipeline;

/// Check pipeline files without touching any data
///
/// Everything that is wrong with a file is shown at once, in its order. Whether its inputs fit, only opening them can tell: that
/// is the first thing that `run` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk validate pipeline.toml
  sochdb-bulk validate pipelines/*.toml")]
pub(super) struct Args {
    /// The pipelines; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn execute(args: &Args) -> Result<(), Failure> {
    let mut wrong: Option<Failure> = None;
    for file in &args.files {
        match read(file, &args.overrides).and_then(Pipeline::parse) {
            Ok(pipeline) => stdout::line(&format!("{}: {}", file.display(), pipeline.steps().join(" -> ")))?,
            Err(failure) => {
                wrong = Some(match wrong {
                    Some(earlier) => earlier.and(failure),
                    None => failure,
                });
            }
        }
    }
    wrong.map_or(Ok(()), Err)
}
