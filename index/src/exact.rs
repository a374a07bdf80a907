//! The nearest rows by comparing all with all: what recall is measured against.

use rayon::prelude::*;

use crate::beam::Candidate;
use crate::vectors::Matrix;
use crate::{Distance, Metric};

/// Queries that are compared with four rows before the next four: their values stay in the second cache.
const BLOCK_BYTES: usize = 192 << 10;

/// However short the queries are, no more of them: each has its candidates as well.
const MAX_BLOCK_ROWS: usize = 64;

/// The `k` nearest rows of each query, nearest first, equal distances by row: the distance and the number of the row. All
/// rows if there are fewer than `k`.
///
/// It runs on the current rayon pool, and the result is the same at any number of threads: the distances are the same
/// bits that a search in an index of these rows gives. As in an index, the squares of a vector sum up to
/// [`crate::MAX_SQUARED_NORM`] at most.
///
/// # Panics
/// As [`ExactSearch::new`] and [`ExactSearch::add`].
pub fn exact(base: Matrix<'_>, queries: Matrix<'_>, metric: Metric, k: usize) -> Vec<Vec<(f32, u32)>> {
    let mut search = ExactSearch::new(queries, metric, k);
    search.add(base);
    search.finish()
}

/// As [`exact`], of rows that come in parts.
///
/// ```
/// use index::{ExactSearch, Matrix, Metric};
///
/// let mut search = ExactSearch::new(Matrix::new(&[1.0, 1.0], 2), Metric::L2, 2);
/// search.add(Matrix::new(&[1.0, 3.0, 9.0, 9.0], 2));
/// search.add(Matrix::new(&[1.0, 1.5], 2));
/// assert_eq!(search.finish(), [[(0.25, 2), (4.0, 0)]]);
/// ```
#[derive(Debug)]
pub struct ExactSearch<'q> {
    queries: Matrix<'q>,
    /// Of the queries; empty unless the metric is cosine.
    inverse_norms: Vec<f32>,
    distance: Distance,
    k: usize,
    nearest: Vec<Nearest>,
    /// Rows that were added.
    rows: usize,
}

impl<'q> ExactSearch<'q> {
    /// Looks for the `k` nearest rows of each query.
    ///
    /// # Panics
    /// If `k` is 0.
    pub fn new(queries: Matrix<'q>, metric: Metric, k: usize) -> Self {
        assert!(k > 0, "at least one row is looked for");
        let distance = Distance::new(metric);
        let inverse_norms = inverse_norms(queries, &distance);
        let nearest = vec![Nearest::default(); queries.rows()];
        Self { queries, inverse_norms, distance, k, nearest, rows: 0 }
    }

    /// Compares further rows with all queries. The first of them has the number of rows that were added before.
    ///
    /// # Panics
    /// If the rows have another dimension than the queries, or if there are more than [`crate::MAX_ROWS`] in all.
    pub fn add(&mut self, base: Matrix<'_>) {
        assert_eq!(base.dim(), self.queries.dim(), "rows and queries have one dimension");
        let first = self.rows;
        self.rows += base.rows();
        assert!(self.rows <= crate::MAX_ROWS, "more rows than an index may have");
        let base_norms = inverse_norms(base, &self.distance);
        let dim = base.dim();
        // A few queries are still work for all threads. The result does not depend on it.
        let share = self.queries.rows().div_ceil(rayon::current_num_threads());
        let block = share.min(BLOCK_BYTES / (4 * dim)).clamp(1, MAX_BLOCK_ROWS);
        let (distance, k, norms) = (&self.distance, self.k, &self.inverse_norms);
        let queries = self.queries.values().par_chunks(block * dim).enumerate();
        queries.zip(self.nearest.par_chunks_mut(block)).for_each(|((at, queries), nearest)| {
            let norms = if norms.is_empty() { &[][..] } else { &norms[at * block..][..nearest.len()] };
            compare(
                distance,
                Side { values: queries, norms },
                Side { values: base.values(), norms: &base_norms },
                dim,
                |query, row, distance| {
                    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ROWS")]
                    nearest[query].add(distance, (first + row) as u32, k);
                },
            );
        });
    }

    /// What was found among all rows that were added.
    pub fn finish(self) -> Vec<Vec<(f32, u32)>> {
        let k = self.k;
        self.nearest.into_par_iter().map(|nearest| nearest.sorted(k)).collect()
    }
}

/// Inverse norms of all rows where the metric needs them.
fn inverse_norms(matrix: Matrix<'_>, distance: &Distance) -> Vec<f32> {
    const ROWS_A_TASK: usize = 1024;
    if distance.metric() != Metric::Cosine {
        return Vec::new();
    }
    let rows = matrix.values().par_chunks(matrix.dim()).with_min_len(ROWS_A_TASK);
    rows.map(|row| distance.inverse_norm(row)).collect()
}

/// Rows with their inverse norms, which may be none.
#[derive(Clone, Copy)]
struct Side<'a> {
    values: &'a [f32],
    norms: &'a [f32],
}

