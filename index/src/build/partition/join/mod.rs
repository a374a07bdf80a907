//! A graph of rows of which some have graphs already.
//!
//! Rows without a graph get one of their own first. Then every row looks for its nearest among those of each other, larger
//! graph, by walking it: so each pair of near rows of different graphs is met from one side. Rows that met any nearer than
//! their farthest neighbour choose anew, among their neighbours and those; all others keep the neighbours that they have. Levels above 0
//! are small and built anew.
//!
//! That is for few new rows. With more of them leaves are carved, as for a build anew, where rows have the neighbours that they have as their
//! first candidates, and need not meet all others of their graph again: [`seeded`].
//!
//! A walk begins where a walk for a neighbour ended, which makes it several times shorter than one from the top, and near
//! rows come one after the other, so that what they meet is in the cache. ("Three Algorithms for Merging HNSW
//! Graphs", Ponomarenko, arXiv 2505.16064, begins walks where those for neighbours ended, too. Here no walk reads what another one
//! writes, so that neither order nor threads matter.)

mod cross;
mod lists;
mod order;

use self::cross::Found;
use super::known::Known;
use super::long::FEW_LOOKING_ROWS;
use super::reduce;
use super::{Effort, PartitionBuilder, SMALL_ROWS, upper_layers, with_long_links};
use crate::build::{
    BuildInput, GraphBuilder, InsertBuilder, Monitor, Outcome, Stopped, entry_point, fidelity,
};
use crate::codes::{CodeTable, Codes};
use crate::copies::Copies;
use crate::graph::{Graph, GraphAccess, LayerView};
use crate::vectors::{Matrix, PlainRows};
use crate::{Index, Params};
use std::ops::Range;

/// With more graphs, walking each of them takes as long as building anew.
const MOST_GRAPHS: usize = 6;

/// Where more than one in so many rows is of other graphs than the largest, walks save little, and keep what the largest graph
/// has missed: of a tenth new rows the graph of sentence embeddings lost two points of recall at ef 10, so leaves build it then.
const MOST_NEW_SHARE: usize = 20;

/// Rounds of carving for levels above 0.
const ROUNDS_ABOVE: u64 = 2;

/// What an index says of the rounds of carving that it took.
const ROUNDS: &str = "rounds";

/// A graph of some of the rows that is there already: what [`crate::build_from`] saves work with.
#[derive(Debug, Clone, Copy)]
pub struct KnownGraph<'a> {
    /// The row of the new index that is the first of the old one's. The others follow in their order.
    pub first_row: usize,
    /// The old index.
    pub index: &'a Index,
}

/// Some rows with their graph, whose nodes are numbered from the first of them.
#[derive(Debug)]
struct Origin<'a> {
    first: u32,
    rows: u32,
    graph: OriginGraph<'a>,
    /// The nodes, near ones near each other; empty until walks need it.
    order: Vec<u32>,
    /// How wide a walk through it is.
    beam: usize,
    /// Whether near rows are hard to find, as insertion was the better builder.
    is_hard: bool,
    /// Rounds of carving that its graph took, where that is known.
    rounds: Option<u64>,
}

#[derive(Debug)]
enum OriginGraph<'a> {
    Known(&'a Index),
    Built(Graph),
}

impl GraphAccess for OriginGraph<'_> {
    fn top_level(&self) -> usize {
        match self {
            Self::Known(index) => index.top_level(),
            Self::Built(graph) => graph.top_level(),
        }
    }

    fn layer(&self, level: usize) -> LayerView<'_> {
        match self {
            Self::Known(index) => index.layer(level),
            Self::Built(graph) => graph.layer(level),
        }
    }

    fn entry_point(&self) -> Option<u32> {
        match self {
            Self::Known(index) => index.entry_point(),
            Self::Built(graph) => graph.entry_point(),
        }
    }
}

/// What all steps need.
struct Join<'a> {
    input: &'a BuildInput<'a>,
    codes: &'a Codes,
    effort: Effort,
    origins: Vec<Origin<'a>>,
    /// Of each row the first that equals it; empty if there are no copies.
    representatives: Vec<u32>,
    monitor: &'a dyn Monitor,
}

