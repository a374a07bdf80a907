//! What the counts of all rows say together.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

use super::findings::Finding;
use super::tally::{ID_ROW_BITS, ROW_BITS, Rows, Tally, Values, keep_first};
use crate::pipeline::IdSource;
use crate::stages::DrawnRows;

/// A row has length 1 if it has nearly.
const UNIT_TOLERANCE: f32 = 1e-3;

/// Bars of the histogram.
const BINS: usize = 40;

/// Everything that is known in the end: what `--json` prints. Rows are counted from 0.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) schema: u32,
    /// What all files are called together.
    #[serde(skip)]
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
    pub(super) formats: Vec<&'static str>,
    /// Those of ids and further columns in other files.
    pub(super) column_formats: Vec<&'static str>,
    /// What told the format of the first file.
    pub(super) recognised_by: String,
    pub(super) size_bytes: u64,
    /// The rows that are wanted; those that were looked at are fewer with `--sample`.
    pub(super) rows: u64,
    pub(super) rows_inspected: u64,
    pub(super) dim: usize,
    /// The type of a value in the first file.
    pub(super) dtype: &'static str,
    /// The metric that is recorded.
    pub(super) metric: Option<&'static str>,
    /// `row_numbers`, `u64` or `text`.
    pub(super) ids: &'static str,
    pub(super) columns: Vec<Column>,
    /// Of the rows that are finite; none where there are no such rows.
    pub(super) norms: Option<Norms>,
    /// Rows of length 1, to a thousandth.
    pub(super) unit_rows: u64,
    pub(super) nan: Rows,
    pub(super) infinite: Rows,
    pub(super) zero: Rows,
    /// Rows with the bytes of an earlier row.
    pub(super) copies: Copies,
    /// Rows with the id of an earlier row; none where ids are row numbers.
    pub(super) id_copies: Option<Copies>,
    pub(super) values: Values,
    pub(super) spread: Spread,
    pub(super) findings: Vec<Finding>,
}

/// A further column.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) r#type: String,
    /// How many values are missing.
    pub(super) nulls: u64,
}

/// Lengths of rows (L2). Quantiles are lengths that rows have.
#[derive(Debug, Serialize)]
pub(super) struct Norms {
    pub(super) min: f32,
    pub(super) p01: f32,
    pub(super) median: f32,
    pub(super) p99: f32,
    pub(super) max: f32,
    pub(super) mean: f64,
    pub(super) histogram: Histogram,
}

/// Counts in bins of one width between the least and the greatest; one bin where these are the same.
#[derive(Debug, Serialize)]
pub(super) struct Histogram {
    pub(super) from: f32,
    pub(super) to: f32,
    pub(super) counts: Vec<u64>,
}

impl Norms {
    /// Of lengths in ascending order.
    #[expect(clippy::cast_precision_loss, reason = "a mean, of less than 2^53 rows")]
    fn of(sorted: &[f32]) -> Option<Self> {
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        let mean = sorted.iter().map(|&norm| f64::from(norm)).sum::<f64>() / sorted.len() as f64;
        let histogram = Histogram::of(sorted, min, max);
        Some(Self { min, p01: at(1), median: at(50), p99: at(99), max, mean, histogram })
    }
}

impl Histogram {
    fn of(norms: &[f32], from: f32, to: f32) -> Self {
        let bins = if from == to { 1 } else { BINS };
        let mut counts = vec![0; bins];
        let (start, width) = (f64::from(from), f64::from(to) - f64::from(from));
        for &norm in norms {
            #[expect(clippy::cast_precision_loss, reason = "a few bins")]
            let place = (f64::from(norm) - start) / width * bins as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 and on; NaN is 0")]
            let bin = (place as usize).min(bins - 1);
            counts[bin] += 1;
        }
        Self { from, to, counts }
    }
}

/// Rows that are the same as earlier ones.
#[derive(Debug, Default, Serialize)]
pub(super) struct Copies {
    /// How many.
    pub(super) rows: u64,
    /// The first of them.
    pub(super) first: Vec<SameRow>,
}

/// A row, and the first one that is the same.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct SameRow {
    pub(super) row: u64,
    pub(super) same_as: u64,
}

