//! Looks for rows that cannot be used.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use readers::{Batch, BufferPool, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dropped::Tally;
use super::max_bad::MaxBad;
use super::quarantine::Quarantine;
use super::{Action, Dropped, Map, NonFinite, Stage};
use crate::pipeline::{StreamInfo, check_finite};
use crate::sinks::Finished;
use crate::{Code, Failure};

/// Leaves out rows that cannot be used, or fails at the first of them. What is left out is counted, and the first rows of
/// each kind are named. Row numbers as ids stay those of the source.
///
/// With `quarantine` they are kept in a file of JSON Lines, in their order: `row` (of the file), `id`, `reason`, `file` and
/// `vector`, whose values are numbers, or the strings `"NaN"`, `"Infinity"` and `"-Infinity"`; a NaN of other bits is
/// these in hexadecimal. The file is an output like that of the sink, and is there, if empty, when no row is bad.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What to do with such a row.
    on_error: OnError,
    /// The file for `on_error = "quarantine"`. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    quarantine: Option<PathBuf>,
    /// Which rows are meant.
    what: Vec<Fault>,
    /// The most rows that may be left out: a number, or a share of all rows such as "0.1%". With more the run fails before
    /// anything is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bad: Option<MaxBad>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            on_error: OnError::Fail,
            quarantine: None,
            what: vec![Fault::NonFinite, Fault::Zero],
            max_bad: None,
        }
    }
}

/// What to do with a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Fail, and name the row.
    #[default]
    Fail,
    /// Leave it out, and count it.
    Skip,
    /// Leave it out, count it, and write it to the file `quarantine`.
    Quarantine,
}

/// Why a row cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A value is NaN or infinite. Without this, such a row is an error as everywhere.
    NonFinite,
    /// All values are 0: the vector has no direction.
    Zero,
}

/// The kinds of faults in reports.
const NON_FINITE: &str = "non-finite";
const ZERO: &str = "zero";

crate::register_stage!(Filter);

impl Stage for Filter {
    const NAME: &'static str = "filter";
    const SUMMARY: &'static str = "leave out rows with NaN or infinity and rows of zeros, or fail at them";
    const EXAMPLE: &'static str =
        "[[stage]]\ntype = \"filter\"\non_error = \"quarantine\"\nquarantine = \"bad.jsonl\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.quarantine = self.quarantine.as_deref().map(resolve);
    }

    fn outputs(&self) -> Vec<PathBuf> {
        self.quarantine.iter().cloned().collect()
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        if self.quarantine.is_some() { crate::sinks::text_bytes(input.dim) } else { 0 }
    }

    fn non_finite(&self) -> NonFinite {
        NonFinite::Handled
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        if self.what.is_empty() {
            return Err(Failure::refused("expected at least one kind of rows to look for, found none")
                .with_help("say what = [\"non-finite\", \"zero\"] (`checks` in [on_error]), or remove it"));
        }
        let quarantine = match (self.on_error, &self.quarantine) {
            (OnError::Quarantine, Some(path)) => Some(Quarantine::new(path)?),
            (OnError::Quarantine, None) => {
                return Err(Failure::refused("expected a file for the rows that are put aside, found none")
                    .with_help("say quarantine = \"bad.jsonl\""));
            }
            (_, Some(_)) => {
                return Err(Failure::refused("`quarantine` is for on_error = \"quarantine\" only")
                    .with_help(
                        "set on_error = \"quarantine\" (rows = \"quarantine\" in [on_error]), or remove it",
                    ));
            }
            (_, None) => None,
        };
        if self.max_bad.is_some() && self.on_error == OnError::Fail {
            return Err(Failure::refused(
                "`max_bad` is for rows that are left out, and the first bad row is an error here",
            )
            .with_code(Code::Conflict)
            .with_help("set on_error = \"skip\" or \"quarantine\" (`rows` in [on_error]), or remove it"));
        }
        let output = match self.on_error {
            OnError::Fail => input.clone(),
            OnError::Skip | OnError::Quarantine => input.clone().with_rows_dropped(),
        };
        let (non_finite, zero) = (Tally::default(), Tally::default());
        let rows = Rows { options: self.clone(), quarantine, non_finite, zero, seen: AtomicU64::new(0) };
        Ok((output, Action::map(rows)))
    }
}

struct Rows {
    options: Filter,
    quarantine: Option<Quarantine>,
    non_finite: Tally,
    zero: Tally,
    /// All rows that came.
    seen: AtomicU64,
}

impl Rows {
    fn fault_of(&self, vector: &[f32]) -> Option<Fault> {
        let is = |fault| match fault {
            Fault::NonFinite => vector.iter().fold(false, |bad, value| bad | !value.is_finite()),
            Fault::Zero => vector.iter().all(|&value| value == 0.0),
        };
        self.options.what.iter().copied().find(|&fault| is(fault))
    }
}

impl Map for Rows {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        self.seen.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        let mut kept = Vec::with_capacity(batch.rows());
        for (row, vector) in batch.vectors().enumerate() {
            match (self.fault_of(vector), self.options.on_error) {
                (None, _) => kept.push(row),
                (Some(fault), OnError::Skip | OnError::Quarantine) => {
                    let (tally, reason) = match fault {
                        Fault::Zero => (&self.zero, ZERO),
                        Fault::NonFinite => (&self.non_finite, NON_FINITE),
                    };
                    tally.add(batch.row_number(row));
                    if let Some(quarantine) = &self.quarantine {
                        quarantine.put(&batch, row, reason)?;
                    }
                }
                (Some(Fault::NonFinite), OnError::Fail) => check_finite(&batch.clone().slice(row..row + 1))?,
                (Some(Fault::Zero), OnError::Fail) => {
                    return Err(Error::expected("a vector with a value other than 0", "all zeros")
                        .in_file(&*batch.origin().file)
                        .at(Position::Row(batch.origin_row(row)))
                        .with_help("remove the row, or leave such rows out with `on_error = \"skip\"`")
                        .into());
                }
            }
        }
        Ok(batch.select(&kept, pool))
    }

    fn begin(&self) -> Result<(), Failure> {
        self.quarantine.as_ref().map_or(Ok(()), Quarantine::begin)
    }

    fn check(&self) -> Result<(), Failure> {
        let Some(most) = self.options.max_bad else { return Ok(()) };
        let seen = self.seen.load(Ordering::Relaxed);
        let bad = self.dropped().iter().map(|dropped| dropped.rows).sum();
        if !most.is_exceeded(bad, seen) {
            return Ok(());
        }
        let reasons: Vec<_> = (self.dropped().iter())
            .map(|dropped| {
                let first: Vec<_> = dropped.first_rows.iter().map(u64::to_string).collect();
                format!(
                    "{} {} (rows {}{})",
                    dropped.rows,
                    dropped.reason,
                    first.join(", "),
                    if dropped.rows > first.len() as u64 { ", ..." } else { "" }
                )
            })
            .collect();
        let message = format!(
            "expected up to {most} bad rows, as max_bad says, found {bad} of {seen}: {}",
            reasons.join(", ")
        );
        Err(Failure::failed(message)
            .with_code(Code::NotFinite)
            .with_help("find out where they come from, or allow more with `max_bad`"))
    }

    fn needs_order(&self) -> bool {
        self.quarantine.is_some()
    }

    fn finish(&self) -> Result<Option<Finished>, Failure> {
        self.quarantine.as_ref().map_or(Ok(None), Quarantine::finish)
    }

    fn dropped(&self) -> Vec<Dropped> {
        [self.non_finite.report(NON_FINITE), self.zero.report(ZERO)].into_iter().flatten().collect()
    }
}
