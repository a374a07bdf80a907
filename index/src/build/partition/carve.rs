//! Randomised ball carving: overlapping leaves of rows that are near each other.
//!
//! Leaders are drawn by hash; every row goes to its nearest leaders, at the first split to several of them, and cells
//! that are still too large are split again. ("Pick-in-Partitions", arXiv 2602.21247.)

use rayon::prelude::*;

use super::leaf::{ColumnSearch, Panels};
use crate::build::{Monitor, Stopped};
use crate::codes::CodesView;
use crate::level::hash;

/// How rows are carved into leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carving {
    /// Nearest leaders that a row goes to at the first split.
    pub(super) fanout: usize,
    /// The most rows of a leaf.
    pub(super) leaf_max: usize,
    /// What leaves are aimed at.
    pub(super) leaf_rows: usize,
    /// The most leaders of one split.
    pub(super) leaders: usize,
    /// Smaller cells are put together.
    pub(super) leaf_min: usize,
}

/// After so many splits of a cell its rows are cut up as they come: they are as good as equal.
const MAX_DEPTH: usize = 12;

/// The leaves of `positions`, each ascending.
pub(super) fn carve(
    positions: Vec<u32>,
    carving: &Carving,
    seed: u64,
    codes: CodesView<'_>,
    row: &(impl Fn(u32) -> u32 + Sync),
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<u32>>, Stopped> {
    let leaves = split(positions, carving, carving.fanout, seed, 0, codes, row, monitor);
    if monitor.is_cancelled() { Err(Stopped) } else { Ok(leaves) }
}

#[expect(clippy::too_many_arguments, reason = "a recursion")]
fn split(
    positions: Vec<u32>,
    carving: &Carving,
    fanout: usize,
    seed: u64,
    depth: usize,
    codes: CodesView<'_>,
    row: &(impl Fn(u32) -> u32 + Sync),
    monitor: &dyn Monitor,
) -> Vec<Vec<u32>> {
    if positions.len() <= carving.leaf_max {
        return vec![positions];
    }
    if depth == MAX_DEPTH {
        return positions.chunks(carving.leaf_max).map(<[u32]>::to_vec).collect();
    }
    if monitor.is_cancelled() {
        return Vec::new();
    }
    let wanted = (positions.len() * fanout).div_ceil(carving.leaf_rows);
    let leaders = draw(&positions, wanted.clamp(2, carving.leaders).max(fanout), seed);
    let cells = assign(&positions, &leaders, fanout, codes, row);
    let mut small = Vec::new();
    let mut large = Vec::new();
    let mut leaves = Vec::new();
    for (i, cell) in cells.into_iter().enumerate() {
        if cell.len() > carving.leaf_max {
            large.push((hash(seed, i as u64), cell));
        } else if cell.len() >= carving.leaf_min {
            leaves.push(cell);
        } else {
            small.extend(cell);
            if small.len() >= carving.leaf_min {
                leaves.push(distinct(std::mem::take(&mut small)));
            }
        }
    }
    if !small.is_empty() {
        leaves.push(distinct(small));
    }
    let split_again = |(seed, cell)| split(cell, carving, 1, seed, depth + 1, codes, row, monitor);
    leaves.extend(large.into_par_iter().flat_map_iter(split_again).collect::<Vec<_>>());
    leaves
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

/// The cell of each leader: the positions that have it among their `fanout` nearest.
fn assign(
    positions: &[u32],
    leaders: &[u32],
    fanout: usize,
    codes: CodesView<'_>,
    row: &(impl Fn(u32) -> u32 + Sync),
) -> Vec<Vec<u32>> {
    const ROWS_A_TASK: usize = 48;
    let fanout = fanout.min(leaders.len());
    let mut panels = Panels::default();
    panels.pack(codes, leaders.iter().map(|&leader| row(leader)));
    let mut nearest = vec![0u32; positions.len() * fanout];
    nearest.par_chunks_mut(ROWS_A_TASK * fanout).zip(positions.par_chunks(ROWS_A_TASK)).for_each_init(
        ColumnSearch::default,
        |search, (nearest, positions)| {
            search.rows.gather(codes, positions.iter().map(|&position| row(position)));
            search.nearest_columns(positions.len(), &panels, fanout, codes.products, |i, found| {
                for (nearest, near) in nearest[i * fanout..].iter_mut().zip(found) {
                    *nearest = near.position();
                }
            });
        },
    );
    let mut cells = vec![Vec::new(); leaders.len()];
    for (nearest, &position) in nearest.chunks_exact(fanout).zip(positions) {
        for &leader in nearest {
            cells[leader as usize].push(position);
        }
    }
    cells
}
