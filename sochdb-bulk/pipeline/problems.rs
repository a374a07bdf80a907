//! Several failures as one.

use crate::Failure;

/// What is wrong with a text, all of it.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Failure>);

impl Problems {
    pub(super) fn push(&mut self, failure: Failure) {
        self.0.push(failure);
    }

    /// The value, if there is one; what is wrong is kept.
    pub(super) fn check<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.push(failure)).ok()
    }

    /// Fails if anything was wrong, with all of it in the order of the text.
    pub(super) fn none(self) -> Result<(), Failure> {
        Failure::all(self.0).map_or(Ok(()), Err)
    }
}
