//! `exact`: the nearest rows of each query, by comparing all with all.

mod compare;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use readers::{FormatDescriptor, Metric};

use super::indexes::open_index;
use super::looking::monitoring;
use super::queries::{self, Wanted, stdin_twice};
use super::shared::{parse_format, parse_metric, parse_threads};
use super::sources::Request;
use crate::output::atomic::{check_not_input, check_target, is_same_place};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::{stdout, units};
use crate::pipeline::{Cancel, is_stdio, threads_or_all};
use crate::{Code, Failure};
pub(super) use compare::{Base, Found, nearest};

/// Find the true nearest rows of each query, by comparing all with all: what recall is measured against
///
/// Rows are counted from 0, over all files. Vectors are read in parts, so memory does not grow with them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk exact --base embeddings.npy --query queries.npy -k 100 --output truth.ivecs
  sochdb-bulk exact --base 'shards/*.parquet' --query queries.npy --metric l2 --output truth.npy --distances distances.npy
  sochdb-bulk exact --index index.hnsw --query queries.npy -k 10")]
pub(super) struct Args {
    /// Files of vectors, in any format, also packed; `-` is standard input. A pattern in quotes is all files that match; all
    /// files are one input
    #[arg(short, long, value_name = "FILE", num_args = 1.., required_unless_present = "index", conflicts_with = "index")]
    base: Vec<PathBuf>,

    /// Format of the base files (told from content and name where it is not given)
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    base_format: Option<&'static FormatDescriptor>,

    /// Vector dimension, where the base files do not say it
    #[arg(short, long, value_name = "DIM", value_parser = clap::value_parser!(u32).range(1..=readers::MAX_DIM as i64))]
    dimension: Option<u32>,

    /// An index whose vectors are taken in the place of base files, with its metric
    #[arg(short, long, value_name = "FILE")]
    index: Option<PathBuf>,

    /// Files of query vectors, as the base files; bare f32 has their dimension
    #[arg(short, long, value_name = "FILE", num_args = 1.., required = true)]
    query: Vec<PathBuf>,

    /// Format of the query files (told from content and name where it is not given)
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    query_format: Option<&'static FormatDescriptor>,

    /// Column of the query vectors, for formats with columns; of other formats the array, tensor or dataset
    #[arg(long, value_name = "NAME")]
    query_column: Option<String>,

    /// Number of neighbours
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,

    /// Metric: cosine, l2 (squared Euclidean) or ip; else the one that the base file or index records, else cosine
    #[arg(long, value_name = "METRIC", value_parser = parse_metric)]
    metric: Option<Metric>,

    /// Where to write the numbers of the rows, nearest first, equal distances by number; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,

    /// Column of the base's vectors, in files with columns
    #[arg(long, value_name = "NAME", conflicts_with = "index")]
    vector_column: Option<String>,

    /// How to write them (told from the extension of the output; JSON on standard output)
    #[arg(short, long, value_enum)]
    format: Option<Format>,

    /// Write the distances as well: a .npy of f32, of shape (queries, k)
    #[arg(long, value_name = "FILE.npy")]
    distances: Option<PathBuf>,

    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", value_parser = parse_threads)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Each row its size as i32 and the numbers as i32 (TEXMEX, faiss)
    Ivecs,
    /// Queries and k as u32, then the numbers as i32 (big-ann-benchmarks)
    Ibin,
    /// An array of i32 of shape (queries, k)
    Npy,
    /// Columns `neighbors` (lists of i32) and `distances` (lists of f32), named as in the files of ann-benchmarks
    Parquet,
    /// One object a query: {"query":0,"rows":[...],"distances":[...]}
    Json,
}

