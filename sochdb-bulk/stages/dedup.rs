//! Leaves out rows that were there before.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::dropped::Tally;
use super::{Action, Dropped, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Keeps the first of equal rows. Row numbers as ids stay those of the source.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedup {
    /// What makes two rows equal.
    by: By,
}

/// What makes two rows equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The same vector: the same bytes, but that -0.0 is 0.0. Compared are hashes of 128 bits: among a thousand million rows, two different
    /// ones are taken for equal with a chance of one in 10^20.
    #[default]
    Bytes,
    /// The same id. Ids that are texts are compared by hashes as well.
    Id,
}

crate::register_stage!(Dedup);

/// A key, a byte of the table for it, and the room that a table of two to the power of something leaves free; half as much
/// again while it grows.
const BYTES_A_ROW: u64 = (16 + 1) * 16 / 7 * 3 / 2;

impl Stage for Dedup {
    const NAME: &'static str = "dedup";
    const SUMMARY: &'static str = "keep the first of rows with the same vector or the same id";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"dedup\"\nby = \"bytes\"\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Handled
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        input.most_rows().unwrap_or_default().saturating_mul(BYTES_A_ROW)
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let map = Seen { by: self.by, keys: Mutex::default(), left_out: Tally::default() };
        Ok((input.clone().with_rows_dropped(), Action::map(map)))
    }
}

struct Seen {
    by: By,
    keys: Mutex<HashSet<u128, BuildHasherDefault<Low64>>>,
    left_out: Tally,
}

impl Map for Seen {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::with_capacity(batch.rows());
        for (row, vector) in batch.vectors().enumerate() {
            let key = match self.by {
                By::Bytes => hash_of(vector),
                // Spread over the table by a multiplication, which gives each id a key of its own.
                By::Id => match batch.ids().texts() {
                    Some(ids) => XxHash3_128::oneshot(ids.value(row).as_bytes()),
                    None => u128::from(batch.ids().get(row).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                },
            };
            if keys.insert(key) {
                kept.push(row);
            } else {
                self.left_out.add(batch.row_number(row));
            }
        }
        Ok(batch.select(&kept, pool))
    }

    fn needs_order(&self) -> bool {
        true
    }

    fn dropped(&self) -> Vec<Dropped> {
        let reason = match self.by {
            By::Bytes => "the same vector as an earlier row",
            By::Id => "the same id as an earlier row",
        };
        self.left_out.report(reason).into_iter().collect()
    }
}

/// A hash of a vector, which is the same for vectors that are equal: -0.0 is 0.0.
pub(crate) fn hash_of(vector: &[f32]) -> u128 {
    const NEGATIVE_ZERO: u32 = 1 << 31;
    if vector.iter().any(|value| value.to_bits() == NEGATIVE_ZERO) {
        let plain: Vec<f32> = vector.iter().map(|&value| if value == 0.0 { 0.0 } else { value }).collect();
        return XxHash3_128::oneshot(bytemuck::cast_slice(&plain));
    }
    XxHash3_128::oneshot(bytemuck::cast_slice(vector))
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Low64(u64);

impl Hasher for Low64 {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
        let low = key as u64;
        self.0 = low;
    }
}
