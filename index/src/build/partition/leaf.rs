//! All distances of a leaf: each row with each, a tile at a time, and of each row the nearest.
//!
//! Picking the nearest costs more than the products if it is done candidate by candidate. So all distances are kept for
//! the moment, together with the least of each of 32 groups of a row's candidates. The `k`-th of those is a bound that
//! little more than `k` candidates are below, and only these are looked at.

use super::near::Near;
use super::reservoir::Reservoirs;
use crate::codes::CodesView;
use crate::distance::products::{
    GROUP, Products, TILE_COLUMNS, TILE_ROWS, TileInput, TileOutput, TileValues,
};

/// Groups of a row's candidates.
const GROUPS: usize = TILE_COLUMNS;

/// No distance of a pair is greater: `i32::MAX` is what pairs have that do not count.
const FARTHEST: i32 = i32::MAX - 1;

/// What comparing rows needs; reused from one leaf to the next.
#[derive(Debug, Default)]
pub(super) struct LeafScratch {
    rows: Gathered,
    panels: Panels,
    distances: Vec<TileValues>,
    row_minima: Vec<TileValues>,
    /// The least of each column in each group of tiles of a panel.
    column_minima: Vec<[i32; TILE_COLUMNS]>,
    bounds: Vec<i32>,
    nearest: Nearest,
    offered: Vec<Near>,
}

/// Rows of signed codes, one after the other, filled up with zeros to whole tiles.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    codes: Vec<i8>,
    terms: Vec<i32>,
    stride: usize,
}

impl Gathered {
    pub(super) fn gather(&mut self, codes: CodesView<'_>, rows: impl ExactSizeIterator<Item = u32>) {
        let padded = rows.len().next_multiple_of(TILE_ROWS);
        self.stride = codes.stride_bytes;
        self.codes.resize(padded * self.stride, 0);
        self.terms.clear();
        for (row, out) in rows.zip(self.codes.chunks_exact_mut(self.stride)) {
            codes.signed(row, out);
            self.terms.push(codes.left[row as usize]);
        }
        self.codes[self.terms.len() * self.stride..].fill(0);
        self.terms.resize(padded, 0);
    }

    /// Codes and terms of the tile that begins with a row.
    fn tile(&self, first: usize) -> (&[i8], &[i32; TILE_ROWS]) {
        let codes = &self.codes[first * self.stride..(first + TILE_ROWS) * self.stride];
        (codes, values_from(&self.terms, first))
    }
}

/// The `N` values from a place on.
fn values_from<const N: usize>(values: &[i32], first: usize) -> &[i32; N] {
    values[first..first + N].try_into().unwrap_or_else(|_| unreachable!("a slice of N values"))
}

/// Columns of codes plus 128, in panels.
#[derive(Debug, Default)]
pub(super) struct Panels {
    codes: Vec<u8>,
    terms: Vec<i32>,
    columns: usize,
    panel_bytes: usize,
}

impl Panels {
    pub(super) fn pack(&mut self, codes: CodesView<'_>, rows: impl ExactSizeIterator<Item = u32>) {
        self.columns = rows.len();
        let padded = self.columns.next_multiple_of(TILE_COLUMNS);
        self.panel_bytes = codes.stride_bytes * TILE_COLUMNS;
        self.codes.resize(padded * codes.stride_bytes, 0);
        self.terms.clear();
        for (column, row) in rows.enumerate() {
            self.terms.push(codes.right[row as usize]);
            let panel = &mut self.codes[column / TILE_COLUMNS * self.panel_bytes..][..self.panel_bytes];
            let groups = panel.chunks_exact_mut(GROUP * TILE_COLUMNS);
            for (group, codes) in groups.zip(codes.row(row).chunks_exact(GROUP)) {
                group[column % TILE_COLUMNS * GROUP..][..GROUP].copy_from_slice(codes);
            }
        }
        // Columns past the last are whatever they were: no tile counts them.
        self.terms.resize(padded, 0);
    }

    fn panels(&self) -> impl Iterator<Item = (usize, &[u8])> {
        (0..self.columns).step_by(TILE_COLUMNS).zip(self.codes.chunks_exact(self.panel_bytes.max(1)))
    }

    /// A bit for each of a panel's columns that is one.
    fn valid(&self, first: usize) -> u32 {
        u32::MAX >> TILE_COLUMNS.saturating_sub(self.columns - first)
    }
}

/// The nearest candidates of some rows, while they are being found: never fewer than the `k` nearest, and some more.
#[derive(Debug, Default)]
struct Nearest {
    lists: Vec<Near>,
    lens: Vec<u32>,
    k: usize,
    capacity: usize,
}

