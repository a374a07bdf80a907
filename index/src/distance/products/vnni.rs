//! The products by AVX-512 with VNNI: 64 byte products an instruction.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{
    GROUP, NearMasks, Products, TILE_COLUMNS, TILE_ROWS, TileInput, TileOutput, TileValues, check_four,
    scalar,
};

/// The products, if the machine has AVX-512 F and VNNI.
pub(super) fn products() -> Option<&'static Products> {
    (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")).then_some(&PRODUCTS)
}

static PRODUCTS: Products = Products {
    // SAFETY: `products` hands this table out only where the machine has these features.
    four: |row, others| unsafe { four(row, others) },
    // SAFETY: as above.
    tile: |input, output| unsafe { tile(input, output) },
    // SAFETY: as above.
    near: |distances, row_bounds, column_bounds| unsafe { near(distances, row_bounds, column_bounds) },
    // SAFETY: as above.
    kth: |values, k| unsafe { kth(values, k) },
};

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn four(row: &[u8], others: [&[u8]; 4]) -> [i32; 4] {
    check_four(row, others);
    let mut sums = [_mm512_setzero_si512(); 4];
    for at in (0..row.len()).step_by(64) {
        // SAFETY: `row` is whole lines of 64 codes, `at` the beginning of one.
        let codes = unsafe { _mm512_loadu_si512(row.as_ptr().add(at).cast()) };
        let codes = _mm512_xor_si512(codes, _mm512_set1_epi8(i8::MIN));
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above; every other row is as long.
            let others = unsafe { _mm512_loadu_si512(other.as_ptr().add(at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, others, codes);
        }
    }
    // Pairs of sums side by side, then all four, then the four quarters of the register together.
    let pair = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (low, high) = (pair(sums[0], sums[1]), pair(sums[2], sums[3]));
    let four = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    let two = _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
    let one = _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two));
    let mut out = [0; 4];
    // SAFETY: four values of 32 bits.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), one) };
    out
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn tile(input: &TileInput<'_>, output: TileOutput<'_>) {
    let len = input.row_len();
    let rows = input.rows.as_ptr();
    let mut sums = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
    for group in 0..len / GROUP {
        // SAFETY: a panel has `len` codes for each of 32 columns, so 128 bytes a group.
        let columns = unsafe {
            let from = input.panel.as_ptr().add(group * GROUP * TILE_COLUMNS);
            [_mm512_loadu_si512(from.cast()), _mm512_loadu_si512(from.add(64).cast())]
        };
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: there are TILE_ROWS rows of `len` codes, and the group is inside the row.
            let codes = unsafe { rows.add(i * len + group * GROUP).cast::<i32>().read_unaligned() };
            let codes = _mm512_set1_epi32(codes);
            sums[0] = _mm512_dpbusd_epi32(sums[0], columns[0], codes);
            sums[1] = _mm512_dpbusd_epi32(sums[1], columns[1], codes);
        }
    }
    for half in 0..2 {
        let shift = half * 16;
        // SAFETY: both arrays have 32 values.
        let (terms, mut column_minima) = unsafe {
            (
                _mm512_loadu_si512(input.column_terms.as_ptr().add(shift).cast()),
                _mm512_loadu_si512(output.column_minima.as_ptr().add(shift).cast()),
            )
        };
        for (i, sums) in sums.iter().enumerate() {
            let terms = _mm512_add_epi32(_mm512_set1_epi32(input.row_terms[i]), terms);
            #[expect(clippy::cast_possible_truncation, reason = "the bits of sixteen columns")]
            let valid = (input.valid[i] >> shift) as u16;
            let far = _mm512_set1_epi32(i32::MAX);
            let distances = _mm512_mask_sub_epi32(far, valid, terms, _mm512_slli_epi32::<1>(sums[half]));
            column_minima = _mm512_min_epi32(column_minima, distances);
            // SAFETY: each row of distances and of minima has 32 places.
            unsafe {
                _mm512_storeu_si512(output.distances[i].as_mut_ptr().add(shift).cast(), distances);
                let minima = output.row_minima[i].as_mut_ptr().add(shift).cast();
                _mm512_storeu_si512(minima, _mm512_min_epi32(_mm512_loadu_si512(minima), distances));
            }
        }
        // SAFETY: 32 places.
        unsafe { _mm512_storeu_si512(output.column_minima.as_mut_ptr().add(shift).cast(), column_minima) };
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn near(
    distances: &TileValues,
    row_bounds: &[i32; TILE_ROWS],
    column_bounds: &[i32; TILE_COLUMNS],
) -> NearMasks {
    let mut masks = NearMasks::default();
    // SAFETY: 32 values are two registers of 16.
    let halves = |values: &[i32; TILE_COLUMNS]| unsafe {
        [_mm512_loadu_si512(values.as_ptr().cast()), _mm512_loadu_si512(values.as_ptr().add(16).cast())]
    };
    let join = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    let column_bounds = halves(column_bounds);
    for (i, distances) in distances.iter().enumerate() {
        let [low, high] = halves(distances);
        let bound = _mm512_set1_epi32(row_bounds[i]);
        masks.row[i] = join(_mm512_cmple_epi32_mask(low, bound), _mm512_cmple_epi32_mask(high, bound));
        let [low_bounds, high_bounds] = column_bounds;
        masks.column[i] =
            join(_mm512_cmple_epi32_mask(low, low_bounds), _mm512_cmple_epi32_mask(high, high_bounds));
    }
    masks
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn kth(values: &[[i32; TILE_COLUMNS]], k: usize) -> [i32; TILE_COLUMNS] {
    scalar::kth(values, k)
}
