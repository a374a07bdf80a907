//! What is counted row by row: any thread may count any rows, and the sums are the same.

use readers::arrow_array::Array as _;
use readers::{Batch, Ids};
use serde::Serialize;
use twox_hash::XxHash3_128;

use super::super::looking::norm;
use crate::stages::hash_of;

/// So many rows are named of those that something is the matter with.
const NAMED: usize = 5;

/// Bits of a key that are the number of the row.
pub(super) const ROW_BITS: u32 = 40;

/// The same where the rest is an id of 64 bits.
pub(super) const ID_ROW_BITS: u32 = 64;

/// Rows that something is the matter with.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Rows {
    /// How many.
    pub(super) rows: u64,
    /// The numbers of the first of them.
    pub(super) first: Vec<u64>,
}

impl Rows {
    fn add(&mut self, row: u64) {
        self.rows += 1;
        keep_first(&mut self.first, row);
    }

    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        other.first.into_iter().for_each(|row| keep_first(&mut self.first, row));
    }
}

/// Adds one to the smallest few.
pub(super) fn keep_first<T: Ord>(first: &mut Vec<T>, one: T) {
    let at = first.partition_point(|other| *other < one);
    if at < NAMED {
        first.insert(at, one);
        first.truncate(NAMED);
    }
}

/// What is counted of all values, whatever the rows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Values {
    /// How many there are.
    pub(super) count: u64,
    /// Those that no model gives: beyond 1e10 either way, subnormal, NaN, infinite.
    pub(super) implausible: u64,
    /// How many those would be if the bytes of every value were turned around.
    pub(super) implausible_if_swapped: u64,
    /// Whether all of them are whole numbers from -128 to 255; rows with NaN and infinities do not count.
    pub(super) all_small_integers: bool,
    /// The least of them, without those rows.
    pub(super) min: Option<f32>,
    /// The greatest.
    pub(super) max: Option<f32>,
}

impl Values {
    /// Of none.
    pub(super) fn new() -> Self {
        Self {
            count: 0,
            implausible: 0,
            implausible_if_swapped: 0,
            all_small_integers: true,
            min: None,
            max: None,
        }
    }
}

/// The counts of some of the rows.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) nan: Rows,
    pub(super) infinite: Rows,
    pub(super) zero: Rows,
    pub(super) values: Values,
    /// Lengths of the rows that are finite.
    pub(super) norms: Vec<f32>,
    /// The least and greatest value of each dimension, of the rows that are finite.
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
    /// For each row a hash of its vector, and its number.
    pub(super) vectors: Vec<u128>,
    /// For each row its id or a hash of it, and its number; empty where ids are row numbers.
    pub(super) ids: Vec<u128>,
    /// How many values each further column lacks.
    pub(super) nulls: Vec<u64>,
}

impl Tally {
    pub(super) fn new(dim: usize, columns: usize) -> Self {
        Self {
            rows: 0,
            nan: Rows::default(),
            infinite: Rows::default(),
            zero: Rows::default(),
            values: Values::new(),
            norms: Vec::new(),
            low: vec![f32::INFINITY; dim],
            high: vec![f32::NEG_INFINITY; dim],
            vectors: Vec::new(),
            ids: Vec::new(),
            nulls: vec![0; columns],
        }
    }

