//! All distances of a leaf: each row with each, a tile at a time, and of each row the nearest.

use super::nearest::{GROUPS, NO_MINIMA, Near, Nearest, each_bit, lower_bounds};
use super::reservoir::Reservoirs;
use crate::codes::CodesView;
use crate::codes::packed::{Panels, TileRows, values_from};
use crate::distance::products::{Products, TILE_COLUMNS, TILE_ROWS, TileOutput, TileValues};

/// Rows of a block, when all rows are compared with all: whole tiles and whole panels.
pub(super) const BLOCK_ROWS: usize = 480;

const _: () = assert!(BLOCK_ROWS.is_multiple_of(TILE_ROWS) && BLOCK_ROWS.is_multiple_of(TILE_COLUMNS));

/// Positions whose rows are compared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaf<'a> {
    /// Each with each other, but for those of one part: the parts, if there are any, stand first, one behind the other, and end at
    /// these places.
    Within(&'a [u32], &'a [usize]),
    /// Each of the first, which are [`BLOCK_ROWS`], with each of the second.
    Across(&'a [u32], &'a [u32]),
}

impl<'a> Leaf<'a> {
    /// How many positions there are.
    pub(super) fn len(self) -> usize {
        let (first, second) = self.parts();
        first.len() + second.len()
    }

    fn parts(self) -> (&'a [u32], &'a [u32]) {
        match self {
            Self::Within(all, _) => (all, &[]),
            Self::Across(first, second) => (first, second),
        }
    }

    /// The first column that a row pairs with, which pairs with all after it.
    fn first_column(self, row: usize) -> usize {
        match self {
            Self::Within(_, ends) => {
                let part = ends.partition_point(|&end| end <= row);
                ends.get(part).copied().unwrap_or(row + 1)
            }
            // A row pairs with the columns behind it.
            Self::Across(..) => row + 1,
        }
    }

    /// Tiles of rows that a panel is compared with: each pair once, so only rows up to its last column.
    fn tiles(self, first_column: usize) -> usize {
        let end = first_column + TILE_COLUMNS;
        let rows = match self {
            Self::Within(all, ends) => {
                let part = ends.partition_point(|&end| end <= first_column);
                let is_of_one = ends.get(part).is_some_and(|&end_of_part| end <= end_of_part);
                // Of a panel of one part only rows of the parts before.
                if is_of_one {
                    part.checked_sub(1).map_or(0, |before| ends[before])
                } else {
                    end.min(all.len())
                }
            }
            Self::Across(..) if first_column < BLOCK_ROWS => 0,
            Self::Across(..) => BLOCK_ROWS,
        };
        rows.div_ceil(TILE_ROWS)
    }
}

/// Compares the rows of leaves; reuses its memory from one leaf to the next.
#[derive(Debug, Default)]
pub(super) struct LeafComparer {
    positions: Vec<u32>,
    rows: TileRows,
    panels: Panels,
    /// Of every panel its tiles.
    distances: Vec<TileValues>,
    row_minima: Vec<TileValues>,
    /// Of every panel the least of each column in each group of tiles.
    column_minima: Vec<[i32; TILE_COLUMNS]>,
    bounds: Vec<i32>,
    nearest: Nearest,
    offered: Vec<Near>,
    sorting: Vec<Near>,
}

/// Positions whose reservoirs are asked for ahead of their turn.
const AHEAD: usize = 4;

impl LeafComparer {
    /// The memory for leaves of up to `rows` rows, in bytes.
    pub(super) fn memory_bytes(rows: usize, stride_bytes: usize, k: usize) -> usize {
        let pairs = (rows + TILE_COLUMNS) * (rows + TILE_COLUMNS) / 2;
        pairs * 4 + rows * (2 * stride_bytes + 2 * 4 * GROUPS + 8 * (2 * k + 8) + 32)
    }

    /// Compares a leaf's rows, and offers to every position its `k` nearest. `row` tells the row of a position.
    pub(super) fn compare(
        &mut self,
        leaf: Leaf<'_>,
        k: usize,
        codes: CodesView<'_>,
        row: impl Fn(u32) -> u32,
        reservoirs: &Reservoirs,
    ) {
        let (first, second) = leaf.parts();
        self.positions.clear();
        self.positions.extend(first.iter().chain(second));
        let rows = self.positions.iter().map(|&position| row(position));
        self.rows.pack(codes, rows.clone());
        self.panels.pack(codes, rows);
        self.compute(leaf, codes.products);
        // A candidate too far for the reservoir is too far here.
        self.bounds.clear();
        self.bounds.extend(self.positions.iter().map(|&position| reservoirs.bound(position)));
        self.pick(leaf, k, codes.products);
        for (at, &position) in self.positions.iter().enumerate() {
            if let Some(&later) = self.positions.get(at + AHEAD) {
                reservoirs.prefetch(later, k);
            }
            self.offered.clear();
            let found = self.nearest.sorted(at).iter();
            self.offered.extend(found.map(|near| near.at(self.positions[near.position() as usize])));
            reservoirs.offer(position, &self.offered, &mut self.sorting);
        }
    }

