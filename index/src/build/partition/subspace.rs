//! Few directions that hold most of what rows differ by.
//!
//! They are found by subspace iteration from random vectors (Halko, Martinsson and Tropp 2011, algorithm 4.4) on the second
//! moments of a sample. Such axes are no eigenvectors, and need not be: what counts is
//! how much they hold.

use rayon::prelude::*;

use crate::level::hash;
use crate::{Distance, Metric};

/// Directions that are looked for at a time.
const CHUNK: usize = 32;

/// How often the directions are multiplied by the moments.
const ITERATIONS: usize = 3;

/// Orthogonal directions of one length in `dim` dimensions.
#[derive(Debug)]
pub(super) struct Subspace {
    /// One direction after the other.
    pub(super) axes: Vec<f32>,
    pub(super) dim: usize,
}

/// A symmetric matrix of second moments, row-major.
#[derive(Debug)]
pub(super) struct Moments {
    values: Vec<f32>,
    dim: usize,
    trace: f64,
    dot: Distance,
}

impl Moments {
    /// # Panics
    /// If there are not `dim * dim` values.
    pub(super) fn new(values: Vec<f32>, dim: usize) -> Self {
        assert_eq!(values.len(), dim * dim, "a square matrix");
        let trace = (0..dim).map(|i| f64::from(values[i * dim + i])).sum();
        Self { values, dim, trace, dot: Distance::new(Metric::Ip) }
    }

    /// Axes that hold `share` of the trace: as few as the iteration finds, in whole steps of `step`; nothing if those are
    /// more than `most`.
    pub(super) fn subspace(&self, share: f64, step: usize, most: usize, seed: u64) -> Option<Subspace> {
        let dim = self.dim;
        let wanted = share * self.trace;
        if !(wanted > 0.0 && wanted.is_finite()) {
            return None;
        }
        let mut axes = Vec::new();
        let mut products = Vec::new();
        let mut held = 0.0;
        while held < wanted && axes.len() < most * dim {
            let first = axes.len();
            axes.extend(self.times(&random_vectors(CHUNK * dim, hash(seed, first as u64))));
            self.orthogonalise(&mut axes, first / dim);
            products.extend(self.times(&axes[first..]));
            let more: f64 = self.shares(&axes[first..], &products[first..]).sum();
            held += more;
            // Later axes hold no more than these, but for what iterations still gain.
            let chunks_left = most.saturating_sub(axes.len() / dim).div_ceil(CHUNK);
            if axes.len() == first || held + more * (chunks_left as f64) < wanted * 0.9 {
                return None;
            }
        }
        for _ in 1..ITERATIONS {
            axes = products;
            self.orthogonalise(&mut axes, 0);
            products = self.times(&axes);
        }
        let mut held = 0.0;
        let enough = self.shares(&axes, &products).position(|more| {
            held += more;
            held >= wanted
        })?;
        let count = (enough + 1).next_multiple_of(step);
        // Axes to fill up the last step may be lacking.
        axes.resize(axes.len().max(count * dim), 0.0);
        axes.truncate(count * dim);
        (count <= most).then_some(Subspace { axes, dim })
    }

    /// The moments times each of some vectors.
    fn times(&self, vectors: &[f32]) -> Vec<f32> {
        let dim = self.dim;
        let mut out = vec![0.0; vectors.len()];
        out.par_chunks_mut(dim).zip(vectors.par_chunks(dim)).for_each(|(out, vector)| {
            for (at, out) in out.chunks_mut(4).enumerate() {
                let rows = std::array::from_fn(|i| {
                    let row = (at * 4 + i).min(dim - 1);
                    &self.values[row * dim..(row + 1) * dim]
                });
                for (out, distance) in out.iter_mut().zip(self.dot.to_four(vector, 0.0, rows, [0.0; 4])) {
                    *out = -distance;
                }
            }
        });
        out
    }

    fn product(&self, a: &[f32], b: &[f32]) -> f32 {
        -self.dot.between(a, 0.0, b, 0.0)
    }

