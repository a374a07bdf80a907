//! Distances: one canonical sum, several instruction sets, chosen once.
//!
//! Every kernel sums the same way: 32 lanes, lane `i` taking the values `i`, `i + 32`, `i + 64`... with one fused
//! multiply-add each, and at the end a fixed tree over the lanes (lane `i` with lane `i + 8` and `i + 16` with `i + 24`,
//! then those two, then halves, quarters, pairs). A shorter last block leaves the other lanes as they are. So all
//! instruction sets give the same bits, and an index built on one machine is the index built on any other.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod prefetch;
pub(crate) mod products;
mod scalar;
#[cfg(test)]
mod tests;
mod widen;

use std::sync::OnceLock;

pub(crate) use prefetch::{prefetch, prefetch_all};
pub(crate) use widen::widen_f16;

use crate::Metric;

/// The kernels of one instruction set. All slices of one call have the same length.
struct Kernels {
    l2: fn(&[f32], &[f32]) -> f32,
    dot: fn(&[f32], &[f32]) -> f32,
    l2_four: fn(&[f32], [&[f32]; 4]) -> [f32; 4],
    dot_four: fn(&[f32], [&[f32]; 4]) -> [f32; 4],
}

/// The machine's ways to compute a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionSet {
    /// Plain Rust, everywhere: the oracle that the others are tested against.
    Scalar,
    /// NEON, AArch64.
    Neon,
    /// AVX2 and FMA, x86-64.
    Avx2,
    /// AVX-512 F and DQ, x86-64.
    Avx512,
}

impl InstructionSet {
    /// Every one that this crate knows, the slowest first. No machine has all: some are of other architectures.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The fastest one that this machine has. The environment variable `SOCHDB_BULK_INSTRUCTIONS` with the name of one
    /// (`scalar`, `neon`, `avx2`, `avx512`) rules out those above it; results are the same with each.
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| {
            let most = std::env::var("SOCHDB_BULK_INSTRUCTIONS").ok();
            let most = most.as_deref().map(str::to_ascii_lowercase);
            let most = Self::ALL.iter().position(|set| most.as_deref() == Some(set.name()));
            let allowed = &Self::ALL[..=most.unwrap_or(Self::ALL.len() - 1)];
            allowed.iter().rev().copied().find(|set| set.kernels().is_some()).unwrap_or(Self::Scalar)
        })
    }

    /// The name: `scalar`, `neon`, `avx2`, `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn kernels(self) -> Option<&'static Kernels> {
        match self {
            Self::Scalar => Some(&scalar::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::kernels(),
            #[cfg(not(target_arch = "aarch64"))]
            Self::Neon => None,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::kernels(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::kernels(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => None,
        }
    }
}

/// A metric with the kernels to compute it, resolved once per index.
#[derive(Clone, Copy)]
pub struct Distance {
    metric: Metric,
    kernels: &'static Kernels,
    set: InstructionSet,
}

impl std::fmt::Debug for Distance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Distance({})", self.metric)
    }
}

impl Distance {
    /// The metric by the fastest instruction set of this machine.
    pub fn new(metric: Metric) -> Self {
        let scalar = Self { metric, kernels: &scalar::KERNELS, set: InstructionSet::Scalar };
        Self::with(metric, InstructionSet::best()).unwrap_or(scalar)
    }

    /// The metric by one instruction set, or nothing where the machine lacks it.
    pub fn with(metric: Metric, set: InstructionSet) -> Option<Self> {
        set.kernels().map(|kernels| Self { metric, kernels, set })
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The products of codes by the same instruction set.
    pub(crate) fn products(&self) -> &'static products::Products {
        products::Products::with(self.set).unwrap_or(products::Products::scalar())
    }

    /// The sum of the squares of a vector; infinite where f32 cannot hold it, and then no distance makes sense.
    pub fn squared_norm(&self, vector: &[f32]) -> f32 {
        (self.kernels.dot)(vector, vector)
    }

    /// What a vector is multiplied by to have length 1, or 0 if it is all zeros (or so short, under 1e-19, that its
    /// squared length is no normal f32).
    pub fn inverse_norm(&self, vector: &[f32]) -> f32 {
        let squared = self.squared_norm(vector);
        if squared >= f32::MIN_POSITIVE { 1.0 / squared.sqrt() } else { 0.0 }
    }

    /// The distance of two vectors. The inverse norms are used by [`Metric::Cosine`] only.
    ///
    /// # Panics
    /// If the vectors differ in length.
    #[inline]
    pub fn between(&self, a: &[f32], inverse_norm_a: f32, b: &[f32], inverse_norm_b: f32) -> f32 {
        match self.metric {
            Metric::L2 => (self.kernels.l2)(a, b),
            Metric::Cosine => cosine((self.kernels.dot)(a, b), inverse_norm_a, inverse_norm_b),
            Metric::Ip => ip((self.kernels.dot)(a, b)),
        }
    }

    /// The distances of one vector and four others: faster than four calls, and the same bits.
    ///
    /// # Panics
    /// If the vectors differ in length.
    #[inline]
    pub fn to_four(
        &self,
        a: &[f32],
        inverse_norm_a: f32,
        others: [&[f32]; 4],
        inverse_norms: [f32; 4],
    ) -> [f32; 4] {
        match self.metric {
            Metric::L2 => (self.kernels.l2_four)(a, others),
            Metric::Cosine => {
                let dots = (self.kernels.dot_four)(a, others);
                std::array::from_fn(|i| cosine(dots[i], inverse_norm_a, inverse_norms[i]))
            }
            Metric::Ip => (self.kernels.dot_four)(a, others).map(ip),
        }
    }
}

/// Symmetric in its operands, never below 0 (rounding would make a vector nearer to its copy than to itself), and 1
/// where an inverse norm is 0.
#[inline]
fn cosine(dot: f32, inverse_norm_a: f32, inverse_norm_b: f32) -> f32 {
    (1.0 - dot * (inverse_norm_a * inverse_norm_b)).max(0.0)
}

/// `0 - dot`, so that an inner product of 0 is the distance 0 and not -0.
#[inline]
fn ip(dot: f32) -> f32 {
    0.0 - dot
}
