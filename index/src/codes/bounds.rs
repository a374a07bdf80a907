//! How far the distances of codes may be from those of the vectors: what makes a comparison by codes a proof.
//!
//! Let `s` be the scale of the codes. A vector in code units is `s` times it (less the centre, and for cosine scaled to
//! length 1), its **residual** the distance from there to its codes. By the triangle inequality the distance of
//! two vectors in code units is that of their codes, give or take both residuals; an inner product is that of the
//! codes, give or take the residual of each times the length of the other. The kernels round, too: a sum of `n` products is wrong
//! by less than [`Bounds::rounding`] times the sum of their absolute values, plus what underflows. All that is here is in f64, and
//! rounded to the safe side.

use super::Quantizer;
use crate::Metric;

/// More than f64 can be wrong by in the few steps of a bound.
const SLACK: f64 = 1.0 + 1e-9;

/// What the bounds have to know of a vector, in code units: nothing of it is too small.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Errors {
    /// At most so far is the vector from its codes.
    pub(crate) residual: f32,
    /// At most so long is the vector (less no centre).
    pub(crate) length: f32,
}

impl Errors {
    /// Those of whichever vector is worse.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { residual: self.residual.max(other.residual), length: self.length.max(other.length) }
    }
}

/// A query's part of its bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryErrors {
    /// Its residual.
    residual: f64,
    /// For inner products: what the length of a row is multiplied by.
    by_length: f64,
    /// For inner products: the length of the codes, by which the residual of a row is multiplied.
    by_residual: f64,
    /// For inner products: code units of both sides a unit.
    units: f64,
}

impl QueryErrors {
    /// What the errors of a row cost with this query, for putting rows into an order.
    pub(crate) fn weights(&self, metric: Metric) -> (f64, f64) {
        if metric == Metric::Ip { (self.by_residual, self.by_length) } else { (1.0, 0.0) }
    }
}

/// The bounds for rows of one quantizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    metric: Metric,
    /// Code units a unit of the rows.
    scale: f64,
    /// The length of the centre in code units.
    centre: f64,
    /// At most so long are codes.
    codes: f64,
    /// At most so wrong, relative to the sum of absolute values, is a sum of the kernels, of [`residual_squares`], or an inverse norm.
    rounding: f64,
    /// At most so much more is lost where products underflow.
    underflow: f64,
}

impl Bounds {
    /// Those for a quantizer; nothing where its scale, or what is divided by it, is near the ends of f32.
    pub(crate) fn of(metric: Metric, dim: usize, quantizer: &Quantizer) -> Option<Self> {
        let is_usual = (1e-30..=1e30).contains(&quantizer.scale);
        is_usual.then(|| Self::new(metric, dim, quantizer.scale, &quantizer.centre))
    }

    fn new(metric: Metric, dim: usize, scale: f32, centre: &[f32]) -> Self {
        let scale = f64::from(scale);
        let squares: f64 = centre.iter().map(|&value| f64::from(value).powi(2)).sum();
        Self {
            metric,
            scale,
            centre: squares.sqrt() * scale * SLACK,
            codes: 128.0 * (dim as f64).sqrt(),
            // A chain of `n` steps is wrong by `n * 2^-24`; with as much again for what underflows in a squared norm
            // that is no less than 2^-126. Some steps more for the difference, the tree over lanes, and the root.
            rounding: (dim as f64 + 16.0) * 2f64.powi(-23),
            underflow: dim as f64 * 2f64.powi(-149),
        }
    }

    /// The errors of a vector whose values are multiplied by `factor` before they become `codes`, which have 128 added. Only
    /// inner products need a length that is near the true one.
    pub(crate) fn errors(&self, vector: &[f32], factor: f32, quantizer: &Quantizer, codes: &[u8]) -> Errors {
        let squares = residual_squares(vector, factor, quantizer, codes);
        let rounded = squares.sqrt() * (1.0 + self.rounding);
        // No more than from nothing to the centre, on to the codes, and to the vector.
        let mut length = self.centre + self.codes + rounded;
        if self.metric == Metric::Ip {
            length = length_squares(vector, factor, quantizer).sqrt() * (1.0 + self.rounding);
        }
        // Each value was multiplied, shifted, scaled and compared in f32: four steps of 2^-24 each, taken as sixteen.
        let mut residual = rounded + (length + self.centre + rounded) * 2f64.powi(-20) + 1e-6;
        if self.metric == Metric::Cosine {
            // The factor is not quite what gives length 1. Where it is 0 the distance is 1, as if it were of vectors
            // that are the root of 2 apart; the codes say something between 0 and 1.
            residual += self.scale * if factor == 0.0 { 1.5 } else { self.rounding };
        }
        Errors { residual: up(residual), length: up(length + 1e-6) }
    }

