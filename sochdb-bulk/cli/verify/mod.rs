//! `verify`: whether two sources hold the same rows.

mod columns;
mod compare;
mod report;

use std::path::{Path, PathBuf};

use readers::{Dataset, FormatDescriptor};

use super::queries::stdin_twice;
use super::shared::parse_format;
use super::sources::Request;
use crate::output::diagnostics::{Verbosity, say};
use crate::output::stdout;
use crate::pipeline::{Cancel, is_stdio};
use crate::{Code, Failure};
use columns::Column;
use compare::Comparison;

/// Compare two sources row by row: vectors, ids, and further columns that both have
///
/// Values are equal as numbers: 0.0 equals -0.0, and NaN equals NaN. Exit code 0 means equal, 1 different.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk verify embeddings.npy embeddings.parquet
  sochdb-bulk verify embeddings.npy embeddings.f16bin --tolerance 0.001
  sochdb-bulk verify 'shards/*.npy' all.npy --json")]
pub(super) struct Args {
    /// A file, or a pattern in quotes for all files that match; `-` is standard input
    #[arg(value_name = "A")]
    a: PathBuf,

    /// What it is compared with
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Take values a and b for equal if they differ by EPS x max(|a|, |b|, 1) at most
    #[arg(long, value_name = "EPS", value_parser = parse_tolerance, default_value = "0", hide_default_value = true)]
    tolerance: f64,

    /// Format of both (told from content and name where it is not given)
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<&'static FormatDescriptor>,

    /// Format of A alone
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format_a: Option<&'static FormatDescriptor>,

    /// Format of B alone
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format_b: Option<&'static FormatDescriptor>,

    /// Vector dimension, where a file does not say it
    #[arg(short, long, value_name = "DIM", value_parser = clap::value_parser!(u32).range(1..=readers::MAX_DIM as i64))]
    dimension: Option<u32>,

    /// Column of the vectors, in files with columns
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,

    /// Column of the ids, in files with columns
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,

    /// Whether ids are compared, where both have them
    #[arg(long, value_name = "yes|no", value_parser = ["yes", "no"], default_value = "yes")]
    ids: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_tolerance(word: &str) -> Result<f64, String> {
    let eps = word.parse().ok().filter(|eps: &f64| eps.is_finite() && *eps >= 0.0);
    eps.ok_or_else(|| "expected a number of at least 0, such as 1e-6".to_owned())
}

/// The two sources by their names.
struct Pair<'p> {
    names: [String; 2],
    datasets: [&'p dyn Dataset; 2],
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    if is_stdio(&args.a) && is_stdio(&args.b) {
        return Err(stdin_twice());
    }
    let cancel = Cancel::by_signals();
    let open = |path: &Path, format: Option<&'static FormatDescriptor>| {
        let request = Request {
            names: vec![path.to_path_buf()],
            format: format.or(args.format),
            dim: args.dimension.map(|dim| dim as usize),
            vector_column: args.vector_column.clone(),
            id_column: args.id_column.clone(),
            columns_where_there_are: true,
            ids: args.ids == "yes",
            payload: true,
        };
        request.open(&cancel)
    };
    let (a, b) = (open(&args.a, args.format_a)?, open(&args.b, args.format_b)?);
    let is_chosen = |option| {
        [&a, &b].iter().any(|side| side.dataset.info().chosen.iter().any(|one| one.option == option))
    };
    for (flag, option, name) in [
        ("--vector-column", "vector_column", &args.vector_column),
        ("--id-column", "id_column", &args.id_column),
    ] {
        if name.is_some() && !is_chosen(option) {
            return Err(Failure::refused(format!("expected a file with columns for {flag}, found none"))
                .with_code(Code::Conflict)
                .with_help("leave the flag away"));
        }
    }
    let names = [&args.a, &args.b].map(|path| path.display().to_string());
    let pair = Pair { names, datasets: [&*a.dataset, &*b.dataset] };
    let [left, right] = pair.datasets.map(Dataset::info);
    if left.dim != right.dim {
        if args.json {
            stdout::line(&report::of_dims(&pair).to_string())?;
        }
        let [a, b] = &pair.names;
        let message = format!("{a} and {b} differ: dimension {} and {}", left.dim, right.dim);
        return Err(Failure::failed(message).with_code(Code::Differs).with_help(
            "vectors of one model have one dimension: these are of two, or one of the two was sliced",
        ));
    }
    let (columns, mut notes) = Column::shared(&pair);
    let comparison = Comparison::of(&pair, args.tolerance, columns, &cancel)?;
    notes.extend(comparison.notes(&pair));
    for note in &notes {
        say(Verbosity::Normal, verbosity, &format!("note: {note}"));
    }
    if args.json {
        stdout::line(&report::json(&pair, &comparison, &notes).to_string())?;
    }
    match comparison.is_equal() {
        true if args.json => Ok(()),
        true => stdout::line(&report::equal(&pair, &comparison)),
        false => Err(report::different(&pair, &comparison)),
    }
}
