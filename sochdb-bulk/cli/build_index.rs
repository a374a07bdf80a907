//! `build-index`: a file of vectors to an index.

use std::path::PathBuf;

use readers::{FormatDescriptor, Metric};
use toml::Table;

use super::shared::{
    self, InputArgs, RunArgs, ids_stage, parse_format, parse_metric, path_value, source_table,
};
use crate::Failure;
use crate::output::diagnostics::Verbosity;

/// Build an HNSW index from a file of vectors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sochdb-bulk build-index --input embeddings.npy --output index.hnsw --metric l2 --threads 8")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,

    /// Output index file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Input format (told from the file's content and name where it is not given)
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format, help_heading = "Input")]
    format: Option<&'static FormatDescriptor>,

    /// Metric: l2, cosine or ip [default: the one the input records, else cosine]
    #[arg(long, value_name = "METRIC", value_parser = parse_metric, help_heading = "Index")]
    metric: Option<Metric>,

    /// HNSW M: neighbours of a row on each level, twice as many on level 0
    #[arg(short, long, value_name = "N", default_value_t = 16, help_heading = "Index",
          value_parser = clap::value_parser!(u16).range(2..=1024))]
    max_connections: u16,

    /// HNSW ef_construction: candidates for the neighbours of a row
    #[arg(short, long, value_name = "N", default_value_t = 100, help_heading = "Index",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ef_construction: u32,

    /// Seed of levels and order: the same input, options and seed give the same file
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Index",
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,

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
    sink.insert("m".to_owned(), i64::from(args.max_connections).into());
    sink.insert("ef_construction".to_owned(), i64::from(args.ef_construction).into());
    // The range of the flag is that of TOML's integers.
    sink.insert("seed".to_owned(), i64::try_from(args.seed).unwrap_or(i64::MAX).into());
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
    shared::execute(source, stages, sink, &args.run, verbosity)
}
