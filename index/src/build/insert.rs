//! The insertion builder: Algorithm 1 of the HNSW paper in frozen batches.
//!
//! Rows enter in batches that double up to a share of the whole. Every row of a batch searches the graph as it was
//! before the batch and chooses its neighbours; then each row that was chosen merges the new links into its own list.
//! The first step only reads, and in the second each list has one owner, so there is no lock and no race, and the graph
//! is the same for any number of threads (ParlayANN, arXiv 2305.04359).
//!
//! Levels are built from the top down, each by itself: which rows a level has is known beforehand. The rows of higher
//! levels enter a level first, so that the finished levels above lead to rows that are there; the entry point is the
//! first row of all and is never moved. (The paper builds all levels at once and raises the entry point on the way.)

use rayon::prelude::*;

use super::{BuildInput, GraphBuilder, MemoryPart, Monitor, Outcome, Phase, Stopped, entry_point, order_of};
use crate::Params;
use crate::beam::Candidate;
use crate::file::Corrupt;
use crate::graph::{Graph, GraphAccess, Layer, LayerView, NONE, positions};
use crate::recycled::Recycled;
use crate::search::{Score, Scorer, Scratch, descend, search_level};
use crate::select::select_neighbours;

/// A batch is at most one in so many of the rows of its level. The rows of a batch do not see each other: at 1 in 250 each
/// misses at most 0.4 % of its possible neighbours. On 100,000 sentence embeddings (means over four seeds) 1 in 50, the
/// share of ParlayANN, built 5 % faster and found 0.2 points less at ef 50; one at a time found 0.2 more and took half as
/// long again.
const LEAST_BATCHES: usize = 250;

/// Batches smaller than this cost more in waiting for the last thread than they gain in quality.
const SMALLEST_LIMIT: usize = 64;

/// Batches larger than this gain nothing in speed, and progress and cancelling want some.
const LARGEST_LIMIT: usize = 16_384;

/// A level begins with so many rows at the most, each compared with each.
const EXACT_ROWS: usize = 32;

/// Inserts rows batch by batch: every row finds its neighbours by searching the graph of the rows before it.
///
/// Works on any data, at the cost of a search a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct InsertBuilder;

/// The largest batch for a level of so many rows.
fn batch_limit(rows: usize) -> usize {
    (rows / LEAST_BATCHES).clamp(SMALLEST_LIMIT, LARGEST_LIMIT)
}

impl GraphBuilder for InsertBuilder {
    fn name(&self) -> &'static str {
        "insert"
    }

    fn makes_codes(&self) -> bool {
        false
    }

    fn memory_parts(&self, params: &Params, rows: u64, _dim: usize, threads: usize) -> Vec<MemoryPart> {
        const SCRATCH_BYTES: u64 = 256 << 10;
        let (m, m0) = (params.m as u64, params.m0() as u64);
        // Neighbours and distances of level 0; and of all levels above, which hold one row in M - 1 together, with
        // their row and slot numbers.
        let lists = rows * 8 * m0 + rows / (m - 1) * (8 * m + 24);
        // The links of one batch, once as lists and once as pairs to sort, with the sort's own copy.
        let batch = batch_limit(usize::try_from(rows).unwrap_or(usize::MAX)) as u64;
        let links = batch * m * (8 + 2 * 16) + batch * 24;
        let thread = rows + SCRATCH_BYTES + params.ef_construction as u64 * 16;
        vec![("neighbours", lists), ("links", links), ("threads", threads as u64 * thread)]
    }

    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Outcome, Stopped> {
        monitor.begin(Phase::Inserting, input.members[0].len() as u64);
        let scratches = Recycled::<Scratch>::default();
        let mut upper = Upper { layers: Vec::new(), entry_point: None };
        for level in (0..input.members.len()).rev() {
            let layer =
                LevelBuilder { input, upper: &upper, level, scratches: &scratches, monitor }.build()?;
            upper.layers.push(layer);
            if level == input.members.len() - 1 {
                upper.entry_point = entry_point(input);
            }
        }
        let Upper { mut layers, entry_point } = upper;
        layers.reverse();
        let rows = input.rows.matrix.rows();
        let effective_parameters =
            vec![("ef", beam_width(&input.params) as u64), ("batch_limit", batch_limit(rows) as u64)];
        Ok(Outcome {
            graph: Graph { layers, entry_point },
            builder: self.name(),
            effective_parameters,
            codes: None,
        })
    }
}

/// The beam while building: `ef_construction`, but never less than the neighbours that are wanted.
fn beam_width(params: &Params) -> usize {
    params.ef_construction.max(params.m)
}

/// The slot of a row on a level that has it.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn slot_of(input: &BuildInput<'_>, level: usize, row: u32) -> Option<u32> {
    match level {
        0 => Some(row),
        _ => input.members[level].binary_search(&row).ok().map(|slot| slot as u32),
    }
}