impl Format {
    fn of(args: &Args) -> Result<Self, Failure> {
        if let Some(format) = args.format {
            return Ok(format);
        }
        if is_stdio(&args.output) {
            return Ok(Self::Json);
        }
        let extension = args.output.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "ivecs" => Ok(Self::Ivecs),
            "ibin" | "i32bin" => Ok(Self::Ibin),
            "npy" => Ok(Self::Npy),
            "parquet" => Ok(Self::Parquet),
            "json" | "jsonl" => Ok(Self::Json),
            _ => {
                let message = format!("{}: its extension tells no format", args.output.display());
                Err(Failure::refused(message)
                    .with_code(Code::Format)
                    .with_help("name it .ivecs, .ibin, .npy, .parquet or .json, or say --format"))
            }
        }
    }
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    let format = Format::of(args)?;
    let outputs = outputs(args, format)?;
    let monitoring = monitoring(verbosity);
    let base = open_base(args, verbosity, &monitoring.cancel)?;
    let others = format!("{} has vectors", base.name().display());
    let wanted = Wanted {
        format: args.query_format,
        vector_column: args.query_column.as_deref(),
        dim: base.dim(),
        others: &others,
    };
    let dataset = queries::open(queries::files_of(&args.query)?, wanted)?;
    for output in &outputs {
        check_not_input(output, base.files().iter().chain(&dataset.info().files))?;
    }
    let values = queries::read(&*dataset)?;
    let start = Instant::now();
    let found = nearest(&base, &values, args.k as usize, threads_or_all(args.threads), &monitoring)?;
    if found.rows < u64::from(args.k) {
        let (name, rows) = (base.name().display(), units::rows(found.rows));
        say(
            Verbosity::Normal,
            verbosity,
            &format!("note: {name} has {rows}, so a query has as many neighbours"),
        );
    }
    let line = format!(
        "{}, {}, k {}, {}, in {}",
        units::queries(found.nearest.len() as u64),
        units::rows(found.rows),
        args.k,
        base.metric(),
        units::seconds(start.elapsed().as_secs_f64())
    );
    say(Verbosity::Verbose, verbosity, &line);
    write::write(&found, format, &args.output, args.distances.as_deref())
}

/// The files that are written, each of which can be.
fn outputs(args: &Args, format: Format) -> Result<Vec<&Path>, Failure> {
    if is_stdio(&args.output) && format != Format::Json {
        stdout::refuse_terminal("a file of row numbers")?;
    }
    if args.distances.as_deref().is_some_and(is_stdio) {
        return Err(Failure::refused("expected a file for --distances, found standard output")
            .with_code(Code::Stdio)
            .with_help("name a file, such as distances.npy"));
    }
    let rows = (!is_stdio(&args.output)).then_some(&*args.output);
    let outputs: Vec<&Path> = rows.into_iter().chain(args.distances.as_deref()).collect();
    if let [rows, distances] = outputs[..]
        && is_same_place(rows, distances)
    {
        return Err(Failure::refused(format!("{}: expected two outputs, found one", rows.display()))
            .with_code(Code::OverInput)
            .with_help("name another file for --distances"));
    }
    for output in &outputs {
        check_target(output)?;
    }
    Ok(outputs)
}

fn open_base(args: &Args, verbosity: Verbosity, cancel: &Cancel) -> Result<Base, Failure> {
    if args.base.iter().chain(&args.query).filter(|path| is_stdio(path)).count() > 1 {
        return Err(stdin_twice());
    }
    if let Some(path) = &args.index {
        let index = open_index(path, args.metric, verbosity, cancel)?.index;
        return Ok(Base::Index(Arc::new(index), path.clone()));
    }
    let request = Request {
        names: args.base.clone(),
        format: args.base_format,
        dim: args.dimension.map(|dim| dim as usize),
        vector_column: args.vector_column.clone(),
        id_column: None,
        columns_where_there_are: false,
        ids: false,
        payload: false,
    };
    let dataset = request.open(cancel)?.dataset;
    let metric = args.metric.or(dataset.info().metric).unwrap_or(Metric::Cosine);
    let metric = match metric {
        Metric::L2 => index::Metric::L2,
        Metric::Cosine => index::Metric::Cosine,
        Metric::Ip => index::Metric::Ip,
    };
    Ok(Base::Files { dataset, metric, name: args.base.first().cloned().unwrap_or_default() })
}
