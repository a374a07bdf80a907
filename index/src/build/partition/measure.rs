//! Comparing a leaf by itself, for measurements.

use super::Effort;
use super::leaf::{Leaf, LeafComparer};
use super::reservoir::Reservoirs;
use crate::codes::Codes;
use crate::vectors::PlainRows;
use crate::{Distance, Matrix, Metric, Params};

/// A leaf that holds all rows of a matrix.
#[derive(Debug)]
pub struct LeafBench {
    codes: Codes,
    positions: Vec<u32>,
    comparer: LeafComparer,
    reservoirs: Reservoirs,
}

impl LeafBench {
    /// The rows as codes, for squared distances by the fastest instruction set of this machine.
    pub fn new(values: &[f32], dim: usize) -> Self {
        let params = Params::new(Metric::L2);
        let matrix = Matrix::new(values, dim);
        let rows = PlainRows { matrix, inverse_norms: &[] };
        let codes = Codes::new(&rows, &params, Distance::new(params.metric).products());
        let reservoirs = Reservoirs::new(matrix.rows(), Effort::new(&params).reservoir);
        let positions = (0..).take(matrix.rows()).collect();
        Self { codes, positions, comparer: LeafComparer::default(), reservoirs }
    }

    /// Compares each row with each, and offers to every row its `k` nearest. The reservoirs stay from one run to the
    /// next, and are sorted out now and then: as in a build, where every row is in several leaves.
    pub fn run(&mut self, k: usize) {
        let Self { codes, positions, comparer, reservoirs } = self;
        comparer.compare(Leaf::Within(positions, &[]), k, codes.view(), |position| position, reservoirs);
    }
}
