//! Whether the candidates are good: measured on a sample of rows, against the exact answer.

use rayon::prelude::*;

use super::known::Known;
use super::reservoir::Reservoirs;
use crate::beam::Candidate;
use crate::build::{BuildInput, Monitor};
use crate::level::hash;
use crate::search::{Score, Scorer};

/// Rows of the sample.
const SAMPLE_ROWS: usize = 32;

/// The same where rows with graphs that missed little say already what to expect.
const SAMPLE_ROWS_OF_KNOWN: usize = 16;

/// Nearest rows that are looked for of each.
const K: usize = 10;

/// A sample of the rows of level 0, with the exact nearest of each.
#[derive(Debug)]
pub(super) struct Pilot {
    sample: Vec<u32>,
    /// Without those that it has met in a known graph.
    nearest: Vec<Vec<Candidate>>,
    /// How many those are.
    met: u64,
}

impl Pilot {
    /// Draws the sample, from the rows that are to meet all if there are any, and compares it with all rows.
    pub(super) fn new(input: &BuildInput<'_>, known: Option<&Known<'_>>, monitor: &dyn Monitor) -> Self {
        const ROWS_A_TASK: usize = 64;
        let members = &input.members[0];
        let graph = |row: u32| known.and_then(|known| known.graph(row));
        let is_new = |row: &u32| graph(*row).is_none();
        let (has_known, has_new) = (!members.iter().all(is_new), members.iter().any(is_new));
        let mut drawn: Vec<(u64, u32)> = (0u32..)
            .zip(members)
            .filter(|(_, row)| !has_new || is_new(row))
            .map(|(position, &row)| (hash(input.params.seed ^ 0x0070_696c_6f74, u64::from(row)), position))
            .collect();
        let rows = if has_known { SAMPLE_ROWS_OF_KNOWN } else { SAMPLE_ROWS };
        if drawn.len() > rows {
            drawn.select_nth_unstable(rows);
            drawn.truncate(rows);
        }
        let sample: Vec<u32> = drawn.into_iter().map(|(_, position)| position).collect();
        let row = |position: u32| members[position as usize];
        let positions: Vec<u32> = (0..).take(members.len()).collect();
        let scorers: Vec<_> =
            sample.iter().map(|&of| Scorer::for_row(row(of), &input.distance, &input.rows)).collect();
        let nothing = || vec![Vec::new(); sample.len()];
        let mut nearest = positions
            .par_chunks(ROWS_A_TASK)
            .fold(nothing, |mut nearest, positions| {
                if monitor.is_cancelled() {
                    return nearest;
                }
                // Four rows with all of the sample: the rows stay in the nearest cache.
                for four in positions.chunks(4) {
                    for (nearest, scorer) in nearest.iter_mut().zip(&scorers) {
                        let rows = four.iter().map(|&position| (position, row(position)));
                        // Rows in memory are never corrupt.
                        let _ = scorer.each(rows, |distance, position| {
                            nearest.push(Candidate::new(distance, position));
                        });
                    }
                }
                for (nearest, &of) in nearest.iter_mut().zip(&sample) {
                    nearest.retain(|candidate| candidate.node() != of);
                    keep_nearest(nearest);
                }
                nearest
            })
            .reduce(nothing, |mut all, some| {
                for (all, some) in all.iter_mut().zip(some) {
                    all.extend(some);
                    keep_nearest(all);
                }
                all
            });
        let mut met = 0;
        for (nearest, &of) in nearest.iter_mut().zip(&sample) {
            let graph_of = graph(row(of));
            let before = nearest.len();
            nearest.retain(|near| graph_of.is_none() || graph(row(near.node())) != graph_of);
            met += (before - nearest.len()) as u64;
        }
        Self { sample, nearest, met }
    }

    /// The share of the sample's nearest rows that are among the candidates, in thousandths. 1000 if there is nothing to
    /// find.
    pub(super) fn found_permille(&self, reservoirs: &Reservoirs) -> u64 {
        let (mut found, mut wanted) = (self.met, self.met);
        let mut candidates = Vec::new();
        for (&of, nearest) in self.sample.iter().zip(&self.nearest) {
            reservoirs.get(of, &mut candidates);
            wanted += nearest.len() as u64;
            let is_candidate = |near: &&Candidate| candidates.iter().any(|c| c.position() == near.node());
            found += nearest.iter().filter(is_candidate).count() as u64;
        }
        (found * 1000u64).checked_div(wanted).unwrap_or(1000)
    }
}

fn keep_nearest(candidates: &mut Vec<Candidate>) {
    if candidates.len() > K {
        candidates.select_nth_unstable(K);
        candidates.truncate(K);
    }
}
