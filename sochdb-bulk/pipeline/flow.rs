//! The stream of a run, as both executors see it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use readers::{Batch, BufferPool, Dataset, Piece, Scan};

use super::check;
use super::monitoring::Monitoring;
use crate::Failure;
use crate::stages::{Map, NonFinite};

/// Time that threads spend on one thing.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let outcome = work();
        self.add(start.elapsed());
        outcome
    }

    fn add(&self, spent: Duration) {
        self.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn secs(&self) -> f64 {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// The clocks of a run, over all its passes.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) source: Arc<Clock>,
    pub(super) stages: Vec<Arc<Clock>>,
    pub(super) sink: Arc<Clock>,
    /// How long workers waited for the sink to take what they had.
    pub(super) source_wait: Arc<Clock>,
    /// How long the sink waited for rows.
    pub(super) sink_wait: Arc<Clock>,
}

impl Clocks {
    pub(super) fn new(stages: usize) -> Self {
        let stages = (0..stages).map(|_| Arc::default()).collect();
        Self {
            source: Arc::default(),
            stages,
            sink: Arc::default(),
            source_wait: Arc::default(),
            sink_wait: Arc::default(),
        }
    }

    /// Those of the stages from `first` on.
    pub(super) fn from(&self, first: usize) -> Self {
        Self { stages: self.stages[first..].to_vec(), ..self.clone() }
    }
}

/// A stage's name, and what it does.
pub(super) type NamedMap = (&'static str, Arc<dyn Map>);

/// Where a pass looks for NaN and infinities.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checks {
    /// How many of its stages see them, before the check.
    unchecked: usize,
    /// How many of its first stages never fail.
    unfailing: usize,
}

impl Checks {
    /// For a pass that begins with the stage `first`, where `handling` is what each stage of the pipeline makes of them.
    pub(super) fn new(handling: &[NonFinite], first: usize) -> Self {
        let leading =
            |stages: &[NonFinite], least| stages.iter().take_while(|&&stage| stage >= least).count();
        let unchecked = leading(handling, NonFinite::Handled).saturating_sub(first);
        Self { unchecked, unfailing: leading(&handling[first..], NonFinite::Passed) }
    }

    /// Without the check behind the last of so many stages: where no sink takes the rows.
    pub(super) fn without_last(self, stages: usize) -> Self {
        if self.unchecked == stages { Self { unchecked: usize::MAX, ..self } } else { self }
    }
}

/// How many stages take batches in any order: those before the first that needs order.
pub(super) fn unordered(stages: &[NamedMap]) -> usize {
    stages.iter().position(|(_, stage)| stage.needs_order()).unwrap_or(stages.len())
}

/// The stream of a run: source and stages, without the sink.
pub(super) struct Flow<'a> {
    dataset: &'a dyn Dataset,
    pub(super) scan: &'a Scan,
    stages: &'a [NamedMap],
    pool: BufferPool,
    checks: Checks,
    /// How many of the stages take batches in any order.
    unordered: usize,
    monitoring: &'a Monitoring,
    rows: AtomicU64,
    source_clock: Arc<Clock>,
    stage_clocks: Vec<Arc<Clock>>,
    pub(super) sink_clock: Arc<Clock>,
    pub(super) source_wait: Arc<Clock>,
    pub(super) sink_wait: Arc<Clock>,
}

impl<'a> Flow<'a> {
    pub(super) fn new(
        dataset: &'a dyn Dataset,
        scan: &'a Scan,
        stages: &'a [NamedMap],
        checks: Checks,
        clocks: &Clocks,
        monitoring: &'a Monitoring,
    ) -> Self {
        Self {
            dataset,
            scan,
            stages,
            pool: BufferPool::new(),
            checks,
            unordered: unordered(stages),
            monitoring,
            rows: AtomicU64::new(0),
            source_clock: Arc::clone(&clocks.source),
            stage_clocks: clocks.stages.clone(),
            sink_clock: Arc::clone(&clocks.sink),
            source_wait: Arc::clone(&clocks.source_wait),
            sink_wait: Arc::clone(&clocks.sink_wait),
        }
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        self.dataset.pieces(self.scan)
    }

    /// Makes the buffers of so many batches at a time, where the source needs some.
    pub(super) fn reserve(&self, batches: usize) {
        let rows = self.scan.rows.end.saturating_sub(self.scan.rows.start);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(self.scan.batch_rows);
        if self.dataset.matrix().is_none() {
            self.pool.reserve(batches, rows.saturating_mul(self.dataset.info().dim));
        }
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
        // A pass may end before the stages that never fail do.
        let unfailing = self.stages.iter().take(self.checks.unfailing).skip(self.unordered);
        unfailing.into_iter().any(|(_, stage)| stage.is_full())
    }

    /// A batch through some stages; nothing if no row is left. The check is behind the unchecked stages.
    fn through(&self, stages: Range<usize>, mut batch: Batch) -> Result<Option<Batch>, Failure> {
        let check = |done: usize, batch: &Batch| -> Result<(), Failure> {
            if done == self.checks.unchecked {
                self.source_clock.time(|| check::all_finite(batch))
            } else {
                Ok(())
            }
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

    /// So many rows are done already.
    pub(super) fn skipped(&self, rows: u64) {
        self.monitoring.progress.advance(rows);
    }

    pub(super) fn rows_done(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}
