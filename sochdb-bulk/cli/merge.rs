//! `merge`: several indexes to one.

use std::path::PathBuf;
use std::time::Instant;

use super::shared::parse_threads;
use crate::output::atomic::check_target;
use crate::output::diagnostics::{Verbosity, say};
use crate::output::progress::{Progress, ProgressStyle};
use crate::output::units;
use crate::pipeline::{Cancel, IfExists, Monitoring, is_stdio, threads_or_all};
use crate::sinks::{Hnsw, MergeOptions, merge};
use crate::{Code, Failure};

/// Merge indexes into one, which has all their rows
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk merge monday.hnsw tuesday.hnsw --output both.hnsw
  sochdb-bulk merge shards/a.hnsw shards/b.hnsw shards/c.hnsw -o all.hnsw --threads 8

The rows of the first index come first, then those of the second, and so on. All need one metric and one dimension. Ids are kept,
and no id may come twice. Where no index has ids, the rows are numbered on. Where some have, only the first may be without, as its
rows keep their numbers. The graph is as good as one that is built of all rows, and takes less time, unless there are more than six
indexes: then it is built anew. To add a file of vectors to an index use build-index --append.")]
pub(super) struct Args {
    /// Indexes to merge
    #[arg(value_name = "INDEX", num_args = 2.., required = true)]
    indexes: Vec<PathBuf>,

    /// Output index file; may be one of the others, which is replaced when the new one is whole
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// HNSW M [default: that of the first index]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1024))]
    max_connections: Option<u16>,

    /// HNSW ef_construction [default: that of the first index]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ef_construction: Option<u32>,

    /// Seed of levels and order [default: that of the first index]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,

    #[command(flatten)]
    run: MergeFlags,
}

/// How to run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Running")]
struct MergeFlags {
    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", value_parser = parse_threads)]
    threads: usize,

    /// What to do if the output exists
    #[arg(long, value_name = "WHAT", value_enum, default_value = "replace")]
    if_exists: IfExists,

    /// How progress is shown on standard error; auto is a bar on a terminal, and nothing elsewhere
    #[arg(long, value_enum, value_name = "HOW", default_value_t, hide_default_value = true)]
    progress: ProgressStyle,
}

pub(super) fn execute(args: Args, verbosity: Verbosity) -> Result<(), Failure> {
    let start = Instant::now();
    if is_stdio(&args.output) {
        return Err(Failure::refused("an index is not written from front to back, as standard output wants")
            .with_code(Code::Stdio)
            .with_help("name a file"));
    }
    check_target(&args.output)?;
    if args.output.exists() {
        match args.run.if_exists {
            IfExists::Replace => {}
            IfExists::Skip => {
                let line = format!("{}: exists already, nothing was done", args.output.display());
                say(Verbosity::Normal, verbosity, &line);
                return Ok(());
            }
            IfExists::Error => {
                return Err(Failure::refused(format!("{}: exists already", args.output.display()))
                    .with_code(Code::Exists)
                    .with_help("write to another file, or replace it with --if-exists replace"));
            }
        }
    }
    let count = args.indexes.len();
    let options = MergeOptions {
        m: args.max_connections.map(usize::from),
        ef_construction: args.ef_construction.map(|ef| ef as usize),
        seed: args.seed,
    };
    let progress = Progress::new(verbosity, args.run.progress);
    let monitoring = Monitoring { cancel: Cancel::by_signals(), progress };
    let sink = Hnsw::merging(args.indexes, args.output, options);
    let output = merge(sink, threads_or_all(args.run.threads), &monitoring)?;
    monitoring.progress.clear();
    let levels = output.details.get("levels").and_then(serde_json::Value::as_array);
    let nodes = levels.and_then(|levels| levels.first()?.as_u64()).unwrap_or_default();
    let copies = output.details.get("copies").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let line = format!(
        "wrote {}: {} rows of {count} indexes, {} in {}",
        output.path.display(),
        units::count(nodes + copies),
        units::bytes(output.size_bytes),
        units::seconds(start.elapsed().as_secs_f64())
    );
    say(Verbosity::Normal, verbosity, &line);
    Ok(())
}
