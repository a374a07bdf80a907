//! The nearest rows by comparing all with all: what recall is measured against.

mod direct;
mod filter;
mod nearest;
mod scan;

use rayon::prelude::*;

use crate::vectors::{Matrix, PlainRows};
use crate::{Distance, Metric};
use filter::Filter;
use nearest::Nearest;

/// Rows that are compared at a time: about so many bytes, since codes are made of them.
const PORTION_BYTES: usize = 16 << 20;

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
    filter: Filter,
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
        Self { queries, inverse_norms, distance, k, nearest, filter: Filter::default(), rows: 0 }
    }

    /// Compares further rows with all queries. The first of them has the number of rows that were added before.
    ///
    /// # Panics
    /// If the rows have another dimension than the queries, or if there are more than [`crate::MAX_ROWS`] in all.
    pub fn add(&mut self, base: Matrix<'_>) {
        assert_eq!(base.dim(), self.queries.dim(), "rows and queries have one dimension");
        let (before, dim) = (self.rows, base.dim());
        self.rows += base.rows();
        assert!(self.rows <= crate::MAX_ROWS, "more rows than an index may have");
        let portion = (PORTION_BYTES / (4 * dim)).max(1);
        for (at, values) in base.values().chunks(portion * dim).enumerate() {
            let matrix = Matrix::new(values, dim);
            let norms = inverse_norms(matrix, &self.distance);
            #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ROWS")]
            let comparison = Comparison {
                distance: &self.distance,
                k: self.k,
                queries: PlainRows { matrix: self.queries, inverse_norms: &self.inverse_norms },
                base: PlainRows { matrix, inverse_norms: &norms },
                first: (before + at * portion) as u32,
            };
            if self.filter.compare(comparison, &mut self.nearest).is_none() {
                direct::compare(comparison, &mut self.nearest);
            }
        }
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

/// What is compared with what.
#[derive(Debug, Clone, Copy)]
struct Comparison<'a> {
    distance: &'a Distance,
    k: usize,
    queries: PlainRows<'a>,
    base: PlainRows<'a>,
    /// The number of the first row of `base` among all that were added.
    first: u32,
}

/// What the values of a row are multiplied by where the metric is cosine, and 1 otherwise.
#[inline]
fn norm_of(rows: PlainRows<'_>, metric: Metric, row: usize) -> f32 {
    if metric == Metric::Cosine { rows.inverse_norms[row] } else { 1.0 }
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

    /// As [`exact`], with codes wherever they are possible at all.
    fn by_codes(base: Matrix<'_>, queries: Matrix<'_>, metric: Metric, k: usize) -> Vec<Vec<(f32, u32)>> {
        let mut search = ExactSearch::new(queries, metric, k);
        search.filter.is_eager = true;
        // The later ones begin with the bounds of the earlier ones.
        let mut rest = base.values();
        for share in [2, 3, 1] {
            let (part, others) = rest.split_at(rest.len() / base.dim() / share * base.dim());
            search.add(Matrix::new(part, base.dim()));
            rest = others;
        }
        search.finish()
    }

    #[test]
    fn codes_leave_out_nothing_that_is_near() {
        type Make = fn(u64, usize, usize) -> Vec<f32>;
        let made: [(&str, Make); 11] = [
            ("whole", whole),
            ("parts", parts),
            ("equal", |_, rows, dim| vec![0.7; rows * dim]),
            ("zeros", |_, rows, dim| vec![0.0; rows * dim]),
            ("some zeros", |seed, rows, dim| {
                let keep =
                    |i: usize| f32::from(u8::from(!hash(seed + 9, (i / dim) as u64).is_multiple_of(3)));
                parts(seed, rows, dim).iter().enumerate().map(|(i, value)| value * keep(i)).collect()
            }),
            ("tiny", |seed, rows, dim| parts(seed, rows, dim).iter().map(|value| value * 1e-25).collect()),
            ("tinier", |seed, rows, dim| parts(seed, rows, dim).iter().map(|value| value * 1e-38).collect()),
            ("huge", |seed, rows, dim| parts(seed, rows, dim).iter().map(|value| value * 7e16).collect()),
            ("growing", |seed, rows, dim| {
                let grow = |i: usize| 1.02f32.powf((i / dim) as f32);
                parts(seed, rows, dim).iter().enumerate().map(|(i, value)| value * grow(i)).collect()
            }),
            ("far from 0", |seed, rows, dim| {
                parts(seed, rows, dim).iter().map(|v| 1000.0 + v / 100.0).collect()
            }),
            ("outliers", |seed, rows, dim| {
                let odd = |i: usize| if hash(seed, i as u64).is_multiple_of(97) { 3e12 } else { 1.0 };
                parts(seed, rows, dim).iter().enumerate().map(|(i, value)| value * odd(i)).collect()
            }),
        ];
        let shapes =
            [(90, 13, 1, 3), (300, 30, 5, 10), (203, 4, 31, 1), (77, 25, 70, 100), (150, 12, 384, 7)];
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            for (name, make) in made {
                for (other, make_query) in made {
                    for (rows, queries, dim, k) in shapes {
                        // All pairs of kinds once, all shapes of one kind.
                        if other != name && dim != 5 {
                            continue;
                        }
                        let (base, asked) = (make(1, rows, dim), make_query(2, queries, dim));
                        let (base, asked) = (Matrix::new(&base, dim), Matrix::new(&asked, dim));
                        let expected = naive(base, asked, metric, k);
                        let found = by_codes(base, asked, metric, k);
                        assert_eq!(found, expected, "{metric} {name} {other} {rows} {queries} {dim} {k}");
                    }
                }
            }
        }
    }

    #[test]
    fn codes_leave_out_most_of_what_is_far() {
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            let (rows, queries, dim, k) = (3000, 40, 48, 10);
            let (base, asked) = (parts(1, rows, dim), parts(2, queries, dim));
            let (base, asked) = (Matrix::new(&base, dim), Matrix::new(&asked, dim));
            let (distance, mut nearest) = (Distance::new(metric), vec![Nearest::default(); queries]);
            let of_base = inverse_norms(base, &distance);
            let of_queries = inverse_norms(asked, &distance);
            let comparison = Comparison {
                distance: &distance,
                k,
                queries: PlainRows { matrix: asked, inverse_norms: &of_queries },
                base: PlainRows { matrix: base, inverse_norms: &of_base },
                first: 0,
            };
            let compared = Filter::default().compare(comparison, &mut nearest);
            assert!(compared.is_some_and(|pairs| pairs < rows * queries / 20), "{metric} {compared:?}");
            let found: Vec<_> = nearest.into_iter().map(|nearest| nearest.sorted(k)).collect();
            assert_eq!(found, naive(base, asked, metric, k), "{metric}");
        }
    }

    #[test]
    fn long_vectors_have_bounds_too() {
        for dim in [3072, 40_000] {
            let (base, asked) = (parts(1, 40, dim), parts(2, 12, dim));
            let (base, asked) = (Matrix::new(&base, dim), Matrix::new(&asked, dim));
            for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
                assert_eq!(by_codes(base, asked, metric, 5), naive(base, asked, metric, 5), "{metric} {dim}");
            }
        }
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
