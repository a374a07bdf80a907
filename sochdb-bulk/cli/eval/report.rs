//! What was measured, for people and as JSON.

use serde_json::{Value, json};

use super::Evaluation;
use super::measure::Point;
use super::truth::Truth;
use crate::output::units;

/// A heading, and a line for each ef.
pub(super) fn text(evaluation: &Evaluation<'_>) -> String {
    let Evaluation { queries, k, threads, .. } = evaluation;
    let by = match evaluation.truth {
        Truth::Distances(_) => "nearest rows by comparing all",
        Truth::Ids(_) => "nearest rows of the ground truth",
    };
    let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let rows = units::rows(evaluation.index.rows() as u64);
    let mut out = format!("{}, {rows}, {by}, {threads}\n", units::queries(*queries as u64));
    let recall = format!("recall@{k}");
    out += &format!(
        "{:>9}  {:<7}  {recall:>10}  {:>11}  {:>9}  {:>9}  {:>9}  {:>15}\n",
        "ef", "by", "queries/s", "p50 ms", "p95 ms", "p99 ms", "distances/query"
    );
    out.extend(evaluation.points.iter().map(line));
    if let (Some(target), Some(ef)) = (evaluation.args.target_recall, evaluation.target_ef) {
        let stored = if evaluation.args.store_ef { "; it is in the index now, for `query`" } else { "" };
        out += &format!("ef {ef} is the smallest with a recall@{k} of at least {target}{stored}\n");
    }
    out
}

fn line(point: &Point) -> String {
    format!(
        "{:>9}  {:<7}  {:>10.4}  {:>11}  {:>9.3}  {:>9.3}  {:>9.3}  {:>15}\n",
        point.ef,
        point.walk.name(),
        point.recall,
        whole(point.queries_per_sec),
        point.p50_ms,
        point.p95_ms,
        point.p99_ms,
        whole(point.distances_per_query)
    )
}

/// A rate or a mean, without what is behind the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded positive number")]
pub(super) fn whole(value: f64) -> String {
    units::count(value.round() as u64)
}

/// The same for programs.
pub(super) fn json(evaluation: &Evaluation<'_>) -> Value {
    let Evaluation { args, index, .. } = evaluation;
    let header = index.header();
    let points = evaluation.points.iter().map(|point| {
        json!({
            "ef": point.ef,
            "by": point.walk.name(),
            "recall": point.recall,
            "queries_per_sec": point.queries_per_sec,
            "p50_ms": point.p50_ms,
            "p95_ms": point.p95_ms,
            "p99_ms": point.p99_ms,
            "distances_per_query": point.distances_per_query,
        })
    });
    json!({
        "schema": 1,
        "index": args.index.display().to_string(),
        "rows": header.rows,
        "dim": header.dim,
        "metric": header.params.metric.name(),
        "queries": evaluation.queries,
        "k": evaluation.k,
        "threads": evaluation.threads,
        "ground_truth": args.ground_truth.as_ref().map(|path| path.display().to_string()),
        "points": points.collect::<Vec<_>>(),
        "target_recall": args.target_recall,
        "target_ef": evaluation.target_ef,
        "stored_ef": evaluation.target_ef.filter(|_| args.store_ef),
    })
}
