//! Making every node reachable.
//!
//! Pruning may take the last link to a node, and then no search can ever return it. Here every level is walked from the
//! node at which the entry point stands on it; each node that was not met gets a link from a near node that was. Search
//! enters a level somewhere else, though: so every level is walked against its links as well, and where no way leads back
//! to that node, one is made. Then every node can be reached from every other.

use super::{BuildInput, Monitor, Stopped};
use crate::beam::Candidate;
use crate::distance::prefetch;
use crate::graph::{Graph, GraphAccess, Layer, LayerView, NONE};
use crate::search::{Score, Scorer, Scratch, search_level};

/// What [`connect`] did.
pub(super) struct Connected {
    /// Links that it made.
    pub(super) links: u64,
    /// Nodes of level 0 that can be reached on it from the entry point.
    pub(super) reachable_nodes: u64,
}

/// Links nodes of all levels to which or from which no way leads.
pub(super) fn connect(
    graph: &mut Graph,
    input: &BuildInput<'_>,
    monitor: &dyn Monitor,
) -> Result<Connected, Stopped> {
    let mut links = 0;
    let mut entry = graph.entry_point;
    for level in (0..graph.layers.len()).rev() {
        let Some(slot) = entry else { break };
        let layer = &mut graph.layers[level];
        links += connect_level(layer, slot, input, level, monitor)?;
        entry = layer.down.as_ref().map(|down| down[slot as usize]);
    }
    // Where no link was needed, a walk has met all nodes already.
    let reachable_nodes = if links == 0 { input.members[0].len() as u64 } else { reachable_nodes(graph) };
    Ok(Connected { links, reachable_nodes })
}

/// How many nodes of level 0 can be reached on it from the entry point.
fn reachable_nodes(graph: &Graph) -> u64 {
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
                    prefetch(layer.view().neighbours_with_filling(neighbour));
                    self.queue.push(neighbour);
                }
            }
        }
    }
}

/// Which nodes can be reached from `entry`. As [`Walk`] tells, but in an order that suits the memory: it takes half the time,
/// and nearly always it turns out that nobody needs the tree.
fn reached_from(entry: u32, view: LayerView<'_>) -> Vec<bool> {
    let mut is_reached = vec![false; view.len()];
    is_reached[entry as usize] = true;
    let mut queue = vec![entry];
    let mut next = Vec::with_capacity(AT_A_TIME);
    while take_last(&mut queue, &mut next, view) {
        for &neighbour in next.iter().flat_map(|&slot| view.neighbours(slot)) {
            if !std::mem::replace(&mut is_reached[neighbour as usize], true) {
                queue.push(neighbour);
            }
        }
    }
    is_reached
}

/// Walks wait for memory: so many lists are asked for before the first is read.
const AT_A_TIME: usize = 16;

/// Moves the last nodes of a queue to `next`, and asks for their lists; false if there are none.
fn take_last(queue: &mut Vec<u32>, next: &mut Vec<u32>, view: LayerView<'_>) -> bool {
    next.clear();
    next.extend(queue.drain(queue.len().saturating_sub(AT_A_TIME)..));
    next.iter().for_each(|&node| prefetch(view.neighbours_with_filling(node)));
    !next.is_empty()
}

