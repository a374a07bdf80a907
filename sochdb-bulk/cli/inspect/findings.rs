//! What a person should know of the data before it is used, and what to do about it.

use serde::Serialize;

use super::summary::{Norms, Summary};
use crate::output::units;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Results may not be what is expected.
    Warning,
    /// An index is refused, or cannot be of use.
    Error,
}

impl Severity {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing to know.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) what: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

/// More implausible values than this are no accident.
const IMPLAUSIBLE_SHARE: f64 = 0.05;

/// So many times the median is an outlier.
const OUTLIER: f32 = 100.0;

/// What would be a surprise for a single dimension, where there are some.
const TOP_SHARE: f64 = 0.5;

/// Finds what there is to say, what matters most first.
pub(super) fn find(summary: &Summary) -> Vec<Finding> {
    let mut findings = Findings { all: Vec::new() };
    if summary.rows_inspected == 0 {
        findings.add(Severity::Note, "there are no rows", "an empty input becomes an index without rows");
        return findings.all;
    }
    values(summary, &mut findings);
    bad_rows(summary, &mut findings);
    copies(summary, &mut findings);
    if let Some(norms) = &summary.norms {
        lengths(summary, norms, &mut findings);
        dimensions(summary, &mut findings);
    }
    if findings.all.iter().all(|finding| finding.severity <= Severity::Note) {
        let what = "no NaN, no infinity, no row of zeros, and nothing else that is suspicious";
        findings.all.push(Finding { severity: Severity::Ok, what: what.to_owned(), help: None });
    }
    // Those of one severity stay in their order.
    findings.all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.all
}

struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, severity: Severity, what: impl Into<String>, help: impl Into<String>) {
        self.all.push(Finding { severity, what: what.into(), help: Some(help.into()) });
    }
}

/// A number of rows, for people.
fn rows(count: u64) -> String {
    format!("{} {}", units::count(count), if count == 1 { "row" } else { "rows" })
}

/// What the values say whatever the rows.
fn values(summary: &Summary, findings: &mut Findings) {
    let values = &summary.values;
    #[expect(clippy::cast_precision_loss, reason = "shares")]
    let share = |count: u64| count as f64 / values.count.max(1) as f64;
    let (odd, swapped) = (share(values.implausible), share(values.implausible_if_swapped));
    if odd > IMPLAUSIBLE_SHARE {
        let what = format!("{:.1} % of all values are beyond 1e10, subnormal or not finite: ", odd * 100.0);
        if summary.dtype == "f32" && swapped < odd / 10.0 {
            findings.add(
                Severity::Error,
                what + "the byte order is likely wrong, as turned around they are plausible",
                "write the file again in little-endian order (NumPy: a.astype('<f4')), or correct its header",
            );
        } else {
            let help = "check where the values begin, their type and the dimension";
            findings.add(Severity::Error, what + "these are likely no embeddings", help);
        }
    }
    if values.all_small_integers && summary.norms.is_some() && !matches!(summary.dtype, "u8" | "i8") {
        let (range, format) = match values.min {
            Some(min) if min >= 0.0 => ("0 to 255", "u8bin"),
            _ if values.max.is_some_and(|max| max <= 127.0) => ("-128 to 127", "i8bin"),
            _ => return,
        };
        findings.add(
            Severity::Note,
            format!("all values are whole numbers from {range}, as quantised vectors have them"),
            format!("a byte holds each: `convert --to-format {format}` makes files of a quarter of the size"),
        );
    }
}

/// Rows that cannot be used.
fn bad_rows(summary: &Summary, findings: &mut Findings) {
    let hold = |count: u64| if count == 1 { "holds" } else { "hold" };
    for (bad, what) in [(&summary.nan, "NaN"), (&summary.infinite, "infinity")] {
        if bad.rows > 0 {
            findings.add(
                Severity::Error,
                format!("{} {} {what}, which every index and file of vectors refuses", rows(bad.rows), hold(bad.rows)),
                "leave them out by a [[stage]] of type = \"filter\", on_error = \"skip\"; or find out why the model failed there",
            );
        }
    }
    if summary.zero.rows > 0 {
        let is = if summary.zero.rows == 1 { "is" } else { "are" };
        findings.add(
            Severity::Warning,
            format!(
                "{} {is} all zeros: without direction, the cosine distance to everything is 1",
                rows(summary.zero.rows)
            ),
            "leave them out by a [[stage]] of type = \"filter\", on_error = \"skip\"",
        );
    }
}

