//! What comes before the last pass: stages that learn from the rows see a sample of them, and where a stage wants to have
//! seen all rows they are set aside, and are the source of the stages behind it.

use std::sync::Arc;

use readers::{BufferPool, Dataset, Scan};

use super::flow::{Checks, Clocks, Flow, NamedMap};
use super::spool::{Reordered, Spool};
use super::{Monitoring, StreamInfo, ordered};
use crate::Failure;
use crate::stages::{Action, AnyStage, Draw, Lesson, Map, NonFinite};

/// A stage with what comes into it.
pub(super) struct Planned {
    pub(super) stage: Box<dyn AnyStage>,
    pub(super) input: StreamInfo,
    pub(super) action: Action,
}

/// Whether a stage learns first, or wants to see all rows first, and what a person should hear of that.
pub(super) fn note(stage: &dyn AnyStage, action: &Action) -> Option<String> {
    let name = stage.name();
    match action {
        Action::Map(_) => None,
        Action::Fit(fit) => {
            let most = fit.sample_rows();
            Some(format!("{name}: the rows are read twice, first to learn from up to {most} of them"))
        }
        Action::Reorder(_) => Some(format!(
            "{name}: all rows are seen before the first goes on, and set aside in {} where they cannot be read in any order",
            tempfile::env::temp_dir().display()
        )),
    }
}

/// Everything is ready for the last pass.
pub(super) struct Prepared {
    /// What all stages do, also those that are done.
    pub(super) maps: Vec<NamedMap>,
    /// Those from here on are left.
    pub(super) first: usize,
    /// Where the rows come from, if no longer from the dataset.
    set_aside: Option<(Reordered, Scan)>,
}

impl Prepared {
    /// The source of the stages that are left.
    pub(super) fn source<'a>(
        &'a self,
        dataset: &'a dyn Dataset,
        scan: &'a Scan,
    ) -> (&'a dyn Dataset, &'a Scan) {
        self.set_aside.as_ref().map_or((dataset, scan), |(rows, scan)| (rows, scan))
    }
}

/// How to go through the rows.
pub(super) struct Way<'a> {
    pub(super) dataset: &'a dyn Dataset,
    pub(super) scan: &'a Scan,
    pub(super) handling: &'a [NonFinite],
    pub(super) clocks: &'a Clocks,
    pub(super) threads: usize,
    pub(super) monitoring: &'a Monitoring,
    /// Whether stages may write their files. Where rows are only looked at they are never begun.
    pub(super) writes: bool,
}

impl Way<'_> {
    /// The stream through `maps`, which are the stages from `first` on.
    pub(super) fn flow<'f>(&'f self, prepared: &'f Prepared, maps: &'f [NamedMap], first: usize) -> Flow<'f> {
        let (dataset, scan) = prepared.source(self.dataset, self.scan);
        let checks = Checks::new(self.handling, first);
        Flow::new(dataset, scan, maps, checks, &self.clocks.from(first), self.monitoring)
    }

    /// Goes through the rows as often as it takes until one pass is left.
    pub(super) fn prepare(&self, stages: Vec<Planned>) -> Result<Prepared, Failure> {
        let mut prepared = Prepared { maps: Vec::new(), first: 0, set_aside: None };
        let mut before: Vec<(Box<dyn AnyStage>, StreamInfo)> = Vec::new();
        for (at, Planned { stage, input, action }) in stages.into_iter().enumerate() {
            let name = stage.name();
            let map: Arc<dyn Map> = match action {
                Action::Map(map) => map.into(),
                Action::Fit(fit) => {
                    // Maps of their own: those of the last pass have seen no row yet.
                    let first = prepared.first;
                    let fresh = (before[first..].iter().zip(&prepared.maps[first..]))
                        .map(|((stage, input), (name, map))| match stage.build(input)?.1 {
                            Action::Map(map) => Ok((*name, Arc::from(map))),
                            _ => Ok((*name, Arc::clone(map))),
                        })
                        .collect::<Result<Vec<NamedMap>, Failure>>()?;
                    let flow = self.flow(&prepared, &fresh, first);
                    let mut draw = Draw::new(fit.sample_rows(), fit.seed(), input.dim);
                    self.monitoring.progress.begin("learning", input.rows.exact());
                    ordered::run(&flow, self.threads, &mut |batch| {
                        draw.put(batch);
                        Ok(())
                    })?;
                    let pool =
                        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build().map_err(|e| {
                            Failure::failed(format!("cannot start {} threads: {e}", self.threads))
                        })?;
                    let sample = draw.into_sample();
                    let lesson = Lesson { sample: &sample, threads: &pool, cancel: &self.monitoring.cancel };
                    self.clocks.stages[at].time(|| fit.fit(&lesson))?.into()
                }
                Action::Reorder(reorder) => {
                    let set_aside = self.set_aside(&prepared, &input, &*reorder, at)?;
                    prepared.set_aside = Some(set_aside);
                    prepared.first = at + 1;
                    Arc::new(Unchanged)
                }
            };
            prepared.maps.push((name, map));
            before.push((stage, input));
        }
        Ok(prepared)
    }

    fn set_aside(
        &self,
        prepared: &Prepared,
        input: &StreamInfo,
        reorder: &dyn crate::stages::Reorder,
        at: usize,
    ) -> Result<(Reordered, Scan), Failure> {
        let maps = &prepared.maps[prepared.first..];
        let clock = &self.clocks.stages[at];
        let (dataset, scan) = prepared.source(self.dataset, self.scan);
        let scan_of = |rows| Scan { rows: 0..rows, batch_rows: scan.batch_rows };
        if maps.is_empty()
            && input.ids_are_row_numbers()
            && input.payload.is_none()
            && let (Some(matrix), Some(rows)) = (dataset.matrix(), input.rows.exact())
        {
            let order = clock.time(|| reorder.order(rows))?;
            return Ok((Reordered::in_place(input, matrix, scan.rows.start, order), scan_of(rows)));
        }
        if self.writes {
            begin(maps)?;
        }
        let flow = self.flow(prepared, maps, prepared.first);
        // As the rows go on: columns without dictionaries.
        let mut spool = Spool::new(&input.clone().reordered())?;
        self.monitoring.progress.begin("ordering", input.rows.exact());
        ordered::run(&flow, self.threads, &mut |batch| clock.time(|| spool.put(batch)))?;
        let rows = spool.rows();
        let order = clock.time(|| reorder.order(rows))?;
        Ok((spool.reordered(order)?, scan_of(rows)))
    }
}

/// Tells the stages that their last pass begins.
pub(super) fn begin(maps: &[NamedMap]) -> Result<(), Failure> {
    maps.iter().try_for_each(|(_, map)| map.begin())
}

/// Stands for a stage that is done.
struct Unchanged;

impl Map for Unchanged {
    fn map(&self, batch: readers::Batch, _pool: &BufferPool) -> Result<readers::Batch, Failure> {
        Ok(batch)
    }
}
