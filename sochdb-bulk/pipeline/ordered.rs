//! The ordered executor: workers read pieces and pass them through the stages; one consumer takes the batches in the
//! order of the input.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use readers::Batch;

use super::flow::Flow;
use crate::Failure;
use crate::sinks::OrderedWriter;

/// Batches that may wait for the consumer, for each worker.
const WAITING_A_WORKER: usize = 2;

/// Runs the flow into a sink that takes rows in order.
///
/// What waits is bounded: a worker that is ahead of the consumer stops when `WAITING_A_WORKER` batches a worker wait,
/// unless its piece is the one that the consumer is at, which may always go on. So there is no deadlock, and memory does
/// not grow with the file.
pub(super) fn run(flow: &Flow<'_>, threads: usize, writer: &mut dyn OrderedWriter) -> Result<u64, Failure> {
    let pieces = flow.pieces();
    let workers = threads.saturating_sub(1).min(pieces.len());
    if workers == 0 {
        for piece in &pieces {
            for batch in flow.batches(piece)? {
                let batch = batch?;
                flow.sink_clock.time(|| writer.append(&batch))?;
                flow.done(batch);
            }
        }
        return Ok(flow.rows_done());
    }
    let belt = Belt::new(workers * WAITING_A_WORKER, pieces.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(at) = belt.next_piece() {
                    let outcome = flow.batches(&pieces[at]).and_then(|batches| {
                        for batch in batches {
                            if !belt.put(at, Ok(batch?)) {
                                return Ok(());
                            }
                        }
                        Ok(())
                    });
                    if let Err(failure) = outcome {
                        belt.put(at, Err(failure));
                    }
                    belt.finish(at);
                }
            });
        }
        let consumed = (|| {
            while let Some(batch) = belt.take() {
                let batch = batch?;
                flow.sink_clock.time(|| writer.append(&batch))?;
                flow.done(batch);
            }
            Ok(flow.rows_done())
        })();
        belt.close();
        consumed
    })
}

/// Batches on their way from the workers to the consumer.
struct Belt {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
    pieces: usize,
}

struct State {
    /// The next piece for a worker.
    next: usize,
    /// The piece that the consumer is at.
    current: usize,
    /// What each piece has ready, and whether it is complete.
    ready: BTreeMap<usize, (std::collections::VecDeque<Result<Batch, Failure>>, bool)>,
    waiting: usize,
    closed: bool,
}

impl Belt {
    fn new(capacity: usize, pieces: usize) -> Self {
        let state = State { next: 0, current: 0, ready: BTreeMap::new(), waiting: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity, pieces }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece to read.
    fn next_piece(&self) -> Option<usize> {
        let mut state = self.lock();
        let next = state.next;
        state.next += 1;
        (next < self.pieces && !state.closed).then_some(next)
    }

    /// Hands over a batch of a piece, when there is room; false if nobody wants it any more.
    fn put(&self, piece: usize, batch: Result<Batch, Failure>) -> bool {
        let mut state = self.lock();
        while !state.closed && state.waiting >= self.capacity && state.current != piece {
            state = self.wait(state);
        }
        if state.closed {
            return false;
        }
        state.waiting += 1;
        state.ready.entry(piece).or_default().0.push_back(batch);
        self.changed.notify_all();
        true
    }

    /// Says that a piece is complete.
    fn finish(&self, piece: usize) {
        self.lock().ready.entry(piece).or_default().1 = true;
        self.changed.notify_all();
    }

    /// The next batch in order; nothing at the end.
    fn take(&self) -> Option<Result<Batch, Failure>> {
        let mut state = self.lock();
        loop {
            let current = state.current;
            if current == self.pieces {
                return None;
            }
            if let Some((batches, complete)) = state.ready.get_mut(&current) {
                if let Some(batch) = batches.pop_front() {
                    state.waiting -= 1;
                    self.changed.notify_all();
                    return Some(batch);
                }
                if *complete {
                    state.ready.remove(&current);
                    state.current += 1;
                    self.changed.notify_all();
                    continue;
                }
            }
            state = self.wait(state);
        }
    }

    /// Sends the workers home.
    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}
