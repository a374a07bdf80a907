//! Memory that one piece of work leaves for the next.

use std::sync::{Mutex, PoisonError};

/// Values that threads use one after the other: one for each thread that works at a time. What one holds may not matter to the next.
#[derive(Debug, Default)]
pub(crate) struct Recycled<T>(Mutex<Vec<T>>);

impl<T: Default> Recycled<T> {
    /// Works with a value that another piece of work has left, or with a new one.
    pub(crate) fn with<U>(&self, work: impl FnOnce(&mut T) -> U) -> U {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut value = left.unwrap_or_default();
        let outcome = work(&mut value);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        outcome
    }
}
