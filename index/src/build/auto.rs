//! The builder that suits the data.

use super::{BuildInput, GraphBuilder, InsertBuilder, Monitor, Outcome, PartitionBuilder, Stopped};
use crate::Params;

/// [`PartitionBuilder`], unless its candidates turn out to lack true neighbours: then [`InsertBuilder`].
///
/// The measure is a sample of rows whose ten exact nearest are looked for among the candidates. It is part of every
/// partitioned build, so nothing is tried in vain where that suits; where it does not, insertion takes several times
/// longer than what was tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct AutoBuilder;

impl GraphBuilder for AutoBuilder {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn makes_codes(&self) -> bool {
        true
    }

    fn memory_bytes(&self, params: &Params, rows: u64, dim: usize, threads: usize) -> u64 {
        let of = |builder: &dyn GraphBuilder| builder.memory_bytes(params, rows, dim, threads);
        of(&PartitionBuilder).max(of(&InsertBuilder))
    }

    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Outcome, Stopped> {
        match PartitionBuilder.attempt(input, monitor, true)? {
            Some(outcome) => Ok(outcome),
            None => InsertBuilder.build(input, monitor),
        }
    }
}
