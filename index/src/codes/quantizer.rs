//! How values become codes.

use super::{ZERO, factor};
use crate::level::hash;
use crate::vectors::Rows;
use crate::{Metric, Params};

/// Rows that mean and scale are taken from.
const SAMPLE_ROWS: usize = 1024;

/// How values become codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantizer {
    /// What is subtracted from the value of each column.
    pub(crate) centre: Vec<f32>,
    /// Codes a unit.
    pub(crate) scale: f32,
    /// The largest code.
    pub(crate) limit: f32,
}

impl Quantizer {
    /// The largest code with which distances of rows of `dim` codes, at most `4 * dim * limit^2`, fit 31 bits.
    #[expect(clippy::cast_possible_truncation, reason = "a whole number up to 127")]
    fn limit(dim: usize) -> f32 {
        (f64::from(i32::MAX) / (4.0 * dim as f64)).sqrt().floor().min(127.0) as f32
    }

    /// Chooses centre and scale from a sample that depends on the seed.
    pub(crate) fn fit(rows: &impl Rows, params: &Params) -> Self {
        let sample = Sample { rows, drawn: draw(rows.matrix().rows(), params.seed) };
        let centre = match params.metric {
            // Products of codes less a centre would not be the products of the values.
            Metric::Ip => vec![0.0; rows.matrix().dim()],
            Metric::L2 | Metric::Cosine => sample.means(),
        };
        let limit = Self::limit(centre.len());
        let scale = sample.scale(&centre, limit);
        Self { centre, scale, limit }
    }

    /// The numbers in the file: scale, limit, centre.
    pub(crate) fn to_values(&self) -> Vec<f32> {
        [self.scale, self.limit].into_iter().chain(self.centre.iter().copied()).collect()
    }

    /// From the numbers in the file, if they make sense.
    pub(crate) fn from_values(values: &[f32], dim: usize) -> Option<Self> {
        let [scale, limit, centre @ ..] = values else { return None };
        let is_right = centre.len() == dim
            && scale.is_finite()
            && *scale >= 0.0
            && *limit == Self::limit(dim)
            && centre.iter().all(|value| value.is_finite());
        is_right.then(|| Self { centre: centre.to_vec(), scale: *scale, limit: *limit })
    }

    /// Writes the codes of a vector, each value first multiplied by `factor`, and zeros up to the end of `codes`.
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are wanted")]
    pub(crate) fn encode(&self, vector: &[f32], factor: f32, codes: &mut [u8]) {
        /// Added to a number under 2^22 it leaves the number, rounded to the nearest even, in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let Self { scale, limit, .. } = *self;
        for ((code, value), centre) in codes.iter_mut().zip(vector).zip(&self.centre) {
            let scaled = (value * factor - centre) * scale;
            let rounded = scaled.max(-limit).min(limit) + ROUND;
            *code = (rounded.to_bits() as u8).wrapping_add(ZERO);
        }
        codes[vector.len()..].fill(ZERO);
    }
}

/// Draws rows, some perhaps twice; all if there are few.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn draw(rows: usize, seed: u64) -> Vec<u32> {
    let draw = |i| (hash(seed ^ 0x636f_6465, i) % rows as u64) as u32;
    if rows < SAMPLE_ROWS { (0..).take(rows).collect() } else { (0..SAMPLE_ROWS as u64).map(draw).collect() }
}

/// Some of the rows.
struct Sample<'a, R> {
    rows: &'a R,
    drawn: Vec<u32>,
}

