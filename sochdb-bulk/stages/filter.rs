//! Looks for rows that cannot be used.

use readers::{Batch, BufferPool, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dropped::Tally;
use super::{Dropped, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::{StreamInfo, check_finite};

/// Leaves out rows that cannot be used, or fails at the first of them. What is left out is counted, and the first rows of
/// each kind are named. Row numbers as ids stay those of the source.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What to do with such a row.
    on_error: OnError,
    /// Which rows are meant.
    what: Vec<Fault>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { on_error: OnError::Fail, what: vec![Fault::NonFinite, Fault::Zero] }
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

crate::register_stage!(Filter);

impl Stage for Filter {
    const NAME: &'static str = "filter";
    const SUMMARY: &'static str = "leave out rows with NaN or infinity and rows of zeros, or fail at them";
    const EXAMPLE: &'static str =
        "[[stage]]\ntype = \"filter\"\non_error = \"skip\"\nwhat = [\"non-finite\", \"zero\"]\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Handled
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Box<dyn Map>), Failure> {
        if self.what.is_empty() {
            return Err(Failure::refused("expected at least one kind of rows to look for, found none")
                .with_help("say what = [\"non-finite\", \"zero\"], or remove the stage"));
        }
        let output = match self.on_error {
            OnError::Fail => input.clone(),
            OnError::Skip => input.clone().with_rows_dropped(),
        };
        let rows = Rows { options: self.clone(), non_finite: Tally::default(), zero: Tally::default() };
        Ok((output, Box::new(rows)))
    }
}

struct Rows {
    options: Filter,
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
                (Some(fault), OnError::Skip) => {
                    let tally = if fault == Fault::Zero { &self.zero } else { &self.non_finite };
                    tally.add(batch.row_number(row));
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

    fn dropped(&self) -> Vec<Dropped> {
        [self.non_finite.report("non-finite"), self.zero.report("zero")].into_iter().flatten().collect()
    }
}
