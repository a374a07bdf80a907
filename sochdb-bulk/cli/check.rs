//! `check`: whether an index file is what was written.

use std::path::PathBuf;

use index::file::SectionKind;
use index::{Index, Matrix};
use rayon::prelude::*;
use serde_json::json;

use super::info::{DAMAGED, open_failure, pool_of};
use super::shared::parse_threads;
use crate::output::{stdout, units};
use crate::pipeline::threads_or_all;
use crate::{Code, Failure};

/// Rows whose neighbours are looked for by --deep, how many, and with which ef.
const SAMPLE: usize = 1000;
const K: usize = 10;
const EF: usize = 100;

/// Even rows without any structure are found better.
const LEAST_RECALL: f64 = 0.5;

/// Check an index file: every checksum, the graph, ids, values
///
/// `info` and `query` check what they use; this checks everything. Exit code 0 means that all is well, 1 that something is not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk check index.hnsw
  sochdb-bulk check index.hnsw --deep --json")]
pub(super) struct Args {
    /// Index file
    #[arg(value_name = "INDEX")]
    index: PathBuf,

    /// Walk to every node of the graph as well, and search for some of the rows
    #[arg(long)]
    deep: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = parse_threads)]
    threads: usize,
}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    is_ok: bool,
    what: String,
}

impl Check {
    fn new(name: &'static str, is_ok: bool, what: impl Into<String>) -> Self {
        Self { name, is_ok, what: what.into() }
    }
}

pub(super) fn execute(args: &Args) -> Result<(), Failure> {
    let pool = pool_of(threads_or_all(args.threads))?;
    let index = pool.install(|| Index::open(&args.index)).map_err(|e| open_failure(&args.index, &e))?;
    let checks = pool.install(|| all(&index, args.deep));
    let failed: Vec<_> = checks.iter().filter(|check| !check.is_ok).map(|check| check.name).collect();
    if args.json {
        let list =
            checks.iter().map(|check| json!({"name": check.name, "ok": check.is_ok, "what": check.what}));
        let document = json!({
            "schema": 1,
            "index": args.index.display().to_string(),
            "ok": failed.is_empty(),
            "checks": list.collect::<Vec<_>>(),
        });
        stdout::line(&document.to_string())?;
    } else {
        let line = |check: &Check| {
            let word = if check.is_ok { "ok" } else { "FAILED" };
            format!("{:<10} {word:<7} {}\n", check.name, check.what)
        };
        stdout::write(checks.iter().map(line).collect::<String>().as_bytes())?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    let (count, names) = (failed.len(), failed.join(", "));
    let message = format!("{}: {count} of {} checks failed: {names}", args.index.display(), checks.len());
    Err(Failure::failed(message).with_code(Code::Malformed).with_help(DAMAGED))
}

/// All checks of an index that could be opened, which is the first of them.
fn all(index: &Index, deep: bool) -> Vec<Check> {
    let header = index.header();
    let sections = units::count(header.sections.len() as u64);
    let size = units::bytes(header.file_length_bytes);
    let opened = format!("{size}: header, {sections} sections, their checksums, the rules of the graph");
    let mut checks = vec![Check::new("file", true, opened)];
    let mut is_whole = true;
    for blocks in index.check_blocks() {
        let count = units::count(blocks.blocks);
        let what = match &blocks.first {
            None => format!("{count} blocks, as their checksums say"),
            Some(first) => {
                format!("{} of {count} blocks are damaged: {first}", units::count(blocks.damaged_blocks))
            }
        };
        is_whole &= blocks.first.is_none();
        let name = if blocks.section == SectionKind::Codes { "codes" } else { "vectors" };
        checks.push(Check::new(name, blocks.first.is_none(), what));
    }
    checks.push(ids(index));
    // What is damaged already tells nothing more.
    if is_whole {
        checks.push(values(index));
    }
    let share = header.reachable_share() * 100.0;
    let nodes = units::count(header.levels[0].nodes);
    checks.push(Check::new("reachable", true, format!("{share:.2} % of {nodes} nodes, as the header says")));
    if deep {
        let reached = index.count_reachable_nodes();
        let is_same = reached == header.reachable_nodes;
        let found = units::count(reached);
        let what = if is_same {
            format!("{found} of {nodes} nodes were reached")
        } else {
            format!("{found} nodes were reached, {} are in the header", units::count(header.reachable_nodes))
        };
        checks.push(Check::new("walk", is_same, what));
    }
    if deep && is_whole {
        checks.push(match index.recall_of_sample(K, SAMPLE, EF) {
            Ok(recall) => {
                let rows = units::count(SAMPLE.min(index.rows()) as u64);
                let found = format!("recall@{K} of {rows} of its rows at ef {EF}: {recall:.4}");
                let is_ok = recall >= LEAST_RECALL;
                let more =
                    if is_ok { "" } else { "; no index that was built well finds so little: build it again" };
                Check::new("recall", is_ok, found + more)
            }
            Err(corrupt) => Check::new("recall", false, corrupt.to_string()),
        });
    }
    checks
}

/// Each id is there once.
fn ids(index: &Index) -> Check {
    if let Some(ids) = index.text_ids() {
        let text = |row| ids.get(row).unwrap_or_default().escape_debug().to_string();
        return match index::same_text_ids(&ids) {
            Ok(None) => {
                Check::new("ids", true, format!("{} texts, each once", units::count(ids.len() as u64)))
            }
            Ok(Some((first, second))) => {
                let what = format!("rows {first} and {second} have the id \"{}\"", text(first));
                Check::new("ids", false, what)
            }
            Err(error) => Check::new("ids", false, error.to_string()),
        };
    }
    let Some(ids) = index.ids() else { return Check::new("ids", true, "row numbers") };
    let mut sorted = ids.to_vec();
    sorted.par_sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Check::new("ids", true, format!("{} ids, each once", units::count(ids.len() as u64))),
        Some(pair) => Check::new("ids", false, format!("the id {} is there twice", pair[0])),
    }
}

/// Every value is a number. Rows of zeros are no mistake, but seldom meant.
fn values(index: &Index) -> Check {
    /// Vectors of about so many bytes are looked at a time.
    const PART_BYTES: usize = 16 << 20;
    let norms = index::Distance::new(index::Metric::L2);
    let count = |vectors: Matrix<'_>| {
        vectors
            .values()
            .par_chunks(vectors.dim())
            .with_min_len(1024)
            .map(|row| {
                let is_zero = row.iter().all(|&value| value == 0.0);
                let is_bad = row.iter().any(|value| !value.is_finite());
                let is_long = !is_bad && norms.squared_norm(row) > index::MAX_SQUARED_NORM;
                (u64::from(is_zero), u64::from(is_bad), u64::from(is_long))
            })
            .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
    };
    let (mut zero, mut bad, mut long) = (0, 0, 0);
    let (part, mut buffer) = ((PART_BYTES / (4 * index.dim())).max(1), Vec::new());
    for first in (0..index.rows()).step_by(part) {
        match index.vectors_of(first..(first + part).min(index.rows()), &mut buffer) {
            Ok(vectors) => {
                let found = count(vectors);
                (zero, bad, long) = (zero + found.0, bad + found.1, long + found.2);
            }
            Err(corrupt) => return Check::new("values", false, corrupt.to_string()),
        }
    }
    let what = format!(
        "{} rows; {} of zeros, {} with NaN or infinity, {} too long to be told apart",
        units::count(index.rows() as u64),
        units::count(zero),
        units::count(bad),
        units::count(long)
    );
    Check::new("values", bad == 0 && long == 0, what)
}
