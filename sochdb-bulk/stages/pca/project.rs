//! Rows times a matrix, with the same bits whatever rows are beside them.

use std::array;

/// Results that are computed together.
const PANEL: usize = 8;

/// Rows that are multiplied together.
const ROWS: usize = 4;

/// Products that are summed in f32 before the sum goes into an f64.
const RUN: usize = 64;

/// A projection: `(x - mean) C'` for a matrix of components `C`, one a row.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    mean: Vec<f32>,
    dim: usize,
    /// The components in panels of [`PANEL`], and in a panel those values together that are multiplied with the same value.
    panels: Vec<Vec<[f32; PANEL]>>,
}

impl Projection {
    /// By components of as many values as `mean` has, one after the other.
    pub(super) fn new(mean: Vec<f32>, components: &[f32]) -> Self {
        let dim = components.len() / mean.len();
        let value = |row: usize, column: usize| {
            if row < dim { components[row * mean.len() + column] } else { 0.0 }
        };
        let panel = |first: usize| -> Vec<[f32; PANEL]> {
            (0..mean.len()).map(|column| array::from_fn(|at| value(first + at, column))).collect()
        };
        let panels = (0..dim).step_by(PANEL).map(panel).collect();
        Self { mean, dim, panels }
    }

    /// Values of a projected row.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Projects all rows of `values` into `out`.
    #[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
    pub(super) fn project(&self, values: &[f32], out: &mut [f32]) {
        let from = self.mean.len();
        // The centred values of a few rows, those of one column together.
        let mut columns = vec![[0.0f32; ROWS]; from];
        for (values, out) in values.chunks(ROWS * from).zip(out.chunks_mut(ROWS * self.dim)) {
            for (at, vector) in values.chunks_exact(from).enumerate() {
                for ((column, value), mean) in columns.iter_mut().zip(vector).zip(&self.mean) {
                    column[at] = value - mean;
                }
            }
            for (first, panel) in (0..self.dim).step_by(PANEL).zip(&self.panels) {
                let sums = products(&columns, panel);
                for (out, sums) in out.chunks_exact_mut(self.dim).zip(&sums) {
                    out[first..].iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum as f32);
                }
            }
        }
    }
}

/// Every row times every component of a panel. Each result has a sum of its own, over the columns in their order, so it does
/// not depend on how many of them the machine computes at a time.
fn products(columns: &[[f32; ROWS]], panel: &[[f32; PANEL]]) -> [[f64; PANEL]; ROWS] {
    let mut totals = [[0.0f64; PANEL]; ROWS];
    for (columns, panel) in columns.chunks(RUN).zip(panel.chunks(RUN)) {
        let mut sums = [[0.0f32; PANEL]; ROWS];
        for (column, components) in columns.iter().zip(panel) {
            for (sums, &value) in sums.iter_mut().zip(column) {
                for (sum, component) in sums.iter_mut().zip(components) {
                    *sum += value * component;
                }
            }
        }
        for (totals, sums) in totals.iter_mut().zip(&sums) {
            totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_is_what_it_says() {
        for (from, to, rows) in [(1, 1, 1), (5, 3, 9), (130, 17, 6), (64, 8, 4)] {
            let number = |i: usize| (i * 37 % 101) as f32 / 101.0 - 0.5;
            let mean: Vec<f32> = (0..from).map(|i| number(i + 7)).collect();
            let components: Vec<f32> = (0..from * to).map(|i| number(i + 3)).collect();
            let values: Vec<f32> = (0..rows * from).map(number).collect();
            let projection = Projection::new(mean.clone(), &components);
            assert_eq!(projection.dim(), to);
            let mut out = vec![f32::NAN; rows * to];
            projection.project(&values, &mut out);
            for row in 0..rows {
                for k in 0..to {
                    let term = |j: usize| {
                        (values[row * from + j] - mean[j]) as f64 * components[k * from + j] as f64
                    };
                    let known: f64 = (0..from).map(term).sum();
                    assert!((out[row * to + k] as f64 - known).abs() < 1e-5, "{from} {to}: {row} {k}");
                }
                // Alone a row gives the same.
                let mut alone = vec![0.0; to];
                projection.project(&values[row * from..][..from], &mut alone);
                assert_eq!(alone, out[row * to..][..to]);
            }
        }
    }
}