    /// Counts the rows of a batch.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.rows += batch.rows() as u64;
        for (at, vector) in batch.vectors().enumerate() {
            let row = batch.row_number(at);
            let key = hash_key(hash_of(vector), row);
            self.vectors.push(key);
            self.add_vector(row, vector);
            match batch.ids() {
                Ids::U64(ids) => self.ids.push((u128::from(ids[at]) << ID_ROW_BITS) | u128::from(row)),
                Ids::Text(ids) => {
                    self.ids.push(hash_key(XxHash3_128::oneshot(ids.value(at).as_bytes()), row))
                }
                _ => {}
            }
        }
        let columns = batch.payload().into_iter().flat_map(|payload| payload.columns());
        for (nulls, column) in self.nulls.iter_mut().zip(columns) {
            *nulls += column.logical_null_count() as u64;
        }
    }

    fn add_vector(&mut self, row: u64, vector: &[f32]) {
        let look = BitLook::at(vector);
        self.values.count += vector.len() as u64;
        self.values.implausible += u64::from(look.implausible);
        self.values.implausible_if_swapped += u64::from(look.implausible_if_swapped);
        if look.largest >= INFINITY {
            if vector.iter().any(|value| value.is_nan()) {
                self.nan.add(row);
            }
            if vector.iter().any(|value| value.is_infinite()) {
                self.infinite.add(row);
            }
            return;
        }
        if look.largest == 0 {
            self.zero.add(row);
        }
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and bounded before")]
        self.norms.push(norm(vector).min(f64::from(f32::MAX)) as f32);
        self.values.all_small_integers = self.values.all_small_integers && are_small_integers(vector);
        for ((low, high), &value) in self.low.iter_mut().zip(&mut self.high).zip(vector) {
            *low = if value < *low { value } else { *low };
            *high = if value > *high { value } else { *high };
        }
    }

    /// Adds what was counted of other rows.
    pub(super) fn join(&mut self, mut other: Self) {
        self.rows += other.rows;
        self.nan.join(other.nan);
        self.infinite.join(other.infinite);
        self.zero.join(other.zero);
        let (values, others) = (&mut self.values, other.values);
        values.count += others.count;
        values.implausible += others.implausible;
        values.implausible_if_swapped += others.implausible_if_swapped;
        values.all_small_integers &= others.all_small_integers;
        self.norms.append(&mut other.norms);
        self.vectors.append(&mut other.vectors);
        self.ids.append(&mut other.ids);
        for (one, other) in self.low.iter_mut().zip(other.low) {
            *one = one.min(other);
        }
        for (one, other) in self.high.iter_mut().zip(other.high) {
            *one = one.max(other);
        }
        for (one, other) in self.nulls.iter_mut().zip(other.nulls) {
            *one += other;
        }
    }
}

/// The upper bits of a hash, and the number of the row. Among a hundred million rows two different ones have the same hash with
/// a chance of one in 10^10.
fn hash_key(hash: u128, row: u64) -> u128 {
    let rows = (1u128 << ROW_BITS) - 1;
    (hash & !rows) | (u128::from(row) & rows)
}

/// The bits of infinity; those of NaN are larger.
const INFINITY: u32 = f32::INFINITY.to_bits();

/// What the bits of a row say.
struct BitLook {
    /// The largest value, without its sign.
    largest: u32,
    implausible: u32,
    implausible_if_swapped: u32,
}

impl BitLook {
    fn at(vector: &[f32]) -> Self {
        let mut look = Self { largest: 0, implausible: 0, implausible_if_swapped: 0 };
        for value in vector {
            let bits = value.to_bits();
            look.largest = look.largest.max(magnitude(bits));
            look.implausible += u32::from(is_implausible(bits));
            look.implausible_if_swapped += u32::from(is_implausible(bits.swap_bytes()));
        }
        look
    }
}

fn magnitude(bits: u32) -> u32 {
    bits & 0x7fff_ffff
}

/// Whether no model gives such a value: beyond 1e10, or so small that an f32 has not all its digits.
fn is_implausible(bits: u32) -> bool {
    const HUGE: u32 = 1e10f32.to_bits();
    const LEAST_NORMAL: u32 = f32::MIN_POSITIVE.to_bits();
    let magnitude = magnitude(bits);
    // Without a branch: zero goes to the other end.
    magnitude > HUGE || magnitude.wrapping_sub(1) < LEAST_NORMAL - 1
}

/// Whether all values are whole numbers that a byte holds, with or without sign.
fn are_small_integers(vector: &[f32]) -> bool {
    vector.iter().all(|&value| {
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
        let whole = value as i32;
        #[expect(clippy::cast_precision_loss, reason = "compared with what it was")]
        let is_whole = whole as f32 == value;
        is_whole && (-128..=255).contains(&whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_tell_what_a_model_does_not_give() {
        let odd = |value: f32| is_implausible(value.to_bits());
        for plausible in [0.0, -0.0, 0.3, -255.0, 1e9, 1e-37, f32::MIN_POSITIVE] {
            assert!(!odd(plausible), "{plausible}");
        }
        for implausible in [1.1e10, -1e30, 1e-39, f32::from_bits(1), f32::NAN, f32::NEG_INFINITY] {
            assert!(odd(implausible), "{implausible}");
        }
    }

    #[test]
    fn the_first_few_are_kept() {
        let mut first = Vec::new();
        for row in [9, 3, 7, 1, 8, 2, 4] {
            keep_first(&mut first, row);
        }
        assert_eq!(first, [1, 2, 3, 4, 7]);
    }

    #[test]
    fn bytes_hold_small_integers() {
        assert!(are_small_integers(&[0.0, 255.0, -128.0, -0.0]));
        for other in [0.5, 256.0, -129.0, 1e30, f32::NAN] {
            assert!(!are_small_integers(&[1.0, other]), "{other}");
        }
    }
}
