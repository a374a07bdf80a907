//! Parts of the engine by themselves, for measurements. Not part of the API: everything here may change or go at any
//! time.

use crate::InstructionSet;
pub use crate::build::LeafBench;
use crate::codes::stride_bytes;
use crate::distance::products::{Products, TILE_COLUMNS, TILE_ROWS, TileInput, TileOutput, TileValues};
use crate::level::hash;
use crate::mmap::AnonymousBytes;

/// Pairs of a tile.
pub const TILE_PAIRS: usize = TILE_ROWS * TILE_COLUMNS;

/// The products of codes by one instruction set, with codes to compute on.
#[derive(Debug)]
pub struct ProductsBench {
    products: &'static Products,
    codes: AnonymousBytes,
    stride_bytes: usize,
    signed: Vec<i8>,
    distances: TileValues,
    row_minima: TileValues,
    column_minima: [i32; TILE_COLUMNS],
}

impl ProductsBench {
    /// Random codes of rows of `dim` values, the same every time. Nothing where the machine lacks the instruction set,
    /// or takes the products of another one for it.
    pub fn new(set: InstructionSet, dim: usize) -> Option<Self> {
        let products = Products::with(set)?;
        let is_of_another = |other: &InstructionSet| {
            Products::with(*other).is_some_and(|products_of_other| std::ptr::eq(products_of_other, products))
        };
        if InstructionSet::ALL.iter().take_while(|&&other| other != set).any(is_of_another) {
            return None;
        }
        let stride_bytes = stride_bytes(dim);
        // Where those of an index are: what begins on a page is read faster than what begins anywhere.
        let mut codes = AnonymousBytes::new(TILE_COLUMNS * stride_bytes);
        for (i, code) in (0..).zip(codes.as_mut_slice()) {
            *code = hash(1, i).to_le_bytes()[0].max(1);
        }
        let rows = &codes.as_slice()[..TILE_ROWS * stride_bytes];
        let signed = rows.iter().map(|code| (code ^ 128).cast_signed()).collect();
        Some(Self {
            products,
            codes,
            stride_bytes,
            signed,
            distances: [[0; TILE_COLUMNS]; TILE_ROWS],
            row_minima: [[i32::MAX; TILE_COLUMNS]; TILE_ROWS],
            column_minima: [i32::MAX; TILE_COLUMNS],
        })
    }

    /// The products of a row with four others.
    #[inline]
    pub fn four(&self) -> [i32; 4] {
        let codes = self.codes.as_slice();
        let row = |row: usize| &codes[row * self.stride_bytes..(row + 1) * self.stride_bytes];
        self.products.four(row(0), [row(1), row(2), row(3), row(4)])
    }

    /// The distances of a whole tile; returns those of its first row.
    #[inline]
    pub fn tile(&mut self) -> &[i32] {
        let Self { products, codes, signed, distances, row_minima, column_minima, .. } = self;
        let input = TileInput {
            rows: signed,
            row_terms: &[0; TILE_ROWS],
            panel: codes.as_slice(),
            column_terms: &[0; TILE_COLUMNS],
            valid: &[u32::MAX; TILE_ROWS],
        };
        products.tile(&input, TileOutput { distances, row_minima, column_minima });
        &self.distances[0]
    }
}
