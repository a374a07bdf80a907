//! Leaves out, by products of codes, the rows that cannot be among the nearest of a query.
//!
//! A product of 8-bit codes costs a fraction of a distance of vectors, and says between which two numbers that distance is
//! (`bounds.rs`). A row whose lower number is above the distance of the `k`-th nearest so far is not compared with the
//! query; all others are, by the kernels of searches. So the outcome is that of comparing all with all, bit by bit.

use rayon::prelude::*;

use super::nearest::Nearest;
use super::scan::{Portion, Scan};
use super::{Comparison, norm_of};
use crate::codes::bounds::{Bounds, QueryErrors};
use crate::codes::packed::TileRows;
use crate::codes::{CodeTable, Quantizer, stride_bytes};
use crate::distance::products::TILE_ROWS;
use crate::vectors::{Matrix, PlainRows};
use crate::{Metric, Params};

/// With fewer queries, encoding the rows costs more than it saves.
const FEWEST_QUERIES: usize = TILE_ROWS;

/// With fewer rows there is nothing to save.
const FEWEST_ROWS: usize = 256;

/// Beyond it most of the work would be picking.
const MOST_NEAREST: usize = 4096;

/// Rows and queries that the quantizer is fitted to: as many as it takes without drawing from them.
const SAMPLE_ROWS: usize = 767;
const SAMPLE_QUERIES: usize = 256;

/// Tiles of queries that one task compares with all rows of a portion.
const MOST_TILES: usize = 5;

/// Whether to compare by codes first, and how.
#[derive(Debug, Default)]
pub(super) struct Filter {
    fitted: Option<Fitted>,
    /// Portions that are compared without, since codes told too little.
    pauses: u32,
    /// Portions of the next pause.
    next_pause: u32,
    /// Whether any rows are enough, and pauses left out: for tests.
    pub(super) is_eager: bool,
}

impl Filter {
    /// Compares all rows with all queries, and says how many pairs were compared by their vectors. Nothing, and nothing was
    /// done, where it is not worth it to go by codes.
    pub(super) fn compare(&mut self, comparison: Comparison<'_>, nearest: &mut [Nearest]) -> Option<usize> {
        let (queries, rows, k) = (nearest.len(), comparison.base.matrix.rows(), comparison.k);
        let is_bounded = nearest.iter().all(|nearest| nearest.bound() < f32::INFINITY);
        let fewest = if is_bounded { FEWEST_ROWS } else { FEWEST_ROWS.max(4 * k.min(MOST_NEAREST)) };
        let is_worth_it = queries >= FEWEST_QUERIES && rows >= fewest && k <= MOST_NEAREST;
        let is_wanted = if self.is_eager { rows > 0 && queries > 0 } else { is_worth_it };
        if !is_wanted {
            return None;
        }
        if self.pauses > 0 {
            self.pauses -= 1;
            return None;
        }
        let Some(fitted) = self.fitted.take().or_else(|| Fitted::new(comparison)) else {
            self.pause();
            return None;
        };
        let compared = fitted.compare(comparison, nearest);
        // A distance by itself costs about as much as some of those that are computed side by side.
        if compared > queries * (rows / 8 + 4 * k) && !self.is_eager {
            self.pause();
        } else {
            self.fitted = Some(fitted);
        }
        Some(compared)
    }

    /// Longer each time.
    fn pause(&mut self) {
        self.next_pause = self.next_pause.saturating_mul(2).max(1);
        self.pauses = if self.is_eager { 0 } else { self.next_pause };
    }
}

/// How values become codes, and the queries as codes.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) quantizer: Quantizer,
    pub(super) bounds: Bounds,
    blocks: Vec<Block>,
    /// By what residuals and lengths of rows count, on the whole.
    pub(super) weights: (f64, f64),
}

/// Queries that one task compares.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) tiles: TileRows,
    pub(super) errors: Vec<QueryErrors>,
    /// The first of them.
    pub(super) first: usize,
}