    /// What a query adds. `codes` have 128 added; `scale` is theirs.
    pub(crate) fn query(&self, errors: Errors, scale: f32, codes: &[u8]) -> QueryErrors {
        let squares: i64 = codes.iter().map(|&code| (i64::from(code) - 128).pow(2)).sum();
        let residual = f64::from(errors.residual);
        QueryErrors {
            residual,
            by_length: (residual + self.rounding * f64::from(errors.length)) * SLACK,
            by_residual: (squares as f64).sqrt() * SLACK,
            units: f64::from(scale) * self.scale,
        }
    }

    /// What the codes of a pair may be apart, without their errors, if its distance is at most `bound`.
    pub(crate) fn reach(&self, query: &QueryErrors, bound: f64) -> f64 {
        match self.metric {
            Metric::L2 => {
                let squared = (bound + self.underflow) / (1.0 - self.rounding);
                squared.sqrt() * self.scale * SLACK + query.residual
            }
            Metric::Cosine => {
                let squared = 2.0 * (bound + self.cosine());
                squared.sqrt() * self.scale * SLACK + query.residual
            }
            Metric::Ip => {
                let reach = (bound + self.underflow) * query.units;
                reach + reach.abs() * 1e-9
            }
        }
    }

    /// The greatest distance of codes that a pair may have whose distance is within `reach`.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it was compared, and a greater whole number is as right"
    )]
    pub(crate) fn threshold(&self, query: &QueryErrors, reach: f64, row: Errors) -> i32 {
        let residual = f64::from(row.residual);
        let most = if self.metric == Metric::Ip {
            let errors = query.by_length * f64::from(row.length) + query.by_residual * residual;
            2.0 * (reach + errors * SLACK)
        } else {
            (reach + residual).powi(2) * SLACK
        };
        // Not a number is among what is not less.
        if most < f64::from(i32::MAX) - 2.0 { most.ceil() as i32 + 1 } else { i32::MAX }
    }

    /// The greatest distance that a pair may have whose codes are `codes` apart.
    pub(crate) fn most(&self, query: &QueryErrors, codes: i32, row: Errors) -> f64 {
        let codes = f64::from(codes);
        let residual = f64::from(row.residual);
        let most = match self.metric {
            Metric::L2 => {
                let apart = (codes.sqrt() + query.residual + residual) / self.scale * SLACK;
                apart.powi(2) * (1.0 + self.rounding) * SLACK + self.underflow
            }
            Metric::Cosine => {
                let apart = (codes.sqrt() + query.residual + residual) / self.scale * SLACK;
                apart.powi(2) / 2.0 * SLACK + self.cosine()
            }
            Metric::Ip => {
                let errors = query.by_length * f64::from(row.length) + query.by_residual * residual;
                let most = (codes / 2.0 + errors * SLACK) / query.units;
                most + most.abs() * 1e-9 + self.underflow
            }
        };
        if most.is_nan() { f64::INFINITY } else { most }
    }

    /// At most so wrong is a cosine: its product, and both inverse norms.
    fn cosine(&self) -> f64 {
        4.0 * self.rounding
    }
}

/// As f32, and no less.
#[expect(clippy::cast_possible_truncation, reason = "rounded up")]
fn up(value: f64) -> f32 {
    (value * (1.0 + 1e-6)) as f32
}

/// Lanes that sums are taken in.
const LANES: usize = 16;

/// In code units the squares of the residual, summed in f32: too large ones become infinite, and what underflows is less than
/// 1e-6 of a code.
fn residual_squares(vector: &[f32], factor: f32, quantizer: &Quantizer, codes: &[u8]) -> f64 {
    let (scale, mut sums) = (quantizer.scale, [0.0f32; LANES]);
    let mut add = |values: &[f32], centre: &[f32], codes: &[u8]| {
        for ((sum, value), (centre, &code)) in sums.iter_mut().zip(values).zip(centre.iter().zip(codes)) {
            let residual = (value * factor - centre) * scale - (f32::from(code) - 128.0);
            *sum += residual * residual;
        }
    };
    let ((values, last_values), (centres, last_centres), (all_codes, last_codes)) =
        (vector.as_chunks::<LANES>(), quantizer.centre.as_chunks::<LANES>(), codes.as_chunks::<LANES>());
    for ((values, centre), codes) in values.iter().zip(centres).zip(all_codes) {
        add(values, centre, codes);
    }
    add(last_values, last_centres, last_codes);
    sums.iter().map(|&lane| f64::from(lane)).sum()
}

/// The same of the vector itself.
fn length_squares(vector: &[f32], factor: f32, quantizer: &Quantizer) -> f64 {
    let mut sums = [0.0f32; LANES];
    for values in vector.chunks(LANES) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += (value * factor * quantizer.scale) * (value * factor * quantizer.scale);
        }
    }
    sums.iter().map(|&lane| f64::from(lane)).sum()
}
