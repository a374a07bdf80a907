//! `info`: what an index file says of itself.

use std::path::{Path, PathBuf};

use index::Storage;
use index::file::{Corrupt, Header, OpenError, SectionKind, read_header};
use rayon::ThreadPool;
use serde_json::{Value, json};

use super::foreign_info;
use super::recipe::Recipe;
use crate::output::{stdout, units};
use crate::{Code, Failure};

/// Describe an index file, of this program or of hnswlib, faiss, usearch or SochDB
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk info --index index.hnsw
  sochdb-bulk info --index index.hnsw --pipeline")]
pub(super) struct Args {
    /// Index file
    #[arg(short, long, value_name = "FILE")]
    index: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Print the pipeline that built it, as TOML without paths: `run --from` runs it again
    #[arg(long, conflicts_with = "json")]
    pipeline: bool,
}

pub(super) fn execute(args: &Args) -> Result<(), Failure> {
    let (header, recipe) = match read_header(&args.index) {
        Err(error @ OpenError::NotAnIndex) => match exchange::foreign_index(&args.index, &|| false)? {
            Some(_) if args.pipeline => return Err(no_recipe(&args.index)),
            Some(foreign) => return foreign_info::print(&args.index, &*foreign, args.json),
            None => return Err(open_failure(&args.index, &error)),
        },
        other => other.map_err(|e| open_failure(&args.index, &e))?,
    };
    if args.pipeline {
        stdout::write(recipe_of(&args.index, &recipe)?.for_people().as_bytes())
    } else if args.json {
        stdout::line(&as_json(&header, &recipe).to_string())
    } else {
        stdout::write(as_text(&args.index, &header, &recipe).as_bytes())
    }
}

/// The recipe of an index as a pipeline.
pub(super) fn recipe_of(path: &Path, recipe: &str) -> Result<Recipe, Failure> {
    if recipe.is_empty() { Err(no_recipe(path)) } else { Recipe::parse(path, recipe) }
}

fn no_recipe(path: &Path) -> Failure {
    Failure::refused(format!("{}: it does not say which pipeline built it", path.display()))
        .with_code(Code::Request)
        .with_help("it was written by a library, or by a program that keeps no recipe")
}

/// So many threads.
pub(super) fn pool_of(threads: usize) -> Result<ThreadPool, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| cannot_start(threads, &e))
}

/// So many threads, of which this is one: between two things that it does in the pool it stays where its data is, and the others are
/// woken on other cores. Where it only waits for them, two of them wake on one core, and stay there for milliseconds. A
/// thread can be part of one pool only.
pub(super) fn pool_with_this_thread(threads: usize) -> Result<ThreadPool, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build();
    pool.map_err(|e| cannot_start(threads, &e))
}

fn cannot_start(threads: usize, error: &rayon::ThreadPoolBuildError) -> Failure {
    Failure::failed(format!("cannot start {threads} threads: {error}"))
}

/// What it means that an index cannot be opened.
pub(super) fn open_failure(path: &Path, error: &OpenError) -> Failure {
    let code = match error {
        OpenError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Code::NoFile,
        OpenError::Io(_) => Code::Io,
        OpenError::Source { .. } => Code::Changed,
        _ => Code::Malformed,
    };
    let failure = Failure::failed(format!("{}: {error}", path.display())).with_code(code).about(path);
    match error {
        OpenError::Io(error) if error.raw_os_error().is_none() => failure.with_help("name an index file"),
        OpenError::Io(_) => failure.with_help("check its name and who may read it"),
        OpenError::NotAnIndex => {
            failure.with_help("make an index of a file of vectors with `sochdb-bulk build-index`")
        }
        OpenError::Source { .. } => failure.with_help(
            "put the file back that the index was built from, under that name, or build the index again",
        ),
        OpenError::Newer { .. } => {
            failure.with_help("use a newer sochdb-bulk, or build the index again with this one")
        }
        _ => failure.with_help(DAMAGED),
    }
}

/// What to do about a damaged index.
pub(super) const DAMAGED: &str = "the file is damaged: copy it again, or build it again";

/// What it means that a part of an index is damaged that is looked at when it is used.
pub(super) fn damaged(path: &Path, corrupt: &Corrupt) -> Failure {
    let failure = Failure::failed(format!("{}: {corrupt}", path.display()));
    failure.with_code(Code::Malformed).with_help(DAMAGED)
}

