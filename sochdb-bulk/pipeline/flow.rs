//! The stream of a run, as both executors see it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use readers::{Batch, BufferPool, Dataset, Piece, Scan};

use super::check;
use super::monitoring::Monitoring;
use crate::Failure;
use crate::stages::Map;

/// Time that threads spend on one thing.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let outcome = work();
        self.add(start.elapsed());
        outcome
    }

    fn add(&self, spent: Duration) {
        self.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn secs(&self) -> f64 {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// How many stages take batches in any order: those before the first that needs order.
pub(super) fn unordered(stages: &[(&'static str, Box<dyn Map>)]) -> usize {
    stages.iter().position(|(_, stage)| stage.needs_order()).unwrap_or(stages.len())
}

/// The stream of a run: source and stages, without the sink.
pub(super) struct Flow<'a> {
    dataset: &'a dyn Dataset,
    pub(super) scan: &'a Scan,
    stages: &'a [(&'static str, Box<dyn Map>)],
    pool: BufferPool,
    /// How many of the stages see NaN and infinities, before the check.
    unchecked: usize,
    /// How many of the first stages never fail.
    unfailing: usize,
    /// How many of the stages take batches in any order.
    unordered: usize,
    monitoring: &'a Monitoring,
    rows: AtomicU64,
    pub(super) source_clock: Clock,
    pub(super) stage_clocks: Vec<Clock>,
    pub(super) sink_clock: Clock,
}

impl<'a> Flow<'a> {
    pub(super) fn new(
        dataset: &'a dyn Dataset,
        scan: &'a Scan,
        stages: &'a [(&'static str, Box<dyn Map>)],
        (unchecked, unfailing): (usize, usize),
        monitoring: &'a Monitoring,
    ) -> Self {
        Self {
            dataset,
            scan,
            stages,
            pool: BufferPool::new(),
            unchecked,
            unfailing,
            unordered: unordered(stages),
            monitoring,
            rows: AtomicU64::new(0),
            source_clock: Clock::default(),
            stage_clocks: stages.iter().map(|_| Clock::default()).collect(),
            sink_clock: Clock::default(),
        }
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        self.dataset.pieces(self.scan)
    }

    /// The batches of a piece, through all stages that take them in any order. Those without rows are left out.
    pub(super) fn batches<'b>(
        &'b self,
        piece: &Piece,
    ) -> Result<impl Iterator<Item = Result<Batch, Failure>> + 'b, Failure> {
        let batches = self.source_clock.time(|| self.dataset.read(self.scan, piece, &self.pool));
        if batches.is_err() {
            // A file that is unpacked just now is given up when it is time to stop.
            self.monitoring.cancel.check()?;
        }
        let mut batches = batches?;
        Ok(std::iter::from_fn(move || {
            loop {
                if let Err(stopped) = self.monitoring.cancel.check() {
                    return Some(Err(stopped));
                }
                let batch = self.source_clock.time(|| batches.next())?;
                let batch = batch.map_err(Failure::from);
                match batch.and_then(|batch| self.through(0..self.unordered, batch)) {
                    Ok(None) => {}
                    Ok(Some(batch)) => return Some(Ok(batch)),
                    Err(failure) => return Some(Err(failure)),
                }
            }
        }))
    }

    /// A batch in order, through the stages that need order and those behind them; nothing if no row is left.
    pub(super) fn in_order(&self, batch: Batch) -> Result<Option<Batch>, Failure> {
        if self.unordered == self.stages.len() {
            return Ok(Some(batch));
        }
        self.through(self.unordered..self.stages.len(), batch)
    }

    /// Whether no further row will come to the sink, and none that is left to read could be the reason of a failure: how
    /// many rows were read too many depends on the size of the batches.
    pub(super) fn is_full(&self) -> bool {
        let unfailing = self.stages[..self.unfailing].iter().skip(self.unordered);
        unfailing.into_iter().any(|(_, stage)| stage.is_full())
    }

    /// A batch through some stages; nothing if no row is left. The check is behind the unchecked stages.
    fn through(&self, stages: Range<usize>, mut batch: Batch) -> Result<Option<Batch>, Failure> {
        let check = |done: usize, batch: &Batch| -> Result<(), Failure> {
            if done == self.unchecked { self.source_clock.time(|| check::all_finite(batch)) } else { Ok(()) }
        };
        if stages.start == 0 {
            check(0, &batch)?;
        }
        for at in stages {
            let (stage, clock) = (&self.stages[at].1, &self.stage_clocks[at]);
            let before = batch.values().clone();
            batch = clock.time(|| stage.map(batch, &self.pool))?;
            // Where the stage made new values, nobody else holds the old ones now.
            self.pool.put(before);
            if batch.rows() == 0 {
                return Ok(None);
            }
            check(at + 1, &batch)?;
        }
        Ok(Some(batch))
    }

    /// The sink is done with a batch.
    pub(super) fn done(&self, batch: Batch) {
        self.rows.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        self.monitoring.progress.advance(batch.rows() as u64);
        self.pool.put(batch.into_values());
    }

    pub(super) fn rows_done(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}
