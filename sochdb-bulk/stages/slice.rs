//! Keeps a part of every vector.

use readers::arrow_buffer::ScalarBuffer;
use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, Normalize, Stage};
use crate::pipeline::StreamInfo;
use crate::{Code, Failure};

/// Keeps the values `from..to` of every vector. Embeddings that were trained for it (Matryoshka) may be cut to their first
/// values so, and are then scaled to length 1 again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slice {
    /// The first value to keep, counted from 0.
    from: usize,
    /// The value behind the last to keep; the end of the vector where it is not given.
    to: Option<usize>,
    /// Whether what is kept is scaled to length 1 (l2).
    renormalize: bool,
}

crate::register_stage!(Slice);

impl Stage for Slice {
    const NAME: &'static str = "slice";
    const SUMMARY: &'static str = "keep a part of every vector, such as the first 256 values";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"slice\"\nto = 256\nrenormalize = true\n";

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let (from, to) = (self.from, self.to.unwrap_or(input.dim));
        if from >= to || to > input.dim {
            let message = format!("expected values within 0..{}, found {from}..{to}", input.dim);
            return Err(Failure::refused(message).with_code(Code::Dimension).with_help(
                "`from` is the first value to keep, counted from 0, and `to` the one behind the last",
            ));
        }
        let output = StreamInfo { dim: to - from, values_untouched: false, ..input.clone() };
        let norm = self.renormalize.then(Normalize::default);
        Ok((output, Action::map(Part { from, to, norm })))
    }
}

struct Part {
    from: usize,
    to: usize,
    norm: Option<Normalize>,
}

impl Map for Part {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let dim = self.to - self.from;
        let mut values = pool.take(batch.rows() * dim);
        for (vector, out) in batch.vectors().zip(values.chunks_exact_mut(dim)) {
            out.copy_from_slice(&vector[self.from..self.to]);
        }
        let cut = batch.with_values(dim, ScalarBuffer::from(values));
        let Some(norm) = &self.norm else { return Ok(cut) };
        let before = cut.values().clone();
        let scaled = norm.map(cut, pool);
        pool.put(before);
        scaled
    }
}
