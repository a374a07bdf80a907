//! Search in a graph: Algorithms 2 (search a level) and 5 (search the graph) of the HNSW paper.

use std::cell::RefCell;

use crate::Metric;
use crate::beam::{Beam, Candidate};
use crate::codes::{CodesView, Quantizer, Terms};
use crate::distance::Distance;
use crate::distance::prefetch;
use crate::file::{Corrupt, Sections};
use crate::graph::{GraphAccess, LayerView};
use crate::storage::Narrowing;
use crate::vectors::Rows;
use crate::visited::Visited;

/// Something whose distance to rows can be told: what a search looks for.
pub(crate) trait Score {
    /// The distance of a row.
    fn one(&self, row: u32) -> Result<f32, Corrupt>;

    /// Calls `found` with the distance of each row, in order. The pairs are a node and its row.
    fn each(
        &self,
        rows: impl Iterator<Item = (u32, u32)>,
        found: impl FnMut(f32, u32),
    ) -> Result<(), Corrupt>;

    /// Asks for what the distance of a row needs.
    fn prefetch(&self, row: u32);
}

/// What a search needs besides graph and rows; reused from one search to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) visited: Visited,
    pub(crate) beam: Beam,
    /// Unvisited neighbours of the node that is being expanded.
    pending: Vec<u32>,
    /// The codes of the query.
    pub(crate) codes: Vec<u8>,
    /// Rows that are stored narrower, widened.
    pub(crate) wide: Vec<f32>,
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
}

impl<R: Rows> Score for Scorer<'_, R> {
    fn one(&self, row: u32) -> Result<f32, Corrupt> {
        self.rows.check(row)?;
        let vector = self.rows.matrix().row(row);
        Ok(self.distance.between(self.query, self.inverse_norm, vector, self.rows.inverse_norm(row)))
    }

    #[inline]
    fn each(
        &self,
        rows: impl Iterator<Item = (u32, u32)>,
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

    #[inline]
    fn prefetch(&self, row: u32) {
        prefetch(self.rows.matrix().row(row));
    }
}

/// As [`Scorer`], for rows that are stored narrower than f32: they are widened first.
#[derive(Debug)]
pub(crate) struct NarrowScorer<'a> {
    query: &'a [f32],
    inverse_norm: f32,
    distance: &'a Distance,
    rows: NarrowRows<'a>,
    /// Four rows.
    wide: RefCell<Vec<f32>>,
}

/// Rows of a file that are narrower than f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NarrowRows<'a> {
    pub(crate) narrowing: &'a Narrowing,
    pub(crate) bytes: &'a [u8],
    pub(crate) row_bytes: usize,
    pub(crate) inverse_norms: &'a [f32],
    pub(crate) sections: &'a Sections,
}

impl NarrowRows<'_> {
    #[inline]
    fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * self.row_bytes;
        &self.bytes[start..start + self.row_bytes]
    }

    #[inline]
    fn inverse_norm(&self, row: u32) -> f32 {
        self.inverse_norms.get(row as usize).copied().unwrap_or(0.0)
    }
}

impl<'a> NarrowScorer<'a> {
    /// `wide` is memory for four rows.
    pub(crate) fn new(
        query: &'a [f32],
        distance: &'a Distance,
        rows: NarrowRows<'a>,
        mut wide: Vec<f32>,
    ) -> Self {
        wide.resize(4 * query.len(), 0.0);
        Self { query, inverse_norm: distance.inverse_norm(query), distance, rows, wide: RefCell::new(wide) }
    }

    /// Gives the memory back.
    pub(crate) fn into_wide(self) -> Vec<f32> {
        self.wide.into_inner()
    }

    #[inline]
    fn distance(&self, row: u32, wide: &mut [f32]) -> f32 {
        let wide = &mut wide[..self.query.len()];
        self.rows.narrowing.widen(self.rows.row(row), wide);
        self.distance.between(self.query, self.inverse_norm, wide, self.rows.inverse_norm(row))
    }
}

