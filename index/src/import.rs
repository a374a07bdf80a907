//! Graphs that another library built, as graphs of this one.

use std::fmt;

use rayon::prelude::*;

use crate::build::{Built, Unmonitored};
use crate::check::count_reachable;
use crate::copies::Copies;
use crate::distance::Distance;
use crate::graph::{Graph, Layer, MAX_ROWS, NONE};
use crate::level::MAX_LEVEL;
use crate::vectors::inverse_norms;
use crate::{InvalidParams, InvalidRow, Matrix, Params};

/// A graph of a library with other rules: its lists may hold rows that do not exist, or that are not on the level.
pub trait ForeignGraph: Sync {
    /// The highest level that a row is on, 0 to 32.
    fn top_level(&self, row: u32) -> u8;

    /// The row at which searches begin, if it says one.
    fn entry_point(&self) -> Option<u32>;

    /// Appends the neighbours of a row on one of its levels to `out`, as they stand there.
    fn neighbours(&self, row: u32, level: u8, out: &mut Vec<u64>);
}

/// What of a graph broke the rules that every graph here keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Links to rows that do not exist.
    pub to_nowhere: u64,
    /// Links to rows that are not on the level.
    pub off_level: u64,
    /// Links of a row to itself, and second links to a row.
    pub twice: u64,
    /// Links that a list has beyond M0 or M: its last ones.
    pub beyond: u64,
    /// Whether the entry point was no row of the highest level, so that another one was taken.
    pub entry_point: bool,
}

impl Dropped {
    /// All links that were left out.
    pub fn links(&self) -> u64 {
        self.to_nowhere + self.off_level + self.twice + self.beyond
    }

    fn and(self, other: Self) -> Self {
        Self {
            to_nowhere: self.to_nowhere + other.to_nowhere,
            off_level: self.off_level + other.off_level,
            twice: self.twice + other.twice,
            beyond: self.beyond + other.beyond,
            entry_point: self.entry_point | other.entry_point,
        }
    }
}

/// Why a graph cannot be taken over.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// A parameter out of range.
    Params(InvalidParams),
    /// More rows than [`MAX_ROWS`].
    TooManyRows(usize),
    /// A row whose distances would mean nothing.
    Row(InvalidRow),
    /// A row above the highest level that there can be.
    Level {
        /// The row.
        row: u32,
        /// Its level.
        level: u8,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params(error) => error.fmt(f),
            Self::TooManyRows(rows) => write!(f, "expected at most {MAX_ROWS} rows, found {rows}"),
            Self::Row(error) => error.fmt(f),
            Self::Level { row, level } => {
                write!(f, "row {row}: expected a level up to {MAX_LEVEL}, found {level}")
            }
        }
    }
}

impl std::error::Error for ImportError {}

/// Takes a graph over as it is, on the current rayon pool: rows, levels, the order of the lists. Links that are not allowed
/// here are left out and counted, none are added; rows that equal others stay nodes.
///
/// # Errors
/// See [`ImportError`].
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
pub fn import(
    matrix: Matrix<'_>,
    params: &Params,
    graph: &dyn ForeignGraph,
    builder: &'static str,
) -> Result<(Built, Dropped), ImportError> {
    params.validate().map_err(ImportError::Params)?;
    let rows = matrix.rows();
    if rows > MAX_ROWS {
        return Err(ImportError::TooManyRows(rows));
    }
    let inverse_norms =
        inverse_norms(matrix, &Distance::new(params.metric), &Unmonitored).map_err(ImportError::Row)?;
    let levels: Vec<u8> = (0..rows as u32).into_par_iter().map(|row| graph.top_level(row)).collect();
    if let Some(row) = levels.iter().position(|&level| level > MAX_LEVEL) {
        return Err(ImportError::Level { row: row as u32, level: levels[row] });
    }
    let top = levels.iter().copied().max().unwrap_or(0);
    let mut dropped = Dropped::default();
    let mut layers: Vec<Layer> = Vec::new();
    for level in 0..=top {
        let members: Option<Vec<u32>> =
            (level > 0).then(|| (0..rows as u32).filter(|&row| levels[row as usize] >= level).collect());
        let stride = if level == 0 { params.m0() } else { params.m };
        let (neighbours, lost) = lists(graph, &levels, level, members.as_deref(), stride);
        dropped = dropped.and(lost);
        let down =
            members.as_ref().map(|members| match layers.last().and_then(|below| below.rows.as_ref()) {
                Some(below) => members.iter().map(|row| slot_of(below, *row)).collect(),
                None => members.clone(),
            });
        layers.push(Layer { rows: members, down, neighbours, stride });
    }
    let said = graph.entry_point().filter(|&row| levels.get(row as usize) == Some(&top));
    dropped.entry_point = said.is_none() && rows > 0;
    let row = said.or_else(|| levels.iter().position(|&level| level == top).map(|row| row as u32));
    let entry_point = row.map(|row| match layers.last().and_then(|layer| layer.rows.as_ref()) {
        Some(members) => slot_of(members, row),
        None => row,
    });
    let graph = Graph { layers, entry_point };
    let built = Built {
        params: *params,
        reachable_nodes: count_reachable(&graph),
        graph,
        copies: Copies::default(),
        inverse_norms,
        rows,
        repaired_nodes: 0,
        builder,
        effective_parameters: Vec::new(),
        codes: None,
    };
    Ok((built, dropped))
}

/// The position of a row among ascending rows, of which it is one.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn slot_of(rows: &[u32], row: u32) -> u32 {
    rows.partition_point(|&other| other < row) as u32
}

/// The lists of a level, of which `members` are the rows, as slots.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn lists(
    graph: &dyn ForeignGraph,
    levels: &[u8],
    level: u8,
    members: Option<&[u32]>,
    stride: usize,
) -> (Vec<u32>, Dropped) {
    let nodes = members.map_or(levels.len(), <[u32]>::len);
    let mut lists = vec![NONE; nodes * stride];
    let dropped = lists
        .par_chunks_mut(stride)
        .with_min_len(256)
        .enumerate()
        .map_init(Vec::new, |found, (slot, list)| {
            let row = members.map_or(slot as u32, |members| members[slot]);
            found.clear();
            graph.neighbours(row, level, found);
            let (mut dropped, mut len) = (Dropped::default(), 0);
            for &neighbour in &*found {
                let on_level = usize::try_from(neighbour).ok().and_then(|at| levels.get(at));
                let Some(&neighbour_level) = on_level else {
                    dropped.to_nowhere += 1;
                    continue;
                };
                let neighbour = neighbour as u32;
                let slot = members.map_or(neighbour, |members| slot_of(members, neighbour));
                if neighbour_level < level {
                    dropped.off_level += 1;
                } else if neighbour == row || list[..len].contains(&slot) {
                    dropped.twice += 1;
                } else if len == stride {
                    dropped.beyond += 1;
                } else {
                    list[len] = slot;
                    len += 1;
                }
            }
            dropped
        })
        .reduce(Dropped::default, Dropped::and);
    (lists, dropped)
}
