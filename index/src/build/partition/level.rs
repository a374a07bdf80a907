//! One level: its candidates, and from them its lists.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::Effort;
use super::carve::Carver;
use super::choose::{ChooseScratch, Chooser};
use super::known::{Known, nearest_of_share, sort_by_part};
use super::leaf::{BLOCK_ROWS, Leaf, LeafComparer};
use super::link::{Lists, Portion, link};
use super::long::{FarRows, FarScratch};
use super::nearest::Near;
use super::reservoir::Reservoirs;
use crate::build::{BuildInput, Monitor, Phase, Stopped};
use crate::codes::{Codes, CodesView};
use crate::distance::prefetch;
use crate::graph::{Layer, NONE, positions};
use crate::level::hash;

/// The candidates of every position, and how they were found.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) reservoirs: Reservoirs,
    /// Rounds of carving; 0 where all rows were compared with all.
    pub(super) rounds: u64,
    /// The positions, those of one leaf one after the other: their candidates are mostly the same, and still near when
    /// the next row chooses.
    order: Vec<u32>,
    /// Whether rows of known graphs have only those candidates of their own graph that were their neighbours.
    pub(super) are_apart: bool,
}

/// Builds one level. Its rows are numbered by position among the rows of the level.
#[derive(Clone, Copy)]
pub(super) struct LevelBuilder<'a> {
    input: &'a BuildInput<'a>,
    codes: &'a Codes,
    /// What rows are carved by: the codes, or fewer dimensions of them.
    carving: CodesView<'a>,
    effort: Effort,
    level: usize,
    monitor: &'a dyn Monitor,
}

impl<'a> LevelBuilder<'a> {
    pub(super) fn new(
        input: &'a BuildInput<'a>,
        codes: &'a Codes,
        carving: CodesView<'a>,
        effort: Effort,
        level: usize,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self { input, codes, carving, effort, level, monitor }
    }

    /// How many rows the level has.
    pub(super) fn positions(&self) -> usize {
        self.members().len()
    }