impl Side<'_> {
    fn norm(&self, row: usize) -> f32 {
        self.norms.get(row).copied().unwrap_or(0.0)
    }
}

/// Calls `found` with every query, every row, and their distance; the rows of each query in order.
#[inline]
fn compare(
    distance: &Distance,
    queries: Side<'_>,
    base: Side<'_>,
    dim: usize,
    mut found: impl FnMut(usize, usize, f32),
) {
    // Four rows wait in the first cache until all queries of the block were there.
    for (group, four) in base.values.chunks(4 * dim).enumerate() {
        let first = group * 4;
        if four.len() == 4 * dim {
            let rows = std::array::from_fn(|i| &four[i * dim..(i + 1) * dim]);
            let norms = std::array::from_fn(|i| base.norm(first + i));
            for (query, values) in queries.values.chunks_exact(dim).enumerate() {
                let distances = distance.to_four(values, queries.norm(query), rows, norms);
                for (i, distance) in distances.into_iter().enumerate() {
                    found(query, first + i, distance);
                }
            }
        } else {
            for (i, row) in four.chunks_exact(dim).enumerate() {
                for (query, values) in queries.values.chunks_exact(dim).enumerate() {
                    let norm = base.norm(first + i);
                    found(query, first + i, distance.between(values, queries.norm(query), row, norm));
                }
            }
        }
    }
}

/// The nearest rows of one query so far: never fewer than the `k` nearest, and some more.
#[derive(Debug, Clone)]
struct Nearest {
    rows: Vec<Candidate>,
    /// No row that is farther is among the nearest.
    bound: f32,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { rows: Vec::new(), bound: f32::INFINITY }
    }
}

impl Nearest {
    #[inline]
    fn add(&mut self, distance: f32, row: u32, k: usize) {
        if distance <= self.bound {
            self.insert(Candidate::new(distance, row), k);
        }
    }

    fn insert(&mut self, candidate: Candidate, k: usize) {
        self.rows.push(candidate);
        // Now and then, so that picking costs little for each.
        if self.rows.len() >= k.saturating_mul(2).saturating_add(16) {
            let (_, kth, _) = self.rows.select_nth_unstable(k - 1);
            self.bound = kth.distance();
            self.rows.truncate(k);
        }
    }

    fn sorted(mut self, k: usize) -> Vec<(f32, u32)> {
        self.rows.sort_unstable();
        self.rows.truncate(k);
        self.rows.into_iter().map(|candidate| (candidate.distance(), candidate.node())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;
    use crate::level::hash;

    /// Small whole numbers: sums are exact, and many distances are equal.
    fn whole(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
        (0..(rows * dim) as u64).map(|i| (hash(seed, i) % 5) as f32 - 2.0).collect()
    }

    fn parts(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
        (0..(rows * dim) as u64).map(|i| (hash(seed, i) % 2001) as f32 / 1000.0 - 1.0).collect()
    }

    /// The definition, by the scalar kernels.
    fn naive(base: Matrix<'_>, queries: Matrix<'_>, metric: Metric, k: usize) -> Vec<Vec<(f32, u32)>> {
        let distance = Distance::with(metric, InstructionSet::Scalar).unwrap();
        let norm = |row: &[f32]| distance.inverse_norm(row);
        let of = |query: &[f32]| {
            let rows = base.values().chunks(base.dim()).zip(0..);
            let mut all: Vec<(f32, u32)> =
                rows.map(|(row, at)| (distance.between(query, norm(query), row, norm(row)), at)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            all
        };
        queries.values().chunks(queries.dim()).map(of).collect()
    }

    fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
    }

    #[test]
    fn all_are_compared_with_all() {
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            for (rows, queries, dim, k) in [
                (1, 1, 1, 1),
                (3, 2, 5, 10),
                (203, 70, 7, 10),
                (500, 3, 40, 100),
                (64, 130, 33, 1),
                (0, 2, 3, 4),
            ] {
                for make in [whole, parts] {
                    let (base, asked) = (make(1, rows, dim), make(2, queries, dim));
                    let (base, asked) = (Matrix::new(&base, dim), Matrix::new(&asked, dim));
                    let expected = naive(base, asked, metric, k);
                    for threads in [1, 3] {
                        let found = on_threads(threads, || exact(base, asked, metric, k));
                        assert_eq!(found, expected, "{metric} {rows} {queries} {dim} {k} {threads}");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_of_any_size_are_numbered_on() {
        let (dim, k) = (6, 9);
        let (base, queries) = (whole(1, 151, dim), whole(2, 20, dim));
        let queries = Matrix::new(&queries, dim);
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            for part in [1, 4, 37, 151] {
                let mut search = ExactSearch::new(queries, metric, k);
                base.chunks(part * dim).for_each(|part| search.add(Matrix::new(part, dim)));
                assert_eq!(search.finish(), naive(Matrix::new(&base, dim), queries, metric, k), "{part}");
            }
        }
    }
}
