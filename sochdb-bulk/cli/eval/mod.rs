//! `eval`: how much of what is nearest an index finds, and how fast.

mod measure;
mod plot;
mod report;
mod store;
mod truth;
mod truth_columns;

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use index::Index;
use index::file::SectionKind;
use readers::FormatDescriptor;

use super::exact::{Base, nearest};
use super::indexes::{MetricArg, open_index};
use super::info::damaged;
use super::looking::monitoring;
use super::queries::{self, Wanted};
use super::shared::{parse_format, parse_threads};
use super::svg::check_plot;
use crate::output::atomic::{check_not_input, write_file};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::{stdout, units};
use crate::pipeline::threads_or_all;
use crate::{Code, Failure};
use measure::{Bench, Point, Walk, least_ef};
use truth::Truth;

/// Queries where nobody says how many: comparing them with all rows takes the time.
const SAMPLE: usize = 1000;

/// Measure an index: recall, queries a second and latency for each search ef
///
/// A hit counts as found if it is as near as the last of the k true nearest rows, which are found by comparing all with all; with
/// a file of ground truth, if its id is among them. Times are those of one thread, unless --threads says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk eval --index index.hnsw --queries queries.npy -k 10 --ef 20,50,100,200
  sochdb-bulk eval --index index.hnsw --queries queries.npy --ground-truth truth.ivecs --plot recall.svg
  sochdb-bulk eval --index index.hnsw --queries queries.npy --target-recall 0.95 --store-ef")]
pub(super) struct Args {
    /// Index file
    #[arg(short, long, value_name = "FILE")]
    index: PathBuf,

    /// Files of query vectors, in any format, also packed; bare f32 has the index's dimension. `-` is standard input. A
    /// pattern in quotes is all files that match
    #[arg(short, long, visible_alias = "query", value_name = "FILE", num_args = 1.., required = true)]
    queries: Vec<PathBuf>,

    /// Format of the query files (told from content and name where it is not given)
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    query_format: Option<&'static FormatDescriptor>,

    /// Column of the query vectors, for formats with columns; of other formats the array, tensor or dataset
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,

    /// The true nearest rows of each query: .ivecs, .ibin or .npy of whole numbers, or Parquet or Arrow with a column
    /// `neighbors` of lists, as `exact` writes them
    #[arg(short, long, value_name = "FILE")]
    ground_truth: Option<PathBuf>,

    /// What the numbers of the ground truth are, where the index has ids (told from the numbers where it is not given)
    #[arg(long, value_enum, value_name = "WHAT", requires = "ground_truth")]
    truth_by: Option<TruthBy>,

    /// Number of neighbours
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,

    /// Search ef, one or several; below k they count as k
    #[arg(
        short, long, value_name = "N,N", value_delimiter = ',', default_value = "10,20,50,100,200,400",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    ef: Vec<u32>,

    /// Only the first N queries; 1000 where there is no ground truth. 0 is all
    #[arg(long, value_name = "N")]
    sample: Option<usize>,

    /// Look for the smallest ef that reaches this recall, from 0 to 1; exit code 1 if none does
    #[arg(long, value_name = "RECALL", value_parser = parse_recall)]
    target_recall: Option<f64>,

    /// Write the ef that reaches the target into the index: `query` takes it where none is given. The file is replaced when
    /// the new one is whole
    #[arg(long, requires = "target_recall")]
    store_ef: bool,

    /// What searches walk the graph by: the codes of the vectors where there are any (and then rank by the vectors), the vectors, or
    /// both, one after the other, to compare them
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = By::Codes)]
    by: By,

    /// Number of threads that search at a time (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = parse_threads)]
    threads: usize,

    #[command(flatten)]
    metric: MetricArg,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Draw recall and queries a second, as a picture
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What searches walk by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Codes,
    Vectors,
    Both,
}

impl By {
    /// The walks to measure. Without codes there is one way only.
    fn walks(self, index: &Index) -> &'static [Walk] {
        let has_codes = index.header().section(SectionKind::Codes).is_some();
        match self {
            Self::Both if has_codes => &[Walk::Codes, Walk::Vectors],
            Self::Codes if has_codes => &[Walk::Codes],
            _ => &[Walk::Vectors],
        }
    }
}

/// What the numbers of a ground truth are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TruthBy {
    /// Numbers of rows, counted from 0.
    Rows,
    /// Ids of the index.
    Ids,
}

fn parse_recall(word: &str) -> Result<f64, String> {
    let recall = word.parse().ok().filter(|recall| (0.0..=1.0).contains(recall));
    recall.ok_or_else(|| "expected a number from 0 to 1, such as 0.95".to_owned())
}

