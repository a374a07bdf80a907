//! Rows as 8-bit codes: a quarter of the bytes, and products of whole numbers.
//!
//! A code is a value less the mean of its column, on one scale for all columns, rounded to -127..=127 and kept with 128
//! added. Values beyond the scale are cut off: the scale is the one with the least squared error on a sample, so that a
//! few huge values do not cost all others their precision. Distances of codes are whole numbers and so the same
//! everywhere; they only propose, and exact distances decide.

use rayon::prelude::*;

use crate::distance::products::{LINE_BYTES, Products};
use crate::level::hash;
use crate::mmap::AnonymousBytes;
use crate::vectors::Rows;
use crate::{Metric, Params};

/// The code 0, as it is kept.
const ZERO: u8 = 128;

/// Rows that mean and scale are taken from.
const SAMPLE_ROWS: usize = 1024;

/// How values become codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantizer {
    /// What is subtracted from the value of each column.
    pub(crate) centre: Vec<f32>,
    /// Codes a unit.
    pub(crate) scale: f32,
    /// The largest code.
    pub(crate) limit: f32,
}

impl Quantizer {
    /// The largest code with which distances of rows of `dim` codes, at most `4 * dim * limit^2`, fit 31 bits.
    fn limit(dim: usize) -> f32 {
        (f64::from(i32::MAX) / (4.0 * dim as f64)).sqrt().floor().min(127.0) as f32
    }

    /// Chooses centre and scale from a sample that depends on the seed.
    pub(crate) fn fit(rows: &impl Rows, params: &Params) -> Self {
        let matrix = rows.matrix();
        let dim = matrix.dim();
        let count = matrix.rows().min(SAMPLE_ROWS);
        let sample: Vec<u32> = if count < SAMPLE_ROWS {
            (0..count as u32).collect()
        } else {
            (0..count as u64)
                .map(|i| (hash(params.seed ^ 0x0c0d_e5, i) % matrix.rows() as u64) as u32)
                .collect()
        };
        let mut centre = vec![0.0; dim];
        if params.metric != Metric::Ip && count > 0 {
            let mut sums = vec![0.0f64; dim];
            for &row in &sample {
                let factor = factor(rows, row);
                for (sum, value) in sums.iter_mut().zip(matrix.row(row)) {
                    *sum += f64::from(value * factor);
                }
            }
            centre = sums.into_iter().map(|sum| (sum / count as f64) as f32).collect();
        }
        let mut largest = 0.0f32;
        let offsets = |row: u32| {
            let factor = factor(rows, row);
            matrix.row(row).iter().zip(&centre).map(move |(value, centre)| (value * factor - centre).abs())
        };
        for &row in &sample {
            largest = offsets(row).fold(largest, f32::max);
        }
        let limit = Self::limit(dim);
        // Below it the scale would be no finite number; the rows are as good as equal then.
        if largest < f32::MIN_POSITIVE * 1e6 {
            return Self { centre, scale: 0.0, limit };
        }
        let mut histogram = vec![0u64; BINS];
        for &row in &sample {
            for offset in offsets(row) {
                let bin = (offset / largest * BINS as f32) as usize;
                histogram[bin.min(BINS - 1)] += 1;
            }
        }
        let cut = least_error(&histogram, f64::from(limit)) * f64::from(largest);
        Self { centre, scale: (f64::from(limit) / cut) as f32, limit }
    }

    /// The numbers in the file: scale, limit, centre.
    pub(crate) fn to_values(&self) -> Vec<f32> {
        [self.scale, self.limit].into_iter().chain(self.centre.iter().copied()).collect()
    }

    /// From the numbers in the file, if they make sense.
    pub(crate) fn from_values(values: &[f32], dim: usize) -> Option<Self> {
        let [scale, limit, centre @ ..] = values else { return None };
        let is_right = centre.len() == dim
            && scale.is_finite()
            && *scale >= 0.0
            && *limit == Self::limit(dim)
            && centre.iter().all(|value| value.is_finite());
        is_right.then(|| Self { centre: centre.to_vec(), scale: *scale, limit: *limit })
    }

    /// Writes the codes of a vector, each value first multiplied by `factor`, and zeros up to the end of `codes`.
    pub(crate) fn encode(&self, vector: &[f32], factor: f32, codes: &mut [u8]) {
        /// Added to a number under 2^22 it leaves the number, rounded to the nearest even, in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let Self { scale, limit, .. } = *self;
        for ((code, value), centre) in codes.iter_mut().zip(vector).zip(&self.centre) {
            let scaled = (value * factor - centre) * scale;
            let rounded = scaled.max(-limit).min(limit) + ROUND;
            *code = (rounded.to_bits() as u8).wrapping_add(ZERO);
        }
        codes[vector.len()..].fill(ZERO);
    }
}

/// Bins of the histogram of values.
const BINS: usize = 2048;

