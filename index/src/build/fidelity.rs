//! Whether codes order rows as the vectors do: measured on a sample.
//!
//! Codes have one scale for all values. Where most rows are tiny beside a few, or one column is huge beside all others, the
//! codes of many rows are the same, and neither a build nor a search may go by them.

use rayon::prelude::*;

use super::BuildInput;
use crate::Metric;
use crate::beam::Candidate;
use crate::codes::Codes;
use crate::level::hash;
use crate::search::{Score, Scorer};

/// Rows whose neighbours are looked at.
const ROWS: usize = 128;

/// Rows among which they are looked for.
const OTHERS: usize = 1024;

/// Nearest rows that are looked for of each.
const K: usize = 10;

/// They must be among so many of the nearest by codes.
const WIDE_K: usize = 2 * K;

/// Whether codes can be relied on.
///
/// Nearly all neighbours of nearly all sampled rows must be near by codes as well: a mean would hide a minority whose codes
/// say nothing.
pub(super) fn are_faithful(input: &BuildInput<'_>, codes: &Codes) -> bool {
    let (rows, others) = (draw(input, 1, ROWS), draw(input, 2, OTHERS));
    let codes = codes.view();
    let shares: Vec<(usize, usize)> = rows
        .par_iter()
        .map(|&row| {
            let others: Vec<u32> = others.iter().copied().filter(|&other| other != row).collect();
            let scorer = Scorer::for_row(row, &input.distance, &input.rows);
            let mut exact = Vec::with_capacity(others.len());
            // Rows in memory are never corrupt.
            let _ = scorer.each(others.iter().map(|&other| (other, other)), |distance, other| {
                exact.push(Candidate::new(distance, other));
            });
            let mut by_codes: Vec<(i32, u32)> = others
                .chunks(4)
                .flat_map(|four| {
                    let rows = std::array::from_fn(|i| *four.get(i).unwrap_or(&four[0]));
                    codes.distances_of(row, rows).into_iter().zip(four.iter().copied())
                })
                .collect();
            exact.sort_unstable();
            exact.truncate(K);
            by_codes.sort_unstable();
            // What is as near as the last of them may stand for it.
            let last =
                by_codes.get(WIDE_K.min(by_codes.len()).saturating_sub(1)).map(|&(distance, _)| distance);
            let near = by_codes.iter().take_while(|&&(distance, _)| Some(distance) <= last).take(2 * WIDE_K);
            let near: Vec<u32> = near.map(|&(_, other)| other).collect();
            (exact.iter().filter(|candidate| near.contains(&candidate.node())).count(), exact.len())
        })
        .collect();
    let (found, wanted) = shares.iter().fold((0, 0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    let lost = shares.iter().filter(|(found, wanted)| found * 2 < *wanted).count();
    found * 100 >= wanted * 95 && lost * 50 <= shares.len()
}

/// Whether inner products compare directions: all lengths of a sample are nearly the same, or the metric is another.
///
/// Otherwise the nearest rows of nearly all rows are the same few long ones, and lists of nearest rows make no graph.
pub(super) fn are_of_one_length(input: &BuildInput<'_>) -> bool {
    if input.params.metric != Metric::Ip {
        return true;
    }
    let norms =
        draw(input, 3, OTHERS).into_iter().map(|row| input.distance.squared_norm(input.rows.matrix.row(row)));
    let (least, most) =
        norms.fold((f32::INFINITY, 0.0f32), |(least, most), norm| (least.min(norm), most.max(norm)));
    most <= least * 1.2
}

/// Draws rows that are nodes, some perhaps twice; all if there are few.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a usize")]
fn draw(input: &BuildInput<'_>, purpose: u64, count: usize) -> Vec<u32> {
    let members = &input.members[0];
    if members.len() <= count {
        return members.clone();
    }
    let seed = hash(input.params.seed ^ 0x6661_6974, purpose);
    (0..count as u64).map(|i| members[(hash(seed, i) % members.len() as u64) as usize]).collect()
}
