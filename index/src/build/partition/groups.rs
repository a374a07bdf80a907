//! The nearest of many leaders, without comparing every row with all of them.
//!
//! Leaders are put in groups around some of them, the heads. A row is compared with the heads, and then with the leaders
//! of its nearest heads' groups: with `n` leaders about `6 sqrt(n)` products instead of `n`, and mostly the same leaders.
//! (The inverted file of Jégou and others, "Product Quantization for Nearest Neighbor Search", 2011, section IV, over
//! codes.)

use rayon::prelude::*;

use super::carve::ROWS_A_TASK;
use super::columns::ColumnSearch;
use super::nearest::Near;
use crate::build::Monitor;
use crate::codes::CodesView;
use crate::codes::packed::Panels;

/// Groups whose leaders a row is compared with.
const NEAR_GROUPS: usize = 8;

/// Leaders found for some rows, at most so many at a time.
const FOUND: usize = 1 << 20;

/// A place for a leader where a group has none left.
const NO_LEADER: Near = Near::FARTHEST;

/// The memory of [`GroupedLeaders::nearest`] in bytes: for each place a leader, and its share of three lists of groups.
pub(super) fn memory_bytes(fanout: u64) -> u64 {
    FOUND as u64 * 8 + FOUND as u64 / fanout.max(1) * 12
}

/// How many heads so many leaders should have: then there are as many heads as leaders in the near groups.
pub(super) fn heads_of(leaders: usize) -> usize {
    (leaders * NEAR_GROUPS).isqrt().min(leaders)
}

/// Leaders, numbered from 0 in the order of their groups.
pub(super) struct GroupedLeaders<'a> {
    codes: CodesView<'a>,
    heads: Panels,
    groups: Vec<Group>,
}

struct Group {
    /// The number of its first leader.
    first: u32,
    leaders: Panels,
}

impl<'a> GroupedLeaders<'a> {
    /// The groups around some heads, all given by the rows that they are.
    #[expect(clippy::cast_possible_truncation, reason = "leaders are fewer than 2^31")]
    pub(super) fn new(codes: CodesView<'a>, heads: &[u32], groups: &[Vec<u32>]) -> Self {
        let panels = |rows: &[u32]| {
            let mut panels = Panels::default();
            panels.pack(codes, rows.iter().copied());
            panels
        };
        let mut end = 0;
        let groups = groups.iter().map(|group| {
            let first = end;
            end += group.len() as u32;
            Group { first, leaders: panels(group) }
        });
        Self { codes, groups: groups.collect(), heads: panels(heads) }
    }

    /// The numbers of the `fanout` nearest leaders of each position, nearest first, as far as they are found:
    /// [`u32::MAX`] stands for those that are not. `row` tells the row of a position.
    ///
    /// When the monitor says to stop, the outcome means nothing.
    pub(super) fn nearest(
        &self,
        positions: &[u32],
        fanout: usize,
        row: impl Fn(u32) -> u32 + Sync,
        monitor: &dyn Monitor,
    ) -> Vec<u32> {
        let near = NEAR_GROUPS.min(self.heads.columns());
        let mut nearest = vec![u32::MAX; positions.len() * fanout];
        let block_rows = (FOUND / (near * fanout)).max(1);
        for (positions, nearest) in positions.chunks(block_rows).zip(nearest.chunks_mut(block_rows * fanout))
        {
            if monitor.is_cancelled() {
                break;
            }
            let near_groups = nearest_columns(self.codes, positions, &self.heads, near, &row);
            self.nearest_of_groups(positions, &near_groups, nearest, fanout, &row);
        }
        nearest
    }

    /// The same for a block of positions and the groups that are near to each.
    #[expect(clippy::cast_possible_truncation, reason = "places of a block")]
    fn nearest_of_groups(
        &self,
        positions: &[u32],
        near_groups: &[u32],
        nearest: &mut [u32],
        fanout: usize,
        row: &(impl Fn(u32) -> u32 + Sync),
    ) {
        let near = near_groups.len() / positions.len();
        // A position has a place for each of its groups; those of one group are compared together.
        let mut by_group: Vec<u32> = (0..near_groups.len() as u32).collect();
        by_group.sort_by_key(|&place| near_groups[place as usize]);
        let mut rank = vec![0u32; by_group.len()];
        for (at, &place) in (0..).zip(&by_group) {
            rank[place as usize] = at;
        }
        let mut found = vec![NO_LEADER; by_group.len() * fanout];
        let mut rest = found.as_mut_slice();
        let mut tasks = Vec::new();
        for places in by_group.chunk_by(|&a, &b| near_groups[a as usize] == near_groups[b as usize]) {
            for places in places.chunks(ROWS_A_TASK) {
                let (found, others) = std::mem::take(&mut rest).split_at_mut(places.len() * fanout);
                rest = others;
                tasks.push((&self.groups[near_groups[places[0] as usize] as usize], places, found));
            }
        }
        tasks.into_par_iter().for_each_init(ColumnSearch::default, |search, (group, places, found)| {
            let rows = places.iter().map(|&place| row(positions[place as usize / near]));
            let k = fanout.min(group.leaders.columns());
            if k > 0 {
                search.search(self.codes, rows, &group.leaders, k, |at, leaders| {
                    for (found, leader) in found[at * fanout..].iter_mut().zip(leaders) {
                        *found = leader.at(group.first + leader.position());
                    }
                });
            }
        });
        let ranks = rank.par_chunks_exact(near);
        nearest.par_chunks_exact_mut(fanout).zip(ranks).for_each_init(Vec::new, |all, (nearest, ranks)| {
            all.clear();
            for &rank in ranks {
                all.extend_from_slice(&found[rank as usize * fanout..][..fanout]);
            }
            all.sort_unstable();
            let leaders = all.iter().take_while(|&&near| near != NO_LEADER);
            for (nearest, leader) in nearest.iter_mut().zip(leaders) {
                *nearest = leader.position();
            }
        });
    }
}

