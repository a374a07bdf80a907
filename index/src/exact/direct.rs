//! Rows and queries compared by their vectors, all with all.

use rayon::prelude::*;

use super::nearest::Nearest;
use super::{Comparison, norm_of};

/// Queries that are compared with four rows before the next four: their values stay in the second cache.
const BLOCK_BYTES: usize = 192 << 10;

/// However short the queries are, no more of them: each has its candidates as well.
const MAX_BLOCK_ROWS: usize = 64;

/// Compares all rows with all queries.
pub(super) fn compare(comparison: Comparison<'_>, nearest: &mut [Nearest]) {
    let dim = comparison.base.matrix.dim();
    // A few queries are still work for all threads. The result does not depend on it.
    let share = nearest.len().div_ceil(rayon::current_num_threads());
    let block = share.min(BLOCK_BYTES / (4 * dim)).clamp(1, MAX_BLOCK_ROWS);
    nearest.par_chunks_mut(block).enumerate().for_each(|(at, nearest)| {
        compare_block(comparison, at * block, nearest);
    });
}

/// Compares the queries from `first` on, as many as there are places for what is found.
fn compare_block(comparison: Comparison<'_>, first: usize, nearest: &mut [Nearest]) {
    let Comparison { distance, k, queries, base, first: first_row } = comparison;
    let (dim, metric) = (base.matrix.dim(), distance.metric());
    let count = nearest.len();
    let mut found = |query: usize, row: usize, distance: f32| {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ROWS")]
        nearest[query].add(distance, first_row + row as u32, k);
    };
    let queries = || {
        let values = queries.matrix.values()[first * dim..(first + count) * dim].chunks_exact(dim);
        values.enumerate().map(|(i, values)| (i, values, norm_of(queries, metric, first + i)))
    };
    // Four rows wait in the first cache until all queries of the block were there.
    for (group, four) in base.matrix.values().chunks(4 * dim).enumerate() {
        let first = group * 4;
        if four.len() == 4 * dim {
            let rows = std::array::from_fn(|i| &four[i * dim..(i + 1) * dim]);
            let norms = std::array::from_fn(|i| norm_of(base, metric, first + i));
            for (query, values, norm) in queries() {
                let distances = distance.to_four(values, norm, rows, norms);
                for (i, distance) in distances.into_iter().enumerate() {
                    found(query, first + i, distance);
                }
            }
        } else {
            for (i, row) in four.chunks_exact(dim).enumerate() {
                for (query, values, norm) in queries() {
                    let of_row = norm_of(base, metric, first + i);
                    found(query, first + i, distance.between(values, norm, row, of_row));
                }
            }
        }
    }
}