impl<R: Rows> Sample<'_, R> {
    /// The mean of each column.
    #[expect(clippy::cast_possible_truncation, reason = "rounds")]
    fn means(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.rows.matrix().dim()];
        for &row in &self.drawn {
            let factor = factor(self.rows, row);
            for (sum, value) in sums.iter_mut().zip(self.rows.matrix().row(row)) {
                *sum += f64::from(value * factor);
            }
        }
        let count = self.drawn.len().max(1) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    }

    /// The scale with the least squared error.
    #[expect(clippy::cast_possible_truncation, reason = "rounds; a bin is below 2^31")]
    fn scale(&self, centre: &[f32], limit: f32) -> f32 {
        let offsets = |row: u32| {
            let factor = factor(self.rows, row);
            let values = self.rows.matrix().row(row).iter().zip(centre);
            values.map(move |(value, centre)| (value * factor - centre).abs())
        };
        let mut offsets: Vec<f32> = self.drawn.iter().flat_map(|&row| offsets(row)).collect();
        let largest = range(&mut offsets);
        // Below it the scale would be no finite number; the rows are as good as equal then.
        if largest < f32::MIN_POSITIVE * 1e6 {
            return 0.0;
        }
        let bins_a_unit = BINS as f32 / largest;
        let mut histogram = vec![0u64; BINS];
        for offset in offsets {
            histogram[((offset * bins_a_unit) as usize).min(BINS - 1)] += 1;
        }
        let cut = least_error(&histogram, f64::from(limit)) * f64::from(largest);
        (f64::from(limit) / cut) as f32
    }
}

/// The largest offset that counts: four times what all but one in a thousand are below. The rest are outliers, and must not
/// cost all others their precision.
fn range(offsets: &mut [f32]) -> f32 {
    let Some(last) = offsets.len().checked_sub(1) else { return 0.0 };
    let largest = offsets.iter().copied().fold(0.0, f32::max);
    let (_, &mut most, _) = offsets.select_nth_unstable_by(last - last / 1000, f32::total_cmp);
    if most > 0.0 { largest.min(4.0 * most) } else { largest }
}

/// Bins of the histogram of values.
const BINS: usize = 2048;

/// Where to cut values off, as a share of the largest, for the least sum of squared errors of rounding and cutting.
fn least_error(histogram: &[u64], limit: f64) -> f64 {
    let bins = histogram.len() as f64;
    let mut best = (f64::INFINITY, 1.0);
    for step in 1..=64 {
        let cut = f64::from(step) / 64.0;
        let rounding = (cut / limit).powi(2) / 12.0;
        let error: f64 = (histogram.iter().enumerate())
            .map(|(bin, &count)| {
                let over = ((bin as f64 + 0.5) / bins - cut).max(0.0);
                count as f64 * (rounding + over * over)
            })
            .sum();
        if error < best.0 {
            best = (error, cut);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;
    use crate::vectors::PlainRows;

    #[test]
    fn codes_are_rounded_values_cut_off_at_the_limit() {
        let quantizer = Quantizer { centre: vec![1.0, 0.0, 0.0, 0.0, 0.0], scale: 10.0, limit: 127.0 };
        let mut codes = [0; 8];
        quantizer.encode(&[1.0, 0.25, -0.35, 99.0, -99.0], 1.0, &mut codes);
        // Ties go to the even number; padding is the code 0.
        assert_eq!(codes.map(|code| i16::from(code) - 128), [0, 2, -4, 127, -127, 0, 0, 0]);
    }

    #[test]
    fn a_few_huge_values_do_not_cost_the_others_their_precision() {
        let mut values: Vec<f32> = (0..64_000).map(|i| (hash(1, i) % 2001) as f32 / 1000.0 - 1.0).collect();
        values[777] = 500.0;
        let rows = PlainRows { matrix: Matrix::new(&values, 64), inverse_norms: &[] };
        let quantizer = Quantizer::fit(&rows, &Params::new(Metric::L2));
        assert!(quantizer.scale > 30.0, "{}", quantizer.scale);
        let round_trip = Quantizer::from_values(&quantizer.to_values(), 64);
        assert_eq!(round_trip, Some(quantizer));
    }

    #[test]
    fn limits_keep_distances_in_31_bits() {
        assert_eq!(Quantizer::limit(1), 127.0);
        assert_eq!(Quantizer::limit(33_286), 127.0);
        assert_eq!(Quantizer::limit(33_287), 126.0);
        assert_eq!(Quantizer::limit(65_536), 90.0);
    }
}
