//! `query`: the nearest rows of an index for each row of a file.

mod write;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use index::Matrix;
use index::file::read_header;
use readers::FormatDescriptor;
use serde::Serialize;

use super::indexes::{MetricArg, open_index};
use super::info::pool_with_this_thread;
use super::queries::{self, Wanted};
use super::shared::{Stats, StatsFlag, parse_format, parse_threads};
use crate::Failure;
use crate::output::atomic::{check_not_input, check_target, write_file};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::{stdout, units};
use crate::pipeline::{Cancel, is_stdio, threads_or_all};
use write::Ids;

/// The ef where neither a person nor the index says one.
const EF: u32 = 100;

/// Search an index: the nearest rows for every query in a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sochdb-bulk query --index index.hnsw --query queries.npy --k 10 --ef 200 --format json")]
pub(super) struct Args {
    /// Index file
    #[arg(short, long, value_name = "FILE")]
    index: PathBuf,

    /// File of query vectors, in any format, also packed; bare f32 has the index's dimension. `-` is standard input. A
    /// pattern in quotes is all files that match; may be given several times
    #[arg(short, long, value_name = "FILE", required = true)]
    query: Vec<PathBuf>,

    /// Format of the query file (told from its content and name where it is not given)
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    query_format: Option<&'static FormatDescriptor>,

    /// Column of the query vectors, for formats with columns; of other formats the array, tensor or dataset
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,

    /// Number of neighbours
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,

    /// Search ef: candidates kept; higher finds more and takes longer. At least k [default: the one that `eval --store-ef` has
    /// written into the index, else 100]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ef: Option<u32>,

    /// How to print the hits
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Where to write them; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,

    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", value_parser = parse_threads)]
    threads: usize,

    #[command(flatten)]
    metric: MetricArg,

    #[command(flatten)]
    stats: StatsFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// One object a query: {"query":0,"ids":[...],"distances":[...]}
    Json,
    /// query, rank, id and distance, with tabs; in ids that are texts a tab is \t, and so are \n, \r and \\
    Tsv,
    /// A structured array of shape (queries, k) with the fields `id` (u8, or U of the longest text) and `distance` (f4)
    Npy,
}

/// What a query did, for `--stats`.
#[derive(Debug, Serialize)]
struct Report {
    queries: usize,
    k: u32,
    /// As it was used: at least k.
    ef_search: u32,
    threads: usize,
    /// Opening the index, which checks its graph.
    open_secs: f64,
    /// Searching alone; vectors of the index are checked when the first search comes to them.
    search_secs: f64,
    queries_per_sec: f64,
    /// None without queries.
    distances_per_query: Option<f64>,
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let mut stats = Stats::new(&args.stats)?;
    let outcome = search(&args, &mut stats, verbosity);
    let report = stats.write(outcome)?;
    let line = format!(
        "{}, k {}, ef {}, in {}",
        units::queries(report.queries as u64),
        report.k,
        report.ef_search,
        units::seconds(report.search_secs)
    );
    say(Verbosity::Verbose, verbosity, &line);
    Ok(())
}

/// Queries, and the files that they are from.
struct Queries {
    files: Vec<PathBuf>,
    values: Vec<f32>,
}

#[expect(clippy::cast_precision_loss, reason = "rates and means, of less than 2^53 things")]
fn search(args: &Args, stats: &mut Stats, verbosity: Verbosity) -> Result<Report, Failure> {
    let on_stdout = is_stdio(&args.output).then_some("hits");
    let query_files = queries::files_of(&args.query)?;
    let mut files = query_files.clone();
    files.extend([args.output.clone(), args.index.clone()]);
    stats.keep_off(&files, on_stdout)?;
    if args.format == Format::Npy && is_stdio(&args.output) {
        stdout::refuse_terminal("a .npy file")?;
    }
    if !is_stdio(&args.output) {
        check_target(&args.output)?;
        check_not_input(&args.output, query_files.iter().chain([&args.index]))?;
    }
    let threads = threads_or_all(args.threads);
    let pool = pool_with_this_thread(threads)?;
    let start = Instant::now();
    // Nothing is left behind that has a name: signals may end the program where it is.
    let cancel = Cancel::default();
    let read_for = |dim: usize| -> Result<Queries, Failure> {
        let others = format!("{} was built from vectors", args.index.display());
        let wanted = Wanted {
            format: args.query_format,
            vector_column: args.vector_column.as_deref(),
            dim,
            others: &others,
        };
        let dataset = queries::open(query_files.clone(), wanted)?;
        let values = queries::read(&*dataset)?;
        Ok(Queries { files: dataset.info().files.clone(), values })
    };
    // Queries in files are read while the index is looked at. What is wrong with the index is told first.
    let early = || {
        let (header, _) = read_header(&args.index).ok()?;
        let is_file = !query_files.iter().any(|file| is_stdio(file));
        is_file.then(|| read_for(header.dim))
    };
    let open = || {
        let index = open_index(&args.index, args.metric.metric, verbosity, &cancel);
        (index, start.elapsed().as_secs_f64())
    };
    let ((index, open_secs), queries) = pool.install(|| rayon::join(open, early));
    let index = index?.index;
    let Queries { files, values: queries } = queries.unwrap_or_else(|| read_for(index.dim()))?;
    stats.keep_off(&files, None)?;
    if !is_stdio(&args.output) {
        check_not_input(&args.output, &files)?;
    }
    let ef = args.ef.or(index.header().default_ef).unwrap_or(EF).max(args.k);
    let start = Instant::now();
    let (hits, distances) = pool
        .install(|| {
            index.search_all_counting(Matrix::new(&queries, index.dim()), args.k as usize, ef as usize)
        })
        .map_err(|e| Failure::failed(format!("{}: {e}", args.index.display())))?;
    let search_secs = start.elapsed().as_secs_f64();
    let ids = Ids::of(&index, &args.index, &hits)?;
    let out = match args.format {
        Format::Table => write::table(&hits, &ids),
        Format::Json => write::json(&hits, &ids),
        Format::Tsv => write::tsv(&hits, &ids),
        Format::Npy => write::npy(&hits, &ids)?,
    };
    drop(ids);
    // Taking down the map of a large index takes milliseconds: while another thread waits for the disk.
    let ((), written) = pool.install(|| rayon::join(|| drop(index), || put(&args.output, &out)));
    written?;
    let count = hits.len() as f64;
    Ok(Report {
        queries: hits.len(),
        k: args.k,
        ef_search: ef,
        threads,
        open_secs,
        search_secs,
        queries_per_sec: count / search_secs.max(1e-9),
        distances_per_query: (!hits.is_empty()).then(|| distances as f64 / count),
    })
}

fn put(output: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_stdio(output) {
        return stdout::write(bytes);
    }
    write_file(output, bytes)
}
