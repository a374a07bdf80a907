//! Keeps the first rows.

use std::sync::{Mutex, PoisonError};

use readers::{Batch, BufferPool, Rows};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Keeps the first rows that come. Behind stages that leave rows out it counts what they keep; `limit` of the source counts
/// the rows of the file. Reading ends there, unless a stage before it may fail at later rows or report them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// So many rows at most.
    rows: u64,
}

crate::register_stage!(Limit);

impl Stage for Limit {
    const NAME: &'static str = "limit";
    const SUMMARY: &'static str = "keep the first rows that come";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"limit\"\nrows = 1000\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Passed
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let rows = match input.rows {
            Rows::Exact(rows) => Rows::Exact(rows.min(self.rows)),
            Rows::AtLeast(rows) if rows >= self.rows => Rows::Exact(self.rows),
            rows => rows,
        };
        let most = Some(input.most_rows().map_or(self.rows, |rows| rows.min(self.rows)));
        let output = StreamInfo { rows, rows_bound: most, ..input.clone() };
        Ok((output, Action::map(First { left: Mutex::new(self.rows) })))
    }
}

struct First {
    left: Mutex<u64>,
}

impl Map for First {
    fn map(&self, batch: Batch, _pool: &BufferPool) -> Result<Batch, Failure> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = usize::try_from(*left).unwrap_or(usize::MAX).min(batch.rows());
        *left -= kept as u64;
        Ok(if kept == batch.rows() { batch } else { batch.slice(0..kept) })
    }

    fn needs_order(&self) -> bool {
        true
    }

    fn is_full(&self) -> bool {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) == 0
    }
}