fn connect_level(
    layer: &mut Layer,
    entry: u32,
    input: &BuildInput<'_>,
    level: usize,
    monitor: &dyn Monitor,
) -> Result<u64, Stopped> {
    let slots = || (0u32..).zip(&input.members[level]).map(|(at, &row)| if level == 0 { row } else { at });
    let unlinked = &*layer;
    let (is_reached, mut back) =
        rayon::join(|| reached_from(entry, unlinked.view()), || BackWalk::to_entry(unlinked, entry));
    if slots().all(|slot| is_reached[slot as usize] && back.leads_back[slot as usize]) {
        return Ok(0);
    }
    drop(is_reached);
    let mut walk = Walk::new(layer.view().len());
    walk.from(entry, None, layer);
    let mut scratch = Scratch::default();
    let mut repaired = 0;
    for slot in slots() {
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
    if repaired > 0 {
        back = BackWalk::to_entry(layer, entry);
    }
    for slot in slots() {
        if back.leads_back[slot as usize] {
            continue;
        }
        if repaired % 256 == 0 && monitor.is_cancelled() {
            return Err(Stopped);
        }
        let from = link_back(layer, slot, entry, input, &walk, &back, &mut scratch);
        back.to(from);
        repaired += 1;
    }
    Ok(repaired)
}

/// A walk against the links, from where they lead to.
struct BackWalk {
    /// Whether a way leads from the node to the entry point.
    leads_back: Vec<bool>,
    /// The links of nodes that had to be left to the last: where each leads to, and whose it is. Ascending.
    links: Vec<(u32, u32)>,
    queue: Vec<u32>,
}

impl BackWalk {
    /// From where a way leads to the entry point.
    ///
    /// Most links have one in the other direction beside them, so nearly all nodes are met by those. Only the few that
    /// are not need a list of links by where they lead to.
    fn to_entry(layer: &Layer, entry: u32) -> Self {
        let view = layer.view();
        let nodes = || (0u32..).take(view.len());
        let mut back = Self { leads_back: vec![false; view.len()], links: Vec::new(), queue: Vec::new() };
        back.walk_mutual(entry, view);
        for node in nodes() {
            if back.is_next(node, view) {
                back.walk_mutual(node, view);
            }
        }
        let left: Vec<u32> = nodes().filter(|&node| !back.leads_back[node as usize]).collect();
        let links = left.iter().flat_map(|&node| view.neighbours(node).iter().map(move |&to| (to, node)));
        back.links = links.collect();
        back.links.sort_unstable();
        for node in left {
            if back.is_next(node, view) {
                back.to(node);
            }
        }
        back
    }

    /// Whether a node is not known to lead back, and links to one that is.
    fn is_next(&self, node: u32, view: LayerView<'_>) -> bool {
        let leads_back = |node: u32| self.leads_back[node as usize];
        !leads_back(node) && view.neighbours(node).iter().any(|&to| leads_back(to))
    }

    /// From `slot` a way leads back; so it does from all nodes to which a way over links in both directions leads.
    fn walk_mutual(&mut self, slot: u32, view: LayerView<'_>) {
        self.leads_back[slot as usize] = true;
        self.queue.push(slot);
        let unmet = |back: &Self, node: u32| !back.leads_back[node as usize];
        let mut next = Vec::with_capacity(AT_A_TIME);
        let mut links = Vec::with_capacity(AT_A_TIME * view.stride);
        while take_last(&mut self.queue, &mut next, view) {
            links.clear();
            for &slot in &next {
                for &node in view.neighbours(slot).iter().filter(|&&node| unmet(self, node)) {
                    prefetch(view.neighbours_with_filling(node));
                    links.push((slot, node));
                }
            }
            for &(slot, node) in &links {
                if unmet(self, node) && view.neighbours(node).contains(&slot) {
                    self.leads_back[node as usize] = true;
                    self.queue.push(node);
                }
            }
        }
    }

    /// From `slot` a way leads back; so it does from all nodes that were left to the last and lead to it.
    fn to(&mut self, slot: u32) {
        self.leads_back[slot as usize] = true;
        self.queue.push(slot);
        while let Some(slot) = self.queue.pop() {
            let first = self.links.partition_point(|&(to, _)| to < slot);
            for &(_, source) in self.links[first..].iter().take_while(|&&(to, _)| to == slot) {
                if !std::mem::replace(&mut self.leads_back[source as usize], true) {
                    self.queue.push(source);
                }
            }
        }
    }
}

/// Gives `slot`, or a node that it leads to, a link to the nearest node that leads back, and returns who got it.
///
/// It takes a free place, or that of a link by which no node was reached first.
fn link_back(
    layer: &mut Layer,
    slot: u32,
    entry: u32,
    input: &BuildInput<'_>,
    walk: &Walk,
    back: &BackWalk,
    scratch: &mut Scratch,
) -> u32 {
    let view = layer.view();
    let mut met = vec![slot];
    let mut at = 0;
    // All that it leads to do not lead back either. A tree has fewer links than their lists have places.
    let (from, spare) = loop {
        let Some(&from) = met.get(at) else {
            unreachable!("a tree leaves places to spare in lists of at least two")
        };
        if let Some(spare) = spare_place(view, from, walk) {
            break (from, spare);
        }
        let unmet: Vec<u32> =
            view.neighbours(from).iter().copied().filter(|other| !met.contains(other)).collect();
        met.extend(unmet);
        at += 1;
    };
    let scorer = Scorer::for_row(view.row(from), &input.distance, &input.rows);
    // Rows in memory are never corrupt.
    let to_entry = Candidate::new(scorer.one(view.row(entry)).unwrap_or(f32::INFINITY), entry);
    let ef = input.params.ef_construction.max(input.params.m);
    let _ = search_level(view, &scorer, [to_entry], ef, scratch);
    let near = scratch.beam.candidates().iter().map(|candidate| candidate.node());
    let to = near.into_iter().find(|&other| back.leads_back[other as usize]).unwrap_or(entry);
    insert_link(layer, from, spare, to, input);
    from
}

/// A place of a list that is free, or whose link is no part of the tree of the walk.
fn spare_place(view: LayerView<'_>, from: u32, walk: &Walk) -> Option<usize> {
    let neighbours = view.neighbours(from);
    if neighbours.len() < view.stride {
        return Some(neighbours.len());
    }
    neighbours.iter().rposition(|&neighbour| walk.parents[neighbour as usize] != from)
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
        let spare = spare_place(view, from, walk);
        if let Some(spare) = spare {
            best = Some((from, spare));
            break;
        }
    }
    let Some((from, spare)) = best else {
        unreachable!("a tree over r nodes leaves places to spare in lists of at least two")
    };
    insert_link(layer, from, spare, slot, input);
    from
}