fn as_text(path: &Path, header: &Header, recipe: &str) -> String {
    let params = &header.params;
    let effective: Vec<_> =
        header.effective_parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let nodes: Vec<_> = header.levels.iter().map(|level| units::count(level.nodes)).collect();
    let share = header.reachable_share() * 100.0;
    let size = |kind| header.section(kind).map_or(0, |section| section.length_bytes);
    let ids = match ids_of(header) {
        "u64" => "stored, u64",
        "text" => "stored, texts",
        _ => "row numbers",
    };
    let stored = match header.storage {
        Storage::Source => "f32, in the file that it was built from",
        other => other.name(),
    };
    let default_ef = match header.default_ef {
        Some(ef) => format!("{}, with which `query` searches", units::count(ef.into())),
        None => "none".to_owned(),
    };
    let codes =
        if header.section(SectionKind::Codes).is_some() { "i8: search goes by them first" } else { "none" };
    let rows: Vec<(&str, String)> = vec![
        ("file", format!("{}, {}", path.display(), units::bytes(header.file_length_bytes))),
        ("vectors", format!("{} x {} {stored}", units::count(header.rows), header.dim)),
        ("metric", params.metric.to_string()),
        ("M", format!("{} ({} on level 0)", params.m, params.m0())),
        ("ef_construction", params.ef_construction.to_string()),
        ("seed", params.seed.to_string()),
        ("builder", format!("{} ({})", header.builder, effective.join(", "))),
        ("levels", format!("{} ({} nodes)", header.levels.len(), nodes.join(", "))),
        ("mean degree", format!("{:.1} on level 0", header.mean_degree())),
        ("reachable", format!("{share:.2} % ({} repaired)", units::count(header.repaired_nodes))),
        ("copies", format!("{} rows equal an earlier row", units::count(header.copies))),
        ("codes", codes.to_owned()),
        ("default ef", default_ef),
        ("ids", ids.to_owned()),
        (
            "sizes",
            format!(
                "vectors {}, codes {}, graph {}, ids {}",
                units::bytes(size(SectionKind::Vectors)),
                units::bytes(size(SectionKind::Codes)),
                units::bytes(size(SectionKind::Level0) + size(SectionKind::UpperLevels)),
                units::bytes(size(SectionKind::Ids) + size(SectionKind::TextIds)),
            ),
        ),
    ];
    let mut out: String = rows.iter().map(|(name, value)| format!("{name:<16} {value}\n")).collect();
    if !recipe.is_empty() {
        out += "recipe\n";
        out.extend(recipe.trim_end().lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n"));
    }
    out
}

/// What the ids of an index are.
fn ids_of(header: &Header) -> &'static str {
    let has = |kind| header.section(kind).is_some();
    match (has(SectionKind::Ids), has(SectionKind::TextIds)) {
        (true, _) => "u64",
        (false, true) => "text",
        (false, false) => "row_numbers",
    }
}

fn as_json(header: &Header, recipe: &str) -> Value {
    let sections: serde_json::Map<String, Value> = header
        .sections
        .iter()
        .map(|section| (section.kind.name().replace([' ', '-'], "_"), section.length_bytes.into()))
        .collect();
    let effective: serde_json::Map<String, Value> =
        header.effective_parameters.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    json!({
        "schema": 1,
        "rows": header.rows,
        "dim": header.dim,
        "metric": header.params.metric.name(),
        "m": header.params.m,
        "m0": header.params.m0(),
        "ef_construction": header.params.ef_construction,
        "seed": header.params.seed,
        "builder": header.builder,
        "effective_parameters": effective,
        "level_nodes": header.levels.iter().map(|level| level.nodes).collect::<Vec<_>>(),
        "level_edges": header.levels.iter().map(|level| level.edges).collect::<Vec<_>>(),
        "mean_degree": header.mean_degree(),
        "reachable_share": header.reachable_share(),
        "repaired_nodes": header.repaired_nodes,
        "copies": header.copies,
        "storage": header.storage.name(),
        "default_ef": header.default_ef,
        "codes": if header.section(SectionKind::Codes).is_some() { "i8" } else { "none" },
        "ids": ids_of(header),
        "file_bytes": header.file_length_bytes,
        "section_bytes": sections,
        "recipe": recipe,
    })
}
