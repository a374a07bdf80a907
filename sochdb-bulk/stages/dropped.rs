//! Rows that stages leave out.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// So many rows are named.
const NAMED: usize = 5;

/// Rows that a stage left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub rows: u64,
    /// The numbers of the first of them in the source.
    pub first_rows: Vec<u64>,
}

/// Counts rows that come in any order.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counted: Mutex<(u64, BTreeSet<u64>)>,
}

impl Tally {
    pub(super) fn add(&self, row: u64) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.0 += 1;
        counted.1.insert(row);
        if counted.1.len() > NAMED {
            counted.1.pop_last();
        }
    }

    /// What was counted, if anything was.
    pub(super) fn report(&self, reason: &'static str) -> Option<Dropped> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let first_rows = counted.1.iter().copied().collect();
        (counted.0 > 0).then_some(Dropped { reason, rows: counted.0, first_rows })
    }
}
