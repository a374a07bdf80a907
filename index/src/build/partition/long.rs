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

/// Rows that are drawn, and how many nearest of them each row is compared with. All of the few: of clusters that are equally
/// far from each other each needs links to each. Of the many only near ones, for smaller clusters.
const DRAWS: [(usize, usize); 2] = [(128, 128), (1024, 12)];

/// Rows that look for themselves.
const SAMPLE_ROWS: u64 = 1024;

/// The beam with which they do.
const EF: usize = 40;

/// How many thousandths of a sample of rows a search in the graph finds, looking for just them.
pub(super) fn found_permille(graph: &Graph, input: &BuildInput<'_>) -> u64 {
    let members = &input.members[0];
    let count = SAMPLE_ROWS.min(members.len() as u64);
    let found = (0..count)
        .into_par_iter()
        .map_init(Scratch::default, |scratch, i| {
            let drawn = hash(input.params.seed ^ 0x666f_756e, i) % members.len() as u64;
            let row = members[usize::try_from(drawn).unwrap_or(0)];
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

/// The rows that are drawn from all.
pub(super) struct FarRows<'a, R> {
    codes: CodesView<'a>,
    row: R,
    draws: Vec<(Vec<u32>, Panels, usize)>,
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
    /// Draws from so many positions; `row` tells the row of each.
    pub(super) fn draw(codes: CodesView<'a>, row: R, positions: usize, seed: u64) -> Self {
        let draws = DRAWS.map(|(count, k)| {
            let drawn = draw(positions, count, hash(seed, count as u64));
            let mut panels = Panels::default();
            panels.pack(codes, drawn.iter().map(|&position| row(position)));
            let k = k.min(drawn.len());
            (drawn, panels, k)
        });
        Self { codes, row, draws: draws.into() }
    }

    /// For each of some positions the nearest of those that were drawn, nearest first.
    pub(super) fn nearest<'s>(&self, positions: &[u32], scratch: &'s mut FarScratch) -> &'s [Vec<Near>] {
        let FarScratch { search, far } = scratch;
        far.resize(positions.len(), Vec::new());
        far.iter_mut().for_each(Vec::clear);
        for (drawn, panels, k) in &self.draws {
            let rows = positions.iter().map(|&position| (self.row)(position));
            search.search(self.codes, rows, panels, *k, |at, found| {
                far[at].extend(found.iter().map(|near| near.at(drawn[near.position() as usize])));
            });
        }
        for far in far.iter_mut() {
            far.sort_unstable();
            far.dedup();
        }
        far
    }
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
