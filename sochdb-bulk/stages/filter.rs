//! Looks for rows that cannot be used.

use std::path::{Path, PathBuf};

use readers::{Batch, BufferPool, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dropped::Tally;
use super::quarantine::Quarantine;
use super::{Action, Dropped, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::{StreamInfo, check_finite};
use crate::sinks::Finished;

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
}

impl Default for Filter {
    fn default() -> Self {
        Self { on_error: OnError::Fail, quarantine: None, what: vec![Fault::NonFinite, Fault::Zero] }
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
                .with_help("say what = [\"non-finite\", \"zero\"], or remove the stage"));
        }
        let quarantine = match (self.on_error, &self.quarantine) {
            (OnError::Quarantine, Some(path)) => Some(Quarantine::new(path)?),
            (OnError::Quarantine, None) => {
                return Err(Failure::refused("expected a file for the rows that are put aside, found none")
                    .with_help("say quarantine = \"bad.jsonl\""));
            }
            (_, Some(_)) => {
                return Err(Failure::refused("`quarantine` is for on_error = \"quarantine\" only")
                    .with_help("set `on_error`, or remove it"));
            }
            (_, None) => None,
        };
        let output = match self.on_error {
            OnError::Fail => input.clone(),
            OnError::Skip | OnError::Quarantine => input.clone().with_rows_dropped(),
        };
        let (non_finite, zero) = (Tally::default(), Tally::default());
        let rows = Rows { options: self.clone(), quarantine, non_finite, zero };
        Ok((output, Action::map(rows)))
    }
}

struct Rows {
    options: Filter,
    quarantine: Option<Quarantine>,
    non_finite: Tally,
    zero: Tally,
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
