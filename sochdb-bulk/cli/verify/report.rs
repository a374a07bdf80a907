//! What a comparison found, in words and as JSON.

use readers::Dataset;
use serde_json::{Value, json};

use super::Pair;
use super::compare::{Comparison, Place};
use crate::output::units;
use crate::{Code, Failure};

/// One line: `equal: 1,000 rows x 384, ids, columns a, b`.
pub(super) fn equal(pair: &Pair<'_>, comparison: &Comparison) -> String {
    let mut line = format!("equal: {} x {}", units::rows(comparison.rows[0]), pair.datasets[0].info().dim);
    if comparison.ids {
        line += ", ids";
    }
    if !comparison.columns.is_empty() {
        let several = if comparison.columns.len() > 1 { "columns" } else { "column" };
        line += &format!(", {several} {}", names(comparison).join(", "));
    }
    if let Some((largest, row)) = comparison.largest.filter(|&(largest, _)| largest > 0.0) {
        line += &format!("; the largest difference is {largest:e} in row {row}");
    }
    line
}

fn names(comparison: &Comparison) -> Vec<String> {
    comparison.columns.iter().map(|column| column.name.escape_debug().to_string()).collect()
}

/// What differs, and where first.
pub(super) fn different(pair: &Pair<'_>, comparison: &Comparison) -> Failure {
    let [a, b] = &pair.names;
    let [left, right] = comparison.rows;
    let mut parts = Vec::new();
    if left != right {
        parts.push(format!("{} and {}", units::count(left), units::rows(right)));
    }
    let both = left.min(right);
    match &comparison.first {
        None => parts.push(format!("the {} that both have are equal", units::count(both))),
        Some(first) => {
            parts.push(format!("{} of {}", units::count(comparison.differing), units::rows(both)));
            let [one, other] = [&first.sides[0], &first.sides[1]].map(place);
            parts.push(format!("first row {}, {}: {one}, {other}", first.row, first.what));
        }
    }
    if let Some((largest, row)) = comparison.largest.filter(|&(largest, _)| largest > 0.0) {
        parts.push(format!("the largest difference of values is {largest:e} in row {row}"));
    }
    let failure =
        Failure::failed(format!("{a} and {b} differ: {}", parts.join("; "))).with_code(Code::Differs);
    let is_value = comparison.first.as_ref().is_some_and(|first| first.what.starts_with("value"));
    if comparison.tolerance == 0.0 && is_value {
        return failure.with_help(
            "--tolerance EPS takes values for equal that differ by EPS x max(|a|, |b|, 1) at most",
        );
    }
    failure
}

fn place(place: &Place) -> String {
    format!("{} in {} (row {})", place.value.escape_debug(), place.file.display(), place.row)
}

/// The same for programs.
pub(super) fn json(pair: &Pair<'_>, comparison: &Comparison, notes: &[String]) -> Value {
    let first = comparison.first.as_ref().map(|first| {
        let [a, b] = [&first.sides[0], &first.sides[1]].map(
            |place| json!({"file": place.file.display().to_string(), "row": place.row, "value": place.value}),
        );
        json!({"row": first.row, "what": first.what, "a": a, "b": b})
    });
    let largest = comparison.largest.filter(|_| !comparison.is_unbounded);
    json!({
        "schema": 1,
        "equal": comparison.is_equal(),
        "rows": comparison.rows,
        "dims": pair.datasets.map(|dataset| dataset.info().dim),
        "tolerance": comparison.tolerance,
        "ids": comparison.ids,
        "columns": comparison.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        "differing_rows": comparison.differing,
        "first": first,
        // There is none where one side is NaN or infinite and the other is not.
        "largest_difference": largest.map(|(largest, _)| largest),
        "largest_difference_row": largest.map(|(_, row)| row),
        "differs_in_non_finite": comparison.is_unbounded,
        "notes": notes,
    })
}

/// The same where dimensions differ, so that no row was compared.
pub(super) fn of_dims(pair: &Pair<'_>) -> Value {
    let [a, b] = pair.datasets.map(Dataset::info);
    json!({
        "schema": 1,
        "equal": false,
        "rows": [a.rows.exact(), b.rows.exact()],
        "dims": [a.dim, b.dim],
    })
}
