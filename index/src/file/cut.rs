//! How the rows of a section are cut into blocks that have a checksum each.

use std::ops::Range;

/// Blocks of files of version 1.0 have so many bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// Blocks of rows have at least so many bytes: a checksum is less than a hundredth of them, and a search that comes to one row
/// checks little besides it.
const LEAST_BYTES: usize = 1024;

/// How the rows of a section are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Every 64 KiB, without regard to rows.
    Bytes { row_bytes: usize },
    /// Every so many rows: a power of two, by its logarithm.
    Rows { row_bytes: usize, shift: u32 },
}

impl Cut {
    /// Blocks of rows: the least power of two of them that has [`LEAST_BYTES`]. `row_bytes` is not 0.
    pub(crate) fn by_rows(row_bytes: usize) -> Self {
        let rows = LEAST_BYTES.div_ceil(row_bytes).next_power_of_two();
        Self::Rows { row_bytes, shift: rows.trailing_zeros() }
    }

    /// Blocks of version 1.0.
    pub(crate) fn by_bytes(row_bytes: usize) -> Self {
        Self::Bytes { row_bytes }
    }

    /// Bytes of a block; the last may have fewer.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Self::Bytes { .. } => BLOCK_BYTES,
            Self::Rows { row_bytes, shift } => row_bytes << shift,
        }
    }

    /// The blocks of a section of so many bytes.
    pub(crate) fn count(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.block_bytes() as u64)
    }

    /// The blocks of these rows, of which there is at least one.
    #[inline]
    pub(crate) fn blocks_of(self, rows: Range<usize>) -> Range<usize> {
        match self {
            Self::Bytes { row_bytes } => {
                rows.start * row_bytes / BLOCK_BYTES..(rows.end * row_bytes).div_ceil(BLOCK_BYTES)
            }
            Self::Rows { shift, .. } => rows.start >> shift..((rows.end - 1) >> shift) + 1,
        }
    }

    /// What a message calls a block of a section of `bytes` bytes.
    pub(crate) fn name(self, block: usize, bytes: usize) -> String {
        match self {
            Self::Bytes { .. } => format!("block {block}"),
            Self::Rows { shift: 0, .. } => format!("row {block}"),
            Self::Rows { row_bytes, shift } => {
                let first = block << shift;
                let last = (((block + 1) << shift).min(bytes / row_bytes)).saturating_sub(1);
                format!("rows {first} to {last}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_rows_have_a_kilobyte_or_one_row() {
        for (row_bytes, rows) in
            [(1, 1024), (64, 16), (96, 16), (384, 4), (512, 2), (1023, 2), (1024, 1), (1536, 1)]
        {
            let cut = Cut::by_rows(row_bytes);
            assert_eq!(cut.block_bytes(), rows * row_bytes, "{row_bytes}");
            for row in [0, 1, rows - 1, rows, 5 * rows + 1] {
                assert_eq!(cut.blocks_of(row..row + 1), row / rows..row / rows + 1);
            }
            assert_eq!(cut.blocks_of(1..rows + 1), usize::from(rows == 1)..2);
        }
        assert_eq!(Cut::by_rows(384).name(2, 384 * 10), "rows 8 to 9");
        assert_eq!(Cut::by_rows(1536).name(2, 1536 * 10), "row 2");
    }

    #[test]
    fn blocks_of_bytes_disregard_rows() {
        let cut = Cut::by_bytes(1000);
        assert_eq!(cut.blocks_of(65..66), 0..2);
        assert_eq!(cut.blocks_of(66..67), 1..2);
        assert_eq!((cut.block_bytes(), cut.name(7, 1_000_000)), (65_536, "block 7".to_owned()));
    }
}
