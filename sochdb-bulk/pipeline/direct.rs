//! The direct executor: every worker reads a piece, passes it through the stages, and writes it to its place. Nothing is
//! handed from thread to thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use readers::{Batch, Piece};

use super::flow::Flow;
use crate::Failure;

/// Runs some pieces of the flow into what takes rows in any order and from any thread. The failure of the earliest piece wins, so that the
/// message does not depend on timing.
pub(super) fn run(
    flow: &Flow<'_>,
    threads: usize,
    pieces: &[Piece],
    take: &(dyn Fn(&Batch) -> Result<(), Failure> + Sync),
) -> Result<u64, Failure> {
    flow.reserve(threads.min(pieces.len()));
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, Failure)>> = Mutex::new(None);
    let failed_before = |piece: usize| {
        failed.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|(at, _)| *at < piece)
    };
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { break };
            if failed_before(at) {
                break;
            }
            let written = flow.batches(piece).and_then(|batches| {
                for batch in batches {
                    let batch = batch?;
                    flow.sink_clock.time(|| take(&batch))?;
                    flow.done(batch);
                }
                Ok(())
            });
            if let Err(failure) = written {
                let mut first = failed.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
                    *first = Some((at, failure));
                }
                break;
            }
        }
    };
    // This thread is one of the workers, so that no more than `threads` ever run.
    std::thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            scope.spawn(work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, failure)) => Err(failure),
        None => Ok(flow.rows_done()),
    }
}
