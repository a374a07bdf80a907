//! The rows of an index: a matrix and what the metric needs beside it.

use std::fmt;

use rayon::prelude::*;

use crate::build::Monitor;
use crate::file::Corrupt;
use crate::{Distance, Metric};

/// A row-major f32 matrix that somebody else owns: usually a mapped file.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Matrix<'a> {
    /// `values.len() / dim` rows.
    ///
    /// # Panics
    /// If `dim` is 0 or does not divide the number of values.
    pub fn new(values: &'a [f32], dim: usize) -> Self {
        assert!(dim > 0, "vectors have at least one value");
        assert_eq!(values.len() % dim, 0, "{} values are not whole rows of {dim}", values.len());
        Self { values, dim }
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dim
    }

    /// All values, row-major.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, row: u32) -> &'a [f32] {
        let start = row as usize * self.dim;
        &self.values[start..start + self.dim]
    }
}

/// A row that cannot be indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRow {
    /// The row, counted from 0.
    pub row: u64,
    /// What is wrong with it: what was expected and what was found.
    pub reason: &'static str,
}

impl fmt::Display for InvalidRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.reason)
    }
}

impl std::error::Error for InvalidRow {}

/// The largest squared norm of a row or a query. The squared distance of two vectors is at most twice the sum of their
/// squared norms, so up to here every distance is a finite f32.
pub const MAX_SQUARED_NORM: f32 = 4e37;

/// Computes the inverse norms that [`Metric::Cosine`] needs (none for the others), and checks on the way that every
/// row's squared norm is at most [`MAX_SQUARED_NORM`]: no NaN, no infinity, no values whose distances overflow.
///
/// When the monitor says to stop, the outcome means nothing.
///
/// # Errors
/// The first row that is not.
pub(crate) fn inverse_norms(
    matrix: Matrix<'_>,
    distance: &Distance,
    monitor: &dyn Monitor,
) -> Result<Vec<f32>, InvalidRow> {
    const ROWS_A_TASK: usize = 1024;
    let check = |(row, vector): (usize, &[f32])| -> Result<f32, InvalidRow> {
        if monitor.is_cancelled() {
            return Ok(0.0);
        }
        if distance.squared_norm(vector) <= MAX_SQUARED_NORM {
            return Ok(distance.inverse_norm(vector));
        }
        let reason = if vector.iter().all(|value| value.is_finite()) {
            "expected values whose squares sum up to 4e37 at most, found more: distances would overflow"
        } else {
            "expected finite values, found NaN or an infinity"
        };
        Err(InvalidRow { row: row as u64, reason })
    };
    let rows = matrix.values.par_chunks(matrix.dim).with_min_len(ROWS_A_TASK).enumerate();
    let failed = |results: Vec<Result<f32, InvalidRow>>| results.into_iter().collect();
    if distance.metric() == Metric::Cosine {
        return failed(rows.map(check).collect());
    }
    match rows.filter_map(|row| check(row).err()).min_by_key(|invalid| invalid.row) {
        Some(invalid) => Err(invalid),
        None => Ok(Vec::new()),
    }
}

/// Rows as the search sees them: by number, with their inverse norms, and checked where they come from a file.
pub(crate) trait Rows: Sync {
    /// The vectors.
    fn matrix(&self) -> Matrix<'_>;

    /// The inverse norms; empty unless the metric is cosine.
    fn inverse_norms(&self) -> &[f32];

    /// Makes sure that the row may be used. For rows in memory there is nothing to do.
    fn check(&self, row: u32) -> Result<(), Corrupt>;

    /// The inverse norm of a row, or 0 where the metric needs none.
    #[inline]
    fn inverse_norm(&self, row: u32) -> f32 {
        self.inverse_norms().get(row as usize).copied().unwrap_or(0.0)
    }
}

/// Rows in memory, or in a map that nobody has to check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainRows<'a> {
    pub(crate) matrix: Matrix<'a>,
    pub(crate) inverse_norms: &'a [f32],
}

impl Rows for PlainRows<'_> {
    #[inline]
    fn matrix(&self) -> Matrix<'_> {
        self.matrix
    }

    #[inline]
    fn inverse_norms(&self) -> &[f32] {
        self.inverse_norms
    }

    #[inline]
    fn check(&self, _row: u32) -> Result<(), Corrupt> {
        Ok(())
    }
}
