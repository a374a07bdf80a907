//! The three metrics and their one direction.

use std::fmt;

/// How far two vectors are apart. **Smaller is closer**, whichever is chosen:
///
/// | metric | distance of `a` and `b` | range |
/// |---|---|---|
/// | [`Metric::L2`] | sum of `(a_i - b_i)^2`, the square of the Euclidean distance | 0 and up |
/// | [`Metric::Cosine`] | `1 - cos(a, b)`; 1 if either is all zeros | 0 to 2 |
/// | [`Metric::Ip`] | `-dot(a, b)` | any |
///
/// Vectors are kept as they are given: cosine multiplies by inverse norms that are kept beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the table above")]
pub enum Metric {
    L2 = 0,
    Cosine = 1,
    Ip = 2,
}

impl Metric {
    /// The name that is printed: `l2`, `cosine`, `ip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::Ip => "ip",
        }
    }

    /// The metric whose number in the index file is `code`.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::L2, Self::Cosine, Self::Ip].into_iter().find(|&metric| metric as u8 == code)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