/// The finished levels, the top one first.
struct Upper {
    layers: Vec<Layer>,
    entry_point: Option<u32>,
}

/// [`Upper`] with the numbers of its levels.
struct UpperLevels<'a> {
    upper: &'a Upper,
    top_level: usize,
}

impl GraphAccess for UpperLevels<'_> {
    fn top_level(&self) -> usize {
        self.top_level
    }

    fn layer(&self, level: usize) -> LayerView<'_> {
        self.upper.layers[self.top_level - level].view()
    }

    fn entry_point(&self) -> Option<u32> {
        self.upper.entry_point
    }
}

/// A link that a new row wants: from `target` to the new row.
type Link = (u32, Candidate);

struct LevelBuilder<'a> {
    input: &'a BuildInput<'a>,
    upper: &'a Upper,
    level: usize,
    scratches: &'a Recycled<Scratch>,
    monitor: &'a dyn Monitor,
}

/// How the rows of a batch find their candidates.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// By comparing themselves with all of these.
    Exact(&'a [u32]),
    /// By a search from this node: the levels above lead to rows that are not here yet, or there are none.
    From(u32),
    /// By a search from where the levels above lead.
    FromAbove,
}

/// The lists of a level under construction: `stride` places a slot, nearest first.
struct Lists {
    neighbours: Vec<u32>,
    /// The distance of each neighbour: what a list is merged and pruned by, without computing it again.
    distances: Vec<f32>,
    stride: usize,
}

impl LevelBuilder<'_> {
    fn build(&self) -> Result<Layer, Stopped> {
        let Self { input, level, .. } = *self;
        let members = &input.members[level];
        let stride = if level == 0 { input.params.m0() } else { input.params.m };
        let slots = if level == 0 { input.rows.matrix.rows() } else { members.len() };
        let mut lists =
            Lists { neighbours: vec![NONE; slots * stride], distances: vec![0.0; slots * stride], stride };
        let (order, above) = self.order();
        let mut done = 0;
        while done < order.len() {
            let size = match done {
                0 => EXACT_ROWS.min(order.len()),
                // A batch of rows that the level above has ends with them: the next can be entered from there.
                _ if done < above => done.min(batch_limit(order.len())).min(above - done),
                _ => done.min(batch_limit(order.len())).min(order.len() - done),
            };
            let batch = &order[done..done + size];
            let way = match done {
                0 => Way::Exact(batch),
                _ if done < above || self.upper.layers.is_empty() => Way::From(order[0]),
                _ => Way::FromAbove,
            };
            let chosen: Vec<Vec<Candidate>> = batch
                .par_iter()
                .with_max_len(4)
                .map(|&slot| {
                    self.scratches.with(|scratch| {
                        if self.monitor.is_cancelled() {
                            return Vec::new();
                        }
                        // Rows in memory are never corrupt.
                        self.choose(slot, way, &lists, scratch).unwrap_or_default()
                    })
                })
                .collect();
            if self.monitor.is_cancelled() {
                return Err(Stopped);
            }
            self.link(batch, &chosen, &mut lists);
            done += size;
            if level == 0 {
                self.monitor.advance(size as u64);
            }
        }
        let down = match level {
            0 => None,
            1 => Some(members.clone()),
            _ => positions(members, &input.members[level - 1]),
        };
        Ok(Layer { rows: (level > 0).then(|| members.clone()), down, neighbours: lists.neighbours, stride })
    }

    /// The slots of the level in the order of insertion, those of the level above first; and how many those are.
    fn order(&self) -> (Vec<u32>, usize) {
        let Self { input, level, .. } = *self;
        let empty = Vec::new();
        let above = input.members.get(level + 1).unwrap_or(&empty);
        let mut rows = input.members[level].clone();
        rows.par_sort_unstable_by_key(|&row| order_of(&input.params, row));
        let order = rows.iter().filter_map(|&row| slot_of(input, level, row)).collect();
        (order, above.len())
    }

    fn view<'l>(&'l self, lists: &'l Lists) -> LayerView<'l> {
        LayerView {
            rows: (self.level > 0).then_some(self.input.members[self.level].as_slice()),
            down: None,
            neighbours: &lists.neighbours,
            stride: lists.stride,
        }
    }

    /// The neighbours that a new row chooses, nearest first.
    fn choose(
        &self,
        slot: u32,
        way: Way<'_>,
        lists: &Lists,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidate>, Corrupt> {
        let Self { input, level, upper, .. } = *self;
        let layer = self.view(lists);
        let scorer = Scorer::for_row(layer.row(slot), &input.distance, &input.rows);
        let mut candidates = Vec::new();
        if let Way::Exact(all) = way {
            candidates.reserve(all.len());
            scorer.each(all.iter().map(|&other| (other, layer.row(other))), |distance, other| {
                candidates.push(Candidate::new(distance, other));
            })?;
            candidates.sort_unstable();
        } else {
            let entry = if let Way::From(first) = way {
                Some(Candidate::new(scorer.one(layer.row(first))?, first))
            } else {
                let levels = UpperLevels { upper, top_level: input.members.len() - 1 };
                descend(&levels, &scorer, level, &mut scratch.distances)?
            };
            search_level(layer, &scorer, entry, beam_width(&input.params), scratch)?;
            candidates.extend_from_slice(scratch.beam.candidates());
        }
        candidates.retain(|candidate| candidate.node() != slot);
        let mut kept = Vec::with_capacity(input.params.m);
        let row = |slot| layer.row(slot);
        select_neighbours(&input.distance, &input.rows, row, &candidates, input.params.m, &mut kept);
        Ok(kept)
    }

    /// Writes the chosen neighbours of a batch, and merges the links back into the lists of those that were chosen.
    fn link(&self, batch: &[u32], chosen: &[Vec<Candidate>], lists: &mut Lists) {
        for (&slot, chosen) in batch.iter().zip(chosen) {
            let start = slot as usize * lists.stride;
            write_list(
                chosen,
                &mut lists.neighbours[start..start + lists.stride],
                &mut lists.distances[start..start + lists.stride],
            );
        }
        let mut links: Vec<Link> = batch
            .iter()
            .zip(chosen)
            .flat_map(|(&slot, chosen)| {
                chosen.iter().map(move |c| (c.node(), Candidate::new(c.distance(), slot)))
            })
            .collect();
        links.par_sort_unstable();
        let tasks = lists.tasks(&links);
        tasks.into_par_iter().for_each(|task| self.merge(task));
    }

    /// Merges the links of one task into the lists that it owns.
    fn merge(&self, task: Task<'_>) {
        let Self { input, level, .. } = *self;
        let members = &input.members[level];
        let row = |slot: u32| if level == 0 { slot } else { members[slot as usize] };
        let stride = task.stride;
        let mut merged: Vec<Candidate> = Vec::new();
        let mut kept = Vec::new();
        for links in task.links.chunk_by(|a, b| a.0 == b.0) {
            let start = (links[0].0 - task.first_slot) as usize * stride;
            let neighbours = &mut task.neighbours[start..start + stride];
            let distances = &mut task.distances[start..start + stride];
            merged.clear();
            merged.extend(
                neighbours
                    .iter()
                    .zip(distances.iter())
                    .take_while(|&(&neighbour, _)| neighbour != NONE)
                    .map(|(&neighbour, &distance)| Candidate::new(distance, neighbour)),
            );
            merged.extend(links.iter().map(|&(_, candidate)| candidate));
            // Two rows of a level's first batch may have chosen each other.
            merged.sort_unstable();
            merged.dedup();
            if merged.len() <= stride {
                write_list(&merged, neighbours, distances);
            } else {
                select_neighbours(&input.distance, &input.rows, row, &merged, stride, &mut kept);
                write_list(&kept, neighbours, distances);
            }
        }
    }
}

