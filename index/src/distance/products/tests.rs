//! One set of checks, run against every instruction set of the machine.
#![expect(clippy::cast_possible_truncation, reason = "codes of a hash are small, and products wrap")]

use super::*;
use crate::level::hash;

fn signed(seed: u64, len: usize) -> Vec<i8> {
    (0..len as u64).map(|i| (hash(seed, i) % 255) as i16 - 127).map(|code| code as i8).collect()
}

fn unsigned(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (hash(seed, i) % 255 + 1) as u8).collect()
}

fn each_set(check: impl Fn(&Products, InstructionSet)) {
    for set in InstructionSet::ALL {
        match Products::with(set) {
            Some(products) => check(products, set),
            None => eprintln!("not run, the machine lacks it: {set:?}"),
        }
    }
}

#[test]
fn four_products_are_the_sums_of_products() {
    for len in [0, 64, 128, 384, 832, 65_536] {
        let row = unsigned(1, len);
        let others: [_; 4] = std::array::from_fn(|i| unsigned(2 + i as u64, len));
        let expected = others.each_ref().map(|other| {
            row.iter().zip(other).map(|(&a, &b)| (i64::from(a) - 128) * i64::from(b)).sum::<i64>() as i32
        });
        each_set(|products, set| {
            let found = products.four(&row, others.each_ref().map(Vec::as_slice));
            assert_eq!(found, expected, "{set:?} length {len}");
        });
    }
}

#[test]
fn tiles_hold_the_distances_and_what_is_near() {
    for len in [0, 64, 192, 320, 832, 65_536] {
        let rows = signed(5, len * TILE_ROWS);
        let panel = unsigned(6, len * TILE_COLUMNS);
        let terms = |seed| move |i: usize| (hash(seed, i as u64) % 2_000_000) as i32;
        let input = TileInput {
            rows: &rows,
            row_terms: &std::array::from_fn(terms(7)),
            panel: &panel,
            column_terms: &std::array::from_fn(terms(8)),
            valid: &std::array::from_fn(|i| [u32::MAX, 0, 0xffff_0000, 0x1234_5678][i % 4]),
        };
        let minima = [[5_000; TILE_COLUMNS]; TILE_ROWS];
        let mut expected = ([[0; TILE_COLUMNS]; TILE_ROWS], minima, [i32::MAX; TILE_COLUMNS]);
        for i in 0..TILE_ROWS {
            for j in 0..TILE_COLUMNS {
                let product: i64 = (0..len)
                    .map(|k| {
                        let column = panel[k / GROUP * GROUP * TILE_COLUMNS + j * GROUP + k % GROUP];
                        i64::from(rows[i * len + k]) * i64::from(column)
                    })
                    .sum();
                let terms = i64::from(input.row_terms[i]) + i64::from(input.column_terms[j]);
                let valid = input.valid[i] >> j & 1 == 1;
                let distance = if valid { (terms - 2 * product) as i32 } else { i32::MAX };
                expected.0[i][j] = distance;
                expected.1[i][j] = expected.1[i][j].min(distance);
                expected.2[j] = expected.2[j].min(distance);
            }
        }
        each_set(|products, set| {
            let mut found = ([[0; TILE_COLUMNS]; TILE_ROWS], minima, [i32::MAX; TILE_COLUMNS]);
            let (distances, row_minima, column_minima) = (&mut found.0, &mut found.1, &mut found.2);
            products.tile(&input, TileOutput { distances, row_minima, column_minima });
            assert!(found == expected, "{set:?} length {len}");
        });
    }
}

/// Those of the largest products, which a sum of a few in 16 bits must hold.
#[test]
fn extreme_codes_have_exact_products() {
    const LEN: usize = 832;
    for (signed, unsigned) in [(127, 255), (127, 1), (-127, 255), (-127, 1), (0, 128)] {
        let product = i32::from(signed) * i32::from(unsigned) * LEN as i32;
        let row = [(i16::from(signed) + 128) as u8; LEN];
        let other = [unsigned; LEN];
        let (rows, panel) = ([signed; LEN * TILE_ROWS], [unsigned; LEN * TILE_COLUMNS]);
        let input = TileInput {
            rows: &rows,
            row_terms: &[0; TILE_ROWS],
            panel: &panel,
            column_terms: &[0; TILE_COLUMNS],
            valid: &[u32::MAX; TILE_ROWS],
        };
        each_set(|products, set| {
            assert_eq!(products.four(&row, [&other; 4]), [product; 4], "{set:?} {signed} {unsigned}");
            let (mut found, mut row_minima) =
                ([[0; TILE_COLUMNS]; TILE_ROWS], [[0; TILE_COLUMNS]; TILE_ROWS]);
            let (distances, column_minima) = (&mut found, &mut [0; TILE_COLUMNS]);
            products.tile(&input, TileOutput { distances, row_minima: &mut row_minima, column_minima });
            assert_eq!(found, [[-2 * product; TILE_COLUMNS]; TILE_ROWS], "{set:?} {signed} {unsigned}");
        });
    }
}

#[test]
fn near_is_at_most_the_bound() {
    let distances =
        std::array::from_fn(|i| std::array::from_fn(|j| (hash(i as u64, j as u64) % 99) as i32 - 9));
    // The lowest is never met, the highest always, the others by some.
    let row_bounds = std::array::from_fn(|i| [i32::MIN, 20, i32::MAX][i % 3]);
    let column_bounds = std::array::from_fn(|j| [0, i32::MAX, i32::MIN, 60][j % 4]);
    let mut expected = NearMasks::default();
    for i in 0..TILE_ROWS {
        for j in 0..TILE_COLUMNS {
            let distance: i32 = distances[i][j];
            expected.row[i] |= u32::from(distance <= row_bounds[i]) << j;
            expected.column[i] |= u32::from(distance <= column_bounds[j]) << j;
        }
    }
    each_set(|products, set| {
        assert_eq!(products.near(&distances, &row_bounds, &column_bounds), expected, "{set:?}");
    });
}

#[test]
fn the_kth_is_that_of_the_sorted_column() {
    for (len, k) in [(1, 1), (7, 3), (32, 12), (32, 32), (100, 40), (3, 4)] {
        let values: Vec<[i32; TILE_COLUMNS]> =
            (0..len).map(|i| std::array::from_fn(|j| (hash(i, j as u64) % 50) as i32 - 25)).collect();
        let expected = std::array::from_fn(|j| {
            let mut column: Vec<_> = values.iter().map(|row| row[j]).collect();
            column.sort_unstable();
            column.get(k - 1).copied().unwrap_or(i32::MAX)
        });
        each_set(|products, set| assert_eq!(products.kth(&values, k), expected, "{set:?} {len} {k}"));
    }
}

#[test]
#[should_panic(expected = "one length")]
fn lengths_are_checked() {
    Products::scalar().four(&[0; 64], [&[0; 64], &[0; 64], &[0; 128], &[0; 64]]);
}