    /// What of the trace each axis holds: the axis times its product with the moments.
    fn shares<'a>(&'a self, axes: &'a [f32], products: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let each = axes.chunks_exact(self.dim).zip(products.chunks_exact(self.dim));
        each.map(|(axis, product)| f64::from(self.product(axis, product)))
    }

    /// Makes the axes from the `first`-th on orthogonal to each other and to those before (the modified Gram-Schmidt process),
    /// and of length 1; those that are none are left out.
    fn orthogonalise(&self, axes: &mut Vec<f32>, first: usize) {
        let dim = self.dim;
        let mut kept = first;
        for at in first..axes.len() / dim {
            axes.copy_within(at * dim..(at + 1) * dim, kept * dim);
            let (before, axis) = axes.split_at_mut(kept * dim);
            let axis = &mut axis[..dim];
            let length = self.product(axis, axis).sqrt();
            scale(axis, 1.0 / length);
            for earlier in before.chunks_exact(dim) {
                let along = self.product(earlier, axis);
                for (value, earlier) in axis.iter_mut().zip(earlier) {
                    *value -= along * earlier;
                }
            }
            let rest = self.product(axis, axis).sqrt();
            // What is left of a vector that lies in the space of the others is rounding.
            if rest > 1e-3 {
                scale(axis, 1.0 / rest);
                kept += 1;
            }
        }
        axes.truncate(kept * dim);
    }
}

/// Numbers from -1 to below 1.
fn random_vectors(len: usize, seed: u64) -> Vec<f32> {
    let number = |i| (hash(seed, i) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
    (0..len as u64).map(number).collect()
}

fn scale(vector: &mut [f32], by: f32) {
    vector.iter_mut().for_each(|value| *value *= by);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments of rows whose values along some hidden directions are so large, and 1 along all others.
    fn moments(dim: usize, sizes: &[f32]) -> (Moments, Vec<f32>) {
        let plain = Moments::new(vec![0.0; dim * dim], dim);
        let mut hidden = random_vectors(sizes.len() * dim, 3);
        plain.orthogonalise(&mut hidden, 0);
        let mut values = vec![0.0; dim * dim];
        for (row, values) in values.chunks_exact_mut(dim).enumerate() {
            values[row] = 1.0;
            for (axis, size) in hidden.chunks_exact(dim).zip(sizes) {
                for (value, other) in values.iter_mut().zip(axis) {
                    *value += size * axis[row] * other;
                }
            }
        }
        (Moments::new(values, dim), hidden)
    }

    #[test]
    fn the_directions_that_hold_most_are_found() {
        let sizes: Vec<f32> = (0..20).map(|i| 1000.0 - 40.0 * i as f32).collect();
        let (moments, hidden) = moments(96, &sizes);
        let found = moments.subspace(0.95, 4, 48, 1).unwrap();
        assert_eq!(found.axes.len() / 96, 20);
        for axis in hidden.chunks_exact(96) {
            let along: f32 =
                found.axes.chunks_exact(96).map(|found| moments.product(axis, found).powi(2)).sum();
            assert!(along > 0.98, "{along}");
        }
        for (i, a) in found.axes.chunks_exact(96).enumerate() {
            for (j, b) in found.axes.chunks_exact(96).enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((moments.product(a, b) - expected).abs() < 1e-4, "{i} {j}");
            }
        }
    }

    #[test]
    fn moments_that_no_few_directions_hold_give_none() {
        assert!(moments(96, &[]).0.subspace(0.9, 16, 48, 1).is_none());
        assert!(Moments::new(vec![0.0; 96 * 96], 96).subspace(0.9, 16, 48, 1).is_none());
    }

    #[test]
    fn fewer_directions_than_a_step_are_filled_up_with_nothing() {
        let mut values = vec![0.0; 64 * 64];
        values[0] = 5.0;
        let found = Moments::new(values, 64).subspace(0.9, 16, 32, 1).unwrap();
        assert_eq!(found.axes.len(), 16 * 64);
        assert!(
            (found.axes[0].abs() - 1.0).abs() < 1e-5
                && found.axes[1..].iter().all(|value| value.abs() < 1e-5)
        );
    }
}
