//! Products of 8-bit codes: one row with four others, and a tile of rows with a panel of columns.
//!
//! One factor is signed (-127 to 127), the other the same kind of number plus 128 (1 to 255): what the byte products of
//! VNNI want. The excess is `128 * (sum of the signed factor)`, which callers put into their terms. Everything is integer
//! arithmetic modulo 2^32, so all instruction sets give the same numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::InstructionSet;

/// Rows of codes are padded with zeros to whole lines of so many bytes.
pub(crate) const LINE_BYTES: usize = 64;

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 12;

/// Columns of a tile: those of one panel.
pub(crate) const TILE_COLUMNS: usize = 32;

/// Codes that stand together in a panel: four of one column, then four of the next.
pub(crate) const GROUP: usize = 4;

/// Codes of a row of a tile, and of a column of a panel: a multiple of so many. The zeros up to whole lines are left out.
pub(crate) const TILE_STEP: usize = 16;

/// A tile to compute: `distance = row term + column term - 2 * product`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileInput<'a> {
    /// [`TILE_ROWS`] rows of signed codes, one after the other.
    pub(crate) rows: &'a [i8],
    pub(crate) row_terms: &'a [i32; TILE_ROWS],
    /// [`TILE_COLUMNS`] columns of codes plus 128: the first [`GROUP`] codes of each, then the next of each.
    pub(crate) panel: &'a [u8],
    pub(crate) column_terms: &'a [i32; TILE_COLUMNS],
    /// For each row a bit a column: whether the pair counts. The distance of the others becomes `i32::MAX`.
    pub(crate) valid: &'a [u32; TILE_ROWS],
}

impl TileInput<'_> {
    /// Codes of a row, after checking that all rows and columns have as many.
    fn row_len(&self) -> usize {
        let len = self.rows.len() / TILE_ROWS;
        assert_eq!(self.rows.len(), len * TILE_ROWS, "a tile has whole rows");
        assert_eq!(self.panel.len(), len * TILE_COLUMNS, "rows and columns have one length");
        assert_eq!(len % TILE_STEP, 0, "rows are padded to whole steps");
        len
    }
}

/// A value for each place of a tile, row by row.
pub(crate) type TileValues = [[i32; TILE_COLUMNS]; TILE_ROWS];

/// Where the distances of a tile go.
#[derive(Debug)]
pub(crate) struct TileOutput<'a> {
    pub(crate) distances: &'a mut TileValues,
    /// Lowered to the distances: the least so far in each row among columns that stand at one place of their panels.
    pub(crate) row_minima: &'a mut TileValues,
    /// Lowered to the least distance of each column.
    pub(crate) column_minima: &'a mut [i32; TILE_COLUMNS],
}

/// Which distances of a tile are at most the bound of their row and of their column: for each row a bit a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NearMasks {
    pub(crate) row: [u32; TILE_ROWS],
    pub(crate) column: [u32; TILE_ROWS],
}

/// The products of one instruction set.
pub(crate) struct Products {
    four: fn(&[u8], [&[u8]; 4]) -> [i32; 4],
    tile: fn(&TileInput<'_>, TileOutput<'_>),
    near: fn(&TileValues, &[i32; TILE_ROWS], &[i32; TILE_COLUMNS]) -> NearMasks,
    kth: fn(&[[i32; TILE_COLUMNS]], usize) -> [i32; TILE_COLUMNS],
}

impl std::fmt::Debug for Products {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Products")
    }
}

impl Products {
    /// Those that every machine has.
    pub(crate) fn scalar() -> &'static Self {
        &scalar::PRODUCTS
    }

    /// Those of one instruction set, or nothing where the machine lacks it. A machine with AVX-512 but without its VNNI
    /// takes those of AVX2.
    pub(crate) fn with(set: InstructionSet) -> Option<&'static Self> {
        match set {
            InstructionSet::Scalar => Some(&scalar::PRODUCTS),
            #[cfg(target_arch = "aarch64")]
            InstructionSet::Neon => neon::products(),
            #[cfg(not(target_arch = "aarch64"))]
            InstructionSet::Neon => None,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => avx2::products(),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => vnni::products().or_else(avx2::products),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx2 | InstructionSet::Avx512 => None,
        }
    }

    /// The products of a row, its codes taken as signed, with four rows of codes plus 128. All are given plus 128.
    ///
    /// # Panics
    /// If the rows differ in length or are no whole lines.
    #[inline]
    pub(crate) fn four(&self, row: &[u8], others: [&[u8]; 4]) -> [i32; 4] {
        (self.four)(row, others)
    }

    /// All distances of a tile.
    ///
    /// # Panics
    /// If the lengths of rows and columns differ or are no whole lines.
    #[inline]
    pub(crate) fn tile(&self, input: &TileInput<'_>, output: TileOutput<'_>) {
        (self.tile)(input, output);
    }

    /// Which distances of a tile are at most their bounds.
    #[inline]
    pub(crate) fn near(
        &self,
        distances: &TileValues,
        row_bounds: &[i32; TILE_ROWS],
        column_bounds: &[i32; TILE_COLUMNS],
    ) -> NearMasks {
        (self.near)(distances, row_bounds, column_bounds)
    }

    /// Of each column of `values` the `k`-th least value, or `i32::MAX` if there are fewer.
    ///
    /// # Panics
    /// If `k` is 0.
    #[inline]
    pub(crate) fn kth(&self, values: &[[i32; TILE_COLUMNS]], k: usize) -> [i32; TILE_COLUMNS] {
        (self.kth)(values, k)
    }
}

fn check_four(row: &[u8], others: [&[u8]; 4]) {
    assert_eq!(row.len() % LINE_BYTES, 0, "rows are padded to whole lines");
    for other in others {
        assert_eq!(row.len(), other.len(), "codes of one index have one length");
    }
}
