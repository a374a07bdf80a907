//! How vectors are stored: as they are, or narrowed.

use std::fmt;

use bytemuck::cast_slice;
use half::f16;
use rayon::prelude::*;

use crate::Matrix;
use crate::distance::widen_f16;
use crate::vectors::InvalidRow;

/// How an index file keeps its vectors. Searches answer by the distances of the vectors that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Storage {
    /// As they were given.
    #[default]
    F32,
    /// Rounded to half precision (IEEE 754 binary16), to nearest, ties to even: half the size.
    F16,
    /// One byte a value: a whole number from -127 to 127 of steps around the middle of its column. A quarter of the size.
    I8,
    /// Not in the index: in the file that it was built from, which has to stay as it is.
    Source,
}

impl Storage {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
            Self::Source => "source",
        }
    }

    /// Bytes of a value.
    pub fn value_bytes(self) -> usize {
        match self {
            Self::F32 | Self::Source => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }

    /// The bit of the header's required features.
    pub(crate) fn feature(self) -> u64 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::I8 => 2,
            Self::Source => 4,
        }
    }

    /// What the required features of a header say, if this crate knows all of them.
    pub(crate) fn of_features(features: u64) -> Option<Self> {
        [Self::F32, Self::F16, Self::I8, Self::Source]
            .into_iter()
            .find(|storage| storage.feature() == features)
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fails if a matrix cannot be stored so: a value is past what half precision holds, 65,504. Runs on the current rayon pool.
///
/// # Errors
/// The first row that has such a value.
pub fn check_storage(matrix: Matrix<'_>, storage: Storage) -> Result<(), InvalidRow> {
    if storage != Storage::F16 {
        return Ok(());
    }
    let overflows = |row: &[f32]| row.iter().any(|&value| f16::from_f32(value).is_infinite());
    match matrix.values().par_chunks(matrix.dim()).position_first(overflows) {
        Some(row) => Err(InvalidRow {
            row: row as u64,
            reason: "expected values up to 65504, as half precision holds, found a larger one",
        }),
        None => Ok(()),
    }
}

/// The least and the greatest value of each column; zeros where there are no rows.
fn extremes(matrix: Matrix<'_>) -> (Vec<f32>, Vec<f32>) {
    const ROWS_A_TASK: usize = 4096;
    let dim = matrix.dim();
    let none = || (vec![f32::INFINITY; dim], vec![f32::NEG_INFINITY; dim]);
    // Least and greatest are the same in any order.
    let (mut least, mut most) = matrix
        .values()
        .par_chunks(dim * ROWS_A_TASK)
        .fold(none, |(mut least, mut most), rows| {
            for row in rows.chunks_exact(dim) {
                for ((least, most), &value) in least.iter_mut().zip(&mut most).zip(row) {
                    *least = least.min(value);
                    *most = most.max(value);
                }
            }
            (least, most)
        })
        .reduce(none, |(mut least, mut most), (other_least, other_most)| {
            least.iter_mut().zip(other_least).for_each(|(least, other)| *least = least.min(other));
            most.iter_mut().zip(other_most).for_each(|(most, other)| *most = most.max(other));
            (least, most)
        });
    for (least, most) in least.iter_mut().zip(&mut most) {
        // -0.0 and 0.0 are equal, and which of them is the least would depend on the order.
        (*least, *most) = if least > most { (0.0, 0.0) } else { (*least + 0.0, *most + 0.0) };
    }
    (least, most)
}

/// How values and stored numbers belong together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Narrowing {
    F16,
    /// `value = middle + number * step`, of each column.
    I8 {
        middles: Vec<f32>,
        steps: Vec<f32>,
    },
}

const LIMIT: f32 = 127.0;

impl Narrowing {
    /// For the rows of a matrix, which are finite.
    pub(crate) fn of(storage: Storage, matrix: Matrix<'_>) -> Option<Self> {
        match storage {
            Storage::F32 | Storage::Source => None,
            Storage::F16 => Some(Self::F16),
            Storage::I8 => {
                let (least, most) = extremes(matrix);
                let columns = || least.iter().zip(&most);
                // Halves, as the sum of two may be past what an f32 holds.
                let middles = columns().map(|(&least, &most)| least / 2.0 + most / 2.0).collect();
                let steps = columns().map(|(&least, &most)| (most / 2.0 - least / 2.0) / LIMIT).collect();
                Some(Self::I8 { middles, steps })
            }
        }
    }

    /// From the numbers of a section: the middles of all columns, then the steps. Nothing if they cannot be.
    pub(crate) fn of_values(values: &[f32]) -> Option<Self> {
        let (middles, steps) = values.split_at(values.len() / 2);
        let finite = middles.len() == steps.len()
            && middles.iter().zip(steps).all(|(&middle, &step)| {
                step >= 0.0 && (middle + LIMIT * step).is_finite() && (middle - LIMIT * step).is_finite()
            });
        finite.then(|| Self::I8 { middles: middles.to_vec(), steps: steps.to_vec() })
    }

    /// The numbers for the section; none for half precision.
    pub(crate) fn values(&self) -> Vec<f32> {
        match self {
            Self::F16 => Vec::new(),
            Self::I8 { middles, steps } => [&middles[..], steps].concat(),
        }
    }

    /// Bytes of a stored row.
    pub(crate) fn row_bytes(&self, dim: usize) -> usize {
        match self {
            Self::F16 => 2 * dim,
            Self::I8 { .. } => dim,
        }
    }

    /// The bytes of rows. As many values on both sides.
    pub(crate) fn narrow(&self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::F16 => {
                for (value, out) in values.iter().zip(out.as_chunks_mut().0) {
                    *out = f16::from_f32(*value).to_le_bytes();
                }
            }
            Self::I8 { middles, steps } => {
                let dim = middles.len();
                for (row, out) in values.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
                    for (((out, &value), &middle), &step) in out.iter_mut().zip(row).zip(middles).zip(steps) {
                        let number = if step > 0.0 { (value - middle) / step } else { 0.0 };
                        #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
                        let number = number.round_ties_even().clamp(-LIMIT, LIMIT) as i8;
                        [*out] = number.to_le_bytes();
                    }
                }
            }
        }
    }

    /// Bytes of rows as values. As long as each other, in values.
    #[inline]
    pub(crate) fn widen(&self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F16 => widen_f16(bytes, out),
            Self::I8 { middles, steps } => {
                let numbers: &[i8] = cast_slice(bytes);
                let dim = middles.len();
                for (numbers, out) in numbers.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
                    for (((out, &number), &middle), &step) in
                        out.iter_mut().zip(numbers).zip(middles).zip(steps)
                    {
                        *out = middle + f32::from(number) * step;
                    }
                }
            }
        }
    }
}
