//! Long links, for rows in clusters that lie apart.
//!
//! All near rows of a row in such a cluster are in the cluster, and nothing leads out of it. Insertion has no such gaps: its
//! first rows are few and link far. Here every row is compared with a few rows drawn from all, and links to some of those to
//! which none of its neighbours is nearer. So a walk towards one of them does not end before it.
//!
//! That costs time and distances, and most data has no such clusters: [`found_permille`] tells.

use rayon::prelude::*;

use super::columns::ColumnSearch;
use super::nearest::Near;
use crate::build::BuildInput;
use crate::codes::CodesView;
use crate::codes::packed::Panels;
use crate::graph::{Graph, GraphAccess};
use crate::level::hash;
use crate::search::{Scorer, Scratch, descend, search_level};

/// Rows that are picked from the whole level, far from each other.
const PICKED: usize = 1024;

/// Rows that those are picked from.
const DRAWN: usize = 4096;

/// Of so many of the picked rows each row is compared with all: of clusters that are equally far from each other each
/// needs links to each. Which ones differs from task to task, so that together they lead everywhere.
const GROUP: usize = 128;

/// Of all picked rows each row is compared with so many that are nearest to it, for smaller clusters.
const NEAREST: usize = 12;

/// Rows that look for themselves.
pub(super) const LOOKING_ROWS: u64 = 1024;

/// Rows that do where most of the graph was looked at when it was built.
pub(super) const FEW_LOOKING_ROWS: u64 = 256;

/// The beam with which they do.
const EF: usize = 40;

/// How many thousandths of a sample of `looking_rows` rows a search in the graph finds, looking for just them.
pub(super) fn found_permille(graph: &Graph, input: &BuildInput<'_>, looking_rows: u64) -> u64 {
    let members = &input.members[0];
    let count = looking_rows.min(members.len() as u64);
    let found = (0..count)
        .into_par_iter()
        .map_init(Scratch::default, |scratch, i| {
            let row = members[drawn_below(members.len() as u64, hash(input.params.seed ^ 0x666f_756e, i))];
            let scorer = Scorer::for_row(row, &input.distance, &input.rows);
            // Rows in memory are never corrupt.
            let entry = descend(graph, &scorer, 0, &mut scratch.distances).unwrap_or_default();
            let _ = search_level(graph.layer(0), &scorer, entry, EF, scratch);
            scratch.beam.candidates().iter().any(|candidate| candidate.node() == row)
        })
        .filter(|&found| found)
        .count() as u64;
    (found * 1000).checked_div(count).unwrap_or(1000)
}

/// The rows that were picked from all.
pub(super) struct FarRows<'a, R> {
    codes: CodesView<'a>,
    row: R,
    seed: u64,
    groups: Vec<Picked>,
    all: Picked,
}

/// Positions, and the codes of their rows.
struct Picked {
    positions: Vec<u32>,
    panels: Panels,
}

/// What looking for the nearest of them needs; reused.
#[derive(Debug, Default)]
pub(super) struct FarScratch {
    search: ColumnSearch,
    far: Vec<Vec<Near>>,
}

impl FarRows<'_, ()> {
    /// Rows that are compared at a time.
    pub(super) const ROWS_A_TASK: usize = 48;
}

impl<'a, R: Fn(u32) -> u32> FarRows<'a, R> {
    /// Picks from so many positions; `row` tells the row of each.
    pub(super) fn pick(codes: CodesView<'a>, row: R, positions: usize, seed: u64) -> Self {
        let spread = spread(codes, &row, &draw(positions, DRAWN, seed), PICKED, seed);
        let pack = |positions: &[u32]| {
            let mut panels = Panels::default();
            panels.pack(codes, positions.iter().map(|&position| row(position)));
            Picked { positions: positions.to_vec(), panels }
        };
        let (groups, all) = (spread.chunks(GROUP).map(pack).collect(), pack(&spread));
        Self { codes, row, seed, groups, all }
    }

