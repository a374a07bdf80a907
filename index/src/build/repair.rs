//! Making every node reachable.
//!
//! Pruning may take the last link to a node, and then no search can ever return it. Here every level is walked from the
//! node at which the entry point stands on it; each node that was not met gets a link from a near node that was.

use super::{BuildInput, Monitor, Stopped};
use crate::beam::Candidate;
use crate::graph::{Graph, GraphAccess, Layer, NONE};
use crate::search::{Score, Scorer, Scratch, search_level};

/// Links unreachable nodes on all levels, and returns how many there were.
pub(super) fn connect(
    graph: &mut Graph,
    input: &BuildInput<'_>,
    monitor: &dyn Monitor,
) -> Result<u64, Stopped> {
    let mut repaired = 0;
    let mut entry = graph.entry_point;
    for level in (0..graph.layers.len()).rev() {
        let Some(slot) = entry else { break };
        let layer = &mut graph.layers[level];
        repaired += connect_level(layer, slot, input, level, monitor)?;
        entry = layer.down.as_ref().map(|down| down[slot as usize]);
    }
    Ok(repaired)
}

/// How many nodes of level 0 can be reached on it from the entry point.
pub(super) fn reachable_nodes(graph: &Graph) -> u64 {
    let Some(mut slot) = graph.entry_point else { return 0 };
    for level in (1..graph.layers.len()).rev() {
        slot = graph.layer(level).down.map_or(slot, |down| down[slot as usize]);
    }
    let mut walk = Walk::new(graph.layers[0].view().len());
    walk.from(slot, None, &graph.layers[0]);
    walk.parents.iter().filter(|&&parent| parent != NONE).count() as u64
}

/// A walk over everything that can be reached, as a tree.
struct Walk {
    /// The node from which each node was reached first (the first node from itself), or [`NONE`].
    parents: Vec<u32>,
    queue: Vec<u32>,
}

impl Walk {
    fn new(nodes: usize) -> Self {
        Self { parents: vec![NONE; nodes], queue: Vec::new() }
    }

    fn has_reached(&self, slot: u32) -> bool {
        self.parents[slot as usize] != NONE
    }

    fn from(&mut self, slot: u32, parent: Option<u32>, layer: &Layer) {
        self.parents[slot as usize] = parent.unwrap_or(slot);
        self.queue.push(slot);
        while let Some(slot) = self.queue.pop() {
            for &neighbour in layer.view().neighbours(slot) {
                if !self.has_reached(neighbour) {
                    self.parents[neighbour as usize] = slot;
                    self.queue.push(neighbour);
                }
            }
        }
    }
}

fn connect_level(
    layer: &mut Layer,
    entry: u32,
    input: &BuildInput<'_>,
    level: usize,
    monitor: &dyn Monitor,
) -> Result<u64, Stopped> {
    let mut walk = Walk::new(layer.view().len());
    walk.from(entry, None, layer);
    let mut scratch = Scratch::default();
    let mut repaired = 0;
    for (at, &row) in (0u32..).zip(&input.members[level]) {
        let slot = if level == 0 { row } else { at };
        if walk.has_reached(slot) {
            continue;
        }
        if repaired % 256 == 0 && monitor.is_cancelled() {
            return Err(Stopped);
        }
        let from = link_to(layer, slot, entry, input, &walk, &mut scratch);
        walk.from(slot, Some(from), layer);
        repaired += 1;
    }
    Ok(repaired)
}

/// Gives `slot` a link from the nearest reached node that has a place to spare, and returns that node.
///
/// A place is free, or holds a link by which no node was reached first. One always exists: a tree over `r` nodes has
/// `r - 1` links, and their lists have at least `2 r` places.
fn link_to(
    layer: &mut Layer,
    slot: u32,
    entry: u32,
    input: &BuildInput<'_>,
    walk: &Walk,
    scratch: &mut Scratch,
) -> u32 {
    let view = layer.view();
    let scorer = Scorer::for_row(view.row(slot), &input.distance, &input.rows);
    let distance_of = |other: u32| {
        // Rows in memory are never corrupt.
        Candidate::new(scorer.one(view.row(other)).unwrap_or(f32::INFINITY), other)
    };
    let ef = input.params.ef_construction.max(input.params.m);
    // All that a search from the entry point finds is reachable.
    let _ = search_level(view, &scorer, [distance_of(entry)], ef, scratch);
    let near = scratch.beam.candidates().iter().map(|candidate| candidate.node());
    let anywhere = (0u32..).take(view.len()).filter(|&other| walk.has_reached(other));
    let mut best = None;
    for from in near.chain(anywhere) {
        let neighbours = view.neighbours(from);
        let spare = if neighbours.len() < view.stride {
            Some(neighbours.len())
        } else {
            neighbours.iter().rposition(|&neighbour| walk.parents[neighbour as usize] != from)
        };
        if let Some(spare) = spare {
            best = Some((from, spare));
            break;
        }
    }
    let Some((from, spare)) = best else {
        unreachable!("a tree over r nodes leaves places to spare in lists of at least two")
    };
    let from_scorer = Scorer::for_row(view.row(from), &input.distance, &input.rows);
    let to_slot = from_scorer.one(view.row(slot)).unwrap_or(f32::INFINITY);
    let farther = |other: u32| {
        let to_other = from_scorer.one(view.row(other)).unwrap_or(f32::INFINITY);
        Candidate::new(to_slot, slot) < Candidate::new(to_other, other)
    };
    let neighbours = view.neighbours(from);
    let place = neighbours.iter().position(|&other| farther(other)).unwrap_or(neighbours.len());
    let start = from as usize * layer.stride;
    let list = &mut layer.neighbours[start..start + layer.stride];
    // Nearest first: what stands between the new link and the spare place moves by one, over the spare place.
    if place <= spare {
        list[place..=spare].rotate_right(1);
        list[place] = slot;
    } else {
        list[spare..place].rotate_left(1);
        list[place - 1] = slot;
    }
    from
}
