//! Rounds every value to what a smaller type holds.

use half::{bf16, f16};
use readers::arrow_buffer::ScalarBuffer;
use readers::{Batch, BufferPool, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Rounds every value to the nearest that a smaller type holds (ties to even), and gives it as f32 again: what comes later
/// works on exactly the values that a file of that type would have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// The type whose values are kept.
    to: To,
    /// i8 only, and required there: the step between two neighbouring values. Values become whole multiples of it, from -128
    /// to 127 times.
    scale: Option<f64>,
    /// What to do with a value beyond the largest of the type.
    #[serde(default)]
    overflow: Overflow,
}

/// The type whose values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// IEEE half precision: 11 bits of significand, up to 65504.
    F16,
    /// The upper half of an f32: 8 bits of significand, the range of f32.
    Bf16,
    /// Whole multiples of `scale`.
    I8,
}

/// What to do with a value beyond the largest of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Fail, and name the row.
    #[default]
    Error,
    /// Take the largest instead.
    Clip,
}

crate::register_stage!(Cast);

impl Stage for Cast {
    const NAME: &'static str = "cast";
    const SUMMARY: &'static str = "round every value to what f16, bf16 or i8 holds";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"cast\"\nto = \"f16\"\n";

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        match (self.to, self.scale) {
            (To::I8, None) => {
                return Err(Failure::refused("expected a `scale`, found none: i8 holds whole numbers only")
                    .with_help("give the largest absolute value divided by 127"));
            }
            (To::I8, Some(scale)) if !(scale.is_finite() && scale > 0.0) => {
                return Err(Failure::refused(format!("expected a scale above 0, found {scale}")));
            }
            (To::F16 | To::Bf16, Some(_)) => {
                return Err(Failure::refused("`scale` is for i8 only").with_help("remove it"));
            }
            _ => {}
        }
        Ok((StreamInfo { values_untouched: false, ..input.clone() }, Action::map(self.clone())))
    }
}

impl Cast {
    /// The nearest value that the type holds, or infinity.
    #[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
    fn round(&self, value: f32) -> f32 {
        match (self.to, self.scale) {
            (To::F16, _) => f16::from_f32(value).to_f32(),
            (To::Bf16, _) => bf16::from_f32(value).to_f32(),
            (To::I8, scale) => {
                let scale = scale.unwrap_or(1.0);
                let steps = (f64::from(value) / scale).round_ties_even();
                if !(-128.0..=127.0).contains(&steps) {
                    return f32::INFINITY.copysign(value);
                }
                // i8 has one zero: adding it takes the sign off.
                (steps * scale) as f32 + 0.0
            }
        }
    }

    /// The value of the type that is farthest from 0 on the side of `value`.
    #[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
    fn most(&self, value: f32) -> f32 {
        let largest = match self.to {
            To::F16 => f16::MAX.to_f32(),
            To::Bf16 => bf16::MAX.to_f32(),
            To::I8 => {
                let steps = if value < 0.0 { 128.0 } else { 127.0 };
                (steps * self.scale.unwrap_or(1.0)) as f32
            }
        };
        largest.copysign(value)
    }
}

impl Map for Cast {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let mut values = pool.take(batch.values().len());
        for (at, (out, &value)) in values.iter_mut().zip(batch.values().iter()).enumerate() {
            let rounded = self.round(value);
            *out = match self.overflow {
                _ if rounded.is_finite() => rounded,
                Overflow::Clip => self.most(value),
                Overflow::Error => {
                    let (row, column) = (at / batch.dim(), at % batch.dim());
                    let expected = format!("a value up to {}", self.most(value));
                    return Err(Error::expected(expected, value)
                        .in_file(&*batch.origin().file)
                        .at(Position::Value { row: batch.origin_row(row), column: column as u64 })
                        .with_help(
                            "scale the vectors first, or take the largest value with `overflow = \"clip\"`",
                        )
                        .into());
                }
            };
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

    fn cast(options: &Cast, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let origin = Origin { file: Path::new("a.npy").into(), row: 10 };
        let batch = Batch::new(0, 2, ScalarBuffer::from(values.to_vec()), origin);
        options.map(batch, &BufferPool::new()).map(|batch| batch.values().to_vec())
    }

    #[test]
    fn values_become_those_of_the_type() {
        let of = |to, scale| Cast { to, scale, overflow: Overflow::Clip };
        let third = 1.0f32 / 3.0;
        assert_eq!(cast(&of(To::F16, None), &[third, -1e6]).unwrap(), [0.333_251_95, -65504.0]);
        assert_eq!(cast(&of(To::Bf16, None), &[third, 1.0]).unwrap(), [0.333_984_38, 1.0]);
        let i8 = cast(&of(To::I8, Some(0.5)), &[0.7, -0.2, 1000.0, -1000.0]).unwrap();
        assert_eq!(i8, [0.5, 0.0, 63.5, -64.0]);
        assert!(i8[1].is_sign_positive());
        // Twice is as once.
        for options in [of(To::F16, None), of(To::Bf16, None), of(To::I8, Some(0.003))] {
            let once = cast(&options, &[0.123_456, -0.345_678]).unwrap();
            assert_eq!(cast(&options, &once).unwrap(), once);
        }
    }

    #[test]
    fn values_beyond_are_refused() {
        let options = Cast { to: To::F16, scale: None, overflow: Overflow::Error };
        let failure = cast(&options, &[1.0, 2.0, 3.0, 70000.0]).unwrap_err();
        assert_eq!(failure.message(), "a.npy: row 11, column 1: expected a value up to 65504, found 70000");
    }
}
