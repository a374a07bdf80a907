//! Rows that look for their nearest in the graph of others.

use rayon::prelude::*;

use super::{Join, Origin};
use crate::beam::Candidate;
use crate::build::partition::nearest::Near;
use crate::build::{Phase, Stopped};
use crate::codes::CodesView;
use crate::distance::prefetch;
use crate::file::Corrupt;
use crate::graph::{GraphAccess, NONE};
use crate::recycled::Recycled;
use crate::search::{Score, Scratch, descend, search_level};

/// Rows that one task walks for.
const ROWS_A_TASK: usize = 64;

/// Neighbours that say where a walk begins.
const MOST_ENTRIES: usize = 4;

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
    /// Adds what a row found.
    fn push(&mut self, row: u32, found: Vec<Near>) {
        self.rows.push(row);
        self.near.extend(found.into_iter().take(self.places));
        self.near.resize(self.rows.len() * self.places, Near::FARTHEST);
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

impl Join<'_> {
    /// What the rows of `from` find in `to`. Those of the upper levels walk from its top; then all others, from where their
    /// neighbours among those ended.
    pub(super) fn look(&self, from: &Origin<'_>, to: &Origin<'_>) -> Result<Found, Stopped> {
        let mut is_above = vec![from.graph.top_level() == 0; from.rows as usize];
        if from.graph.top_level() > 0 {
            for &local in from.graph.layer(1).rows.unwrap_or_default() {
                is_above[local as usize] = true;
            }
        }
        let is_node = |local: u32| self.node(from.first + local) == from.first + local;
        let rows = from.order.iter().copied().filter(|&local| is_node(local));
        let (above, others): (Vec<u32>, Vec<u32>) = rows.partition(|&local| is_above[local as usize]);
        // Where the walk of each row ended, as a node of `to`.
        let mut ends = vec![NONE; from.rows as usize];
        let scratches = Recycled::<Scratch>::default();
        self.monitor.begin(Phase::Comparing, from.rows.into());
        let mut all = Found { places: to.beam, rows: Vec::new(), near: Vec::new() };
        for rows in [above, others] {
            let walk = |rows: &[u32]| {
                let mut found = Found { places: to.beam, rows: Vec::new(), near: Vec::new() };
                scratches.with(|scratch| {
                    for &local in rows {
                        if self.monitor.is_cancelled() {
                            break;
                        }
                        let entries = from.graph.layer(0).neighbours(local).iter();
                        let entries = entries.map(|&other| ends[other as usize]).filter(|&end| end != NONE);
                        let entries = entries.take(MOST_ENTRIES);
                        // Rows in memory are never corrupt.
                        let near = self.walk(from.first + local, to, entries, scratch).unwrap_or_default();
                        found.push(from.first + local, near);
                    }
                });
                self.monitor.advance(rows.len() as u64);
                found
            };
            let parts: Vec<Found> = rows.par_chunks(ROWS_A_TASK).map(walk).collect();
            if self.monitor.is_cancelled() {
                return Err(Stopped);
            }
            for part in parts {
                for (at, row) in part.rows.iter().enumerate() {
                    let end = part.get(at).map(Near::position).find(|&node| to.has(node));
                    ends[(row - from.first) as usize] = end.map_or(NONE, |node| node - to.first);
                }
                all.rows.extend(part.rows);
                all.near.extend(part.near);
            }
        }
        Ok(all)
    }

    /// What a row finds by a walk through `to` from some of its nodes, or from its top if there are none: nearest first.
    fn walk(
        &self,
        row: u32,
        to: &Origin<'_>,
        entries: impl Iterator<Item = u32>,
        scratch: &mut Scratch,
    ) -> Result<Vec<Near>, Corrupt> {
        let codes = self.codes.view();
        let scorer = RowCodes { codes, row, first: to.first };
        let mut starts = Vec::with_capacity(MOST_ENTRIES);
        scorer.each(entries.map(|slot| (slot, slot)), |distance, slot| {
            starts.push(Candidate::new(distance, slot));
        })?;
        if starts.is_empty() {
            starts.extend(descend(&to.graph, &scorer, 0, &mut scratch.distances)?);
        }
        search_level(to.graph.layer(0), &scorer, starts, to.beam, scratch)?;
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
        Ok(near)
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
