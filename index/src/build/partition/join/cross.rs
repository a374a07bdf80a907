//! Rows that look for their nearest in the graph of others.

use rayon::prelude::*;

use super::order::Group;
use super::{Join, Origin};
use crate::build::insert::ScratchPool;
use crate::build::partition::columns::ColumnSearch;
use crate::build::partition::nearest::Near;
use crate::build::{Phase, Stopped};
use crate::codes::CodesView;
use crate::codes::packed::Panels;
use crate::distance::prefetch;
use crate::distance::products::TILE_ROWS;
use crate::file::Corrupt;
use crate::graph::GraphAccess;
use crate::search::{Score, Scratch, descend, search_level};

/// Rows that one task walks for.
const ROWS_A_TASK: usize = 32;

/// Nearest rows that one of level 0 takes from its group's pool.
const MOST_FOUND: usize = 24;

/// Of so many near rows of level 1, and of each so many of what it found, go into the pool of a group.
const MOST_NEAR: usize = 8;
const MOST_OF_NEAR: usize = 12;

/// The neighbours of so many of the nearest rows that were found go into the pool.
const MOST_EXPANDED: usize = 16;

/// Rows of a group that are compared with its pool at a time.
const GROUP_ROWS: usize = 8 * TILE_ROWS;

/// Groups that one task sees to.
const GROUPS_A_TASK: usize = 8;

/// What the rows of one origin found in another: up to `places` each, nearest first, filled up with [`Near::FARTHEST`].
#[derive(Debug)]
pub(super) struct Found {
    places: usize,
    /// The rows that looked.
    rows: Vec<u32>,
    /// Of each what it found, as rows of all.
    near: Vec<Near>,
}

impl Found {
    fn new(places: usize) -> Self {
        Self { places, rows: Vec::new(), near: Vec::new() }
    }

    /// Adds what a row found.
    fn push(&mut self, row: u32, found: impl Iterator<Item = Near>) {
        self.rows.push(row);
        self.near.extend(found.take(self.places));
        self.near.resize(self.rows.len() * self.places, Near::FARTHEST);
    }

    fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.near.extend(other.near);
    }

    /// What the row at a place found.
    fn get(&self, at: usize) -> impl Iterator<Item = Near> {
        let list = &self.near[at * self.places..(at + 1) * self.places];
        list.iter().copied().take_while(|&near| near != Near::FARTHEST)
    }

    /// Every row that looked with each that it found.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, Near)> {
        (0..self.rows.len()).flat_map(move |at| self.get(at).map(move |near| (self.rows[at], near)))
    }
}

/// What comparing a group with a pool needs; reused.
#[derive(Debug, Default)]
struct PoolScratch {
    pool: Vec<u32>,
    panels: Panels,
    search: ColumnSearch,
}

