//! `inspect`: what is in a file of vectors, and what is wrong with it.

mod findings;
mod plot;
mod summary;
mod tally;
mod text;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use readers::Batch;
use toml::{Table, Value};

use self::summary::{Column, Copies, Spread, Summary};
use self::tally::{Rows, Tally, Values};
use super::looking::{LookArgs, monitoring};
use super::svg::check_plot;
use crate::Failure;
use crate::output::atomic::{check_not_input, write_file};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::stdout;
use crate::pipeline::{IdSource, Look};
use crate::stages::{Draw, DrawnRows};

/// The variance of dimensions is that of so many rows, or of so many bytes of rows, if these are fewer.
const SPREAD_ROWS: u64 = 16_384;
const SPREAD_BYTES: u64 = 64 << 20;

/// Another seed draws other rows.
const SEED: u64 = 42;

/// Look for what is wrong with vectors: NaN, zeros, copies, lengths, byte order
///
/// Goes through all rows once and takes up to 40 bytes of memory for each. Findings are no failure: only a file that cannot be
/// read is. Rows are counted from 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk inspect embeddings.npy
  sochdb-bulk inspect 'shards/*.parquet' --sample 100000 --json
  sochdb-bulk inspect embeddings.f32 --dimension 768 --plot lengths.svg")]
pub(super) struct Args {
    #[command(flatten)]
    look: LookArgs,

    /// Look at so many rows only, drawn by a hash of their numbers: the same rows every time
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    sample: Option<u64>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write a histogram of the lengths of the rows, as a picture
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    if let Some(path) = &args.plot {
        check_plot(path)?;
    }
    let monitoring = monitoring(verbosity);
    let sample = args.sample.map(sample_stage);
    let look = args.look.pipeline(sample.into_iter().collect())?.look(true, &monitoring)?;
    if let Some(path) = &args.plot {
        check_not_input(path, look.files())?;
    }
    for note in look.notes() {
        say(Verbosity::Verbose, verbosity, &format!("note: {note}"));
    }
    let mut summary = before_reading(&look);
    let (dim, columns, threads) = (summary.dim, summary.columns.len(), look.threads());
    let ids = look.stream().ids;
    let counts = Counts::new(dim, columns);
    look.all(&monitoring, &|batch| {
        counts.add(batch);
        Ok(())
    })?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Failure::failed(format!("cannot start {threads} threads: {e}")))?;
    let (tally, drawn) = counts.finish();
    pool.install(|| summary.complete(tally, &drawn, ids));
    summary.findings = findings::find(&summary);
    monitoring.cancel.check()?;
    if let Some(path) = &args.plot {
        write_file(path, plot::svg(&summary).as_bytes())?;
    }
    if args.json {
        let text = serde_json::to_string(&summary)
            .map_err(|e| Failure::failed(format!("cannot write the summary: {e}")))?;
        stdout::line(&text)
    } else {
        stdout::write(text::report(&summary).as_bytes())
    }
}

fn sample_stage(rows: u64) -> Value {
    let mut stage = Table::new();
    stage.insert("type".to_owned(), "sample".into());
    // The range of the flag is that of TOML's integers.
    stage.insert("count".to_owned(), i64::try_from(rows).unwrap_or(i64::MAX).into());
    Value::Table(stage)
}

/// What is known before a row is read.
fn before_reading(look: &Look) -> Summary {
    let (info, found, stream) = (look.info(), look.found(), look.stream());
    let fields = stream.payload.iter().flat_map(|schema| schema.fields());
    let column = |field: &readers::arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
        nulls: 0,
    };
    Summary {
        schema: 1,
        name: found.name.display().to_string(),
        files: info.files.clone(),
        formats: found.formats.clone(),
        column_formats: found.column_formats.clone(),
        recognised_by: found.reason.clone(),
        size_bytes: info.size_bytes,
        rows: look.source_rows().unwrap_or_default(),
        rows_inspected: 0,
        dim: stream.dim,
        dtype: info.dtype.name(),
        metric: info.metric.map(|metric| metric.name()),
        ids: match stream.ids {
            IdSource::RowNumbers => "row_numbers",
            IdSource::Given => "u64",
            IdSource::Text => "text",
        },
        columns: fields.map(column).collect(),
        norms: None,
        unit_rows: 0,
        nan: Rows::default(),
        infinite: Rows::default(),
        zero: Rows::default(),
        copies: Copies::default(),
        id_copies: None,
        values: Values::new(),
        spread: Spread::default(),
        findings: Vec::new(),
    }
}

/// The counts of all threads.
struct Counts {
    dim: usize,
    columns: usize,
    /// Those that no thread is working with.
    idle: Mutex<Vec<Tally>>,
    draw: Mutex<Draw>,
}

impl Counts {
    fn new(dim: usize, columns: usize) -> Self {
        let rows = (SPREAD_BYTES / (4 * dim as u64)).min(SPREAD_ROWS);
        let draw = Mutex::new(Draw::new(rows, SEED, dim));
        Self { dim, columns, idle: Mutex::default(), draw }
    }

    fn add(&self, batch: &Batch) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tally = idle.unwrap_or_else(|| Tally::new(self.dim, self.columns));
        tally.add(batch);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(tally);
        self.draw.lock().unwrap_or_else(PoisonError::into_inner).put(batch);
    }

    /// All counts together, and the rows that were drawn for the variance.
    fn finish(self) -> (Tally, DrawnRows) {
        let mut all = Tally::new(self.dim, self.columns);
        for tally in self.idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
            all.join(tally);
        }
        (all, self.draw.into_inner().unwrap_or_else(PoisonError::into_inner).into_sample())
    }
}
