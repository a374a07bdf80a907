//! Brings the rows into an order of chance.

use readers::Rows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::mix;
use super::{Action, NonFinite, Reorder, Stage};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Brings the rows into an order of chance, which depends on the seed and on how many rows there are, and on nothing else.
/// Rows keep what is theirs: their ids (the row number in the source where they have none), their numbers for `sample`,
/// `ids` and messages, and further columns.
///
/// All rows are set aside in temporary files in `TMPDIR` first, as large as the vectors, unless they come straight from a
/// mapped file that can be read in any order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shuffle {
    /// Another seed gives another order.
    seed: u64,
}

impl Default for Shuffle {
    fn default() -> Self {
        Self { seed: 42 }
    }
}

crate::register_stage!(Shuffle);

impl Stage for Shuffle {
    const NAME: &'static str = "shuffle";
    const SUMMARY: &'static str = "bring the rows into an order of chance";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"shuffle\"\nseed = 7\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Passed
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        input.most_rows().unwrap_or_default().saturating_mul(size_of::<u64>() as u64)
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let known = match input.rows {
            Rows::Exact(rows) => rows,
            _ => 0,
        };
        usize::try_from(known)
            .map_err(|_| Failure::refused(format!("{known} rows are more than memory can order")))?;
        Ok((input.clone().reordered(), Action::Reorder(Box::new(self.clone()))))
    }
}

impl Reorder for Shuffle {
    /// Fisher and Yates' shuffle, as Durstenfeld wrote it down (Communications of the ACM 7, 1964, algorithm 235).
    fn order(&self, rows: u64) -> Result<Vec<u64>, Failure> {
        let mut order: Vec<u64> = (0..rows).collect();
        let start = mix(self.seed);
        for last in (1..order.len()).rev() {
            // The upper bits of the product are a number up to `last`, with a bias below one in 2^64 / rows.
            let chance = mix(start ^ last as u64);
            let chosen = (u128::from(chance) * (last as u128 + 1)) >> 64;
            #[expect(clippy::cast_possible_truncation, reason = "at most `last`")]
            order.swap(last, chosen as usize);
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_every_row_once() {
        for rows in [0, 1, 2, 3, 1000] {
            let mut order = Shuffle { seed: 1 }.order(rows).unwrap();
            assert_eq!(order, Shuffle { seed: 1 }.order(rows).unwrap());
            if rows == 1000 {
                assert_ne!(order, Shuffle { seed: 2 }.order(rows).unwrap());
                let stayed = (0..).zip(&order).filter(|(at, row)| at == *row).count();
                assert!(stayed < 10, "{stayed} rows stayed where they were");
            }
            order.sort_unstable();
            assert!(order.into_iter().eq(0..rows));
        }
    }

    #[test]
    fn all_orders_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            *counts.entry(Shuffle { seed }.order(4).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // Five standard deviations of the 1000 that are expected.
        assert!(counts.values().all(|count| (845..1155).contains(count)), "{counts:?}");
    }
}
