//! What a person can choose about a graph.

use std::fmt;

use crate::Metric;

/// The parameters of an HNSW graph, in the words of Malkov and Yashunin (arXiv 1603.09320).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// What "near" means.
    pub metric: Metric,
    /// M: the most neighbours a node has on each level above 0. On level 0 it is twice that ([`Params::m0`]).
    pub m: usize,
    /// How many candidates are considered for the neighbours of a node. Higher is a better graph, later.
    pub ef_construction: usize,
    /// Seeds the levels and the order of work. The same rows, parameters and seed give the same graph.
    pub seed: u64,
}

impl Params {
    /// The least M: with fewer neighbours a graph falls apart.
    pub const MIN_M: usize = 2;
    /// The largest M.
    pub const MAX_M: usize = 1024;
    /// The largest `ef_construction`.
    pub const MAX_EF_CONSTRUCTION: usize = 1_000_000;

    /// M 16, `ef_construction` 100, seed 42.
    pub fn new(metric: Metric) -> Self {
        Self { metric, m: 16, ef_construction: 100, seed: 42 }
    }

    /// M0: the most neighbours a node has on level 0, where every row is.
    pub fn m0(&self) -> usize {
        2 * self.m
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Which parameter is out of which range.
    pub fn validate(&self) -> Result<(), InvalidParams> {
        let check = |name, value, least, most| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(InvalidParams { name, value, least, most })
            }
        };
        check("M", self.m, Self::MIN_M, Self::MAX_M)?;
        check("ef_construction", self.ef_construction, 1, Self::MAX_EF_CONSTRUCTION)
    }
}

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParams {
    name: &'static str,
    value: usize,
    least: usize,
    most: usize,
}

impl fmt::Display for InvalidParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} from {} to {}, found {}", self.name, self.least, self.most, self.value)
    }
}

impl std::error::Error for InvalidParams {}
