//! The nearest rows of one query so far.

use crate::beam::Candidate;

/// Never fewer than the `k` nearest rows, and some more.
#[derive(Debug, Clone)]
pub(super) struct Nearest {
    rows: Vec<Candidate>,
    /// No row that is farther is among the nearest.
    bound: f32,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { rows: Vec::new(), bound: f32::INFINITY }
    }
}

impl Nearest {
    /// No row that is farther is among the nearest.
    pub(super) fn bound(&self) -> f32 {
        self.bound
    }

    #[inline]
    pub(super) fn add(&mut self, distance: f32, row: u32, k: usize) {
        if distance <= self.bound {
            self.rows.push(Candidate::new(distance, row));
            // Now and then, so that picking costs little for each.
            if self.rows.len() >= k.saturating_mul(2).saturating_add(16) {
                self.tighten(k);
            }
        }
    }

    /// Keeps the `k` nearest only, and takes the distance of the last of them as the bound.
    pub(super) fn tighten(&mut self, k: usize) {
        if self.rows.len() >= k {
            let (_, kth, _) = self.rows.select_nth_unstable(k - 1);
            self.bound = kth.distance();
            self.rows.truncate(k);
        }
    }

    /// The `k` nearest, nearest first.
    pub(super) fn sorted(mut self, k: usize) -> Vec<(f32, u32)> {
        self.rows.sort_unstable();
        self.rows.truncate(k);
        self.rows.into_iter().map(|candidate| (candidate.distance(), candidate.node())).collect()
    }
}