    fn members(&self) -> &'a [u32] {
        &self.input.members[self.level]
    }

    fn all_positions(&self) -> Vec<u32> {
        (0..).take(self.positions()).collect()
    }

    pub(super) fn no_candidates(&self) -> Candidates {
        let reservoirs = Reservoirs::new(self.positions(), self.effort.reservoir);
        Candidates { reservoirs, rounds: 0, order: Vec::new(), are_apart: false }
    }

    /// Offers to every row of level 0 the rows that are known to be near.
    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    pub(super) fn seed(&self, candidates: &Candidates, known: &Known<'_>) {
        /// The position of a row that is a copy.
        const NOWHERE: u32 = u32::MAX;
        let (members, codes) = (self.members(), self.codes.view());
        let mut positions = vec![NOWHERE; self.input.rows.matrix.rows()];
        for (at, &row) in members.iter().enumerate() {
            positions[row as usize] = at as u32;
        }
        self.all_positions().par_iter().for_each_init(
            Default::default,
            |(near, offered, sorting): &mut (Vec<u32>, Vec<Near>, Vec<Near>), &position| {
                let row = members[position as usize];
                near.clear();
                (known.neighbours)(row, near);
                near.iter().for_each(|&other| prefetch(codes.row(other)));
                offered.clear();
                for four in near.chunks(4) {
                    let rows = std::array::from_fn(|i| *four.get(i).unwrap_or(&four[0]));
                    for (distance, &other) in codes.distances_of(row, rows).into_iter().zip(four) {
                        let at = positions[other as usize];
                        offered.extend((at != NOWHERE).then(|| Near::new(distance, at)));
                    }
                }
                if let Some(graph) = known.graph(row) {
                    offered.sort_unstable();
                    offered.dedup();
                    offered.truncate(nearest_of_share(offered.len(), known.share(graph)));
                }
                if let (Some(last), true) = (offered.last(), known.missed_little) {
                    candidates.reservoirs.limit(position, last.distance());
                }
                candidates.reservoirs.offer(position, offered, sorting);
            },
        );
    }

    /// Carves the rows once more, with other leaders, and compares those of each leaf. Pairs of rows of one graph of `known`
    /// are left out of the first round, and of all where the graphs missed little.
    pub(super) fn add_round(
        &self,
        candidates: &mut Candidates,
        known: Option<&Known<'_>>,
    ) -> Result<(), Stopped> {
        let members = self.members();
        let row = |position: u32| members[position as usize];
        let carver = Carver { codes: self.carving, row, monitor: self.monitor };
        let seed = hash(hash(self.input.params.seed, self.level as u64), candidates.rounds);
        let mut leaves =
            carver.carve(self.all_positions(), self.effort.fanout_of_round(candidates.rounds), seed)?;
        let known = known.filter(|known| known.missed_little || candidates.rounds == 0);
        let parts: Vec<Vec<usize>> = match known {
            None => vec![Vec::new(); leaves.len()],
            Some(known) => {
                leaves.par_iter_mut().map(|leaf| sort_by_part(leaf, |at| known.graph(row(at)))).collect()
            }
        };
        let each_alone: Vec<_> =
            leaves.iter().zip(&parts).map(|(leaf, ends)| Leaf::Within(leaf, ends)).collect();
        self.compare(&each_alone, self.effort.leaf_k, candidates)?;
        candidates.rounds += 1;
        candidates.are_apart = known.is_some_and(|known| known.missed_little);
        candidates.order = order(leaves.iter().map(Vec::as_slice), self.positions());
        Ok(())
    }

    /// Compares each row with each, block by block.
    pub(super) fn compare_all(&self, candidates: &mut Candidates) -> Result<(), Stopped> {
        // Blocks in an order by hash: where near rows stand together in the input, a block would hold too many of them.
        let mut all = self.all_positions();
        all.sort_unstable_by_key(|&position| (hash(!self.input.params.seed, position.into()), position));
        let blocks: Vec<&[u32]> = all.chunks(BLOCK_ROWS).collect();
        let mut leaves = Vec::new();
        for (i, block) in blocks.iter().enumerate() {
            leaves.push(Leaf::Within(block, &[]));
            leaves.extend(blocks[..i].iter().map(|earlier| Leaf::Across(earlier, block)));
        }
        // Twice its share of the reservoir from each block: where the nearest lie together, most are found still.
        let Effort { leaf_k, reservoir, .. } = self.effort;
        let k = (2 * reservoir).div_ceil(blocks.len().max(1)).clamp(leaf_k.min(reservoir), reservoir);
        self.compare(&leaves, k, candidates)?;
        candidates.rounds = 0;
        candidates.order = all;
        Ok(())
    }

    fn compare(&self, leaves: &[Leaf<'_>], k: usize, candidates: &Candidates) -> Result<(), Stopped> {
        let members = self.members();
        let row = |position: u32| members[position as usize];
        let progress =
            Progress::new(self, Phase::Comparing, leaves.iter().map(|leaf| leaf.len() as u64).sum());
        leaves.par_iter().with_max_len(1).for_each_init(LeafComparer::default, |comparer, leaf| {
            if !self.monitor.is_cancelled() {
                comparer.compare(*leaf, k, self.codes.view(), row, &candidates.reservoirs);
                progress.advance(leaf.len() as u64);
            }
        });
        if self.monitor.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    /// Chooses the neighbours of every row among its candidates, and links them.
    ///
    /// Where no others of its graph are candidates of a row, those were chosen beside each other, and are compared with others only.
    pub(super) fn layer(&self, candidates: Candidates, known: Option<&Known<'_>>) -> Result<Layer, Stopped> {
        const ROWS_A_TASK: usize = 256;
        let Self { input, level, monitor, .. } = *self;
        let Candidates { reservoirs, order, are_apart, .. } = candidates;
        let known = known.filter(|_| are_apart);
        let members = self.members();
        let row = |position: u32| members[position as usize];
        let chooser = Chooser::new(input, self.codes.view(), self.codes.quantizer.scale);
        let most = if level == 0 { self.effort.chosen } else { input.params.m };
        let progress = Progress::new(self, Phase::Choosing, order.len() as u64);
        let portions: Vec<Portion> = order
            .par_chunks(ROWS_A_TASK)
            .map_init(
                || (Vec::new(), [Vec::new(), Vec::new()], ChooseScratch::default()),
                |(near, [old, new], scratch), positions| {
                    let mut portion = Portion::default();
                    if monitor.is_cancelled() {
                        return portion;
                    }
                    for (at, &position) in positions.iter().enumerate() {
                        if let Some(&later) = positions.get(at + 1) {
                            reservoirs.prefetch_all(later);
                        }
                        reservoirs.get(position, near);
                        let graph = |position| known.and_then(|known| known.graph(row(position)));
                        let chosen = match graph(position) {
                            None => {
                                let candidates = near.iter().copied();
                                chooser.choose(row(position), candidates, row, most, scratch)
                            }
                            itself => {
                                old.clear();
                                new.clear();
                                for &near in near.iter() {
                                    if graph(near.position()) == itself { &mut *old } else { &mut *new }
                                        .push(near);
                                }
                                chooser.update(row(position), old, new, row, most, scratch)
                            }
                        };
                        portion.candidates.extend_from_slice(chosen);
                        portion.lens.push(chosen.len());
                    }
                    progress.advance(positions.len() as u64);
                    portion
                },
            )
            .collect();
        if monitor.is_cancelled() {
            return Err(Stopped);
        }
        drop(reservoirs);
        let chosen = Lists::of_portions(&portions, &order);
        drop(portions);
        let stride = if level == 0 { input.params.m0() } else { input.params.m };
        let slots = if level == 0 { input.rows.matrix.rows() } else { members.len() };
        let slot = |position: u32| if level == 0 { members[position as usize] } else { position };
        let neighbours = link(&chosen, &chooser, row, slot, slots, stride, monitor);
        if monitor.is_cancelled() {
            return Err(Stopped);
        }
        let down = match level {
            0 => None,
            1 => Some(members.to_vec()),
            _ => positions(members, &input.members[level - 1]),
        };
        Ok(Layer { rows: (level > 0).then(|| members.to_vec()), down, neighbours, stride })
    }
}

impl LevelBuilder<'_> {
    /// Gives rows of the finished level long links, in the place of their farthest neighbours where their lists are full.
    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    pub(super) fn add_long_links(&self, layer: &mut Layer) -> Result<(), Stopped> {
        let Self { input, level, monitor, .. } = *self;
        let members = self.members();
        let far = FarRows::pick(
            self.codes.view(),
            |position: u32| members[position as usize],
            members.len(),
            hash(input.params.seed ^ 0x6c6f_6e67, level as u64),
        );
        let chooser = Chooser::new(input, self.codes.view(), self.codes.quantizer.scale);
        let most = (input.params.m / 4).max(1);
        let stride = layer.stride;
        // On level 0 a slot is a row, and those that equal an earlier row are no positions.
        let position_of = |slot: u32| match level {
            0 => members.binary_search(&slot).ok().map(|position| position as u32),
            _ => Some(slot),
        };
        let slot_of = |position: u32| if level == 0 { members[position as usize] } else { position };
        layer.neighbours.par_chunks_mut(FarRows::ROWS_A_TASK * stride).enumerate().for_each_init(
            Default::default,
            |scratch: &mut (FarScratch, ChooseScratch), (task, lists)| {
                if monitor.is_cancelled() {
                    return;
                }
                let first = (task * FarRows::ROWS_A_TASK) as u32;
                let slots: Vec<(u32, &mut [u32])> = (first..)
                    .zip(lists.chunks_exact_mut(stride))
                    .filter_map(|(slot, list)| Some((position_of(slot)?, list)))
                    .collect();
                let positions: Vec<u32> = slots.iter().map(|(position, _)| *position).collect();
                let (far_scratch, choosing) = scratch;
                let far = far.nearest(task, &positions, far_scratch);
                for ((position, list), far) in slots.into_iter().zip(far) {
                    let row = |position: u32| members[position as usize];
                    let neighbours: Vec<u32> = (list.iter())
                        .take_while(|&&neighbour| neighbour != NONE)
                        .filter_map(|&neighbour| position_of(neighbour))
                        .collect();
                    let kept =
                        chooser.with_long(row(position), &neighbours, far, row, most, stride, choosing);
                    for (place, kept) in list.iter_mut().zip(kept) {
                        *place = slot_of(kept.node());
                    }
                }
            },
        );
        if monitor.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }
}

