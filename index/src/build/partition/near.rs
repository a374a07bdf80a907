//! Candidates by their distance in codes.

/// A distance in codes and a position in one number whose order is that of (distance, position).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near(u64);

impl Near {
    /// Fills places of which nobody asks what is in them.
    pub(super) const ZERO: Self = Self(0);

    #[inline]
    pub(super) fn new(distance: i32, position: u32) -> Self {
        Self(u64::from(distance.cast_unsigned() ^ (1 << 31)) << 32 | u64::from(position))
    }

    #[inline]
    pub(super) fn distance(self) -> i32 {
        ((self.0 >> 32) as u32 ^ (1 << 31)).cast_signed()
    }

    #[inline]
    pub(super) fn position(self) -> u32 {
        self.0 as u32
    }

    /// The same distance of another position.
    #[inline]
    pub(super) fn at(self, position: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(position))
    }
}
