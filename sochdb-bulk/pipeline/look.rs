//! Looking at the rows of a pipeline, where nothing is to be written.

use std::path::{Path, PathBuf};

use readers::{Batch, DatasetInfo, Scan};

use super::flow::{Checks, Clocks, Flow, unordered};
use super::open::Found;
use super::passes::Way;
use super::{IfExists, Monitoring, Pipeline, Plan, StreamInfo, direct, ordered};
use crate::Failure;
use crate::sinks::{AnySink, SinkJob, SinkPlan, Writer};

/// A pipeline whose rows are looked at before they would come to its sink. Stages do to them what they always do, but write
/// no files. Rows with NaN and infinities are shown as well, unless a stage computes with them.
pub(crate) struct Look(Plan);

impl Pipeline {
    /// Opens what the pipeline reads. Further columns come if its sink keeps them, or if they are wanted.
    ///
    /// # Errors
    /// As [`Pipeline::plan`], but for what is only wrong with the sink.
    pub(crate) fn look(mut self, with_columns: bool, monitoring: &Monitoring) -> Result<Look, Failure> {
        let keeps_payload = with_columns || self.sinks.iter().any(|(sink, _)| sink.keeps_payload());
        let span = self.sinks.first().map_or(0..0, |(_, span)| span.clone());
        self.sinks = vec![(Box::new(Nowhere { keeps_payload }), span)];
        self.check = None;
        // What exists stays as it is.
        self.run.if_exists = IfExists::Replace;
        Plan::new(self, monitoring).map(Look)
    }
}

impl Look {
    /// What the files turned out to be.
    pub(crate) fn found(&self) -> &Found {
        &self.0.found
    }

    /// What is known of the source.
    pub(crate) fn info(&self) -> &DatasetInfo {
        self.0.dataset.info()
    }

    /// How many rows of the source are wanted, where that is known.
    pub(crate) fn source_rows(&self) -> Option<u64> {
        let rows = &self.0.scan.rows;
        self.info().rows.exact().map(|_| rows.end - rows.start)
    }

    /// The stream that is looked at.
    pub(crate) fn stream(&self) -> &StreamInfo {
        &self.0.output
    }

    /// Every file that will be read.
    pub(crate) fn files(&self) -> &[PathBuf] {
        self.0.files()
    }

    /// Things a person should hear once.
    pub(crate) fn notes(&self) -> &[String] {
        self.0.notes()
    }

    /// The most threads that run at a time.
    pub(crate) fn threads(&self) -> usize {
        self.0.threads
    }

    /// Shows all rows, from any thread and in any order.
    ///
    /// # Errors
    /// What went wrong with the earliest rows.
    pub(crate) fn all(
        self,
        monitoring: &Monitoring,
        show: &(dyn Fn(&Batch) -> Result<(), Failure> + Sync),
    ) -> Result<(), Failure> {
        let threads = self.0.threads;
        self.pass(None, monitoring, |flow, any_order| {
            if any_order {
                direct::run(flow, threads, &flow.pieces(), show)
            } else {
                ordered::run(flow, threads, &mut |batch| show(batch))
            }
        })
    }

    /// Shows the first rows in their order, and reads hardly more.
    ///
    /// # Errors
    /// What went wrong with these rows, or with those that were read with them.
    pub(crate) fn first(
        self,
        rows: u64,
        monitoring: &Monitoring,
        show: &mut dyn FnMut(&Batch) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut left, mut is_full) = (usize::try_from(rows).unwrap_or(usize::MAX), rows == 0);
        if is_full {
            return Ok(());
        }
        self.pass(Some(rows), monitoring, |flow, _| {
            // One thread, which reads what is shown; others would read on behind it.
            let shown = ordered::run(flow, 1, &mut |batch| {
                let count = batch.rows().min(left);
                show(&batch.clone().slice(0..count))?;
                left -= count;
                is_full = left == 0;
                if is_full { Err(Failure::unheard()) } else { Ok(()) }
            });
            if is_full { Ok(rows) } else { shown }
        })
    }

    /// Goes through the rows, of which so many are wanted at most. The work is told whether it may take them in any order.
    fn pass(
        mut self,
        rows: Option<u64>,
        monitoring: &Monitoring,
        work: impl FnOnce(&Flow<'_>, bool) -> Result<u64, Failure>,
    ) -> Result<(), Failure> {
        let stages = std::mem::take(&mut self.0.stages);
        let plan = &self.0;
        let clocks = Clocks::new(stages.len());
        let way = Way {
            dataset: &*plan.dataset,
            scan: &plan.scan,
            handling: &plan.handling,
            clocks: &clocks,
            threads: plan.threads,
            monitoring,
            writes: false,
        };
        let prepared = way.prepare(stages)?;
        let left = &prepared.maps[prepared.first..];
        let (dataset, scan) = prepared.source(&*plan.dataset, &plan.scan);
        let scan = match rows.filter(|_| !plan.output.drops_rows) {
            Some(rows) => first_of(scan, rows),
            None => scan.clone(),
        };
        let checks = Checks::new(&plan.handling, prepared.first).without_last(left.len());
        let flow = Flow::new(dataset, &scan, left, checks, &clocks.from(prepared.first), monitoring);
        monitoring.progress.begin("reading", rows.or(plan.output.rows.exact()));
        let done = work(&flow, unordered(left) == left.len() && !plan.output.is_reordered);
        monitoring.progress.clear();
        done?;
        Ok(plan.dataset.check_unchanged()?)
    }
}

/// The first rows of a scan.
fn first_of(scan: &Scan, rows: u64) -> Scan {
    let end = scan.rows.start.saturating_add(rows).min(scan.rows.end);
    let batch_rows = usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, scan.batch_rows);
    Scan { rows: scan.rows.start..end, batch_rows }
}

/// Stands for a sink that gets no rows.
#[derive(Debug)]
struct Nowhere {
    keeps_payload: bool,
}

impl AnySink for Nowhere {
    fn name(&self) -> &'static str {
        "nowhere"
    }

    fn keeps_payload(&self) -> bool {
        self.keeps_payload
    }

    fn measures_recall(&self) -> bool {
        false
    }

    fn resolve_paths(&mut self, _resolve: &dyn Fn(&Path) -> PathBuf) {}

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        Vec::new()
    }

    fn plan(&mut self, _input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        Ok(SinkPlan::default())
    }

    fn open(&self, _job: SinkJob) -> Result<Writer, Failure> {
        Err(Failure::failed("rows that are looked at go nowhere"))
    }

    fn recipe(&self) -> toml::Table {
        toml::Table::new()
    }
}
