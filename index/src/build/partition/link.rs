//! Edges in both directions: who was chosen links back, and prunes if that is too much.

use rayon::prelude::*;

use super::choose::{ChooseScratch, Chooser};
use crate::beam::Candidate;
use crate::build::Monitor;
use crate::graph::NONE;

/// Lists of candidates of different lengths, by position.
#[derive(Debug)]
pub(super) struct Lists {
    candidates: Vec<Candidate>,
    /// Where the list of each position begins, and at last the end.
    starts: Vec<usize>,
}

/// The lists of some positions, one after the other.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) candidates: Vec<Candidate>,
    pub(super) lens: Vec<usize>,
}

/// Where each list begins, from their lengths.
fn starts(lens: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut end = 0;
    std::iter::once(0)
        .chain(lens.map(|len| {
            end += len;
            end
        }))
        .collect()
}

impl Lists {
    /// Puts lists in the order of their positions: the first of `order` has the first of the portions' lists.
    pub(super) fn of_portions(portions: &[Portion], order: &[u32]) -> Self {
        let lens = portions.iter().flat_map(|portion| &portion.lens);
        let mut by_position = vec![0; order.len()];
        for (&position, &len) in order.iter().zip(lens) {
            by_position[position as usize] = len;
        }
        let starts = starts(by_position.iter().copied());
        let mut candidates = vec![Candidate::new(0.0, 0); starts[order.len()]];
        let mut positions = order.iter();
        for portion in portions {
            let mut rest = portion.candidates.as_slice();
            for (&len, &position) in portion.lens.iter().zip(&mut positions) {
                let (list, others) = rest.split_at(len);
                candidates[starts[position as usize]..][..len].copy_from_slice(list);
                rest = others;
            }
        }
        Self { candidates, starts }
    }

    pub(super) fn get(&self, position: usize) -> &[Candidate] {
        &self.candidates[self.starts[position]..self.starts[position + 1]]
    }

    /// All links in the other direction, those to each position in the order of the positions that they came from.
    #[expect(clippy::cast_possible_truncation, reason = "positions are fewer than 2^31")]
    pub(super) fn reversed(&self) -> Self {
        let positions = self.starts.len() - 1;
        let mut lens = vec![0; positions];
        for candidate in &self.candidates {
            lens[candidate.node() as usize] += 1;
        }
        let starts = starts(lens.into_iter());
        let mut next = starts.clone();
        let mut candidates = vec![Candidate::new(0.0, 0); self.candidates.len()];
        for position in 0..positions {
            for candidate in self.get(position) {
                let place = &mut next[candidate.node() as usize];
                candidates[*place] = Candidate::new(candidate.distance(), position as u32);
                *place += 1;
            }
        }
        Self { candidates, starts }
    }
}

/// The neighbour lists of `slots` nodes with `most` places each. `row` and `slot` tell row and slot of a position; slots
/// ascend with the positions, and those without a position have empty lists. When the monitor says to stop, the outcome
/// means nothing.
pub(super) fn link(
    chosen: &Lists,
    chooser: &Chooser<'_>,
    row: impl Fn(u32) -> u32 + Sync,
    slot: impl Fn(u32) -> u32 + Sync,
    slots: usize,
    most: usize,
    monitor: &dyn Monitor,
) -> Vec<u32> {
    const POSITIONS_A_TASK: usize = 256;
    let reversed = chosen.reversed();
    let positions: Vec<u32> = (0..).take(chosen.starts.len() - 1).collect();
    let mut neighbours = vec![NONE; slots * most];
    // Each task owns the lists between its first slot and that of the next.
    let mut rest = neighbours.as_mut_slice();
    let mut rest_from = 0;
    let mut tasks = Vec::new();
    for positions in positions.chunks(POSITIONS_A_TASK) {
        let (first, end) = (slot(positions[0]) as usize, slot(positions[positions.len() - 1]) as usize + 1);
        let (lists, others) =
            std::mem::take(&mut rest)[(first - rest_from) * most..].split_at_mut((end - first) * most);
        (rest, rest_from) = (others, end);
        tasks.push((positions, first, lists));
    }
    tasks.into_par_iter().for_each_init(
        || (Vec::new(), ChooseScratch::default()),
        |(merged, scratch), (positions, first, lists)| {
            if monitor.is_cancelled() {
                return;
            }
            for &position in positions {
                merged.clear();
                merged.extend_from_slice(chosen.get(position as usize));
                merged.extend_from_slice(reversed.get(position as usize));
                merged.sort_unstable();
                merged.dedup();
                let list = if merged.len() <= most {
                    merged.as_slice()
                } else {
                    chooser.choose_exact(row(position), merged, &row, most, scratch)
                };
                let places = &mut lists[(slot(position) as usize - first) * most..][..most];
                for (place, candidate) in places.iter_mut().zip(list) {
                    *place = slot(candidate.node());
                }
            }
        },
    );
    neighbours
}
