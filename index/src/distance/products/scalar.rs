//! The products in plain Rust: the oracle, and what a machine without the others uses.

use super::{
    GROUP, NearMasks, Products, TILE_COLUMNS, TILE_ROWS, TileInput, TileOutput, TileValues, check_four,
};

pub(super) static PRODUCTS: Products = Products { four, tile, near, kth };

fn four(row: &[u8], others: [&[u8]; 4]) -> [i32; 4] {
    check_four(row, others);
    others.map(|other| row.iter().zip(other).map(|(&a, &b)| (i32::from(a) - 128) * i32::from(b)).sum())
}

fn tile(input: &TileInput<'_>, mut output: TileOutput<'_>) {
    let len = input.row_len();
    for i in 0..TILE_ROWS {
        let row = &input.rows[i * len..(i + 1) * len];
        let mut products = [0i32; TILE_COLUMNS];
        for (codes, group) in row.chunks_exact(GROUP).zip(input.panel.chunks_exact(GROUP * TILE_COLUMNS)) {
            for (product, column) in products.iter_mut().zip(group.chunks_exact(GROUP)) {
                let sum: i32 = codes.iter().zip(column).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                *product = product.wrapping_add(sum);
            }
        }
        finish(input, i, &products, &mut output);
    }
}

/// Makes distances and minima of the products of row `i`. AVX2 and NEON compile the same code.
#[inline(always)]
pub(super) fn finish(
    input: &TileInput<'_>,
    i: usize,
    products: &[i32; TILE_COLUMNS],
    output: &mut TileOutput<'_>,
) {
    let (distances, minima) = (&mut output.distances[i], &mut output.row_minima[i]);
    for j in 0..TILE_COLUMNS {
        let terms = input.row_terms[i].wrapping_add(input.column_terms[j]);
        let distance = terms.wrapping_sub(products[j].wrapping_mul(2));
        let distance = if input.valid[i] >> j & 1 == 1 { distance } else { i32::MAX };
        distances[j] = distance;
        minima[j] = minima[j].min(distance);
        output.column_minima[j] = output.column_minima[j].min(distance);
    }
}

pub(super) fn near(
    distances: &TileValues,
    row_bounds: &[i32; TILE_ROWS],
    column_bounds: &[i32; TILE_COLUMNS],
) -> NearMasks {
    let mut masks = NearMasks::default();
    for (i, distances) in distances.iter().enumerate() {
        for (j, &distance) in distances.iter().enumerate() {
            masks.row[i] |= u32::from(distance <= row_bounds[i]) << j;
            masks.column[i] |= u32::from(distance <= column_bounds[j]) << j;
        }
    }
    masks
}

/// Passes every value down a sorted list of the least, for all columns at once. The other instruction sets compile the
/// same code.
#[inline(always)]
pub(super) fn kth(values: &[[i32; TILE_COLUMNS]], k: usize) -> [i32; TILE_COLUMNS] {
    /// More than this are sorted in portions of memory instead of registers; it makes no difference to the result.
    const MOST: usize = 32;
    assert!(k > 0, "the least value is the first");
    if k > values.len() {
        return [i32::MAX; TILE_COLUMNS];
    }
    let mut few = [[i32::MAX; TILE_COLUMNS]; MOST];
    let mut many = Vec::new();
    let least = if k <= MOST {
        &mut few[..k]
    } else {
        many.resize(k, [i32::MAX; TILE_COLUMNS]);
        &mut many[..]
    };
    for values in values {
        let mut passed = *values;
        for kept in least.iter_mut() {
            for (kept, passed) in kept.iter_mut().zip(&mut passed) {
                let lower = (*kept).min(*passed);
                *passed = (*kept).max(*passed);
                *kept = lower;
            }
        }
    }
    least[k - 1]
}
