//! The ordered executor: workers read pieces and pass them through the stages; one consumer takes the batches in the
//! order of the input.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use readers::Batch;

use super::flow::Flow;
use crate::Failure;

/// Batches that may wait for the consumer, for each worker.
const WAITING_A_WORKER: usize = 2;

/// Runs the flow into what takes rows in order.
///
/// What waits is bounded: a worker that is ahead of the consumer stops when `WAITING_A_WORKER` batches a worker wait,
/// unless its piece is the one that the consumer is at and nothing of that is ready. So there is no deadlock, and memory does
/// not grow with the file.
pub(super) fn run(
    flow: &Flow<'_>,
    threads: usize,
    take: &mut dyn FnMut(&Batch) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let pieces = flow.pieces();
    let workers = threads.saturating_sub(1).min(pieces.len());
    if workers == 0 {
        for piece in &pieces {
            for batch in flow.batches(piece)? {
                append(flow, take, batch?)?;
                if flow.is_full() {
                    return Ok(flow.rows_done());
                }
            }
        }
        return Ok(flow.rows_done());
    }
    flow.reserve(workers * (WAITING_A_WORKER + 1) + 1);
    let belt = Belt::new(workers * WAITING_A_WORKER, pieces.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let _guard = CloseOnPanic(&belt);
                while let Some(at) = belt.next_piece() {
                    let outcome = flow.batches(&pieces[at]).and_then(|batches| {
                        for batch in batches {
                            let batch = batch?;
                            if !flow.source_wait.time(|| belt.put(at, Ok(batch))) {
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
        let _guard = CloseOnPanic(&belt);
        let consumed = (|| {
            while let Some(batch) = flow.sink_wait.time(|| belt.take()) {
                append(flow, take, batch?)?;
                if flow.is_full() {
                    break;
                }
            }
            Ok(flow.rows_done())
        })();
        belt.close();
        consumed
    })
}

/// The next batch in order, through the stages that are left.
fn append(
    flow: &Flow<'_>,
    take: &mut dyn FnMut(&Batch) -> Result<(), Failure>,
    batch: Batch,
) -> Result<(), Failure> {
    let Some(batch) = flow.in_order(batch)? else { return Ok(()) };
    take(&batch)?;
    flow.done(batch);
    Ok(())
}

/// Sends everybody home when a thread panics, so that nobody waits for what never comes; the scope passes the panic on.
struct CloseOnPanic<'a>(&'a Belt);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
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
        // The consumer waits for the piece that it is at, so that one may go on until something of it is ready.
        let is_awaited = |state: &State| {
            state.current == piece && state.ready.get(&piece).is_none_or(|(ready, _)| ready.is_empty())
        };
        while !state.closed && state.waiting >= self.capacity && !is_awaited(&state) {
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
            if current == self.pieces || state.closed {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use readers::arrow_buffer::ScalarBuffer;
    use readers::{
        Batches, BufferPool, DType, Dataset, DatasetInfo, Error, Origin, Piece, Position, Rows, Scan,
    };

    use super::*;
    use crate::pipeline::Monitoring;
    use crate::pipeline::flow::{Checks, Clocks};

    /// Rows that are their own numbers, in pieces of several batches; one row may be missing, in one of two ways.
    #[derive(Debug)]
    struct Counting {
        info: DatasetInfo,
        fails_at: Option<u64>,
        panics_at: Option<u64>,
    }

    impl Counting {
        fn new() -> Self {
            let info = DatasetInfo {
                format: "counting",
                rows: Rows::Exact(1000),
                dim: 1,
                dtype: DType::F32,
                metric: None,
                ids: None,
                payload: None,
                files: Vec::new(),
                size_bytes: 4000,
                chosen: Vec::new(),
                notes: Vec::new(),
            };
            Self { info, fails_at: None, panics_at: None }
        }
    }

    impl Dataset for Counting {
        fn info(&self) -> &DatasetInfo {
            &self.info
        }

        fn pieces(&self, scan: &Scan) -> Vec<Piece> {
            (0..10)
                .map(|i| Piece { rows: scan.rows.start + i * 100..scan.rows.start + (i + 1) * 100 })
                .collect()
        }

        fn read<'a>(&'a self, scan: &Scan, piece: &Piece, _: &'a BufferPool) -> Result<Batches<'a>, Error> {
            let (rows, step) = (piece.rows.clone(), scan.batch_rows);
            Ok(Box::new(rows.clone().step_by(step).map(move |first| {
                assert_ne!(self.panics_at, Some(first), "asked to");
                if self.fails_at == Some(first) {
                    return Err(Error::malformed("broken").at(Position::Row(first)));
                }
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let values: Vec<f32> =
                    (first..rows.end.min(first + step as u64)).map(|row| row as f32).collect();
                let origin = Origin { file: Path::new("numbers").into(), row: first };
                Ok(Batch::new(first, 1, ScalarBuffer::from(values), origin))
            })))
        }

        fn check_unchanged(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    /// Keeps what comes, slowly, until there is enough.
    fn run_with(dataset: &Counting, threads: usize, enough: usize) -> (Result<u64, Failure>, Vec<u64>) {
        let (scan, monitoring) = (Scan { rows: 0..1000, batch_rows: 7 }, Monitoring::silent());
        let mut taken = Vec::new();
        let flow = Flow::new(dataset, &scan, &[], Checks::default(), &Clocks::new(0), &monitoring);
        let outcome = run(&flow, threads, &mut |batch| {
            taken.extend(batch.row_range());
            std::thread::yield_now();
            if taken.len() < enough { Ok(()) } else { Err(Failure::failed("enough")) }
        });
        (outcome, taken)
    }

    #[test]
    fn batches_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 3, 8, 40] {
            let (outcome, taken) = run_with(&Counting::new(), threads, usize::MAX);
            assert_eq!(outcome.unwrap(), 1000);
            assert!(taken.into_iter().eq(0..1000), "{threads} threads");
        }
    }

    #[test]
    fn a_failure_on_either_side_ends_the_run() {
        for threads in [1, 2, 8] {
            let broken = Counting { fails_at: Some(500), ..Counting::new() };
            let (outcome, taken) = run_with(&broken, threads, usize::MAX);
            assert_eq!(outcome.unwrap_err().message(), "row 500: broken");
            assert!(taken.into_iter().eq(0..500), "{threads} threads");
            let (outcome, _) = run_with(&Counting::new(), threads, 300);
            assert_eq!(outcome.unwrap_err().message(), "enough");
        }
    }

    #[test]
    fn a_panic_in_a_reader_ends_the_run_and_does_not_hang_it() {
        for threads in [1, 2, 8] {
            let faulty = Counting { panics_at: Some(400), ..Counting::new() };
            let ended = std::panic::catch_unwind(|| run_with(&faulty, threads, usize::MAX).1);
            assert!(ended.is_err(), "{threads} threads");
        }
    }
}
