//! How much of what is nearest a search finds.

use rayon::prelude::*;

use crate::file::Corrupt;
use crate::level::hash;
use crate::{Index, Matrix, Searcher, exact};

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
    #[expect(clippy::cast_precision_loss, reason = "a mean of less than 2^53 hits")]
    pub fn recall_of_sample(&self, k: usize, sample: usize, ef_search: usize) -> Result<f64, Corrupt> {
        assert!(k > 0, "at least one neighbour is looked for");
        let k = k.min(self.rows().saturating_sub(1));
        if k == 0 || sample == 0 {
            return Ok(1.0);
        }
        let mut rows: Vec<(u64, u32)> =
            (0..).take(self.rows()).map(|row: u32| (hash(0x7265_6361_6c6c, row.into()), row)).collect();
        if sample < rows.len() {
            rows.select_nth_unstable(sample);
            rows.truncate(sample);
        }
        rows.sort_unstable();
        let vectors = self.vectors()?;
        let queries: Vec<f32> = rows.iter().flat_map(|&(_, row)| vectors.row(row)).copied().collect();
        let nearest = exact(vectors, Matrix::new(&queries, self.dim()), self.header().params.metric, k + 1);
        let found: u64 = rows
            .par_iter()
            .zip(nearest)
            .map_init(
                || self.searcher(),
                |searcher, (&(_, row), nearest)| self.found_near(searcher, row, &nearest, k, ef_search),
            )
            .try_reduce(|| 0, |a, b| Ok(a + b))?;
        Ok(found as f64 / (rows.len() * k) as f64)
    }

    /// How many of the `k` nearest other rows of a row a search finds. `nearest` are its `k + 1` nearest rows, itself mostly
    /// among them.
    fn found_near(
        &self,
        searcher: &mut Searcher<'_>,
        row: u32,
        nearest: &[(f32, u32)],
        k: usize,
        ef_search: usize,
    ) -> Result<u64, Corrupt> {
        let own = self.id_of(row);
        let found = searcher.search(self.vector(row), k + 1, ef_search.max(k + 1))?;
        let others = nearest.iter().filter(|&&(_, other)| other != row);
        let farthest = others.map(|&(distance, _)| distance).nth(k - 1).unwrap_or(f32::INFINITY);
        let near = found.iter().filter(|hit| hit.id != own && hit.distance <= farthest).take(k);
        Ok(near.count() as u64)
    }
}
