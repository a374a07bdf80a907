//! Scales every vector to length 1.

use readers::arrow_buffer::ScalarBuffer;
use readers::{Batch, BufferPool, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Divides every vector by its norm.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Normalize {
    /// Which norm.
    norm: Norm,
    /// What to do with a vector of norm 0, which has no direction.
    zero: ZeroRows,
}

/// The length that becomes 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The square root of the sum of squares.
    #[default]
    L2,
    /// The sum of absolute values.
    L1,
    /// The largest absolute value.
    Max,
}

/// What to do with a vector of norm 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ZeroRows {
    /// Fail, and name the row.
    #[default]
    Error,
    /// Let it pass as it is.
    Keep,
}

crate::register_stage!(Normalize);

impl Stage for Normalize {
    const NAME: &'static str = "normalize";
    const SUMMARY: &'static str = "scale every vector to length 1 (l2, l1 or max)";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"normalize\"\nnorm = \"l2\"\n";

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        Ok((StreamInfo { values_untouched: false, ..input.clone() }, Action::map(self.clone())))
    }
}

impl Normalize {
    /// The norm in f64, in which no f32 vector overflows or vanishes; summed in eight lanes, so that the order of the
    /// sum is fixed and still fast.
    fn norm_of(&self, vector: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        for part in vector.chunks(lanes.len()) {
            for (lane, &value) in lanes.iter_mut().zip(part) {
                let value = f64::from(value);
                match self.norm {
                    Norm::L2 => *lane += value * value,
                    Norm::L1 => *lane += value.abs(),
                    Norm::Max => *lane = lane.max(value.abs()),
                }
            }
        }
        match self.norm {
            Norm::L2 => lanes.iter().sum::<f64>().sqrt(),
            Norm::L1 => lanes.iter().sum(),
            Norm::Max => lanes.into_iter().fold(0.0, f64::max),
        }
    }
}

impl Map for Normalize {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let mut values = pool.take(batch.values().len());
        for (row, (vector, out)) in batch.vectors().zip(values.chunks_exact_mut(batch.dim())).enumerate() {
            let norm = self.norm_of(vector);
            if norm > 0.0 {
                for (out, &value) in out.iter_mut().zip(vector) {
                    #[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
                    let scaled = (f64::from(value) / norm) as f32;
                    *out = scaled;
                }
            } else if self.zero == ZeroRows::Keep {
                out.copy_from_slice(vector);
            } else {
                return Err(Error::expected("a vector that can be normalized", "all zeros")
                    .in_file(&*batch.origin().file)
                    .at(Position::Row(batch.origin_row(row)))
                    .with_help("remove the row, or let such rows pass with `zero = \"keep\"`")
                    .into());
            }
        }
        let dim = batch.dim();
        Ok(batch.with_values(dim, ScalarBuffer::from(values)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use readers::Origin;

    use super::*;

    fn normalized(options: &Normalize, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let origin = Origin { file: Path::new("a.npy").into(), row: 10 };
        let batch = Batch::new(0, 2, ScalarBuffer::from(values.to_vec()), origin);
        options.map(batch, &BufferPool::new()).map(|batch| batch.values().to_vec())
    }

    #[test]
    fn each_norm_becomes_one() {
        for (norm, expected) in
            [(Norm::L2, [0.6, -0.8]), (Norm::L1, [3.0 / 7.0, -4.0 / 7.0]), (Norm::Max, [0.75, -1.0])]
        {
            let options = Normalize { norm, zero: ZeroRows::Error };
            assert_eq!(normalized(&options, &[3.0, -4.0]).unwrap(), expected);
        }
        let tiny = normalized(&Normalize::default(), &[3e-30, -4e-30]).unwrap();
        assert!((tiny[0] - 0.6).abs() < 1e-6 && (tiny[1] + 0.8).abs() < 1e-6, "{tiny:?}");
        let huge = normalized(&Normalize::default(), &[3e38, 3e38]).unwrap();
        assert!((huge[0] - 0.5f32.sqrt()).abs() < 1e-6, "{huge:?}");
    }

    #[test]
    fn zeros_are_refused_or_kept() {
        let refused = normalized(&Normalize::default(), &[1.0, 0.0, 0.0, 0.0]).unwrap_err();
        assert_eq!(
            refused.message(),
            "a.npy: row 11: expected a vector that can be normalized, found all zeros"
        );
        let keep = Normalize { zero: ZeroRows::Keep, ..Normalize::default() };
        assert_eq!(normalized(&keep, &[0.0, 0.0]).unwrap(), [0.0, 0.0]);
    }
}
