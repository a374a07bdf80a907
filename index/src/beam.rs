//! The nearest candidates so far, in a sorted array.

/// A distance and a node in one number whose order is the order of (distance, node): the total order of everything in
/// this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

/// Marks a candidate whose neighbours were looked at. The lowest bit, so that it never changes the order.
const EXPANDED: u64 = 1;

impl Candidate {
    /// `node` has at most 31 bits, and `distance` is no NaN.
    #[inline]
    pub(crate) fn new(distance: f32, node: u32) -> Self {
        let bits = distance.to_bits();
        // Floats order like sign-magnitude integers: flip all bits of the negative ones, the sign of the others.
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(ordered) << 32 | u64::from(node) << 1)
    }

    #[inline]
    pub(crate) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the number apart again")]
    pub(crate) fn node(self) -> u32 {
        self.0 as u32 >> 1
    }
}

/// W and C of Algorithm 2 of the HNSW paper in one array: the `ef` nearest nodes met, nearest first, each expanded or
/// not yet.
#[derive(Debug, Default)]
pub(crate) struct Beam {
    candidates: Vec<Candidate>,
    ef: usize,
    /// Everything before it is expanded.
    next: usize,
}

impl Beam {
    /// Empties the beam and sets its width.
    pub(crate) fn reset(&mut self, ef: usize) {
        self.candidates.clear();
        self.candidates.reserve(ef + 1);
        self.ef = ef;
        self.next = 0;
    }

    /// Whether a candidate at `distance` could still enter.
    #[inline]
    pub(crate) fn admits(&self, candidate: Candidate) -> bool {
        self.candidates.len() < self.ef || self.candidates.last().is_some_and(|&last| candidate < last)
    }

    /// Adds a node that was not in the beam before, if it is near enough.
    #[inline]
    pub(crate) fn insert(&mut self, candidate: Candidate) {
        if !self.admits(candidate) {
            return;
        }
        let at = self.candidates.partition_point(|&other| other < candidate);
        if self.candidates.len() == self.ef {
            self.candidates.pop();
        }
        self.candidates.insert(at, candidate);
        self.next = self.next.min(at);
    }

    /// The nearest node that is not expanded yet, now marked as expanded.
    #[inline]
    pub(crate) fn expand_next(&mut self) -> Option<u32> {
        while let Some(candidate) = self.candidates.get_mut(self.next) {
            self.next += 1;
            if candidate.0 & EXPANDED == 0 {
                let node = candidate.node();
                candidate.0 |= EXPANDED;
                return Some(node);
            }
        }
        None
    }

    /// The node that [`Beam::expand_next`] would most likely give next.
    #[inline]
    pub(crate) fn peek_next(&self) -> Option<u32> {
        self.candidates.get(self.next).map(|candidate| candidate.node())
    }

    /// The candidates, nearest first.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_order_by_distance_then_node() {
        let distances = [f32::NEG_INFINITY, -2.5, -1e-40, 0.0, 1e-40, 0.25, 3e38, f32::INFINITY];
        for pair in distances.windows(2) {
            assert!(Candidate::new(pair[0], 7) < Candidate::new(pair[1], 3), "{pair:?}");
        }
        assert!(Candidate::new(0.5, 3) < Candidate::new(0.5, 4));
        for distance in distances {
            let candidate = Candidate::new(distance, (1 << 31) - 1);
            assert_eq!((candidate.distance(), candidate.node()), (distance, (1 << 31) - 1));
        }
    }

    #[test]
    fn the_beam_keeps_the_nearest_and_expands_each_once() {
        let mut beam = Beam::default();
        beam.reset(3);
        for (distance, node) in [(5.0, 1), (1.0, 2), (4.0, 3), (9.0, 4), (3.0, 5)] {
            beam.insert(Candidate::new(distance, node));
        }
        assert_eq!(beam.expand_next(), Some(2));
        beam.insert(Candidate::new(0.5, 6));
        assert_eq!(beam.expand_next(), Some(6));
        assert_eq!(beam.expand_next(), Some(5));
        assert_eq!(beam.expand_next(), None);
        assert_eq!(beam.candidates().iter().map(|c| c.node()).collect::<Vec<_>>(), [6, 2, 5]);
    }
}
