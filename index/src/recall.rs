//! How much of what is nearest a search finds.

use rayon::prelude::*;

use crate::beam::Candidate;
use crate::file::Corrupt;
use crate::level::hash;
use crate::{Distance, ExactSearch, Index, Matrix, Searcher};

/// Vectors of about so many bytes are compared at a time.
const PART_BYTES: usize = 16 << 20;

impl Index {
    /// The mean recall@k of searches with `ef_search` for `sample` of its own rows, each without itself, against exact search.
    /// The rows are those with the least hashes of their numbers, so the result is the same at any number of threads; it runs
    /// on the current rayon pool. A row as near as the last of the exact ones counts as found, whichever of equal ones it is.
    ///
    /// An index without two rows has recall 1.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    ///
    /// # Panics
    /// If `k` is 0.
    pub fn recall_of_sample(&self, k: usize, sample: usize, ef_search: usize) -> Result<f64, Corrupt> {
        let Some(sampled) = Sample::of(self, k, sample) else { return Ok(1.0) };
        let dim = self.dim();
        let mut buffer = Vec::new();
        let mut queries = Vec::with_capacity(sampled.rows.len() * dim);
        for &row in &sampled.rows {
            queries.extend_from_slice(self.vectors_of(row as usize..row as usize + 1, &mut buffer)?.values());
        }
        let mut search =
            ExactSearch::new(Matrix::new(&queries, dim), self.header().params.metric, sampled.k + 1);
        let part = (PART_BYTES / (4 * dim)).max(1);
        for first in (0..self.rows()).step_by(part) {
            search.add(self.vectors_of(first..(first + part).min(self.rows()), &mut buffer)?);
        }
        sampled.recall(self, &queries, search.finish(), ef_search, |_, hit| hit.distance())
    }

    /// As [`Index::recall_of_sample`], against exact search in the rows that it was built from, where it stores them rounded:
    /// searches are for those rows, and a hit is as far as they are from each other.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    ///
    /// # Panics
    /// If `k` is 0, or if the matrix has another shape than the index.
    pub fn recall_of_sample_in(
        &self,
        originals: Matrix<'_>,
        k: usize,
        sample: usize,
        ef_search: usize,
    ) -> Result<f64, Corrupt> {
        assert_eq!((originals.rows(), originals.dim()), (self.rows(), self.dim()), "the rows of the index");
        let Some(sampled) = Sample::of(self, k, sample) else { return Ok(1.0) };
        let queries: Vec<f32> = sampled.rows.iter().flat_map(|&row| originals.row(row)).copied().collect();
        let metric = self.header().params.metric;
        let mut search = ExactSearch::new(Matrix::new(&queries, self.dim()), metric, sampled.k + 1);
        search.add(originals);
        let distance = Distance::new(metric);
        sampled.recall(self, &queries, search.finish(), ef_search, |query, hit| {
            let row = originals.row(hit.node());
            distance.between(query, distance.inverse_norm(query), row, distance.inverse_norm(row))
        })
    }
}

/// Rows whose neighbours are looked for.
struct Sample {
    rows: Vec<u32>,
    k: usize,
}

impl Sample {
    /// Nothing if there is nothing to look for.
    fn of(index: &Index, k: usize, sample: usize) -> Option<Self> {
        assert!(k > 0, "at least one neighbour is looked for");
        let k = k.min(index.rows().saturating_sub(1));
        if k == 0 || sample == 0 {
            return None;
        }
        let mut rows: Vec<(u64, u32)> =
            (0..).take(index.rows()).map(|row: u32| (hash(0x7265_6361_6c6c, row.into()), row)).collect();
        if sample < rows.len() {
            rows.select_nth_unstable(sample);
            rows.truncate(sample);
        }
        rows.sort_unstable();
        Some(Self { rows: rows.into_iter().map(|(_, row)| row).collect(), k })
    }

    /// The share of the `k` nearest other rows of each row that is found. `nearest` are the `k + 1` nearest of each, itself
    /// mostly among them; `distance` is how far a hit is from its query.
    #[expect(clippy::cast_precision_loss, reason = "a mean of less than 2^53 hits")]
    fn recall(
        &self,
        index: &Index,
        queries: &[f32],
        nearest: Vec<Vec<(f32, u32)>>,
        ef_search: usize,
        distance: impl Fn(&[f32], Candidate) -> f32 + Sync,
    ) -> Result<f64, Corrupt> {
        let k = self.k;
        let found_near = |searcher: &mut Searcher<'_>, row: u32, query: &[f32], nearest: &[(f32, u32)]| {
            let found = searcher.search_rows(query, k + 1, ef_search.max(k + 1))?;
            let others = nearest.iter().filter(|&&(_, other)| other != row);
            let farthest = others.map(|&(distance, _)| distance).nth(k - 1).unwrap_or(f32::INFINITY);
            let is_near = |hit: &&Candidate| hit.node() != row && distance(query, **hit) <= farthest;
            Ok(found.iter().filter(is_near).take(k).count() as u64)
        };
        let found: u64 = self
            .rows
            .par_iter()
            .zip(queries.par_chunks_exact(index.dim()))
            .zip(nearest)
            .map_init(
                || index.searcher(),
                |searcher, ((&row, query), nearest)| found_near(searcher, row, query, &nearest),
            )
            .try_reduce(|| 0, |a, b| Ok(a + b))?;
        Ok(found as f64 / (self.rows.len() * k) as f64)
    }
}