/// Every position once, in the order in which the leaves have it first.
fn order<'l>(leaves: impl Iterator<Item = &'l [u32]>, positions: usize) -> Vec<u32> {
    let mut is_met = vec![false; positions];
    let mut order = Vec::with_capacity(positions);
    for &position in leaves.flatten() {
        if !std::mem::replace(&mut is_met[position as usize], true) {
            order.push(position);
        }
    }
    order
}

/// Tells the monitor of work on level 0 as rows: all rows are done when all work is.
struct Progress<'a> {
    monitor: Option<&'a dyn Monitor>,
    rows: u64,
    work: u64,
    done: AtomicU64,
}

impl<'a> Progress<'a> {
    /// Begins a phase.
    fn new(level: &LevelBuilder<'a>, phase: Phase, work: u64) -> Self {
        let monitor = (level.level == 0).then_some(level.monitor);
        let rows = level.positions() as u64;
        if let Some(monitor) = monitor {
            monitor.begin(phase, rows);
        }
        Self { monitor, rows, work: work.max(1), done: AtomicU64::new(0) }
    }

    fn advance(&self, work: u64) {
        let Some(monitor) = self.monitor else { return };
        let before = self.done.fetch_add(work, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "at most all rows")]
        let rows_at = |done: u64| (u128::from(done) * u128::from(self.rows) / u128::from(self.work)) as u64;
        monitor.advance(rows_at(before + work) - rows_at(before));
    }
}
