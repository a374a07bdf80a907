//! The stream of a run, as both executors see it.

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

/// The stream of a run: source and stages, without the sink.
pub(super) struct Flow<'a> {
    dataset: &'a dyn Dataset,
    pub(super) scan: &'a Scan,
    stages: &'a [(&'static str, Box<dyn Map>)],
    pool: BufferPool,
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
        monitoring: &'a Monitoring,
    ) -> Self {
        Self {
            dataset,
            scan,
            stages,
            pool: BufferPool::new(),
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

    /// The batches of a piece as they come to the sink: checked, and through all stages.
    pub(super) fn batches<'b>(
        &'b self,
        piece: &Piece,
    ) -> Result<impl Iterator<Item = Result<Batch, Failure>> + 'b, Failure> {
        let mut batches = self.source_clock.time(|| self.dataset.read(self.scan, piece, &self.pool))?;
        Ok(std::iter::from_fn(move || {
            if let Err(stopped) = self.monitoring.cancel.check() {
                return Some(Err(stopped));
            }
            let batch = self.source_clock.time(|| {
                batches.next().map(|batch| {
                    let batch = batch?;
                    check::all_finite(&batch)?;
                    Ok::<_, Failure>(batch)
                })
            });
            batch.map(|batch| batch.and_then(|batch| self.through_stages(batch)))
        }))
    }

    fn through_stages(&self, mut batch: Batch) -> Result<Batch, Failure> {
        for ((_, stage), clock) in self.stages.iter().zip(&self.stage_clocks) {
            let before = batch.values().clone();
            batch = clock.time(|| stage.map(batch, &self.pool))?;
            // Where the stage made new values, nobody else holds the old ones now.
            self.pool.put(before);
        }
        Ok(batch)
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
