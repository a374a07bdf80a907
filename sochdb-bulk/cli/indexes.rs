//! Opening an index, whoever wrote it.

use std::path::Path;

use exchange::{Origin, TakeError, Taken};
use readers::Metric;

use super::info::open_failure;
use super::shared::parse_metric;
use crate::output::diagnostics::{Verbosity, say};
use crate::output::units;
use crate::pipeline::Cancel;
use crate::{Code, Failure};

/// The flag for indexes that do not say their metric.
#[derive(Debug, clap::Args)]
pub(super) struct MetricArg {
    /// Metric of an index of hnswlib, which does not say it: l2, cosine or ip
    #[arg(long, value_name = "METRIC", value_parser = parse_metric)]
    pub(super) metric: Option<Metric>,
}

/// Opens an index of this or of another library, and says what of the other one's graph could not be taken over.
pub(super) fn open_index(
    path: &Path,
    metric: Option<Metric>,
    verbosity: Verbosity,
    cancel: &Cancel,
) -> Result<Taken, Failure> {
    let taken = exchange::open(path, metric, &|| cancel.is_set());
    cancel.check()?;
    let taken = taken.map_err(|error| take_failure(path, error))?;
    if let Some(note) = taken.origin.as_ref().and_then(|origin| unusual(origin, &taken)) {
        say(Verbosity::Normal, verbosity, &format!("note: {}: {note}", path.display()));
    }
    Ok(taken)
}

/// What it means that an index cannot be opened.
pub(super) fn take_failure(path: &Path, error: TakeError) -> Failure {
    match error {
        TakeError::Foreign(error) => error.into(),
        TakeError::Own(error) => open_failure(path, &error),
        // The enum may grow.
        other => Failure::failed(format!("{}: {other:?}", path.display())).with_code(Code::Malformed),
    }
}

/// What of a graph is not as it should be, and what to do about it.
fn unusual(origin: &Origin, taken: &Taken) -> Option<String> {
    let mut parts = Vec::new();
    let header = taken.index.header();
    let lost = header.levels[0].nodes - header.reachable_nodes;
    if lost > 0 {
        let share = header.reachable_share() * 100.0;
        parts.push(format!(
            "{} of its rows are found by no search ({share:.2} % are reachable)",
            units::count(lost)
        ));
    }
    parts.extend(dropped_links(origin));
    (!parts.is_empty())
        .then(|| format!("{}: build it again, with it as the input of `build-index`", parts.join("; ")))
}

/// The links that were left out, by reason.
pub(super) fn dropped_links(origin: &Origin) -> Option<String> {
    let dropped = &origin.dropped;
    let mut parts: Vec<String> = [
        (dropped.to_nowhere, "to rows that are not there"),
        (dropped.off_level, "to rows that are not on their level"),
        (dropped.twice, "that are there twice or lead to their own row"),
        (dropped.beyond, "beyond the places of a row"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} links {what}", units::count(count)))
    .collect();
    if dropped.entry_point {
        parts.push("an entry point that is no row of the highest level".to_owned());
    }
    (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
}
