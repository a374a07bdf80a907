//! How far rows are from their codes, for a file.

use rayon::prelude::*;

use super::bounds::{Bounds, Errors};
use super::{Codes, CodesView};
use crate::Metric;
use crate::vectors::Rows;

/// Finds the errors of the codes of rows; see [`super::bounds`].
#[derive(Debug)]
pub(crate) struct ErrorsOfCodes<'a> {
    bounds: Bounds,
    codes: &'a Codes,
    view: CodesView<'a>,
    dim: usize,
}

impl<'a> ErrorsOfCodes<'a> {
    /// Nothing where distances by codes tell nothing about others.
    pub(crate) fn new(codes: &'a Codes, metric: Metric, dim: usize) -> Option<Self> {
        let bounds = Bounds::of(metric, dim, &codes.quantizer)?;
        Some(Self { bounds, codes, view: codes.view(), dim })
    }

    /// Those of a row, which is `vector` in the file; `factor` is its inverse norm for cosine, else 1.
    pub(crate) fn of(&self, row: usize, vector: &[f32], factor: f32) -> Errors {
        #[expect(clippy::cast_possible_truncation, reason = "rows have 31 bits")]
        let codes = &self.view.row(row as u32)[..self.dim];
        self.bounds.errors(vector, factor, &self.codes.quantizer, codes)
    }

    /// Those of all rows, on the current rayon pool.
    pub(crate) fn of_all(&self, rows: &impl Rows) -> Vec<Errors> {
        const ROWS_A_TASK: usize = 256;
        let vectors = rows.matrix().values().par_chunks_exact(self.dim).enumerate();
        let of_row = |(row, vector)| {
            let factor = rows.inverse_norms().get(row).copied().unwrap_or(1.0);
            self.of(row, vector, factor)
        };
        vectors.with_min_len(ROWS_A_TASK).map(of_row).collect()
    }
}