/// Where to cut values off, as a share of the largest, for the least sum of squared errors of rounding and cutting.
fn least_error(histogram: &[u64], limit: f64) -> f64 {
    let bins = histogram.len() as f64;
    let mut best = (f64::INFINITY, 1.0);
    for step in 1..=64 {
        let cut = f64::from(step) / 64.0;
        let rounding = (cut / limit).powi(2) / 12.0;
        let error: f64 = (histogram.iter().enumerate())
            .map(|(bin, &count)| {
                let over = ((bin as f64 + 0.5) / bins - cut).max(0.0);
                count as f64 * (rounding + over * over)
            })
            .sum();
        if error < best.0 {
            best = (error, cut);
        }
    }
    best.1
}

/// What the values of a row are multiplied by before they become codes: cosine compares directions.
fn factor(rows: &impl Rows, row: u32) -> f32 {
    if rows.inverse_norms().is_empty() { 1.0 } else { rows.inverse_norm(row) }
}

/// Bytes of a row of codes.
pub(crate) fn stride_bytes(dim: usize) -> usize {
    dim.next_multiple_of(LINE_BYTES)
}

/// What a row adds to its distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Terms {
    /// As the row that is compared with others: with what the products lack because the others have 128 added.
    pub(crate) left: i32,
    /// As one of the others.
    pub(crate) right: i32,
}

impl Terms {
    /// The squared norm of the codes (nothing for inner products), and on the left side 256 times their sum.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "at most 2^16 codes")]
    pub(crate) fn of(metric: Metric, codes: &[u8], products: &Products) -> Self {
        let with_excess: u32 = codes.iter().map(|&code| u32::from(code)).sum();
        let sum = with_excess as i32 - i32::from(ZERO) * codes.len() as i32;
        let squares = products.four(codes, [codes; 4])[0].wrapping_sub(i32::from(ZERO).wrapping_mul(sum));
        let right = if metric == Metric::Ip { 0 } else { squares };
        Self { left: right.wrapping_add(sum.wrapping_mul(256)), right }
    }
}

/// All rows as codes.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) quantizer: Quantizer,
    bytes: AnonymousBytes,
    left: Vec<i32>,
    right: Vec<i32>,
    stride_bytes: usize,
    products: &'static Products,
}

impl Codes {
    /// Encodes all rows on the current rayon pool.
    pub(crate) fn new(rows: &impl Rows, params: &Params, products: &'static Products) -> Self {
        const ROWS_A_TASK: usize = 256;
        let quantizer = Quantizer::fit(rows, params);
        let matrix = rows.matrix();
        let stride_bytes = stride_bytes(matrix.dim());
        let mut bytes = AnonymousBytes::new(matrix.rows() * stride_bytes);
        let (mut left, mut right) = (vec![0; matrix.rows()], vec![0; matrix.rows()]);
        let tasks = bytes.as_mut_slice().par_chunks_mut(ROWS_A_TASK * stride_bytes);
        let terms = left.par_chunks_mut(ROWS_A_TASK).zip(right.par_chunks_mut(ROWS_A_TASK));
        tasks.zip(terms).enumerate().for_each(|(task, (bytes, (left, right)))| {
            let first = (task * ROWS_A_TASK) as u32;
            let rows_of_task = (first..).zip(bytes.chunks_exact_mut(stride_bytes));
            for ((row, codes), (left, right)) in rows_of_task.zip(left.iter_mut().zip(right)) {
                quantizer.encode(matrix.row(row), factor(rows, row), codes);
                let terms = Terms::of(params.metric, codes, products);
                (*left, *right) = (terms.left, terms.right);
            }
        });
        Self { quantizer, bytes, left, right, stride_bytes, products }
    }

    pub(crate) fn view(&self) -> CodesView<'_> {
        CodesView {
            bytes: self.bytes.as_slice(),
            left: &self.left,
            right: &self.right,
            stride_bytes: self.stride_bytes,
            products: self.products,
        }
    }
}

/// Rows as codes, in memory or in a mapped file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodesView<'a> {
    pub(crate) bytes: &'a [u8],
    /// The left terms of the rows; none in a file, where rows are only ever compared with queries.
    pub(crate) left: &'a [i32],
    pub(crate) right: &'a [i32],
    pub(crate) stride_bytes: usize,
    pub(crate) products: &'static Products,
}

impl<'a> CodesView<'a> {
    #[inline]
    pub(crate) fn row(&self, row: u32) -> &'a [u8] {
        let start = row as usize * self.stride_bytes;
        &self.bytes[start..start + self.stride_bytes]
    }

    /// Writes the signed codes of a row.
    #[inline]
    pub(crate) fn signed(&self, row: u32, out: &mut [i8]) {
        for (&code, out) in self.row(row).iter().zip(out) {
            *out = (code ^ ZERO).cast_signed();
        }
    }

    /// The distances of a row to four others.
    #[inline]
    pub(crate) fn to_four(&self, row: u32, others: [u32; 4]) -> [i32; 4] {
        self.from_codes(self.row(row), self.left[row as usize], others)
    }

    /// The distances of codes with their left term to four rows.
    #[inline]
    pub(crate) fn from_codes(&self, codes: &[u8], left: i32, others: [u32; 4]) -> [i32; 4] {
        let products = self.products.four(codes, others.map(|other| self.row(other)));
        std::array::from_fn(|i| {
            let terms = left.wrapping_add(self.right[others[i] as usize]);
            terms.wrapping_sub(products[i].wrapping_mul(2))
        })
    }
}
