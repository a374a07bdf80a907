//! Randomised ball carving: overlapping leaves of rows that are near each other.
//!
//! Leaders are drawn by hash; every row goes to its nearest leaders, at the first split to several of them, and cells
//! that are still too large are split again. ("Pick-in-Partitions", arXiv 2602.21247.)

use rayon::prelude::*;

use super::groups::{self, GroupedLeaders, heads_of, nearest_columns};
use crate::build::{Monitor, Stopped};
use crate::codes::CodesView;
use crate::codes::packed::Panels;
use crate::level::hash;

/// Leaves are aimed at so many rows.
const LEAF_ROWS: usize = 400;

/// No leaf has more rows.
pub(super) const MAX_LEAF_ROWS: usize = 1024;

/// Cells of fewer rows are put together.
const MIN_LEAF_ROWS: usize = 64;

/// The most leaders that every row is compared with; of more, it is compared with those of near groups. Fewer are too
/// near each other: on sentence embeddings, 1,000 leaders in groups make a fourth round necessary.
const MAX_COMPARED: usize = 1500;

/// The most leaders of one split: more cells than this need a second one.
const MAX_LEADERS: usize = 2000;

/// After so many splits of a cell its rows are cut up as they come.
const MAX_DEPTH: usize = 12;

/// Rows that find their leaders at a time.
pub(super) const ROWS_A_TASK: usize = 48;

/// Carves positions into leaves.
#[derive(Clone, Copy)]
pub(super) struct Carver<'a, R> {
    pub(super) codes: CodesView<'a>,
    /// The row of a position.
    pub(super) row: R,
    pub(super) monitor: &'a dyn Monitor,
}

/// The memory of the first split, in bytes: for each row `fanout` leaders, the places in `fanout` cells (of which vectors
/// hold up to twice as many) and its draw; for each thread the distances of a task; and what groups of leaders take.
pub(super) fn memory_bytes(rows: u64, fanout: u64, threads: u64) -> u64 {
    let distances = (MAX_LEADERS * ROWS_A_TASK * 4) as u64;
    let are_grouped = rows * fanout / LEAF_ROWS as u64 > MAX_COMPARED as u64;
    let groups = if are_grouped { groups::memory_bytes(fanout) } else { 0 };
    rows * (fanout * (4 + 8) + 20) + threads * distances + groups
}

impl<R: Fn(u32) -> u32 + Sync> Carver<'_, R> {
    /// The leaves of `positions`, each ascending: together they hold every position at least once, and `fanout` times
    /// unless two of its leaves were put together.
    pub(super) fn carve(
        &self,
        positions: Vec<u32>,
        fanout: usize,
        seed: u64,
    ) -> Result<Vec<Vec<u32>>, Stopped> {
        let leaves = self.split(positions, fanout, seed, 0);
        if self.monitor.is_cancelled() { Err(Stopped) } else { Ok(leaves) }
    }

    fn split(&self, positions: Vec<u32>, fanout: usize, seed: u64, depth: usize) -> Vec<Vec<u32>> {
        if positions.len() <= MAX_LEAF_ROWS {
            return vec![positions];
        }
        if self.monitor.is_cancelled() {
            return Vec::new();
        }
        let wanted = (positions.len() * fanout).div_ceil(LEAF_ROWS);
        let leaders = draw(&positions, wanted.clamp(2, MAX_LEADERS).max(fanout), seed);
        let cells = self.assign(&positions, &leaders, fanout, seed);
        // Rows that nearly all have one nearest leader are as good as equal, and no split will part them.
        let is_hopeless =
            |cell: &[u32]| depth == MAX_DEPTH || (fanout == 1 && cell.len() > positions.len() / 4 * 3);
        let (mut leaves, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
        for (i, cell) in cells.into_iter().enumerate() {
            if cell.len() > MAX_LEAF_ROWS && is_hopeless(&cell) {
                leaves.extend(cell.chunks(MAX_LEAF_ROWS).map(<[u32]>::to_vec));
            } else if cell.len() > MAX_LEAF_ROWS {
                large.push((hash(seed, i as u64), cell));
            } else if cell.len() >= MIN_LEAF_ROWS {
                leaves.push(cell);
            } else {
                small.extend(cell);
                if small.len() >= MIN_LEAF_ROWS {
                    leaves.push(distinct(std::mem::take(&mut small)));
                }
            }
        }
        if !small.is_empty() {
            leaves.push(distinct(small));
        }
        let split_again = |(seed, cell)| self.split(cell, 1, seed, depth + 1);
        let split: Vec<_> = large.into_par_iter().flat_map_iter(split_again).collect();
        leaves.extend(split);
        leaves
    }

    /// The cell of each leader: the positions that have it among their `fanout` nearest. Cells of near leaders stand
    /// together where there are many.
    fn assign(&self, positions: &[u32], leaders: &[u32], fanout: usize, seed: u64) -> Vec<Vec<u32>> {
        let fanout = fanout.min(leaders.len());
        if leaders.len() <= MAX_COMPARED {
            return cells(positions, &self.nearest(positions, leaders, fanout), leaders.len());
        }
        let heads = draw(leaders, heads_of(leaders.len()), hash(seed, u64::MAX));
        let mut groups = cells(leaders, &self.nearest(leaders, &heads, 1), heads.len());
        let rows = |of: &[u32]| of.iter().map(|&position| (self.row)(position)).collect::<Vec<_>>();
        groups.iter_mut().for_each(|group| *group = rows(group));
        let grouped = GroupedLeaders::new(self.codes, &rows(&heads), &groups);
        cells(positions, &grouped.nearest(positions, fanout, &self.row, self.monitor), leaders.len())
    }

    /// The `fanout` nearest leaders of each position, by number.
    fn nearest(&self, positions: &[u32], leaders: &[u32], fanout: usize) -> Vec<u32> {
        let mut panels = Panels::default();
        panels.pack(self.codes, leaders.iter().map(|&leader| (self.row)(leader)));
        nearest_columns(self.codes, positions, &panels, fanout, &self.row)
    }
}

/// The positions that have each leader among their nearest, of which each has the same number. Leaders from `leaders` on
/// are none.
fn cells(positions: &[u32], nearest: &[u32], leaders: usize) -> Vec<Vec<u32>> {
    let mut cells = vec![Vec::new(); leaders];
    let fanout = nearest.len().checked_div(positions.len()).unwrap_or(0).max(1);
    for (nearest, &position) in nearest.chunks_exact(fanout).zip(positions) {
        for &leader in nearest {
            if let Some(cell) = cells.get_mut(leader as usize) {
                cell.push(position);
            }
        }
    }
    cells
}

fn distinct(mut positions: Vec<u32>) -> Vec<u32> {
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// Draws `count` of the positions.
fn draw(positions: &[u32], count: usize, seed: u64) -> Vec<u32> {
    let mut drawn: Vec<(u64, u32)> =
        positions.par_iter().map(|&position| (hash(seed, u64::from(position)), position)).collect();
    let count = count.min(drawn.len());
    if count < drawn.len() {
        drawn.select_nth_unstable(count);
        drawn.truncate(count);
    }
    let mut leaders: Vec<u32> = drawn.into_iter().map(|(_, position)| position).collect();
    leaders.sort_unstable();
    leaders
}