fn write_list(list: &[Candidate], neighbours: &mut [u32], distances: &mut [f32]) {
    for (place, candidate) in list.iter().enumerate() {
        neighbours[place] = candidate.node();
        distances[place] = candidate.distance();
    }
    neighbours[list.len()..].fill(NONE);
}

/// Links whose targets lie in one range of slots, with the lists of that range.
struct Task<'a> {
    links: &'a [Link],
    first_slot: u32,
    neighbours: &'a mut [u32],
    distances: &'a mut [f32],
    stride: usize,
}

impl Lists {
    /// Cuts sorted links into tasks that own the lists of their targets.
    fn tasks<'a>(&'a mut self, links: &'a [Link]) -> Vec<Task<'a>> {
        const LINKS_A_TASK: usize = 512;
        let stride = self.stride;
        let (mut neighbours, mut distances) = (self.neighbours.as_mut_slice(), self.distances.as_mut_slice());
        let mut tasks = Vec::with_capacity(links.len() / LINKS_A_TASK + 1);
        let (mut rest, mut slots_before) = (links, 0);
        while let Some(&(first_slot, _)) = rest.first() {
            let mut len = rest.len().min(LINKS_A_TASK);
            let last_slot = rest[len - 1].0;
            len += rest[len..].iter().take_while(|link| link.0 == last_slot).count();
            let (these, others) = rest.split_at(len);
            rest = others;
            let skip = (first_slot - slots_before) as usize * stride;
            let take = (last_slot + 1 - first_slot) as usize * stride;
            let (task_neighbours, other_neighbours) = neighbours.split_at_mut(skip).1.split_at_mut(take);
            let (task_distances, other_distances) = distances.split_at_mut(skip).1.split_at_mut(take);
            (neighbours, distances) = (other_neighbours, other_distances);
            slots_before = last_slot + 1;
            tasks.push(Task {
                links: these,
                first_slot,
                neighbours: task_neighbours,
                distances: task_distances,
                stride,
            });
        }
        tasks
    }
}
