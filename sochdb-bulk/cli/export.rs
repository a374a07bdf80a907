//! `export`: an index as a file of another library.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use exchange::{Ids, Library, Origin, TakeOver, take_over};

use super::indexes::{MetricArg, dropped_links, open_index, take_failure};
use super::pipeline_file::may_write;
use super::shared::parse_threads;
use crate::output::atomic::{AtomicFile, check_not_input, check_target};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::units;
use crate::pipeline::{Cancel, IfExists, threads_or_all};
use crate::sinks::write_for;
use crate::{Code, Failure};

/// Write an index for another library: hnswlib, faiss, usearch or SochDB
///
/// The graph goes along: nothing is built. The input may be an index of any of them, so that `--to native` takes one over.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk export index.hnsw --to faiss --output index.faiss
  sochdb-bulk export index.hnsw --to hnswlib --output index.bin
  sochdb-bulk export old.bin --metric cosine --to native --output index.hnsw")]
pub(super) struct Args {
    /// Index file
    #[arg(value_name = "INDEX", required_unless_present = "index_flag")]
    index: Option<PathBuf>,

    /// The same as INDEX
    #[arg(short, long = "index", value_name = "FILE", conflicts_with = "index")]
    index_flag: Option<PathBuf>,

    /// For whom: native (this program), hnswlib, faiss, usearch or sochdb
    #[arg(long, value_name = "LIBRARY", value_parser = parse_target)]
    to: Target,

    /// Output file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Which ids to write: those of the index, or the row numbers, counted from 0
    #[arg(long, value_enum, default_value_t = IdsWord::Own)]
    ids: IdsWord,

    /// What to do if the output exists
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = IfExists::Replace)]
    if_exists: IfExists,

    #[command(flatten)]
    metric: MetricArg,

    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = parse_threads)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IdsWord {
    Own,
    Rows,
}

/// This program, or another library.
#[derive(Debug, Clone, Copy)]
struct Target(Option<&'static Library>);

fn parse_target(word: &str) -> Result<Target, String> {
    if word.eq_ignore_ascii_case("native") {
        return Ok(Target(None));
    }
    Library::called(word).map(|library| Target(Some(library))).ok_or_else(|| {
        let names: Vec<_> = Library::ALL.iter().map(|library| library.name).collect();
        format!("known are native, {}", names.join(", "))
    })
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    let Some(path) = args.index.as_ref().or(args.index_flag.as_ref()) else {
        return Err(Failure::refused("expected an index, found none"));
    };
    check_target(&args.output)?;
    check_not_input(&args.output, [path])?;
    if !may_write(&args.output, args.if_exists, verbosity)? {
        return Ok(());
    }
    let cancel = Cancel::by_signals();
    let threads = threads_or_all(args.threads);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Failure::failed(format!("cannot start {threads} threads: {e}")))?;
    let ids = if args.ids == IdsWord::Own { Ids::Own } else { Ids::Rows };
    let (rows, file) = pool.install(|| match args.to.0 {
        Some(library) => {
            let taken = open_index(path, args.metric.metric, verbosity, &cancel)?;
            let file = AtomicFile::create(&args.output)?;
            write_for(library, &taken.index, ids, &file, &cancel)?;
            Ok::<_, Failure>((taken.index.rows(), file))
        }
        None => native(path, args, ids, verbosity, &cancel),
    })?;
    let bytes = file.len_bytes()?;
    file.publish()?;
    let name = args.to.0.map_or("sochdb-bulk", |library| library.name);
    let (rows, bytes) = (units::count(rows as u64), units::bytes(bytes));
    let done = format!("{}: {rows} vectors for {name}, {bytes}", args.output.display());
    say(Verbosity::Normal, verbosity, &done);
    Ok(())
}

/// Takes an index of another library over, with codes: its searches are those of this program from now on.
fn native(
    path: &Path,
    args: &Args,
    ids: Ids,
    verbosity: Verbosity,
    cancel: &Cancel,
) -> Result<(usize, AtomicFile), Failure> {
    let stop = || cancel.is_set();
    let found = exchange::foreign_index(path, &stop);
    cancel.check()?;
    let Some(foreign) = found? else {
        // It may be damaged, or no index at all: opening says so.
        exchange::open(path, None, &stop).map_err(|error| take_failure(path, error))?;
        let message = format!("{}: it is an index of this program already", path.display());
        return Err(Failure::refused(message)
            .with_code(Code::Conflict)
            .with_help("copy the file; to build it anew, name it as the input of `build-index`"));
    };
    let file = AtomicFile::create(&args.output)?;
    let how = TakeOver { metric: args.metric.metric, ids, codes: true };
    let dropped = take_over(&*foreign, how, file.file(), &stop);
    cancel.check()?;
    let origin = Origin { dropped: dropped.map_err(|e| e.in_file(path))?, info: foreign.info().clone() };
    foreign.check_unchanged()?;
    if let Some(note) = dropped_links(&origin) {
        say(Verbosity::Normal, verbosity, &format!("note: {}: {note}", path.display()));
    }
    Ok((origin.info.rows, file))
}
