//! Keeps some rows, drawn by chance.

use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::hash;
use super::{Action, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Keeps some rows in their order: those for which a hash of the seed and the row number in the source is small. The same
/// rows are drawn however the file is read, and a larger fraction or count keeps all rows of a smaller one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The chance of each row, from 0 to 1.
    fraction: Option<f64>,
    /// Exactly so many rows, or all if there are fewer. Needs a source whose rows are counted in advance, and no stage before it that
    /// leaves rows out.
    count: Option<u64>,
    /// Another seed draws other rows.
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_seed() -> u64 {
    42
}

crate::register_stage!(Sample);

impl Stage for Sample {
    const NAME: &'static str = "sample";
    const SUMMARY: &'static str = "keep a fraction or a number of rows, drawn by a hash of the row number";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"sample\"\nfraction = 0.1\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Passed
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        let counted = self.count.and(input.rows.exact()).unwrap_or_default();
        counted.saturating_mul(size_of::<u64>() as u64)
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let output = input.clone().with_rows_dropped();
        match (self.fraction, self.count) {
            (Some(fraction), None) if (0.0..=1.0).contains(&fraction) => {
                const ALL: f64 = (1u128 << 64) as f64;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^64")]
                let below = (fraction * ALL) as u128;
                Ok((output, Action::map(Drawn { seed: self.seed, below })))
            }
            (Some(fraction), None) => {
                Err(Failure::refused(format!("expected a fraction from 0 to 1, found {fraction}")))
            }
            (None, Some(count)) => {
                let Some(rows) = input.rows.exact().filter(|_| !input.drops_rows) else {
                    let message = "a number of rows can only be drawn from rows that are counted in advance";
                    return Err(
                        Failure::refused(message).with_help("put this stage first, or draw a `fraction`")
                    );
                };
                let below = below_for(self.seed, input.first_row..input.first_row + rows, count);
                let output = StreamInfo { rows: readers::Rows::Exact(count.min(rows)), ..output };
                Ok((output, Action::map(Drawn { seed: self.seed, below })))
            }
            _ => Err(Failure::refused("expected either `fraction` or `count`")
                .with_help("say how many rows to keep: fraction = 0.1, or count = 1000")),
        }
    }
}

/// The bound that the hashes of exactly `count` of the rows are below.
fn below_for(seed: u64, rows: std::ops::Range<u64>, count: u64) -> u128 {
    let mut hashes: Vec<u64> = rows.map(|row| hash(seed, row)).collect();
    match usize::try_from(count) {
        Ok(0) => 0,
        // No two rows have the same hash.
        Ok(count) if count < hashes.len() => u128::from(*hashes.select_nth_unstable(count).1),
        _ => 1 << 64,
    }
}

struct Drawn {
    seed: u64,
    below: u128,
}

impl Map for Drawn {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let is_drawn = |&row: &usize| u128::from(hash(self.seed, batch.row_number(row))) < self.below;
        let kept: Vec<usize> = (0..batch.rows()).filter(is_drawn).collect();
        Ok(batch.select(&kept, pool))
    }
}
