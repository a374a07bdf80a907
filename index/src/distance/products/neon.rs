//! The products by NEON: eight products of signed bytes an instruction.
//!
//! Both factors are taken as signed, so two products fit 16 bits (2 * 127 * 127 is below 32,768) before they are widened;
//! 128 times the sum of the signed factor, by which the products then fall short, is added apart.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{
    GROUP, LINE_BYTES, Products, TILE_COLUMNS, TILE_ROWS, TILE_STEP, TileInput, TileOutput, check_four,
    scalar,
};

/// The products, if the machine has NEON. They take bytes for the lanes of wider registers in little-endian order.
pub(super) fn products() -> Option<&'static Products> {
    (cfg!(target_endian = "little") && is_aarch64_feature_detected!("neon")).then_some(&PRODUCTS)
}

static PRODUCTS: Products = Products {
    // SAFETY: `products` hands this table out only where the machine has NEON.
    four: |row, others| unsafe { four(row, others) },
    // SAFETY: as above.
    tile: |input, output| unsafe { tile(input, output) },
    // Every target with this architecture has NEON by default: the compiler uses it in plain code too.
    near: scalar::near,
    kth: scalar::kth,
};

#[inline]
#[target_feature(enable = "neon")]
fn four(row: &[u8], others: [&[u8]; 4]) -> [i32; 4] {
    check_four(row, others);
    let mut sums = [vdupq_n_s32(0); 4];
    let mut row_sum = vdupq_n_s32(0);
    for at in (0..row.len()).step_by(32) {
        // SAFETY: `row` is whole lines of 64 codes, `at` the beginning or the middle of one.
        let codes = unsafe { signed_pair(row.as_ptr().add(at)) };
        row_sum = vpadalq_s16(row_sum, vpadalq_s8(vpaddlq_s8(codes[0]), codes[1]));
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above; every other row is as long.
            let others = unsafe { signed_pair(other.as_ptr().add(at)) };
            let products = vmlal_high_s8(low_products(codes[0], others[0]), codes[0], others[0]);
            *sum = vpadalq_s16(*sum, products);
            let products = vmlal_high_s8(low_products(codes[1], others[1]), codes[1], others[1]);
            *sum = vpadalq_s16(*sum, products);
        }
    }
    let excess = vaddvq_s32(vshlq_n_s32::<7>(row_sum));
    sums.map(|sum| vaddvq_s32(sum).wrapping_add(excess))
}

/// Rows and columns that sixteen of the 32 registers hold the sums of.
const BLOCK_ROWS: usize = 4;
const BLOCK_COLUMNS: usize = 8;

#[target_feature(enable = "neon")]
fn tile(input: &TileInput<'_>, mut output: TileOutput<'_>) {
    let len = input.row_len();
    for first in (0..TILE_ROWS).step_by(BLOCK_ROWS) {
        let rows: [_; BLOCK_ROWS] =
            std::array::from_fn(|i| &input.rows[(first + i) * len..(first + i + 1) * len]);
        let mut products = [[0; TILE_COLUMNS]; BLOCK_ROWS];
        for column in (0..TILE_COLUMNS).step_by(BLOCK_COLUMNS) {
            block(rows, input.panel, column, &mut products);
        }
        for (i, (row, mut products)) in rows.into_iter().zip(products).enumerate() {
            let excess = row.iter().map(|&code| i32::from(code)).sum::<i32>().wrapping_mul(128);
            for product in &mut products {
                *product = product.wrapping_add(excess);
            }
            scalar::finish(input, first + i, &products, &mut output);
        }
    }
}

/// The products, both factors signed, of four rows with eight columns of a panel.
#[inline]
#[target_feature(enable = "neon")]
fn block(
    rows: [&[i8]; BLOCK_ROWS],
    panel: &[u8],
    column: usize,
    products: &mut [[i32; TILE_COLUMNS]; BLOCK_ROWS],
) {
    let len = rows[0].len();
    assert!(len.is_multiple_of(2 * GROUP) && rows.iter().all(|row| row.len() == len));
    assert!(panel.len() == len * TILE_COLUMNS && column + BLOCK_COLUMNS <= TILE_COLUMNS);
    // A register for two columns: of each a sum of the first two and one of the second two codes of every group.
    let mut sums = [[vdupq_n_s32(0); BLOCK_COLUMNS / 2]; BLOCK_ROWS];
    for at in (0..len).step_by(2 * GROUP) {
        // SAFETY: from `at` on there are two groups, each with GROUP codes for each of TILE_COLUMNS columns, of them 32
        // bytes for these eight.
        let [first, second] = unsafe {
            let from = panel.as_ptr().add(at * TILE_COLUMNS + column * GROUP);
            [signed_pair(from), signed_pair(from.add(GROUP * TILE_COLUMNS))]
        };
        for (row, sums) in rows.iter().zip(&mut sums) {
            // SAFETY: the row has `len` codes, and two groups from `at` on.
            let codes = unsafe { vreinterpret_s32_s8(vld1_s8(row.as_ptr().add(at))) };
            let to_first = vreinterpretq_s8_s32(vdupq_lane_s32::<0>(codes));
            let to_second = vreinterpretq_s8_s32(vdupq_lane_s32::<1>(codes));
            for ((sums, first), second) in sums.chunks_exact_mut(2).zip(first).zip(second) {
                let low = low_products(to_first, first);
                let low = vmlal_s8(low, vget_low_s8(to_second), vget_low_s8(second));
                sums[0] = vpadalq_s16(sums[0], low);
                let high = vmlal_high_s8(vmull_high_s8(to_first, first), to_second, second);
                sums[1] = vpadalq_s16(sums[1], high);
            }
        }
    }
    for (sums, products) in sums.into_iter().zip(products) {
        let products = &mut products[column..column + BLOCK_COLUMNS];
        // SAFETY: eight places.
        unsafe {
            vst1q_s32(products.as_mut_ptr(), vpaddq_s32(sums[0], sums[1]));
            vst1q_s32(products.as_mut_ptr().add(4), vpaddq_s32(sums[2], sums[3]));
        }
    }
}

/// Reads 32 codes plus 128 as the signed codes.
///
/// # Safety
/// There must be 32 bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn signed_pair(from: *const u8) -> [int8x16_t; 2] {
    let signed = |codes| vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(128)));
    // SAFETY: the caller has 32 bytes there.
    unsafe { [signed(vld1q_u8(from)), signed(vld1q_u8(from.add(16)))] }
}

#[inline]
#[target_feature(enable = "neon")]
fn low_products(a: int8x16_t, b: int8x16_t) -> int16x8_t {
    vmull_s8(vget_low_s8(a), vget_low_s8(b))
}

const _: () = assert!(
    LINE_BYTES.is_multiple_of(32)
        && TILE_STEP.is_multiple_of(2 * GROUP)
        && TILE_ROWS.is_multiple_of(BLOCK_ROWS)
);
