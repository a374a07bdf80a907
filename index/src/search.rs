//! Search in a graph: Algorithms 2 (search a level) and 5 (search the graph) of the HNSW paper.

use crate::beam::{Beam, Candidate};
use crate::distance::Distance;
use crate::distance::prefetch;
use crate::file::Corrupt;
use crate::graph::{GraphAccess, LayerView};
use crate::vectors::Rows;
use crate::visited::Visited;

/// What a search needs besides graph and rows; reused from one search to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) visited: Visited,
    pub(crate) beam: Beam,
    /// Unvisited neighbours of the node that is being expanded.
    pending: Vec<u32>,
    /// Distances computed since it was last set to 0.
    pub(crate) distances: u64,
}

/// A query, ready to be compared with rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scorer<'a, R> {
    query: &'a [f32],
    inverse_norm: f32,
    distance: &'a Distance,
    rows: &'a R,
}

impl<'a, R: Rows> Scorer<'a, R> {
    pub(crate) fn new(query: &'a [f32], distance: &'a Distance, rows: &'a R) -> Self {
        Self { query, inverse_norm: distance.inverse_norm(query), distance, rows }
    }

    /// The scorer for a row of the index itself.
    pub(crate) fn for_row(row: u32, distance: &'a Distance, rows: &'a R) -> Self {
        Self { query: rows.matrix().row(row), inverse_norm: rows.inverse_norm(row), distance, rows }
    }

    pub(crate) fn one(&self, row: u32) -> Result<f32, Corrupt> {
        self.rows.check(row)?;
        let vector = self.rows.matrix().row(row);
        Ok(self.distance.between(self.query, self.inverse_norm, vector, self.rows.inverse_norm(row)))
    }

    /// Calls `found` with the distance of each row, in order.
    #[inline]
    pub(crate) fn each(
        &self,
        rows: impl Iterator<Item = (u32, u32)> + Clone,
        mut found: impl FnMut(f32, u32),
    ) -> Result<(), Corrupt> {
        let matrix = self.rows.matrix();
        let mut group = [(0, 0); 4];
        let mut len = 0;
        for pair in rows {
            self.rows.check(pair.1)?;
            group[len] = pair;
            len += 1;
            if len == group.len() {
                let distances = self.distance.to_four(
                    self.query,
                    self.inverse_norm,
                    group.map(|(_, row)| matrix.row(row)),
                    group.map(|(_, row)| self.rows.inverse_norm(row)),
                );
                for (distance, (node, _)) in distances.into_iter().zip(group) {
                    found(distance, node);
                }
                len = 0;
            }
        }
        for &(node, row) in &group[..len] {
            let vector = matrix.row(row);
            let inverse_norm = self.rows.inverse_norm(row);
            found(self.distance.between(self.query, self.inverse_norm, vector, inverse_norm), node);
        }
        Ok(())
    }
}

/// Algorithm 2: from `entries` (distance and slot), the `ef` nearest nodes of one level that a best-first walk finds.
/// They are in `scratch.beam` afterwards, nearest first.
pub(crate) fn search_level<R: Rows>(
    layer: LayerView<'_>,
    scorer: &Scorer<'_, R>,
    entries: impl IntoIterator<Item = Candidate>,
    ef: usize,
    scratch: &mut Scratch,
) -> Result<(), Corrupt> {
    let Scratch { visited, beam, pending, distances } = scratch;
    visited.reset(layer.len());
    beam.reset(ef);
    for entry in entries {
        if visited.insert(entry.node()) {
            beam.insert(entry);
        }
    }
    let matrix = scorer.rows.matrix();
    while let Some(slot) = beam.expand_next() {
        pending.clear();
        for &neighbour in layer.neighbours(slot) {
            if visited.insert(neighbour) {
                prefetch(matrix.row(layer.row(neighbour)));
                pending.push(neighbour);
            }
        }
        if let Some(next) = beam.peek_next() {
            prefetch(layer.neighbours_with_filling(next));
        }
        *distances += pending.len() as u64;
        scorer.each(pending.iter().map(|&slot| (slot, layer.row(slot))), |distance, slot| {
            beam.insert(Candidate::new(distance, slot));
        })?;
    }
    Ok(())
}

/// Algorithm 5, down to a level: walks greedily from the entry point through all levels above `level`, and returns
/// where to begin on `level`. Nothing if the graph is empty.
pub(crate) fn descend<R: Rows>(
    graph: &impl GraphAccess,
    scorer: &Scorer<'_, R>,
    level: usize,
    distances: &mut u64,
) -> Result<Option<Candidate>, Corrupt> {
    let Some(mut slot) = graph.entry_point() else { return Ok(None) };
    let top = graph.layer(graph.top_level());
    *distances += 1;
    let mut nearest = Candidate::new(scorer.one(top.row(slot))?, slot);
    for above in (level + 1..=graph.top_level()).rev() {
        let layer = graph.layer(above);
        loop {
            let neighbours = layer.neighbours(nearest.node());
            *distances += neighbours.len() as u64;
            let before = nearest;
            let pairs = neighbours.iter().map(|&slot| (slot, layer.row(slot)));
            scorer.each(pairs, |distance, slot| nearest = nearest.min(Candidate::new(distance, slot)))?;
            if nearest == before {
                break;
            }
        }
        slot = layer.down.map_or(0, |down| down[nearest.node() as usize]);
        nearest = Candidate::new(nearest.distance(), slot);
    }
    Ok(Some(nearest))
}