impl Nearest {
    fn reset(&mut self, rows: usize, k: usize) {
        self.k = k;
        self.capacity = 2 * k + 8;
        self.lists.resize(rows * self.capacity, Near::ZERO);
        self.lens.clear();
        self.lens.resize(rows, 0);
    }

    /// Adds a candidate of a row whose distance is at most the row's bound, and lowers the bound now and then.
    #[inline]
    fn add(&mut self, row: usize, near: Near, bounds: &mut [i32]) {
        let len = self.lens[row] as usize;
        self.lists[row * self.capacity + len] = near;
        self.lens[row] += 1;
        if len + 1 == self.capacity {
            let list = &mut self.lists[row * self.capacity..(row + 1) * self.capacity];
            let (_, kth, _) = list.select_nth_unstable(self.k - 1);
            bounds[row] = kth.distance();
            self.lens[row] = self.k as u32;
        }
    }

    /// The `k` nearest of a row, or all if there are fewer, nearest first.
    fn sorted(&mut self, row: usize) -> &[Near] {
        let start = row * self.capacity;
        let list = &mut self.lists[start..start + self.lens[row] as usize];
        list.sort_unstable();
        &list[..list.len().min(self.k)]
    }
}

/// The bounds of the rows of a panel's width: of each the `k`-th least of its groups.
fn lower_bounds(
    bounds: &mut [i32],
    row_minima: &[TileValues],
    column_minima: Option<&[[i32; TILE_COLUMNS]]>,
    first: usize,
    k: usize,
    products: &Products,
) {
    let mut groups = [[i32::MAX; TILE_COLUMNS]; GROUPS];
    for at in first..(first + TILE_COLUMNS).min(row_minima.len() * TILE_ROWS) {
        let minima = &row_minima[at / TILE_ROWS][at % TILE_ROWS];
        for (group, &least) in groups.iter_mut().zip(minima) {
            group[at - first] = least;
        }
    }
    // Different candidates of one row: two groups put together are a group.
    for (group, minima) in groups.iter_mut().zip(column_minima.into_iter().flatten()) {
        for (least, &other) in group.iter_mut().zip(minima) {
            *least = (*least).min(other);
        }
    }
    for (bound, kth) in bounds[first..].iter_mut().zip(products.kth(&groups, k)) {
        *bound = (*bound).min(kth).min(FARTHEST);
    }
}

/// Compares each of a leaf's positions with each other, and offers to every one its `k` nearest. `row` tells the row of
/// a position.
pub(super) fn compare_all(
    leaf: &[u32],
    k: usize,
    codes: CodesView<'_>,
    row: impl Fn(u32) -> u32,
    reservoirs: &Reservoirs,
    scratch: &mut LeafScratch,
) {
    let LeafScratch {
        rows,
        panels,
        distances,
        row_minima,
        column_minima,
        bounds,
        nearest,
        offered,
    } = scratch;
    let len = leaf.len();
    rows.gather(codes, leaf.iter().map(|&position| row(position)));
    panels.pack(codes, leaf.iter().map(|&position| row(position)));
    let tiles = len.div_ceil(TILE_ROWS);
    let panel_count = len.div_ceil(TILE_COLUMNS);
    row_minima.clear();
    row_minima.resize(tiles, [[i32::MAX; TILE_COLUMNS]; TILE_ROWS]);
    column_minima.clear();
    column_minima.resize(panel_count * GROUPS, [i32::MAX; TILE_COLUMNS]);
    // Each pair once: a panel is compared with the rows up to its last column.
    let panel_tiles = |panel: usize| ((panel + 1) * TILE_COLUMNS).min(len).div_ceil(TILE_ROWS);
    let mut used = 0;
    distances.resize((0..panel_count).map(panel_tiles).sum(), [[0; TILE_COLUMNS]; TILE_ROWS]);
    for (panel, (first_column, codes_of_panel)) in panels.panels().enumerate() {
        let in_panel = panels.valid(first_column);
        for tile in 0..panel_tiles(panel) {
            let first_row = tile * TILE_ROWS;
            let valid = std::array::from_fn(|i| {
                let behind = (first_row + i + 1).saturating_sub(first_column);
                // Padding rows are behind all columns.
                if behind < TILE_COLUMNS { in_panel & u32::MAX << behind } else { 0 }
            });
            let (tile_rows, row_terms) = rows.tile(first_row);
            codes.products.tile(
                &TileInput {
                    rows: tile_rows,
                    row_terms,
                    panel: codes_of_panel,
                    column_terms: values_from(&panels.terms, first_column),
                    valid: &valid,
                },
                TileOutput {
                    distances: &mut distances[used + tile],
                    row_minima: &mut row_minima[tile],
                    column_minima: &mut column_minima[panel * GROUPS + tile % GROUPS],
                },
            );
        }
        used += panel_tiles(panel);
    }

    bounds.clear();
    bounds.extend(leaf.iter().map(|&position| reservoirs.bound(position)));
    // Padding is near to nothing.
    bounds.resize(len.next_multiple_of(TILE_ROWS).max(len.next_multiple_of(TILE_COLUMNS)), i32::MIN);
    for panel in 0..panel_count {
        let of_columns = &column_minima[panel * GROUPS..(panel + 1) * GROUPS];
        lower_bounds(bounds, row_minima, Some(of_columns), panel * TILE_COLUMNS, k, codes.products);
    }

    nearest.reset(len, k);
    let mut tiles = distances.iter();
    for panel in 0..panel_count {
        let first_column = panel * TILE_COLUMNS;
        for (tile, distances) in (0..panel_tiles(panel)).zip(&mut tiles) {
            let first_row = tile * TILE_ROWS;
            let masks = codes.products.near(
                distances,
                values_from(bounds, first_row),
                values_from(bounds, first_column),
            );
            for i in 0..TILE_ROWS {
                let at = first_row + i;
                let mut near = masks.row[i];
                while near != 0 {
                    let j = near.trailing_zeros() as usize;
                    near &= near - 1;
                    nearest.add(at, Near::new(distances[i][j], (first_column + j) as u32), bounds);
                }
                let mut near = masks.column[i];
                while near != 0 {
                    let j = near.trailing_zeros() as usize;
                    near &= near - 1;
                    nearest.add(first_column + j, Near::new(distances[i][j], at as u32), bounds);
                }
            }
        }
    }
    for (at, &position) in leaf.iter().enumerate() {
        offered.clear();
        let found = nearest.sorted(at).iter();
        offered.extend(found.map(|near| near.at(leaf[near.position() as usize])));
        reservoirs.offer(position, offered);
    }
}