impl Fitted {
    /// Fits codes to some of the rows and of the queries; nothing if there is no scale for them.
    fn new(comparison: Comparison<'_>) -> Option<Self> {
        let metric = comparison.distance.metric();
        let queries = comparison.queries;
        let quantizer = fit(comparison);
        let (count, dim) = (queries.matrix.rows(), queries.matrix.dim());
        let bounds = Bounds::of(metric, dim, &quantizer)?;
        let of_query = |query: usize| {
            #[expect(clippy::cast_possible_truncation, reason = "queries are in memory, and fewer by far")]
            let vector = queries.matrix.row(query as u32);
            (vector, norm_of(queries, metric, query), for_query(&quantizer, metric, vector))
        };
        let stride = stride_bytes(dim);
        let table = CodeTable::new(count, dim, metric, comparison.distance.products(), |first, bytes| {
            for (query, codes) in (first as usize..).zip(bytes.chunks_exact_mut(stride)) {
                let (vector, factor, quantizer) = of_query(query);
                quantizer.encode(vector, factor, codes);
            }
        });
        let codes = table.view();
        let tiles = count.div_ceil(TILE_ROWS).div_ceil(2 * rayon::current_num_threads()).clamp(1, MOST_TILES);
        let firsts: Vec<usize> = (0..count).step_by(tiles * TILE_ROWS).collect();
        let block = |&first: &usize| {
            #[expect(clippy::cast_possible_truncation, reason = "queries are in memory, and fewer by far")]
            let numbers = first as u32..count.min(first + tiles * TILE_ROWS) as u32;
            let mut tiles = TileRows::default();
            tiles.pack(codes, numbers.clone());
            let errors = numbers.map(|query| {
                let (vector, factor, quantizer) = of_query(query as usize);
                let codes = &codes.row(query)[..dim];
                let errors = bounds.errors(vector, factor, &quantizer, codes);
                bounds.query(errors, quantizer.scale, codes)
            });
            Block { tiles, errors: errors.collect(), first }
        };
        let blocks: Vec<Block> = firsts.par_iter().map(block).collect();
        let weights = blocks.iter().flat_map(|block| &block.errors).map(|query| query.weights(metric));
        let weights = weights.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Some(Self { quantizer, bounds, blocks, weights })
    }

    /// Compares rows with all queries, and says with how many pairs that was by their vectors.
    fn compare(&self, comparison: Comparison<'_>, nearest: &mut [Nearest]) -> usize {
        let portion = Portion::new(self, comparison);
        let size = self.blocks.first().map_or(1, |block| block.errors.len());
        let blocks = self.blocks.par_iter().zip(nearest.par_chunks_mut(size));
        blocks.map(|(block, nearest)| Scan::new(self, block, comparison, &portion, nearest).run()).sum()
    }
}

/// For inner products each query has a scale of its own: only the product of both scales matters.
fn for_query(quantizer: &Quantizer, metric: Metric, vector: &[f32]) -> Quantizer {
    let mut quantizer = quantizer.clone();
    if metric == Metric::Ip {
        let largest = vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        // The codes of a query that is nearly nothing are zeros, and say no less than its values.
        quantizer.scale = (quantizer.limit / largest).min(1e30);
    }
    quantizer
}

/// A quantizer for rows and queries: where these are elsewhere, one for the rows would cut them off.
fn fit(comparison: Comparison<'_>) -> Quantizer {
    let metric = comparison.distance.metric();
    let (mut values, mut norms) = (Vec::new(), Vec::new());
    let dim = comparison.base.matrix.dim();
    let mut take = |rows: PlainRows<'_>, most: usize| {
        let count = rows.matrix.rows();
        for at in (0..count.min(most)).map(|i| i * count / count.min(most)) {
            values.extend_from_slice(&rows.matrix.values()[at * dim..(at + 1) * dim]);
            if metric == Metric::Cosine {
                norms.push(rows.inverse_norms[at]);
            }
        }
    };
    take(comparison.base, SAMPLE_ROWS);
    if metric != Metric::Ip {
        take(comparison.queries, SAMPLE_QUERIES);
    }
    let rows = PlainRows { matrix: Matrix::new(&values, dim), inverse_norms: &norms };
    Quantizer::fit(&rows, &Params::new(metric))
}