/// Rows that are there more than once.
fn copies(summary: &Summary, findings: &mut Findings) {
    let copies = summary.copies.rows;
    if copies > 0 {
        let is_many = copies > summary.rows_inspected / 100;
        let equal = if copies == 1 { "equals" } else { "equal" };
        findings.add(
            if is_many { Severity::Warning } else { Severity::Note },
            format!("{} {equal} an earlier row: hits will hold the same vector more than once", rows(copies)),
            "keep the first of each by a [[stage]] of type = \"dedup\"",
        );
    }
    let Some(id_copies) = summary.id_copies.as_ref().filter(|copies| copies.rows > 0) else { return };
    let have = if id_copies.rows == 1 { "has" } else { "have" };
    findings.add(
        Severity::Error,
        format!("{} {have} the id of an earlier row, which an index refuses", rows(id_copies.rows)),
        "keep the first of each by a [[stage]] of type = \"dedup\", by = \"id\"; or number the rows by type = \"ids\"",
    );
}

/// What the lengths mean for the metrics.
fn lengths(summary: &Summary, norms: &Norms, findings: &mut Findings) {
    let metric = summary.metric.unwrap_or("cosine");
    let is = if summary.metric.is_some() { "is" } else { "would be" };
    let usable = summary.norms_count() - summary.zero.rows;
    let others = usable - summary.unit_rows;
    if usable == 0 {
        return;
    }
    if others == 0 {
        let what = "rows have unit length: the metrics l2, ip and cosine give the same order";
        findings.all.push(Finding { severity: Severity::Ok, what: what.to_owned(), help: None });
    } else if others <= usable / 100 {
        findings.add(
            Severity::Warning,
            format!("{} without unit length, while all others have it", rows(others)),
            "scale them by a [[stage]] of type = \"normalize\", or find out what is different about them",
        );
    } else if metric == "cosine" {
        findings.add(
            Severity::Note,
            format!("the metric {is} cosine, and rows do not have unit length: cosine and l2 give different orders"),
            "choose --metric as the model's documentation says; a [[stage]] of type = \"normalize\" makes both the same",
        );
    } else if metric == "ip" {
        findings.add(
            Severity::Note,
            "the metric is ip, and rows do not have unit length: long rows are near to everything",
            "that is right for models trained so; else add a [[stage]] of type = \"normalize\"",
        );
    }
    if f64::from(norms.max) > MAX_LENGTH {
        findings.add(
            Severity::Error,
            "some rows are so long that distances between them overflow: an index refuses them".to_owned(),
            "look at such rows; a [[stage]] of type = \"normalize\" makes all the same length",
        );
    } else if norms.median > 0.0 && norms.max / norms.median > OUTLIER {
        let times = units::value(f64::from(norms.max) / f64::from(norms.median));
        findings.add(
            Severity::Warning,
            format!("the longest row has {times} times the length of the median: a huge range"),
            "look at such rows (--plot shows the lengths); a [[stage]] of type = \"normalize\" makes all the same",
        );
    }
}

/// Of longer rows the squares sum up to more than 4e37, which an index refuses.
const MAX_LENGTH: f64 = 6.3e18;

/// What the dimensions mean for distances.
fn dimensions(summary: &Summary, findings: &mut Findings) {
    let (spread, dim) = (&summary.spread, summary.dim);
    let constant = spread.constant_dims.len();
    if constant == dim && summary.norms_count() > 1 {
        let what = "all rows are the same vector";
        findings.add(
            Severity::Warning,
            what,
            "check how the vectors were made: nothing can be found among them",
        );
        return;
    }
    if constant > 0 {
        findings.add(
            Severity::Note,
            format!("{} of {dim} dimensions have one value in all rows", units::count(constant as u64)),
            "they tell no row from another; a [[stage]] of type = \"pca\" or \"slice\" makes vectors without them",
        );
    }
    if let (Some(top), Some(share)) = (spread.top_dim, spread.top_share)
        && share > TOP_SHARE
        && dim > 3
    {
        findings.add(
            Severity::Warning,
            format!("dimension {top} has {:.0} % of the variance: it decides most distances alone", share * 100.0),
            "check whether it is an id or another number that is no part of the embedding; a [[stage]] of type = \"slice\" cuts it off",
        );
    }
}