/// Finds for rows the nearest of some columns.
#[derive(Debug, Default)]
pub(super) struct ColumnSearch {
    pub(super) rows: Gathered,
    distances: Vec<TileValues>,
    row_minima: Vec<TileValues>,
    bounds: Vec<i32>,
    nearest: Nearest,
}

impl ColumnSearch {
    /// Calls `found` for each of the first `count` gathered rows with its `k` nearest columns, nearest first.
    pub(super) fn nearest_columns(
        &mut self,
        count: usize,
        columns: &Panels,
        k: usize,
        products: &Products,
        mut found: impl FnMut(usize, &[Near]),
    ) {
        let Self { rows, distances, row_minima, bounds, nearest } = self;
        let tiles = count.div_ceil(TILE_ROWS);
        row_minima.clear();
        row_minima.resize(tiles, [[i32::MAX; TILE_COLUMNS]; TILE_ROWS]);
        distances.resize(columns.columns.div_ceil(TILE_COLUMNS) * tiles, [[0; TILE_COLUMNS]; TILE_ROWS]);
        let mut column_minima = [i32::MAX; TILE_COLUMNS];
        let mut places = distances.iter_mut();
        for (first_column, panel) in columns.panels() {
            let valid = [columns.valid(first_column); TILE_ROWS];
            for (tile, (row_minima, distances)) in row_minima.iter_mut().zip(&mut places).enumerate() {
                let (tile_rows, row_terms) = rows.tile(tile * TILE_ROWS);
                products.tile(
                    &TileInput {
                        rows: tile_rows,
                        row_terms,
                        panel,
                        column_terms: values_from(&columns.terms, first_column),
                        valid: &valid,
                    },
                    TileOutput { distances, row_minima, column_minima: &mut column_minima },
                );
            }
        }
        bounds.clear();
        bounds.resize(count, i32::MAX);
        for first in (0..count).step_by(TILE_COLUMNS) {
            lower_bounds(bounds, row_minima, None, first, k, products);
        }
        bounds.resize(tiles * TILE_ROWS, i32::MIN);
        nearest.reset(count, k);
        let mut tiles_of_panels = distances.iter();
        for first_column in (0..columns.columns).step_by(TILE_COLUMNS) {
            let valid = columns.valid(first_column);
            for (tile, distances) in (0..tiles).zip(&mut tiles_of_panels) {
                let row_bounds = values_from(bounds, tile * TILE_ROWS);
                let masks = products.near(distances, row_bounds, &[i32::MIN; TILE_COLUMNS]);
                for i in 0..TILE_ROWS {
                    let mut near = masks.row[i] & valid;
                    while near != 0 {
                        let j = near.trailing_zeros() as usize;
                        near &= near - 1;
                        let near = Near::new(distances[i][j], (first_column + j) as u32);
                        nearest.add(tile * TILE_ROWS + i, near, bounds);
                    }
                }
            }
        }
        for row in 0..count {
            found(row, nearest.sorted(row));
        }
    }
}