impl Copies {
    /// Of keys in ascending order that end in so many bits of row numbers.
    fn of(sorted: &[u128], row_bits: u32) -> Self {
        let mut copies = Self::default();
        #[expect(clippy::cast_possible_truncation, reason = "at most 64 bits are left")]
        let row = |key: u128| (key & ((1 << row_bits) - 1)) as u64;
        for same in sorted.chunk_by(|a, b| a >> row_bits == b >> row_bits) {
            copies.rows += same.len() as u64 - 1;
            for &key in &same[1..] {
                keep_first(&mut copies.first, SameRow { row: row(key), same_as: row(same[0]) });
            }
        }
        copies
    }
}

/// How the dimensions differ.
#[derive(Debug, Default, Serialize)]
pub(super) struct Spread {
    /// Dimensions that have one value in all finite rows; none where there are less than two such rows.
    pub(super) constant_dims: Vec<usize>,
    /// From how many rows, drawn by their numbers, the rest is.
    pub(super) sample_rows: u64,
    /// The dimension that varies most.
    pub(super) top_dim: Option<usize>,
    /// Its share of the variance of all dimensions.
    pub(super) top_share: Option<f64>,
}

impl Spread {
    fn of(tally: &Tally, sample: &DrawnRows) -> Self {
        let bounds = tally.low.iter().zip(&tally.high).enumerate();
        let is_known = tally.norms.len() > 1;
        let constant_dims = bounds.filter(|(_, (low, high))| is_known && low == high).map(|(dim, _)| dim);
        let rows: Vec<&[f32]> =
            sample.vectors().filter(|vector| vector.iter().all(|value| value.is_finite())).collect();
        let variances = variances(&rows, sample.dim());
        let all: f64 = variances.iter().sum();
        let top = variances.iter().enumerate().reduce(|top, one| if one.1 > top.1 { one } else { top });
        let top = top.filter(|_| all > 0.0);
        Self {
            constant_dims: constant_dims.collect(),
            sample_rows: rows.len() as u64,
            top_dim: top.map(|(dim, _)| dim),
            top_share: top.map(|(_, variance)| variance / all),
        }
    }
}

/// The variance of each dimension, times the number of rows.
#[expect(clippy::cast_precision_loss, reason = "a sample")]
fn variances(rows: &[&[f32]], dim: usize) -> Vec<f64> {
    let mut means = vec![0f64; dim];
    for row in rows {
        means.iter_mut().zip(*row).for_each(|(mean, &value)| *mean += f64::from(value));
    }
    means.iter_mut().for_each(|mean| *mean /= rows.len().max(1) as f64);
    let mut sums = vec![0f64; dim];
    for row in rows {
        for ((sum, mean), &value) in sums.iter_mut().zip(&means).zip(*row) {
            let difference = f64::from(value) - mean;
            *sum += difference * difference;
        }
    }
    sums
}

impl Summary {
    /// How many rows are finite.
    pub(super) fn norms_count(&self) -> u64 {
        self.norms.as_ref().map_or(0, |norms| norms.histogram.counts.iter().sum())
    }

    /// Adds what was counted to what was known before a row was read.
    pub(super) fn complete(&mut self, mut tally: Tally, sample: &DrawnRows, ids: IdSource) {
        tally.norms.par_sort_unstable_by(f32::total_cmp);
        tally.vectors.par_sort_unstable();
        tally.ids.par_sort_unstable();
        self.rows_inspected = tally.rows;
        // Some sources are counted only by reading them.
        self.rows = self.rows.max(tally.rows);
        self.norms = Norms::of(&tally.norms);
        let is_unit = |norm: &&f32| (**norm - 1.0).abs() <= UNIT_TOLERANCE;
        self.unit_rows = tally.norms.iter().filter(is_unit).count() as u64;
        self.copies = Copies::of(&tally.vectors, ROW_BITS);
        self.id_copies = match ids {
            IdSource::RowNumbers => None,
            IdSource::Given => Some(Copies::of(&tally.ids, ID_ROW_BITS)),
            IdSource::Text => Some(Copies::of(&tally.ids, ROW_BITS)),
        };
        for (column, &nulls) in self.columns.iter_mut().zip(&tally.nulls) {
            column.nulls = nulls;
        }
        self.spread = Spread::of(&tally, sample);
        (self.nan, self.infinite, self.zero) = (tally.nan, tally.infinite, tally.zero);
        self.values = tally.values;
        if !tally.norms.is_empty() {
            self.values.min = tally.low.iter().copied().min_by(f32::total_cmp);
            self.values.max = tally.high.iter().copied().max_by(f32::total_cmp);
        }
    }
}