/// What was measured.
struct Evaluation<'a> {
    args: &'a Args,
    index: &'a Index,
    queries: usize,
    /// As it was used: not more than there are rows.
    k: usize,
    threads: usize,
    truth: &'a Truth,
    points: Vec<Point>,
    /// The smallest ef that reaches the target; nothing if none does, or none was asked for.
    target_ef: Option<usize>,
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    if let Some(path) = &args.plot {
        check_plot(path)?;
    }
    let monitoring = monitoring(verbosity);
    let taken = open_index(&args.index, args.metric.metric, verbosity, &monitoring.cancel)?;
    let index = Arc::new(taken.index);
    let base = Base::Index(Arc::clone(&index), args.index.clone());
    let index = &*index;
    let others = format!("{} was built from vectors", args.index.display());
    let wanted = Wanted {
        format: args.query_format,
        vector_column: args.vector_column.as_deref(),
        dim: index.dim(),
        others: &others,
    };
    let dataset = queries::open(queries::files_of(&args.queries)?, wanted)?;
    if let Some(path) = &args.plot {
        let inputs = dataset.info().files.iter().chain([&args.index]).chain(&args.ground_truth);
        check_not_input(path, inputs)?;
    }
    let all = queries::read(&*dataset)?;
    let values = sampled(args, &all, index.dim());
    let queries = values.len() / index.dim();
    if queries == 0 || index.rows() == 0 {
        let what = if queries == 0 { "queries" } else { "rows in the index" };
        return Err(Failure::refused(format!("expected {what}, found none"))
            .with_code(Code::Rows)
            .with_help("without any there is nothing to measure"));
    }
    let k = (args.k as usize).min(index.rows());
    if k < args.k as usize {
        let line = format!("note: k is {k}: {} has {}", args.index.display(), units::rows(k as u64));
        say(Verbosity::Normal, verbosity, &line);
    }
    let all_threads = threads_or_all(0);
    let truth = match &args.ground_truth {
        Some(path) => {
            if args.truth_by == Some(TruthBy::Ids) && index.ids().is_none() {
                return Err(Failure::refused(
                    "expected an index with ids for --truth-by ids, found row numbers",
                )
                .with_code(Code::Conflict)
                .with_help("leave --truth-by away"));
            }
            let (truth, note) = truth::read(path, index, args.truth_by, k, all.len() / index.dim(), queries)?;
            if let Some(note) = note {
                say(Verbosity::Normal, verbosity, &format!("note: {note}"));
            }
            truth
        }
        None => Truth::of_distances(nearest(&base, values, k, all_threads, &monitoring)?),
    };
    let bad = |corrupt| damaged(&args.index, &corrupt);
    // Blocks are compared with their checksums when they are first used: not while time is taken.
    if let Some(corrupt) = index.check_blocks().into_iter().find_map(|check| check.first) {
        return Err(bad(corrupt));
    }
    let threads = threads_or_all(args.threads);
    let walks = args.by.walks(index);
    let mut efs: Vec<usize> = args.ef.iter().map(|&ef| (ef as usize).max(k)).collect();
    let mut target_ef = None;
    if let Some(target) = args.target_recall {
        let wide = Bench::new(index, values, &truth, k, all_threads, walks[0])?;
        target_ef = least_ef(&wide, target, &monitoring.cancel).map_err(|e| e.into_failure(&args.index))?;
        efs.extend(target_ef);
    }
    efs.sort_unstable();
    efs.dedup();
    let mut points = Vec::new();
    for &walk in walks {
        let bench = Bench::new(index, values, &truth, k, threads, walk)?;
        for &ef in &efs {
            points.push(bench.run(ef, &monitoring.cancel).map_err(|e| e.into_failure(&args.index))?);
        }
    }
    if let Some(ef) = target_ef.filter(|_| args.store_ef) {
        store::store(&args.index, ef)?;
    }
    let evaluation = Evaluation { args, index, queries, k, threads, truth: &truth, points, target_ef };
    if let Some(path) = &args.plot {
        write_file(path, plot::svg(&evaluation).as_bytes())?;
    }
    if args.json {
        stdout::line(&report::json(&evaluation).to_string())?;
    } else {
        stdout::write(report::text(&evaluation).as_bytes())?;
    }
    match args.target_recall {
        Some(target) if target_ef.is_none() => Err(Failure::failed(format!(
            "{}: expected recall@{k} of at least {target}, found less even at ef {}, which compares all {} rows",
            args.index.display(),
            index.rows(),
            units::count(index.rows() as u64)
        ))
        .with_code(Code::Recall)
        .with_help("the ground truth is of other rows, of another metric, or has other numbers than the index")),
        _ => Ok(()),
    }
}

/// The queries that are used.
fn sampled<'a>(args: &Args, all: &'a [f32], dim: usize) -> &'a [f32] {
    let count = match (args.sample, &args.ground_truth) {
        (Some(0), _) | (None, Some(_)) => usize::MAX,
        (Some(count), _) => count,
        (None, None) => SAMPLE,
    };
    &all[..count.saturating_mul(dim).min(all.len())]
}
