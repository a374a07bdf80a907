//! The rows of a dataset one after another, for datasets that are made of others and for what reads two in step.

use std::fmt;

use crate::{Batch, Batches, BufferPool, Dataset, Error, Scan};

/// The batches of all pieces of a scan, each opened when its turn comes. The first error is the last item.
pub(crate) fn rows_of<'a>(dataset: &'a dyn Dataset, scan: Scan, pool: &'a BufferPool) -> Batches<'a> {
    let mut pieces = dataset.pieces(&scan).into_iter();
    let mut current: Option<Batches<'a>> = None;
    let mut failed = false;
    Box::new(std::iter::from_fn(move || {
        while !failed {
            let next = match &mut current {
                Some(batches) => batches.next(),
                None => match dataset.read(&scan, &pieces.next()?, pool) {
                    Ok(batches) => {
                        current = Some(batches);
                        continue;
                    }
                    Err(error) => Some(Err(error)),
                },
            };
            match next {
                None => current = None,
                Some(batch) => {
                    failed = batch.is_err();
                    return Some(batch);
                }
            }
        }
        None
    }))
}

/// The rows of a dataset in order, in portions of any size: so two datasets can be read in step, however each is cut.
pub struct Portions<'a> {
    batches: Batches<'a>,
    /// What is left of the last batch.
    rest: Option<Batch>,
}

impl<'a> Portions<'a> {
    /// The rows of a scan.
    pub fn of(dataset: &'a dyn Dataset, scan: Scan, pool: &'a BufferPool) -> Self {
        Self { batches: rows_of(dataset, scan, pool), rest: None }
    }

    /// How many rows wait at least; 0 at the end.
    ///
    /// # Errors
    /// As [`Dataset::read`]. Nothing comes behind an error.
    pub fn waiting(&mut self) -> Result<usize, Error> {
        while self.rest.as_ref().is_none_or(|rest| rest.rows() == 0) {
            match self.batches.next() {
                Some(batch) => self.rest = Some(batch?),
                None => return Ok(0),
            }
        }
        Ok(self.rest.as_ref().map_or(0, Batch::rows))
    }

    /// The next `rows` rows, of those that wait.
    ///
    /// # Panics
    /// If fewer wait.
    pub fn take(&mut self, rows: usize) -> Option<Batch> {
        let batch = self.rest.take()?;
        if batch.rows() == rows {
            return Some(batch);
        }
        self.rest = Some(batch.clone().slice(rows..batch.rows()));
        Some(batch.slice(0..rows))
    }
}

impl fmt::Debug for Portions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portions").field("rest", &self.rest).finish_non_exhaustive()
    }
}
