//! `build-index`: a file of vectors to an index.

use std::path::PathBuf;

use readers::{FormatDescriptor, Metric};
use toml::Table;

use super::shared::{
    self, InputArgs, RunArgs, ids_stage, parse_format, parse_metric, path_value, source_table,
};
use crate::Failure;
use crate::output::diagnostics::Verbosity;

/// Build an HNSW index from a file of vectors, or add them to an index
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk build-index --input embeddings.npy --output index.hnsw --metric l2 --threads 8
  sochdb-bulk build-index --append index.hnsw --input new.npy --output index.hnsw

With --append the new index has the rows of the old one and then those of the input. Where the old one has ids the input needs
some, too, and no id may come twice; where its ids are row numbers, they stay what they are, and an input without ids is numbered on.")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// Output index file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Input format (told from the file's content and name where it is not given)
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format, help_heading = "Input")]
    format: Option<&'static FormatDescriptor>,

    /// Go on with this index: its rows come first, and its graph saves most of the time. The output may be the same file, which is
    /// replaced when the new one is whole
    #[arg(long, value_name = "INDEX", help_heading = "Index")]
    append: Option<PathBuf>,

    /// Metric: l2, cosine or ip [default: the one the input records, else cosine]
    #[arg(long, value_name = "METRIC", value_parser = parse_metric, help_heading = "Index")]
    metric: Option<Metric>,

    /// HNSW M: neighbours of a row on each level, twice as many on level 0 [default: 16, or that of --append]
    #[arg(short, long, value_name = "N", help_heading = "Index",
          value_parser = clap::value_parser!(u16).range(2..=1024))]
    max_connections: Option<u16>,

    /// HNSW ef_construction: candidates for the neighbours of a row [default: 100, or that of --append]
    #[arg(short, long, value_name = "N", help_heading = "Index",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ef_construction: Option<u32>,

    /// Seed of levels and order: the same input, options and seed give the same file [default: 42, or that of --append]
    #[arg(long, value_name = "N", help_heading = "Index",
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,

    /// How neighbours are found: `partition` compares rows in overlapping groups of near ones, `insert` searches the
    /// graph for every row, `auto` takes partition unless a sample shows that it would miss too many neighbours
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Index",
          value_parser = ["auto", "partition", "insert"])]
    builder: String,

    /// Codes beside the vectors: `i8` adds a byte a value and makes search about twice as fast at the same recall,
    /// `none` saves the space, `auto` takes i8 unless a sample shows that they would lead astray
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Index",
          value_parser = ["auto", "i8", "none"])]
    codes: String,

    /// How the vectors are kept: as f32, or rounded to `f16` (half the size) or `i8` (a quarter). The graph is built of the
    /// vectors as given; searches answer by those that are kept
    #[arg(long, value_name = "NAME", default_value = "f32", help_heading = "Index", value_parser = ["f32", "f16", "i8"])]
    storage: String,

    /// Keep no vectors in the index: searches take them from the input, which has to be one file of f32 that can be
    /// mapped (.npy, .f32, .fbin), and has to stay where it is and as it is
    #[arg(long, conflicts_with = "storage", help_heading = "Index")]
    no_vectors: bool,

    /// Whose index to write: `native` is this program's, the others are what these libraries load
    #[arg(long, value_name = "NAME", default_value = "native", help_heading = "Index",
          value_parser = ["native", "hnswlib", "faiss", "usearch", "sochdb"])]
    index_format: String,

    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let source = source_table(&args.input, args.format)?;
    let stages = ids_stage(&args.input.source)?;
    let mut sink = Table::new();
    sink.insert("type".to_owned(), "hnsw".into());
    sink.insert("path".to_owned(), path_value(&args.output)?);
    if let Some(metric) = args.metric {
        sink.insert("metric".to_owned(), metric.name().into());
    }
    // What an index gives is left open.
    let of = |given: Option<u64>, default: u64| given.or(args.append.is_none().then_some(default));
    let numbers = [
        ("m", of(args.max_connections.map(u64::from), 16)),
        ("ef_construction", of(args.ef_construction.map(u64::from), 100)),
        ("seed", of(args.seed, 42)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            // The ranges of the flags are within that of TOML's integers.
            sink.insert(name.to_owned(), i64::try_from(value).unwrap_or(i64::MAX).into());
        }
    }
    sink.insert("builder".to_owned(), args.builder.into());
    sink.insert("codes".to_owned(), args.codes.into());
    if args.index_format != "native" {
        sink.insert("format".to_owned(), args.index_format.into());
    }
    match (args.no_vectors, &*args.storage) {
        (true, _) => sink.insert("storage".to_owned(), "source".into()),
        (false, "f32") => None,
        (false, storage) => sink.insert("storage".to_owned(), storage.into()),
    };
    if let Some(append) = &args.append {
        sink.insert("append".to_owned(), path_value(append)?);
    }
    shared::execute(source, stages, sink, &args.run, verbosity)
}
