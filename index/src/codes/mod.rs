//! Rows as 8-bit codes: a quarter of the bytes, and products of whole numbers.
//!
//! A code is a value less the mean of its column, on one scale for all columns, rounded to -127..=127 and kept with 128
//! added. Values beyond the scale are cut off: the scale is the one with the least squared error on a sample without its
//! outliers, so that a few huge values do not cost all others their precision. Distances of codes are whole numbers and so the same
//! everywhere; they only propose, and exact distances decide.

pub(crate) mod bounds;
mod errors;
pub(crate) mod packed;
mod quantizer;

use rayon::prelude::*;

pub(crate) use errors::ErrorsOfCodes;
pub(crate) use quantizer::Quantizer;

use crate::distance::products::{LINE_BYTES, Products, TILE_STEP};
use crate::mmap::AnonymousBytes;
use crate::vectors::Rows;
use crate::{Metric, Params};

/// The code 0, as it is kept.
pub(crate) const ZERO: u8 = 128;

/// What the values of a row are multiplied by before they become codes: cosine compares directions.
fn factor(rows: &impl Rows, row: u32) -> f32 {
    if rows.inverse_norms().is_empty() { 1.0 } else { rows.inverse_norm(row) }
}

/// Bytes of a row of codes.
pub(crate) fn stride_bytes(dim: usize) -> usize {
    dim.next_multiple_of(LINE_BYTES)
}

/// Bytes of a row of codes that hold codes, in whole steps of a tile: those behind them are all the code 0.
pub(crate) fn used_bytes(dim: usize) -> usize {
    dim.next_multiple_of(TILE_STEP)
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

/// Rows of codes with what distances need beside them.
#[derive(Debug)]
pub(crate) struct CodeTable {
    bytes: AnonymousBytes,
    left: Vec<i32>,
    right: Vec<i32>,
    stride_bytes: usize,
    used_bytes: usize,
    products: &'static Products,
}

impl CodeTable {
    /// `rows` rows of `dim` codes on the current rayon pool: `encode` gets the number of a row and the place of its codes
    /// and of those of some rows behind it, [`stride_bytes`] apart, and fills them.
    pub(crate) fn new(
        rows: usize,
        dim: usize,
        metric: Metric,
        products: &'static Products,
        encode: impl Fn(u32, &mut [u8]) + Sync,
    ) -> Self {
        const ROWS_A_TASK: usize = 256;
        let stride_bytes = stride_bytes(dim);
        let mut bytes = AnonymousBytes::new(rows * stride_bytes);
        let (mut left, mut right) = (vec![0; rows], vec![0; rows]);
        let tasks = bytes.as_mut_slice().par_chunks_mut(ROWS_A_TASK * stride_bytes);
        let terms = left.par_chunks_mut(ROWS_A_TASK).zip(right.par_chunks_mut(ROWS_A_TASK));
        tasks.zip(terms).enumerate().for_each(|(task, (bytes, (left, right)))| {
            #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
            encode((task * ROWS_A_TASK) as u32, bytes);
            let rows = bytes.chunks_exact(stride_bytes);
            for (codes, (left, right)) in rows.zip(left.iter_mut().zip(right)) {
                let terms = Terms::of(metric, codes, products);
                (*left, *right) = (terms.left, terms.right);
            }
        });
        Self { bytes, left, right, stride_bytes, used_bytes: used_bytes(dim), products }
    }

    pub(crate) fn view(&self) -> CodesView<'_> {
        CodesView {
            bytes: self.bytes.as_slice(),
            left: &self.left,
            right: &self.right,
            stride_bytes: self.stride_bytes,
            used_bytes: self.used_bytes,
            products: self.products,
        }
    }
}

/// All rows as codes.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) quantizer: Quantizer,
    /// Whether they are known to order rows as the vectors do.
    pub(crate) are_faithful: bool,
    table: CodeTable,
}

impl Codes {
    /// Encodes all rows on the current rayon pool.
    pub(crate) fn new(rows: &impl Rows, params: &Params, products: &'static Products) -> Self {
        let quantizer = Quantizer::fit(rows, params);
        let matrix = rows.matrix();
        let stride = stride_bytes(matrix.dim());
        let table = CodeTable::new(matrix.rows(), matrix.dim(), params.metric, products, |first, bytes| {
            for (row, codes) in (first..).zip(bytes.chunks_exact_mut(stride)) {
                quantizer.encode(matrix.row(row), factor(rows, row), codes);
            }
        });
        Self { quantizer, are_faithful: false, table }
    }

    pub(crate) fn view(&self) -> CodesView<'_> {
        self.table.view()
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
    pub(crate) used_bytes: usize,
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
    pub(crate) fn distances_of(&self, row: u32, others: [u32; 4]) -> [i32; 4] {
        self.distances(self.row(row), self.left[row as usize], others)
    }

    /// The distances of codes with their left term to four rows.
    #[inline]
    pub(crate) fn distances(&self, codes: &[u8], left: i32, others: [u32; 4]) -> [i32; 4] {
        let products = self.products.four(codes, others.map(|other| self.row(other)));
        std::array::from_fn(|i| {
            let terms = left.wrapping_add(self.right[others[i] as usize]);
            terms.wrapping_sub(products[i].wrapping_mul(2))
        })
    }
}
