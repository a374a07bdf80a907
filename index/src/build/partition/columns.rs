//! For each of many rows the nearest of some columns.

use super::nearest::{NO_MINIMA, Near, Nearest, each_bit, lower_bounds};
use crate::codes::CodesView;
use crate::codes::packed::{Panels, TileRows, values_from};
use crate::distance::products::{TILE_COLUMNS, TILE_ROWS, TileOutput, TileValues};

/// Compares rows with columns; reuses its memory.
#[derive(Debug, Default)]
pub(super) struct ColumnSearch {
    rows: TileRows,
    distances: Vec<TileValues>,
    row_minima: Vec<TileValues>,
    bounds: Vec<i32>,
    nearest: Nearest,
}

impl ColumnSearch {
    /// Calls `found` for each of the rows, by its place among them, with its `k` nearest columns, nearest first.
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand columns")]
    pub(super) fn search(
        &mut self,
        codes: CodesView<'_>,
        rows_to_search: impl ExactSizeIterator<Item = u32> + Clone,
        columns: &Panels,
        k: usize,
        mut found: impl FnMut(usize, &[Near]),
    ) {
        let Self { rows, distances, row_minima, bounds, nearest } = self;
        let products = codes.products;
        let count = rows_to_search.len();
        rows.pack(codes, rows_to_search);
        let tiles = count.div_ceil(TILE_ROWS);
        row_minima.clear();
        row_minima.resize(tiles, NO_MINIMA);
        distances.resize(columns.columns().div_ceil(TILE_COLUMNS) * tiles, NO_MINIMA);
        let mut unused = [i32::MAX; TILE_COLUMNS];
        for (panel, distances) in columns.iter().zip(distances.chunks_exact_mut(tiles.max(1))) {
            for (tile, distances) in distances.iter_mut().enumerate() {
                let valid = [panel.valid; TILE_ROWS];
                let input = rows.tile(tile * TILE_ROWS, &panel, &valid);
                let row_minima = &mut row_minima[tile];
                products.tile(&input, TileOutput { distances, row_minima, column_minima: &mut unused });
            }
        }
        bounds.clear();
        bounds.resize(count, i32::MAX);
        for first in (0..count).step_by(TILE_COLUMNS) {
            lower_bounds(bounds, first, row_minima, &[], k, products);
        }
        bounds.resize(tiles * TILE_ROWS, i32::MIN);
        nearest.reset(count, k);
        for (panel, distances) in columns.iter().zip(distances.chunks_exact(tiles.max(1))) {
            for (tile, distances) in distances.iter().enumerate() {
                let first_row = tile * TILE_ROWS;
                let masks =
                    products.near(distances, values_from(bounds, first_row), &[i32::MIN; TILE_COLUMNS]);
                for (i, distances) in distances.iter().enumerate() {
                    each_bit(masks.row[i], |j| {
                        let near = Near::new(distances[j], (panel.first + j) as u32);
                        nearest.add(first_row + i, near, bounds);
                    });
                }
            }
        }
        for row in 0..count {
            found(row, nearest.sorted(row));
        }
    }
}