/// The `k` nearest columns of each position, nearest first.
pub(super) fn nearest_columns(
    codes: CodesView<'_>,
    positions: &[u32],
    columns: &Panels,
    k: usize,
    row: impl Fn(u32) -> u32 + Sync,
) -> Vec<u32> {
    let mut nearest = vec![0u32; positions.len() * k];
    let tasks = nearest.par_chunks_mut(ROWS_A_TASK * k).zip(positions.par_chunks(ROWS_A_TASK));
    tasks.for_each_init(ColumnSearch::default, |search, (nearest, positions)| {
        let rows = positions.iter().map(|&position| row(position));
        search.search(codes, rows, columns, k, |at, found| {
            for (nearest, near) in nearest[at * k..].iter_mut().zip(found) {
                *nearest = near.position();
            }
        });
    });
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Unmonitored;
    use crate::codes::Codes;
    use crate::level::hash;
    use crate::vectors::PlainRows;
    use crate::{Distance, Matrix, Metric, Params};

    const DIM: usize = 16;
    const ROWS: usize = 4_000;

    /// Calls `check` with the codes of rows in 40 clusters.
    fn with_codes(check: impl FnOnce(CodesView<'_>)) {
        let noise = |i: u64| (hash(7, i) >> 40) as f32 / (1 << 24) as f32;
        let value =
            |i: u64| noise(i / DIM as u64 % 40 + (i % DIM as u64) * 1000) + noise(i + (1 << 32)) / 4.0;
        let values: Vec<f32> = (0..(ROWS * DIM) as u64).map(value).collect();
        let rows = PlainRows { matrix: Matrix::new(&values, DIM), inverse_norms: &[] };
        let products = Distance::new(Metric::L2).products();
        check(Codes::new(&rows, &Params::new(Metric::L2), products).view());
    }

    /// The leaders that are found by groups and by comparing with all, for every row. Leaders are the first rows.
    fn both_ways(codes: CodesView<'_>, leaders: usize, fanout: usize) -> [Vec<u32>; 2] {
        let positions: Vec<u32> = (0..).take(ROWS).collect();
        let leaders = &positions[..leaders];
        let panels = |rows: &[u32]| {
            let mut panels = Panels::default();
            panels.pack(codes, rows.iter().copied());
            panels
        };
        let heads = &leaders[..heads_of(leaders.len())];
        let mut groups = vec![Vec::new(); heads.len()];
        for (leader, head) in (0..).zip(nearest_columns(codes, leaders, &panels(heads), 1, |row| row)) {
            groups[head as usize].push(leader);
        }
        let grouped = GroupedLeaders::new(codes, heads, &groups);
        let mut by_groups = grouped.nearest(&positions, fanout, |row| row, &Unmonitored);
        let by_number: Vec<u32> = groups.into_iter().flatten().collect();
        for number in by_groups.iter_mut().filter(|number| **number != u32::MAX) {
            *number = by_number[*number as usize];
        }
        [by_groups, nearest_columns(codes, &positions, &panels(leaders), fanout, |row| row)]
    }

    #[test]
    fn of_few_leaders_the_nearest_are_found() {
        with_codes(|codes| {
            let [by_groups, by_all] = both_ways(codes, NEAR_GROUPS, 3);
            // Where two are equally far, their numbers decide, which are others in groups.
            let distances = |leaders: &[u32]| -> Vec<i32> {
                let row = |at: usize| u32::try_from(at / 3).unwrap();
                leaders.iter().enumerate().map(|(at, &of)| codes.distances_of(row(at), [of; 4])[0]).collect()
            };
            assert_eq!(distances(&by_groups), distances(&by_all));
        });
    }

    #[test]
    fn of_many_leaders_nearly_all_of_the_nearest_are_found() {
        with_codes(|codes| {
            let [by_groups, by_all] = both_ways(codes, 600, 4);
            let wanted = by_all.chunks(4).zip(by_groups.chunks(4));
            let found: usize =
                wanted.map(|(all, some)| all.iter().filter(|leader| some.contains(leader)).count()).sum();
            assert!(found > by_all.len() * 9 / 10, "{found} of {}", by_all.len());
            assert!(by_groups.iter().all(|&leader| leader < 600));
        });
    }

    #[test]
    fn more_leaders_than_near_groups_have_are_not_made_up() {
        with_codes(|codes| {
            let [by_groups, _] = both_ways(codes, 3, 3);
            let [more, _] = both_ways(codes, 30, 30);
            assert!(by_groups.iter().all(|&leader| leader < 3));
            for found in more.chunks(30) {
                let count = found.iter().take_while(|&&leader| leader != u32::MAX).count();
                assert!(count >= NEAR_GROUPS && found[count..].iter().all(|&leader| leader == u32::MAX));
            }
        });
    }
}
