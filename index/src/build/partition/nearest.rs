//! The nearest candidates of rows, picked from tiles of distances.
//!
//! Picking costs more than the products if it is done candidate by candidate. So all distances are kept for the moment,
//! together with the least of each of 32 groups of a row's candidates. The `k`-th least of those is a bound that little
//! more than `k` candidates are below, and only these are looked at.

use crate::distance::products::{Products, TILE_COLUMNS, TILE_ROWS, TileValues};

/// Groups of a row's candidates.
pub(super) const GROUPS: usize = TILE_COLUMNS;

/// No distance of a pair is greater: `i32::MAX` is what pairs have that do not count.
const FARTHEST: i32 = i32::MAX - 1;

/// Tiles of which nothing is known yet.
pub(super) const NO_MINIMA: TileValues = [[i32::MAX; TILE_COLUMNS]; TILE_ROWS];

/// A distance in codes and a position in one number whose order is that of (distance, position).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near(u64);

impl Near {
    /// Fills places of which nobody asks what is in them.
    pub(super) const ZERO: Self = Self(0);

    /// As a plain number of the same order.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// What [`Near::bits`] made a number.
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Behind all pairs.
    pub(super) const FARTHEST: Self = Self(u64::MAX);

    #[inline]
    pub(super) fn new(distance: i32, position: u32) -> Self {
        Self(u64::from(distance.cast_unsigned() ^ (1 << 31)) << 32 | u64::from(position))
    }

    #[inline]
    pub(super) fn distance(self) -> i32 {
        ((self.0 >> 32) as u32 ^ (1 << 31)).cast_signed()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the number apart again")]
    pub(super) fn position(self) -> u32 {
        self.0 as u32
    }

    /// The same distance of another position.
    #[inline]
    pub(super) fn at(self, position: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(position))
    }
}

/// The nearest candidates of some rows, while they are being picked: never fewer than the `k` nearest, and some more.
#[derive(Debug, Default)]
pub(super) struct Nearest {
    lists: Vec<Near>,
    lens: Vec<usize>,
    k: usize,
    places: usize,
}

impl Nearest {
    /// Empties the lists.
    pub(super) fn reset(&mut self, rows: usize, k: usize) {
        self.k = k;
        self.places = 2 * k + 8;
        self.lists.resize(rows * self.places, Near::ZERO);
        self.lens.clear();
        self.lens.resize(rows, 0);
    }

    /// Adds a candidate of a row, and lowers the row's bound now and then.
    #[inline]
    pub(super) fn add(&mut self, row: usize, near: Near, bounds: &mut [i32]) {
        let len = &mut self.lens[row];
        self.lists[row * self.places + *len] = near;
        *len += 1;
        if *len == self.places {
            let list = &mut self.lists[row * self.places..(row + 1) * self.places];
            let (_, kth, _) = list.select_nth_unstable(self.k - 1);
            bounds[row] = kth.distance();
            *len = self.k;
        }
    }

    /// The `k` nearest of a row, or all if there are fewer, nearest first.
    pub(super) fn sorted(&mut self, row: usize) -> &[Near] {
        let list = &mut self.lists[row * self.places..][..self.lens[row]];
        list.sort_unstable();
        &list[..list.len().min(self.k)]
    }
}

/// Calls `found` with the place of each bit.
#[inline]
pub(super) fn each_bit(mut bits: u32, mut found: impl FnMut(usize)) {
    while bits != 0 {
        found(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Lowers the bounds of the rows of a panel's width to the `k`-th least of their groups.
///
/// `row_minima` has the groups of each row of the tiles; `column_minima` those that a row has as a column of its panel.
pub(super) fn lower_bounds(
    bounds: &mut [i32],
    first: usize,
    row_minima: &[TileValues],
    column_minima: &[[i32; TILE_COLUMNS]],
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
    // No candidate is in both: two groups put together are a group.
    for (group, minima) in groups.iter_mut().zip(column_minima) {
        for (least, &other) in group.iter_mut().zip(minima) {
            *least = (*least).min(other);
        }
    }
    for (bound, kth) in bounds[first..].iter_mut().zip(products.kth(&groups, k)) {
        *bound = (*bound).min(kth).min(FARTHEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::hash;

    #[test]
    fn near_orders_by_distance_then_position() {
        let ascending = [
            Near::new(i32::MIN, 9),
            Near::new(-5, 1),
            Near::new(-5, 2),
            Near::new(0, 0),
            Near::new(7, u32::MAX),
            Near::new(i32::MAX, 0),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
        assert_eq!((ascending[1].distance(), ascending[1].position()), (-5, 1));
        assert_eq!(ascending[4].at(3), Near::new(7, 3));
    }

    #[test]
    fn the_nearest_are_those_of_the_sorted_candidates() {
        for (candidates, k) in [(3, 5), (5, 5), (100, 7), (100, 1), (400, 40)] {
            let mut nearest = Nearest::default();
            let mut bounds = [i32::MAX; 2];
            nearest.reset(2, k);
            let mut all: Vec<Near> =
                (0..candidates).map(|i| Near::new((hash(3, i.into()) % 50) as i32 - 25, i)).collect();
            for &near in &all {
                if near.distance() <= bounds[1] {
                    nearest.add(1, near, &mut bounds);
                }
            }
            all.sort_unstable();
            all.truncate(k);
            assert_eq!(nearest.sorted(1), all);
            assert_eq!(nearest.sorted(0), []);
        }
    }
}