    /// For each of the positions of a task some picked ones that are near, nearest first.
    pub(super) fn nearest<'s>(
        &self,
        task: usize,
        positions: &[u32],
        scratch: &'s mut FarScratch,
    ) -> &'s [Vec<Near>] {
        let FarScratch { search, far } = scratch;
        far.resize(positions.len(), Vec::new());
        far.iter_mut().for_each(Vec::clear);
        let group = drawn_below(self.groups.len() as u64, hash(self.seed, task as u64));
        let group = self.groups.get(group).map(|group| (group, group.positions.len()));
        for (picked, k) in group.into_iter().chain([(&self.all, NEAREST.min(self.all.positions.len()))]) {
            let rows = positions.iter().map(|&position| (self.row)(position));
            search.search(self.codes, rows, &picked.panels, k, |at, found| {
                far[at].extend(found.iter().map(|near| near.at(picked.positions[near.position() as usize])));
            });
        }
        for far in far.iter_mut() {
            far.sort_unstable();
            far.dedup();
        }
        far
    }
}

/// Picks rows that lie far from each other: each with a chance that rises with the square of its distance from the nearest
/// of those before it. So clusters that lie apart have one each before any has many. (The seeding of k-means++, Arthur and
/// Vassilvitskii 2007.)
fn spread(
    codes: CodesView<'_>,
    row: impl Fn(u32) -> u32,
    positions: &[u32],
    count: usize,
    seed: u64,
) -> Vec<u32> {
    const ROWS_A_TASK: usize = 256;
    let rows: Vec<u32> = positions.iter().map(|&position| row(position)).collect();
    let itself: Vec<i64> = rows.iter().map(|&row| i64::from(codes.distances_of(row, [row; 4])[0])).collect();
    // The squared distance, of codes, to the nearest that was picked.
    let mut weights = vec![1; rows.len()];
    let mut picked = Vec::with_capacity(count);
    for pick in 0..count.min(rows.len()) as u64 {
        let Some(at) = weighted(&weights, hash(seed, pick)) else { break };
        picked.push(positions[at]);
        let update = |(task, weights): (usize, &mut [u64])| {
            let first = task * ROWS_A_TASK;
            for (i, four) in weights.chunks_mut(4).enumerate() {
                let others: [usize; 4] = std::array::from_fn(|j| (first + 4 * i + j).min(rows.len() - 1));
                let distances = codes.distances_of(rows[at], others.map(|other| rows[other]));
                for ((weight, distance), other) in four.iter_mut().zip(distances).zip(others) {
                    // Of inner products a distance is twice the negative product, and that of a row to itself twice its
                    // negative squared norm; of the other metrics the squared distance, and 0.
                    let squared = i64::from(distance) - (itself[at] + itself[other]) / 2;
                    let squared = squared.max(0).unsigned_abs();
                    *weight = if pick == 0 { squared } else { squared.min(*weight) };
                }
            }
        };
        weights.par_chunks_mut(ROWS_A_TASK).enumerate().for_each(update);
    }
    picked
}

/// One of the places, each with a chance as its weight; nothing where no weight is more than 0.
fn weighted(weights: &[u64], random: u64) -> Option<usize> {
    let mut left = random.checked_rem(weights.iter().sum())?;
    weights.iter().position(|&weight| match left.checked_sub(weight) {
        Some(less) => {
            left = less;
            false
        }
        None => true,
    })
}

/// One of so many places; 0 where there are none.
fn drawn_below(places: u64, random: u64) -> usize {
    usize::try_from(random.checked_rem(places).unwrap_or(0)).unwrap_or(0)
}

/// Draws `count` of so many positions; all if there are fewer.
fn draw(positions: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut drawn: Vec<(u64, u32)> =
        (0u32..).take(positions).map(|position| (hash(seed, u64::from(position)), position)).collect();
    if drawn.len() > count {
        drawn.select_nth_unstable(count);
        drawn.truncate(count);
    }
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, position)| position).collect()
}