/// Builds the graph of all levels from `known`, which are disjoint and in the order of their rows. Nothing if building it
/// without them is the better way: there are too many of them or too few rows of theirs, or codes say too little.
pub(in crate::build) fn join(
    input: &BuildInput<'_>,
    copies: &Copies,
    known: &[KnownGraph<'_>],
    monitor: &dyn Monitor,
) -> Result<Option<Outcome>, Stopped> {
    let rows = input.rows.matrix.rows();
    let known_rows: usize = known.iter().map(|known| known.index.rows()).sum();
    let gaps = gaps(known, rows);
    // Where most rows have no graph, theirs are most of the work.
    if known_rows * 2 < rows || known.len() + gaps.len() > MOST_GRAPHS {
        return Ok(None);
    }
    let effort = Effort::new(&input.params);
    let mut origins: Vec<Origin<'_>> =
        known.iter().map(|known| Origin::known(known, effort, rows, &input.params)).collect();
    let largest = origins.iter().map(|origin| origin.rows as usize).max().unwrap_or_default();
    let is_hard = origins.iter().any(|origin| origin.is_hard);
    if (rows - largest) * MOST_NEW_SHARE > rows && !is_hard {
        return seeded(input, &origins, copies, monitor);
    }
    let mut codes = Codes::new(&input.rows, &input.params, input.distance.products());
    codes.are_faithful = fidelity::are_faithful(input, &codes);
    if !(codes.are_faithful && fidelity::are_of_one_length(input)) {
        return Ok(None);
    }
    for origin in &mut origins {
        origin.order = order::order(&origin.graph, origin.rows);
    }
    for (first, end) in gaps {
        origins.extend(Origin::built(input, first..end, effort, monitor)?);
    }
    // The largest first, which the others walk.
    origins.sort_by_key(|origin| (std::cmp::Reverse(origin.rows), origin.first));
    let join = Join {
        input,
        codes: &codes,
        effort,
        origins,
        representatives: representatives(copies, rows),
        monitor,
    };
    let (layer, chosen_anew) = join.layer()?;
    let above = input.members.get(1).map_or(0, Vec::len);
    let reduced = if above > SMALL_ROWS { reduce::reduced(input, codes.view()) } else { None };
    let carving = reduced.as_ref().map_or(codes.view(), CodeTable::view);
    let mut layers = vec![layer];
    layers.extend(upper_layers(input, &codes, carving, effort, ROUNDS_ABOVE, monitor)?);
    let graph = Graph { layers, entry_point: entry_point(input) };
    let (graph, has_long_links) =
        with_long_links(graph, input, &codes, carving, effort, FEW_LOOKING_ROWS, monitor)?;
    let effective_parameters = vec![
        ("graphs", join.origins.len() as u64),
        ("known_rows", known_rows as u64),
        ("beam", join.origins.iter().map(|origin| origin.beam as u64).max().unwrap_or_default()),
        ("chosen_anew", chosen_anew),
        (ROUNDS, join.origins.iter().filter_map(|origin| origin.rounds).max().unwrap_or_default()),
        ("long_links", has_long_links.into()),
    ];
    Ok(Some(Outcome { graph, builder: "merge", effective_parameters, codes: Some(codes) }))
}

/// The ranges of rows that have no graph.
fn gaps(known: &[KnownGraph<'_>], rows: usize) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    let mut end = 0;
    for known in known {
        assert!(known.first_row >= end, "graphs are disjoint, in the order of their rows");
        gaps.push((end, known.first_row));
        end = known.first_row + known.index.rows();
    }
    assert!(end <= rows, "graphs are of rows that there are");
    gaps.push((end, rows));
    gaps.retain(|(first, end)| first < end);
    gaps
}

fn representatives(copies: &Copies, rows: usize) -> Vec<u32> {
    if copies.rows.is_empty() {
        return Vec::new();
    }
    let mut of: Vec<u32> = (0..).take(rows).collect();
    for (&representative, range) in copies.representatives.iter().zip(copies.starts.windows(2)) {
        for &copy in &copies.rows[range[0] as usize..range[1] as usize] {
            of[copy as usize] = representative;
        }
    }
    of
}

#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
impl<'a> Origin<'a> {
    fn known(known: &KnownGraph<'a>, effort: Effort, all: usize, params: &Params) -> Self {
        let index = known.index;
        let is_hard = index.header().builder == InsertBuilder.name();
        let (first, rows) = (known.first_row as u32, index.rows() as u32);
        let graph = OriginGraph::Known(index);
        let beam = beam(effort, rows, all, is_hard, params);
        let rounds = rounds_of(&index.header().effective_parameters);
        Self { first, rows, order: Vec::new(), graph, beam, is_hard, rounds }
    }

    /// Builds the graph of a range of rows. Nothing if all are copies of others.
    fn built(
        input: &BuildInput<'_>,
        Range { start: first, end }: Range<usize>,
        effort: Effort,
        monitor: &dyn Monitor,
    ) -> Result<Option<Self>, Stopped> {
        let BuildInput { rows: PlainRows { matrix, inverse_norms }, distance, params, members } = input;
        let dim = matrix.dim();
        let of_range = |level: &Vec<u32>| -> Vec<u32> {
            let range = level.partition_point(|&row| (row as usize) < first)
                ..level.partition_point(|&row| (row as usize) < end);
            level[range].iter().map(|row| row - first as u32).collect()
        };
        let members: Vec<Vec<u32>> =
            members.iter().map(of_range).take_while(|level| !level.is_empty()).collect();
        if members.is_empty() {
            return Ok(None);
        }
        let part = BuildInput {
            rows: PlainRows {
                matrix: Matrix::new(&matrix.values()[first * dim..end * dim], dim),
                inverse_norms: if inverse_norms.is_empty() { &[] } else { &inverse_norms[first..end] },
            },
            distance: *distance,
            params: *params,
            members,
        };
        let partitioned = PartitionBuilder.attempt(&part, monitor, true)?;
        let is_hard = partitioned.is_none();
        let outcome = match partitioned {
            Some(outcome) => outcome,
            None => InsertBuilder.build(&part, monitor)?,
        };
        let rounds = rounds_of(&outcome.effective_parameters);
        let graph = OriginGraph::Built(outcome.graph);
        let rows = (end - first) as u32;
        let beam = beam(effort, rows, matrix.rows(), is_hard, params);
        let order = order::order(&graph, rows);
        Ok(Some(Self { first: first as u32, rows, order, graph, beam, is_hard, rounds }))
    }

    fn has(&self, row: u32) -> bool {
        (self.first..self.first + self.rows).contains(&row)
    }

    /// The neighbours of a row of all, as rows of all.
    fn neighbours(&self, row: u32) -> impl Iterator<Item = u32> + Clone {
        self.graph.layer(0).neighbours(row - self.first).iter().map(|neighbour| neighbour + self.first)
    }
}

/// The rounds of carving that a builder says it took.
fn rounds_of(parameters: &[(impl AsRef<str>, u64)]) -> Option<u64> {
    parameters.iter().find(|(name, _)| name.as_ref() == ROUNDS).map(|&(_, rounds)| rounds)
}

/// How wide walks through a graph of `rows` of `all` rows are: as many of the candidates of a row as would be from there if
/// all were built together, and a few less, as it offers itself to those that it finds, and they to it.
fn beam(effort: Effort, rows: u32, all: usize, is_hard: bool, params: &Params) -> usize {
    if is_hard {
        return params.ef_construction.max(effort.reservoir);
    }
    let share = effort.reservoir * rows as usize / all.max(1);
    share.clamp(effort.reservoir / 2, effort.reservoir) * 4 / 5
}

/// Builds all anew, but with the neighbours that rows have as their first candidates, and without comparing the rows of one graph again
/// in the first round of carving. Where one round was enough for all graphs there is no other.
fn seeded(
    input: &BuildInput<'_>,
    origins: &[Origin<'_>],
    copies: &Copies,
    monitor: &dyn Monitor,
) -> Result<Option<Outcome>, Stopped> {
    let rows = input.rows.matrix.rows();
    let representatives = representatives(copies, rows);
    let node = |row: u32| representatives.get(row as usize).copied().unwrap_or(row);
    let neighbours = |row: u32, near: &mut Vec<u32>| {
        if let Some(origin) = origins.iter().find(|origin| origin.has(row)) {
            near.extend(origin.neighbours(row).map(node).filter(|&other| other != row));
        }
    };
    let known = Known {
        neighbours: &neighbours,
        graphs: origins.iter().map(|origin| origin.first..origin.first + origin.rows).collect(),
        rows,
        missed_little: origins.iter().all(|origin| origin.rounds == Some(1)),
    };
    PartitionBuilder.attempt_from(input, monitor, true, Some(&known))
}

impl Join<'_> {
    /// The first row that equals a row: the one that is a node.
    #[inline]
    fn node(&self, row: u32) -> u32 {
        self.representatives.get(row as usize).copied().unwrap_or(row)
    }

    /// The origin of a row.
    fn origin(&self, row: u32) -> Option<&Origin<'_>> {
        self.origins.iter().find(|origin| origin.has(row))
    }

    /// What each row of each origin finds in the larger ones.
    fn find(&self) -> Result<Vec<Found>, Stopped> {
        let mut found = Vec::new();
        for (at, from) in self.origins.iter().enumerate() {
            for to in &self.origins[..at] {
                found.push(self.look(from, to)?);
            }
        }
        Ok(found)
    }
}