impl Score for NarrowScorer<'_> {
    fn one(&self, row: u32) -> Result<f32, Corrupt> {
        self.rows.sections.check_vector(row)?;
        Ok(self.distance(row, &mut self.wide.borrow_mut()))
    }

    #[inline]
    fn each(
        &self,
        rows: impl Iterator<Item = (u32, u32)>,
        mut found: impl FnMut(f32, u32),
    ) -> Result<(), Corrupt> {
        let wide = &mut *self.wide.borrow_mut();
        let dim = self.query.len();
        let mut group = [(0, 0); 4];
        let mut len = 0;
        for pair in rows {
            self.rows.sections.check_vector(pair.1)?;
            group[len] = pair;
            len += 1;
            if len == group.len() {
                for ((_, row), wide) in group.iter().zip(wide.chunks_exact_mut(dim)) {
                    self.rows.narrowing.widen(self.rows.row(*row), wide);
                }
                let distances = self.distance.to_four(
                    self.query,
                    self.inverse_norm,
                    std::array::from_fn(|i| &wide[i * dim..(i + 1) * dim]),
                    group.map(|(_, row)| self.rows.inverse_norm(row)),
                );
                for (distance, (node, _)) in distances.into_iter().zip(group) {
                    found(distance, node);
                }
                len = 0;
            }
        }
        for &(node, row) in &group[..len] {
            found(self.distance(row, wide), node);
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        prefetch(self.rows.row(row));
    }
}

/// What the values of a query are multiplied by before they become codes: cosine compares directions.
pub(crate) fn factor_of(query: &[f32], distance: &Distance) -> f32 {
    if distance.metric() == Metric::Cosine { distance.inverse_norm(query) } else { 1.0 }
}

/// The codes of a query, ready to be compared with those of rows. Distances are whole numbers, of another scale than the
/// exact ones and in nearly their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeScorer<'a, C> {
    codes: &'a [u8],
    left: i32,
    rows: CodesView<'a>,
    /// Makes sure that the codes of a row may be used.
    check: C,
}

impl<'a, C: Fn(u32) -> Result<(), Corrupt>> CodeScorer<'a, C> {
    /// Encodes a query into `codes`.
    pub(crate) fn new(
        query: &[f32],
        distance: &Distance,
        quantizer: &Quantizer,
        rows: CodesView<'a>,
        codes: &'a mut Vec<u8>,
        check: C,
    ) -> Self {
        codes.resize(rows.stride_bytes, 0);
        quantizer.encode(query, factor_of(query, distance), codes);
        let left = Terms::of(distance.metric(), codes, rows.products).left;
        Self { codes, left, rows, check }
    }
}

impl<C: Fn(u32) -> Result<(), Corrupt>> Score for CodeScorer<'_, C> {
    #[expect(clippy::cast_precision_loss, reason = "rounding keeps the order but for ties")]
    fn one(&self, row: u32) -> Result<f32, Corrupt> {
        (self.check)(row)?;
        Ok(self.rows.distances(self.codes, self.left, [row; 4])[0] as f32)
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
            let rows = std::array::from_fn(|i| group.get(i).unwrap_or(&group[0]).1);
            let distances = self.rows.distances(self.codes, self.left, rows);
            for (distance, &(node, _)) in distances.into_iter().zip(group) {
                found(distance as f32, node);
            }
        };
        for pair in rows {
            (self.check)(pair.1)?;
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
        prefetch(self.rows.row(row));
    }
}

/// Algorithm 2: from `entries` (distance and slot), the `ef` nearest nodes of one level that a best-first walk finds.
/// They are in `scratch.beam` afterwards, nearest first.
pub(crate) fn search_level(
    layer: LayerView<'_>,
    scorer: &impl Score,
    entries: impl IntoIterator<Item = Candidate>,
    ef: usize,
    scratch: &mut Scratch,
) -> Result<(), Corrupt> {
    let Scratch { visited, beam, pending, distances, .. } = scratch;
    visited.reset(layer.len());
    beam.reset(ef);
    for entry in entries {
        if visited.insert(entry.node()) {
            beam.insert(entry);
        }
    }
    while let Some(slot) = beam.expand_next() {
        pending.clear();
        for &neighbour in layer.neighbours(slot) {
            if visited.insert(neighbour) {
                scorer.prefetch(layer.row(neighbour));
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
pub(crate) fn descend(
    graph: &impl GraphAccess,
    scorer: &impl Score,
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