impl Join<'_> {
    /// What the rows of `from` find in `to`. Those of the upper levels walk through it. The others stand in groups around those,
    /// and each group is compared with what these found and some of its neighbours: many near rows with the same few, which
    /// costs less than walks.
    pub(super) fn look(&self, from: &Origin<'_>, to: &Origin<'_>) -> Result<Found, Stopped> {
        self.monitor.begin(Phase::Comparing, from.rows.into());
        let scratches = ScratchPool::default();
        let walk_each = |rows: &[u32]| {
            let walk = |rows: &[u32]| {
                let mut found = Found::new(to.beam);
                scratches.with(|scratch| {
                    for row in rows.iter().map(|local| from.first + local) {
                        if self.monitor.is_cancelled() {
                            break;
                        }
                        // Rows in memory are never corrupt.
                        let _ = self.walk(row, to, &mut found, scratch);
                    }
                });
                self.monitor.advance(rows.len() as u64);
                found
            };
            let parts: Vec<Found> = rows.par_chunks(ROWS_A_TASK).map(walk).collect();
            let mut all = Found::new(to.beam);
            parts.into_iter().for_each(|part| all.append(part));
            if self.monitor.is_cancelled() { Err(Stopped) } else { Ok(all) }
        };
        if from.graph.top_level() == 0 {
            let is_node = |local: &u32| self.node(from.first + local) == from.first + local;
            let rows: Vec<u32> = from.order.rows.iter().copied().filter(is_node).collect();
            return walk_each(&rows);
        }
        let firsts = walk_each(from.graph.layer(1).rows.unwrap_or_default())?;
        let look = |groups: &[Group]| {
            let mut found = Found::new(to.beam.min(MOST_FOUND));
            let mut scratch = PoolScratch::default();
            for group in groups {
                if self.monitor.is_cancelled() {
                    break;
                }
                let rows = &from.order.rows[group.first..group.end];
                let rows: Vec<u32> = rows.iter().map(|local| from.first + local).collect();
                let rows: Vec<u32> = rows.into_iter().filter(|&row| self.node(row) == row).collect();
                match group.near {
                    Some(near) => self.compare(&rows, near, from, to, &firsts, &mut found, &mut scratch),
                    None => scratches.with(|scratch| {
                        for &row in &rows {
                            let _ = self.walk(row, to, &mut found, scratch);
                        }
                    }),
                }
                self.monitor.advance(rows.len() as u64);
            }
            found
        };
        let parts: Vec<Found> = from.order.groups.par_chunks(GROUPS_A_TASK).map(look).collect();
        if self.monitor.is_cancelled() {
            return Err(Stopped);
        }
        let mut all = Found::new(to.beam.min(MOST_FOUND));
        parts.into_iter().for_each(|part| all.append(part));
        Ok(all)
    }

    /// Compares near rows of `from` with those of `to` that are near a node of level 1, and near its neighbours.
    #[expect(clippy::too_many_arguments, reason = "rows, where they are, what is known, and where it goes")]
    fn compare(
        &self,
        rows: &[u32],
        near: u32,
        from: &Origin<'_>,
        to: &Origin<'_>,
        firsts: &Found,
        found: &mut Found,
        scratch: &mut PoolScratch,
    ) {
        let PoolScratch { pool, panels, search } = scratch;
        pool.clear();
        pool.extend(firsts.get(near as usize).map(Near::position));
        let expanded = pool.len().min(MOST_EXPANDED);
        for at in 0..expanded {
            // The first of equal rows may be one of another origin.
            if !to.has(pool[at]) {
                continue;
            }
            pool.extend(to.neighbours(pool[at]).map(|row| self.node(row)));
        }
        for &other in from.graph.layer(1).neighbours(near).iter().take(MOST_NEAR) {
            pool.extend(firsts.get(other as usize).take(MOST_OF_NEAR).map(Near::position));
        }
        pool.sort_unstable();
        pool.dedup();
        let codes = self.codes.view();
        panels.pack(codes, pool.iter().copied());
        for rows in rows.chunks(GROUP_ROWS) {
            // One more, as a row may meet itself.
            let k = (found.places + 1).min(pool.len());
            search.search(codes, rows.iter().copied(), panels, k, |at, nearest| {
                let nearest = nearest.iter().map(|near| near.at(pool[near.position() as usize]));
                found.push(rows[at], nearest.filter(|near| near.position() != rows[at]));
            });
        }
    }

    /// Adds what a row finds by a walk from the top of `to`.
    fn walk(
        &self,
        row: u32,
        to: &Origin<'_>,
        found: &mut Found,
        scratch: &mut Scratch,
    ) -> Result<(), Corrupt> {
        let codes = self.codes.view();
        let scorer = RowCodes { codes, row, first: to.first };
        let entry = descend(&to.graph, &scorer, 0, &mut scratch.distances)?;
        search_level(to.graph.layer(0), &scorer, entry, to.beam, scratch)?;
        let nodes = scratch.beam.candidates().iter().map(|near| self.node(near.node() + to.first));
        let nodes: Vec<u32> = nodes.filter(|&node| node != row).collect();
        let mut near = Vec::with_capacity(nodes.len());
        for four in nodes.chunks(4) {
            let rows = std::array::from_fn(|i| *four.get(i).unwrap_or(&four[0]));
            let distances = codes.distances_of(row, rows);
            near.extend(distances.into_iter().zip(four).map(|(distance, &node)| Near::new(distance, node)));
        }
        // The walk went by distances that are rounded to f32.
        near.sort_unstable();
        found.push(row, near.into_iter());
        Ok(())
    }
}

/// The codes of a row, to be compared with those of rows that are numbered from `first`.
struct RowCodes<'a> {
    codes: CodesView<'a>,
    row: u32,
    first: u32,
}

impl Score for RowCodes<'_> {
    #[expect(clippy::cast_precision_loss, reason = "rounding keeps the order but for ties")]
    fn one(&self, row: u32) -> Result<f32, Corrupt> {
        Ok(self.codes.distances_of(self.row, [self.first + row; 4])[0] as f32)
    }

    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "rounding keeps the order but for ties")]
    fn each(
        &self,
        rows: impl Iterator<Item = (u32, u32)>,
        mut found: impl FnMut(f32, u32),
    ) -> Result<(), Corrupt> {
        let mut group = [(0, 0); 4];
        let mut len = 0;
        let mut score = |group: &[(u32, u32)]| {
            // A group of fewer is filled up with its first.
            let rows = std::array::from_fn(|i| group.get(i).unwrap_or(&group[0]).1 + self.first);
            let distances = self.codes.distances_of(self.row, rows);
            for (distance, &(node, _)) in distances.into_iter().zip(group) {
                found(distance as f32, node);
            }
        };
        for pair in rows {
            group[len] = pair;
            len += 1;
            if len == group.len() {
                score(&group);
                len = 0;
            }
        }
        if len > 0 {
            score(&group[..len]);
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        prefetch(self.codes.row(self.first + row));
    }
}
