//! The report for people.

use super::findings::Severity;
use super::summary::{Copies, Histogram, Norms, Summary};
use super::tally::Rows;
use crate::output::units;

/// So many dimensions are named.
const NAMED_DIMS: usize = 8;

/// Blocks of rising height.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The report, in whole lines.
pub(super) fn report(summary: &Summary) -> String {
    let dtype = if summary.formats.len() > 1 { "" } else { summary.dtype };
    let mut lines: Vec<(&str, String)> = vec![
        ("input", format!("{}, {}", summary.name, units::bytes(summary.size_bytes))),
        ("format", formats(summary)),
        (
            "vectors",
            format!("{} x {} {dtype}", units::count(summary.rows), summary.dim).trim_end().to_owned(),
        ),
    ];
    if summary.rows_inspected != summary.rows {
        lines.push(("inspected", format!("{} rows, drawn", units::count(summary.rows_inspected))));
    }
    lines.push(("metric", summary.metric.unwrap_or("none is recorded").to_owned()));
    lines.push(("ids", ids(summary)));
    if !summary.columns.is_empty() {
        lines.push(("columns", columns(summary)));
    }
    if let Some(norms) = &summary.norms {
        lines.push(("lengths", lengths(norms)));
        if norms.histogram.counts.len() > 1 {
            lines.push(("", histogram(&norms.histogram)));
        }
        lines.push(("unit length", unit(summary)));
    }
    if let (Some(min), Some(max)) = (summary.values.min, summary.values.max) {
        let (min, max) = (units::value(f64::from(min)), units::value(f64::from(max)));
        lines.push(("values", format!("{min} to {max}")));
    }
    if summary.rows_inspected > 0 {
        lines.push(("NaN", named(&summary.nan)));
        lines.push(("infinity", named(&summary.infinite)));
        lines.push(("all zeros", named(&summary.zero)));
        lines.push(("copies", copies(&summary.copies)));
        lines.push(("dimensions", dimensions(summary)));
    }
    let mut out: String = (lines.iter())
        .map(|(name, value)| format!("{name:<12} {value}").trim_end().to_owned() + "\n")
        .collect();
    out.push('\n');
    for finding in &summary.findings {
        out += &format!("{:<12} {}\n", mark(finding.severity), finding.what);
        if let Some(help) = &finding.help {
            out += &format!("{:<12} {help}\n", "");
        }
    }
    out
}

fn mark(severity: Severity) -> String {
    format!("{}:", severity.word())
}

fn formats(summary: &Summary) -> String {
    let mut text = format!("{} ({})", summary.formats.join(", "), summary.recognised_by);
    if !summary.column_formats.is_empty() {
        text += &format!("; columns from {}", summary.column_formats.join(", "));
    }
    text
}

fn ids(summary: &Summary) -> String {
    let kind = match summary.ids {
        "u64" => "whole numbers",
        "text" => "texts",
        _ => "row numbers",
    };
    match &summary.id_copies {
        Some(copies) if copies.rows > 0 => format!("{kind}; {}", self::copies(copies)),
        Some(_) => format!("{kind}, each once"),
        None => kind.to_owned(),
    }
}

fn columns(summary: &Summary) -> String {
    let columns = summary.columns.iter().map(|column| {
        let nulls = match column.nulls {
            0 => String::new(),
            nulls => format!(", {} missing", units::count(nulls)),
        };
        format!("{} ({}{nulls})", column.name, column.r#type)
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn lengths(norms: &Norms) -> String {
    let value = |value: f32| units::value(f64::from(value));
    format!(
        "min {}, 1 % {}, median {}, 99 % {}, max {}, mean {}",
        value(norms.min),
        value(norms.p01),
        value(norms.median),
        value(norms.p99),
        value(norms.max),
        units::value(norms.mean)
    )
}

/// The bars of the histogram, one character each. What is not empty can be seen.
fn histogram(histogram: &Histogram) -> String {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
    let top = BLOCKS.len() as u64 - 1;
    let block = |&count: &u64| {
        let height = u128::from(count) * u128::from(top);
        let height = height.div_ceil(u128::from(most));
        BLOCKS[usize::try_from(height).unwrap_or(0).min(BLOCKS.len() - 1)]
    };
    let bars: String = histogram.counts.iter().map(block).collect();
    format!("{} {bars} {}", units::value(f64::from(histogram.from)), units::value(f64::from(histogram.to)))
}

fn unit(summary: &Summary) -> String {
    let count = units::count(summary.unit_rows);
    match summary.unit_rows {
        0 => "no row".to_owned(),
        rows if rows == summary.rows_inspected => "all rows".to_owned(),
        1 => "1 row".to_owned(),
        _ => format!("{count} rows"),
    }
}

fn named(rows: &Rows) -> String {
    if rows.rows == 0 {
        return "none".to_owned();
    }
    let first: Vec<_> = rows.first.iter().map(u64::to_string).collect();
    let word = if rows.rows == 1 { "row" } else { "rows" };
    format!("{} {word}: {}{}", units::count(rows.rows), first.join(", "), more(rows.rows, first.len()))
}

fn copies(copies: &Copies) -> String {
    if copies.rows == 0 {
        return "none".to_owned();
    }
    let first: Vec<_> = copies.first.iter().map(|copy| format!("{} as {}", copy.row, copy.same_as)).collect();
    let word = if copies.rows == 1 { "row" } else { "rows" };
    format!("{} {word}: {}{}", units::count(copies.rows), first.join(", "), more(copies.rows, first.len()))
}

/// What stands behind the first few.
fn more(rows: u64, named: usize) -> &'static str {
    if rows > named as u64 { ", ..." } else { "" }
}

fn dimensions(summary: &Summary) -> String {
    let spread = &summary.spread;
    let constant: Vec<_> = spread.constant_dims.iter().take(NAMED_DIMS).map(usize::to_string).collect();
    let mut text = match (constant.is_empty(), spread.constant_dims.len() == summary.dim) {
        (true, _) => "none is constant".to_owned(),
        (_, true) => "all are constant".to_owned(),
        _ => {
            let more = more(spread.constant_dims.len() as u64, constant.len());
            format!("{} constant: {}{more}", spread.constant_dims.len(), constant.join(", "))
        }
    };
    if let (Some(dim), Some(share)) = (spread.top_dim, spread.top_share) {
        let of = match spread.sample_rows {
            rows if rows < summary.norms_count() => format!(" (of {} rows)", units::count(rows)),
            _ => String::new(),
        };
        text += &format!("; {dim} varies most, {:.1} % of the variance{of}", share * 100.0);
    }
    text
}
