//! The products by AVX2: bytes widened to 16 bits, sixteen products an instruction.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{
    GROUP, NearMasks, Products, TILE_COLUMNS, TILE_ROWS, TILE_STEP, TileInput, TileOutput, TileValues,
    check_four, scalar,
};

/// The products, if the machine has AVX2.
pub(super) fn products() -> Option<&'static Products> {
    is_x86_feature_detected!("avx2").then_some(&PRODUCTS)
}

static PRODUCTS: Products = Products {
    // SAFETY: `products` hands this table out only where the machine has AVX2.
    four: |row, others| unsafe { four(row, others) },
    // SAFETY: as above.
    tile: |input, output| unsafe { tile(input, output) },
    // SAFETY: as above.
    near: |distances, row_bounds, column_bounds| unsafe { near(distances, row_bounds, column_bounds) },
    // SAFETY: as above.
    kth: |values, k| unsafe { kth(values, k) },
};

#[inline]
#[target_feature(enable = "avx2")]
fn four(row: &[u8], others: [&[u8]; 4]) -> [i32; 4] {
    check_four(row, others);
    let mut sums = [_mm256_setzero_si256(); 4];
    for at in (0..row.len()).step_by(16) {
        // SAFETY: `row` is whole lines of 64 codes, `at` a sixteenth place in one.
        let codes = unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(row.as_ptr().add(at).cast())) };
        let codes = _mm256_sub_epi16(codes, _mm256_set1_epi16(128));
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above; every other row is as long.
            let others = unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(other.as_ptr().add(at).cast())) };
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, others));
        }
    }
    sums.map(|sum| {
        let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
    })
}

/// Codes of each row that are widened at a time.
const DEPTH: usize = 256;

/// Rows and columns that sixteen registers hold the sums of.
const BLOCK_ROWS: usize = 6;
const BLOCK_COLUMNS: usize = 8;

#[target_feature(enable = "avx2")]
fn tile(input: &TileInput<'_>, mut output: TileOutput<'_>) {
    let len = input.row_len();
    let mut products = [[0i32; TILE_COLUMNS]; TILE_ROWS];
    let mut widened = [[0i16; DEPTH]; TILE_ROWS];
    for from in (0..len).step_by(DEPTH) {
        let depth = DEPTH.min(len - from);
        for (wide, row) in widened.iter_mut().zip(input.rows.chunks_exact(len)) {
            for (wide, &code) in wide.iter_mut().zip(&row[from..from + depth]) {
                *wide = i16::from(code);
            }
        }
        let panel = &input.panel[from * TILE_COLUMNS..(from + depth) * TILE_COLUMNS];
        for (rows, products) in widened.chunks_exact(BLOCK_ROWS).zip(products.chunks_exact_mut(BLOCK_ROWS)) {
            for column in (0..TILE_COLUMNS).step_by(BLOCK_COLUMNS) {
                add_block(rows, panel, column, depth, products);
            }
        }
    }
    // One row after the other by code that the compiler turns into the same instructions.
    for (i, products) in products.iter().enumerate() {
        scalar::finish(input, i, products, &mut output);
    }
}

#[target_feature(enable = "avx2")]
fn near(
    distances: &TileValues,
    row_bounds: &[i32; TILE_ROWS],
    column_bounds: &[i32; TILE_COLUMNS],
) -> NearMasks {
    let mut masks = NearMasks::default();
    // SAFETY: `j` is at most 24, and eight of 32 values follow.
    let eight =
        |values: &[i32; TILE_COLUMNS], j: usize| unsafe { _mm256_loadu_si256(values.as_ptr().add(j).cast()) };
    for (i, distances) in distances.iter().enumerate() {
        for j in [0, 8, 16, 24] {
            let distances = eight(distances, j);
            masks.row[i] |= at_most(distances, _mm256_set1_epi32(row_bounds[i])) << j;
            masks.column[i] |= at_most(distances, eight(column_bounds, j)) << j;
        }
    }
    masks
}

#[target_feature(enable = "avx2")]
fn kth(values: &[[i32; TILE_COLUMNS]], k: usize) -> [i32; TILE_COLUMNS] {
    scalar::kth(values, k)
}

/// Adds the products of some rows, from their beginning on, with eight columns of a panel.
#[inline]
#[target_feature(enable = "avx2")]
fn add_block(
    rows: &[[i16; DEPTH]],
    panel: &[u8],
    column: usize,
    depth: usize,
    products: &mut [[i32; TILE_COLUMNS]],
) {
    assert!(depth <= DEPTH && panel.len() == depth * TILE_COLUMNS && column + BLOCK_COLUMNS <= TILE_COLUMNS);
    // Two sums a column, of the first and of the second two codes of every group.
    let mut sums = [[_mm256_setzero_si256(); 2]; BLOCK_ROWS];
    for group in 0..depth / GROUP {
        // SAFETY: the group has GROUP codes for each of TILE_COLUMNS columns, 32 bytes of them for these eight.
        let columns = unsafe {
            let from = panel.as_ptr().add((group * TILE_COLUMNS + column) * GROUP);
            [
                _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast())),
                _mm256_cvtepu8_epi16(_mm_loadu_si128(from.add(16).cast())),
            ]
        };
        for (row, sums) in rows.iter().zip(&mut sums) {
            // SAFETY: a row has DEPTH codes, and the group's four are among the first `depth`.
            let codes = unsafe { row.as_ptr().add(group * GROUP).cast::<i64>().read_unaligned() };
            let codes = _mm256_set1_epi64x(codes);
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, columns));
            }
        }
    }
    for (sums, products) in sums.into_iter().zip(products) {
        // Adjacent sums belong to one column; the horizontal add leaves the columns as 0 1 4 5 2 3 6 7.
        let pairs = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(sums[0], sums[1]));
        let products = &mut products[column..column + BLOCK_COLUMNS];
        // SAFETY: eight places.
        unsafe {
            let place = products.as_mut_ptr().cast();
            _mm256_storeu_si256(place, _mm256_add_epi32(_mm256_loadu_si256(place), pairs));
        }
    }
}

/// A bit for each value that is at most its bound.
#[inline]
#[target_feature(enable = "avx2")]
fn at_most(values: __m256i, bounds: __m256i) -> u32 {
    let over = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(values, bounds)));
    !over.cast_unsigned() & 0xff
}

const _: () = assert!(
    DEPTH.is_multiple_of(TILE_STEP)
        && TILE_STEP.is_multiple_of(GROUP)
        && TILE_ROWS.is_multiple_of(BLOCK_ROWS)
);
