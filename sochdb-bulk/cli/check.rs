//! `check`: whether an index file is what was written.

use std::path::PathBuf;

use exchange::{TakeError, Taken};
use index::file::{OpenError, SectionKind};
use index::{Index, Matrix};
use rayon::prelude::*;
use readers::{ErrorKind, Metric};
use serde_json::json;

use super::indexes::{MetricArg, dropped_links, open_index, take_failure};
use super::info::{DAMAGED, pool_of};
use super::shared::parse_threads;
use crate::output::diagnostics::Verbosity;
use crate::output::{stdout, units};
use crate::pipeline::{Cancel, threads_or_all};
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

    #[command(flatten)]
    metric: MetricArg,

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

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    let quiet = if args.json { Verbosity::Quiet } else { verbosity };
    let pool = pool_of(threads_or_all(args.threads))?;
    let taken = pool.install(|| open_for(args, quiet))?;
    let checks = pool.install(|| all(&taken, args.deep));
    let failed: Vec<_> = checks.iter().filter(|check| !check.is_ok).map(|check| check.name).collect();
    if args.json {
        print_json(args, &checks)?;
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
    let help = match taken.origin {
        Some(_) => {
            "build it anew, with it as the input of `build-index`: its vectors are a source like any other"
        }
        None => DAMAGED,
    };
    Err(Failure::failed(message).with_code(Code::Malformed).with_help(help))
}

/// Opens the index. The graph of another library's can be looked at without its metric; its recall cannot.
fn open_for(args: &Args, verbosity: Verbosity) -> Result<Taken, Failure> {
    // Nothing is written: signals may end the program where it is.
    let cancel = Cancel::default();
    let opened = exchange::open(&args.index, args.metric.metric, &|| cancel.is_set());
    cancel.check()?;
    let error = match opened {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    let damage = match &error {
        TakeError::Foreign(error) if error.kind() == ErrorKind::Request => {
            if !args.deep && args.metric.metric.is_none() {
                return open_index(&args.index, Some(Metric::L2), verbosity, &cancel);
            }
            None
        }
        TakeError::Foreign(error) => Some(error.to_string()),
        // A file that is not there is no damaged one.
        TakeError::Own(OpenError::Io(_)) => None,
        TakeError::Own(error) => Some(error.to_string()),
        _ => None,
    };
    if let Some(damage) = damage.filter(|_| args.json) {
        print_json(args, &[Check::new("file", false, damage)])?;
    }
    Err(take_failure(&args.index, error))
}

fn print_json(args: &Args, checks: &[Check]) -> Result<(), Failure> {
    let list = checks.iter().map(|check| json!({"name": check.name, "ok": check.is_ok, "what": check.what}));
    let document = json!({
        "schema": 1,
        "index": args.index.display().to_string(),
        "ok": checks.iter().all(|check| check.is_ok),
        "checks": list.collect::<Vec<_>>(),
    });
    stdout::line(&document.to_string())
}

/// All checks of an index that could be opened, which is the first of them.
fn all(taken: &Taken, deep: bool) -> Vec<Check> {
    let Taken { index, origin } = taken;
    let header = index.header();
    let sections = units::count(header.sections.len() as u64);
    let size = units::bytes(header.file_length_bytes);
    let opened = format!("{size}: header, {sections} sections, their checksums, the rules of the graph");
    let mut checks = vec![Check::new("file", true, opened)];
    if let Some(origin) = origin {
        let size = units::bytes(origin.info.size_bytes);
        let what = format!("{size}: header, rows and lists of an index of {}", origin.info.library);
        checks = vec![Check::new("file", true, what)];
        let links = dropped_links(origin);
        let what = links.clone().unwrap_or_else(|| "all lead to other rows of their level".to_owned());
        checks.push(Check::new("links", links.is_none(), what));
    }
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
    let (is_found, how) = match origin {
        None => (true, "as the header says"),
        Some(_) => (header.reachable_nodes == header.levels[0].nodes, "by walking to them"),
    };
    checks.push(Check::new("reachable", is_found, format!("{share:.2} % of {nodes} nodes, {how}")));
    if deep && origin.is_none() {
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
        "{}; {} of zeros, {} with NaN or infinity, {} too long to be told apart",
        units::rows(index.rows() as u64),
        units::count(zero),
        units::count(bad),
        units::count(long)
    );
    Check::new("values", bad == 0 && long == 0, what)
}
