//! `info` of an index of another library.

use std::path::Path;

use exchange::{ForeignIndex, Taken, take};
use readers::Metric;
use serde_json::{Value, json};

use super::indexes::dropped_links;
use crate::Failure;
use crate::output::{stdout, units};

/// Prints what the file says of itself, and what its graph is like.
pub(super) fn print(path: &Path, foreign: &dyn ForeignIndex, as_json: bool) -> Result<(), Failure> {
    let info = foreign.info();
    let taken = if info.has_graph && info.obstacle.is_none() {
        // The metric changes nothing of the graph.
        let metric = info.metric.is_none().then_some(Metric::L2);
        Some(take(foreign, metric, &|| false).map_err(|error| error.in_file(path))?)
    } else {
        None
    };
    if as_json {
        return stdout::line(&json_of(foreign, taken.as_ref()).to_string());
    }
    stdout::write(text_of(path, foreign, taken.as_ref()).as_bytes())
}

fn text_of(path: &Path, foreign: &dyn ForeignIndex, taken: Option<&Taken>) -> String {
    let info = foreign.info();
    let metric =
        info.metric.map_or("not said by the file: give --metric to search it".to_owned(), |m| m.to_string());
    let mut rows = vec![
        ("file", format!("{}, {}", path.display(), units::bytes(info.size_bytes))),
        ("library", info.library.to_owned()),
        ("vectors", format!("{} x {} {}", units::count(info.rows as u64), info.dim, info.dtype)),
        ("metric", metric),
    ];
    if info.has_graph {
        rows.push(("M", format!("{} ({} on level 0)", info.m, info.m0)));
        rows.push((
            "ef_construction",
            info.ef_construction.map_or("not said".to_owned(), |ef| ef.to_string()),
        ));
    } else {
        rows.push(("graph", "none: its vectors are a source like any other".to_owned()));
    }
    if let Some(obstacle) = &info.obstacle {
        rows.push(("deleted", format!("{obstacle}: build it anew, with it as the input of `build-index`")));
    }
    if let Some(taken) = taken {
        let header = taken.index.header();
        let nodes: Vec<_> = header.levels.iter().map(|level| units::count(level.nodes)).collect();
        let lost = header.levels[0].nodes - header.reachable_nodes;
        let more = if lost == 0 {
            String::new()
        } else {
            let lost = units::count(lost);
            format!(
                ": no search finds the other {lost}; build it anew, with it as the input of `build-index`"
            )
        };
        rows.push(("levels", format!("{} ({} nodes)", header.levels.len(), nodes.join(", "))));
        rows.push(("mean degree", format!("{:.1} on level 0", header.mean_degree())));
        rows.push(("reachable", format!("{:.2} %{more}", header.reachable_share() * 100.0)));
        let links = taken.origin.as_ref().and_then(dropped_links);
        rows.push(("links", links.unwrap_or_else(|| "all lead to rows of their level".to_owned())));
        let ids = if taken.index.ids().is_some() { "stored" } else { "row numbers" };
        rows.push(("ids", ids.to_owned()));
    }
    rows.iter().map(|(name, value)| format!("{name:<16} {value}\n")).collect()
}

fn json_of(foreign: &dyn ForeignIndex, taken: Option<&Taken>) -> Value {
    let info = foreign.info();
    let header = taken.map(|taken| taken.index.header());
    let dropped = taken.and_then(|taken| taken.origin.as_ref()).map(|origin| origin.dropped);
    json!({
        "schema": 1,
        "library": info.library,
        "rows": info.rows,
        "dim": info.dim,
        "dtype": info.dtype.to_string(),
        "metric": info.metric.map(Metric::name),
        "has_graph": info.has_graph,
        "m": info.m,
        "m0": info.m0,
        "ef_construction": info.ef_construction,
        "level_nodes": header.map(|header| header.levels.iter().map(|level| level.nodes).collect::<Vec<_>>()),
        "level_edges": header.map(|header| header.levels.iter().map(|level| level.edges).collect::<Vec<_>>()),
        "mean_degree": header.map(index::file::Header::mean_degree),
        "reachable_share": header.map(index::file::Header::reachable_share),
        "dropped_links": dropped.map(|dropped| dropped.links()),
        "obstacle": info.obstacle,
        "ids": taken.map(|taken| if taken.index.ids().is_some() { "u64" } else { "row_numbers" }),
        "file_bytes": info.size_bytes,
    })
}