/// Puts a link into a list in the place of one that can be spared. The list stays sorted.
fn insert_link(layer: &mut Layer, from: u32, spare: usize, slot: u32, input: &BuildInput<'_>) {
    let view = layer.view();
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::hash;

    /// Lists of two places: some links lead both ways, most do not.
    fn layer(nodes: u32, seed: u64) -> Layer {
        let mut neighbours = Vec::new();
        for node in 0..nodes {
            let draw =
                |i: u64| u32::try_from(hash(seed, u64::from(node) * 2 + i) % u64::from(nodes)).unwrap();
            match hash(!seed, node.into()) % 4 {
                0 => neighbours.extend([NONE, NONE]),
                1 => neighbours.extend([(node + 1) % nodes, NONE]),
                2 => neighbours.extend([(node + nodes - 1) % nodes, draw(0)]),
                _ => neighbours.extend([draw(0), draw(1)]),
            }
        }
        Layer { rows: None, down: None, neighbours, stride: 2 }
    }

    #[test]
    fn both_walks_reach_the_same() {
        let mut met = 0;
        for seed in 0..200 {
            let layer = layer(60, seed);
            let mut walk = Walk::new(60);
            walk.from(7, None, &layer);
            let is_reached = reached_from(7, layer.view());
            assert!((0u32..).zip(&is_reached).all(|(node, &is)| walk.has_reached(node) == is), "seed {seed}");
            met += is_reached.iter().filter(|&&is| is).count();
        }
        assert!((1_000..11_000).contains(&met), "{met}");
    }

    #[test]
    fn a_walk_back_meets_all_from_which_a_way_leads() {
        let mut met = 0;
        for seed in 0..200 {
            let layer = layer(60, seed);
            let back = BackWalk::to_entry(&layer, 7);
            for node in 0..60 {
                let mut walk = Walk::new(60);
                walk.from(node, None, &layer);
                assert_eq!(back.leads_back[node as usize], walk.has_reached(7), "seed {seed}, node {node}");
                met += usize::from(walk.has_reached(7));
            }
        }
        assert!((1_000..11_000).contains(&met), "{met}");
    }

    #[test]
    fn a_chain_of_links_in_one_direction_is_walked_back() {
        let nodes = 10_000;
        let ahead = (1..nodes).chain([NONE]).collect();
        let layer = Layer { rows: None, down: None, neighbours: ahead, stride: 1 };
        assert!(BackWalk::to_entry(&layer, nodes - 1).leads_back.iter().all(|&leads_back| leads_back));
        assert_eq!(
            BackWalk::to_entry(&layer, 0).leads_back.iter().filter(|&&leads_back| leads_back).count(),
            1
        );
    }
}
