//! The builder that suits the data.

use super::{
    BuildInput, GraphBuilder, InsertBuilder, MemoryPart, Monitor, Outcome, PartitionBuilder, Stopped,
};
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

    fn memory_parts(&self, params: &Params, rows: u64, dim: usize, threads: usize) -> Vec<MemoryPart> {
        let of = |builder: &dyn GraphBuilder| builder.memory_parts(params, rows, dim, threads);
        let bytes = |parts: &Vec<MemoryPart>| parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
        [of(&PartitionBuilder), of(&InsertBuilder)].into_iter().max_by_key(bytes).unwrap_or_default()
    }

    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Outcome, Stopped> {
        match PartitionBuilder.attempt(input, monitor, true)? {
            Some(outcome) => Ok(outcome),
            None => InsertBuilder.build(input, monitor),
        }
    }
}