    /// Computes all distances, and the least of each group of each row.
    fn compute(&mut self, leaf: Leaf<'_>, products: &Products) {
        let len = leaf.len();
        let Self { rows, panels, distances, row_minima, column_minima, .. } = self;
        row_minima.clear();
        row_minima.resize(len.div_ceil(TILE_ROWS), NO_MINIMA);
        column_minima.clear();
        column_minima.resize(len.div_ceil(TILE_COLUMNS) * GROUPS, [i32::MAX; TILE_COLUMNS]);
        let tiles: usize = panels.iter().map(|panel| leaf.tiles(panel.first)).sum();
        if distances.len() < tiles {
            distances.resize(tiles, NO_MINIMA);
        }
        let mut places = distances.iter_mut();
        for (panel, column_minima) in panels.iter().zip(column_minima.chunks_exact_mut(GROUPS)) {
            for tile in 0..leaf.tiles(panel.first) {
                let Some(distances) = places.next() else { return };
                let first_row = tile * TILE_ROWS;
                let valid = std::array::from_fn(|i| {
                    // Rows of padding are behind all columns.
                    let from = leaf.first_column(first_row + i).saturating_sub(panel.first);
                    if from < TILE_COLUMNS { panel.valid & u32::MAX << from } else { 0 }
                });
                let input = rows.tile(first_row, &panel, &valid);
                let row_minima = &mut row_minima[tile];
                let column_minima = &mut column_minima[tile % GROUPS];
                products.tile(&input, TileOutput { distances, row_minima, column_minima });
            }
        }
    }

    /// Picks the nearest of each row from the distances. The bounds are those that are known before.
    #[expect(clippy::cast_possible_truncation, reason = "rows of a leaf")]
    fn pick(&mut self, leaf: Leaf<'_>, k: usize, products: &Products) {
        let len = leaf.len();
        let Self { panels, distances, row_minima, column_minima, bounds, nearest, .. } = self;
        // To padding nothing is near.
        bounds.resize(len.next_multiple_of(TILE_ROWS).max(len.next_multiple_of(TILE_COLUMNS)), i32::MIN);
        for (panel, minima) in panels.iter().zip(column_minima.chunks_exact(GROUPS)) {
            lower_bounds(bounds, panel.first, row_minima, minima, k, products);
        }
        nearest.reset(len, k);
        let mut places = distances.iter();
        for panel in panels.iter() {
            for tile in 0..leaf.tiles(panel.first) {
                let Some(distances) = places.next() else { return };
                let first_row = tile * TILE_ROWS;
                let (of_rows, of_columns) =
                    (values_from(bounds, first_row), values_from(bounds, panel.first));
                let masks = products.near(distances, of_rows, of_columns);
                for (i, distances) in distances.iter().enumerate() {
                    let at = first_row + i;
                    each_bit(masks.row[i], |j| {
                        nearest.add(at, Near::new(distances[j], (panel.first + j) as u32), bounds);
                    });
                    each_bit(masks.column[i], |j| {
                        nearest.add(panel.first + j, Near::new(distances[j], at as u32), bounds);
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Codes;
    use crate::level::hash;
    use crate::vectors::PlainRows;
    use crate::{Distance, Matrix, Metric, Params};

    const DIM: usize = 8;

    /// What is found for each of some rows, when every row is offered all that it meets.
    fn met(rows: usize, leaf: impl Fn(&[u32]) -> Leaf<'_>) -> Vec<Vec<u32>> {
        let values: Vec<f32> = (0..(rows * DIM) as u64).map(|i| (hash(3, i) >> 40) as f32).collect();
        let plain = PlainRows { matrix: Matrix::new(&values, DIM), inverse_norms: &[] };
        let codes = Codes::new(&plain, &Params::new(Metric::L2), Distance::new(Metric::L2).products());
        let reservoirs = Reservoirs::new(rows, rows);
        let positions: Vec<u32> = (0..).take(rows).collect();
        LeafComparer::default().compare(leaf(&positions), rows, codes.view(), |row| row, &reservoirs);
        let mut near = Vec::new();
        positions
            .iter()
            .map(|&position| {
                reservoirs.get(position, &mut near);
                let mut met: Vec<u32> = near.iter().map(|near| near.position()).collect();
                met.sort_unstable();
                met
            })
            .collect()
    }

    #[test]
    fn rows_of_one_part_do_not_meet_and_all_others_do() {
        let cases: [(usize, &[usize]); 6] = [
            (150, &[]),
            (150, &[150]),
            (150, &[70]),
            (150, &[1, 33, 97]),
            (160, &[32, 64, 160]),
            (40, &[20]),
        ];
        for (rows, ends) in cases {
            let part = |row: usize| ends.partition_point(|&end| end <= row);
            let met = met(rows, |positions| Leaf::Within(positions, ends));
            for (row, met) in met.iter().enumerate() {
                let others = (0..rows)
                    .filter(|&other| other != row && (part(row) == ends.len() || part(other) != part(row)));
                let met = met.iter().map(|&other| other as usize);
                assert!(met.eq(others), "{rows} rows, parts to {ends:?}, row {row}");
            }
        }
    }
}
