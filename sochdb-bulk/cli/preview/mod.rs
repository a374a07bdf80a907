//! `preview`: the first rows of files, or those that a pipeline would hand to its sink.

mod json;
mod table;

use std::path::Path;

use self::table::Table;
use super::looking::{LookArgs, monitoring};
use super::run::{Overrides, read};
use crate::Failure;
use crate::output::diagnostics::{Verbosity, say};
use crate::output::stdout;
use crate::pipeline::Pipeline;
use crate::sinks::payload_fields;

/// So many rows are shown where nobody says how many.
const ROWS: u64 = 10;

/// Show the first rows of files, or those that a pipeline would write
///
/// 10 rows, unless --limit says how many. A FILE that ends in .toml is a pipeline: what it reads goes through its stages, and is
/// shown instead of being written; nothing is written then, not even by stages. NaN and infinities are shown as they are, as
/// null in JSON.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk preview embeddings.parquet
  sochdb-bulk preview embeddings.npy --rows 500..1000 --limit 3 --json
  sochdb-bulk preview pipeline.toml --set stage.0.to=64")]
pub(super) struct Args {
    #[command(flatten)]
    look: LookArgs,

    /// Values of each vector to show, the first and the last ones [default: 6, or 4 beside further columns]
    #[arg(long, value_name = "N")]
    columns: Option<usize>,

    /// Print JSON, an object a row: {"row":0,"id":0,"vector":[...],"columns":{...}}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    let monitoring = monitoring(verbosity);
    let pipeline = pipeline_file(args)?;
    // A file has all its columns; to a sink come those that it keeps.
    let with_columns = pipeline.is_none();
    let pipeline = match pipeline {
        Some(pipeline) => pipeline,
        None => args.look.pipeline(Vec::new())?,
    };
    let look = pipeline.look(with_columns, &monitoring)?;
    for note in look.notes() {
        say(Verbosity::Verbose, verbosity, &format!("note: {note}"));
    }
    let fields = payload_fields(look.stream()).to_vec();
    let rows = args.look.source.limit.unwrap_or(ROWS);
    if args.json {
        return look.first(rows, &monitoring, &mut |batch| stdout::write(&json::lines(batch, &fields)?));
    }
    let values = args.columns.unwrap_or(if fields.is_empty() { 6 } else { 4 });
    let mut table = Table::new(look.stream(), values);
    look.first(rows, &monitoring, &mut |batch| table.add(batch, &fields))?;
    stdout::write(table.text(stdout::width_chars()).as_bytes())
}

/// The pipeline, if one is named.
fn pipeline_file(args: &Args) -> Result<Option<Pipeline>, Failure> {
    let files = args.look.all_files();
    let Some(file) = files.iter().find(|file| is_pipeline(file)) else {
        if args.overrides.is_empty() {
            return Ok(None);
        }
        return Err(Failure::refused("--set changes a pipeline, and there is none")
            .with_help("name a pipeline file, which ends in .toml"));
    };
    let name = file.display();
    if files.len() > 1 {
        let message = format!("{name}: expected one pipeline and nothing else, found {} files", files.len());
        return Err(Failure::refused(message).with_help("preview them one after the other"));
    }
    if args.look.has_input_flags()? {
        let message = format!("{name}: what a pipeline reads is in its file, and flags say something else");
        return Err(Failure::refused(message).with_help("use --set, such as --set source.dim=768"));
    }
    let mut pipeline = Pipeline::parse(read(file, &args.overrides)?)?;
    args.look.run.apply(&mut pipeline);
    Ok(Some(pipeline))
}

fn is_pipeline(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}
