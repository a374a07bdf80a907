//! The rows of a dataset one after another, for datasets that are made of others.

use crate::{Batches, BufferPool, Dataset, Scan};

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
