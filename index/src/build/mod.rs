//! From rows to a graph.

mod auto;
mod fidelity;
mod insert;
mod partition;
mod repair;

use std::cmp::Reverse;
use std::fmt;
use std::hash::Hasher;

pub use auto::AutoBuilder;
pub use insert::InsertBuilder;
pub use partition::{KnownGraph, LeafBench, PartitionBuilder};

use self::repair::Connected;
use crate::codes::{Codes, stride_bytes};
use crate::copies::Copies;
use crate::file::Cut;
use crate::graph::{Graph, MAX_ROWS};
use crate::params::InvalidParams;
use crate::vectors::{InvalidRow, PlainRows, inverse_norms};
use crate::{Distance, Matrix, Params, level};

/// Is told how far a build is, and can stop it. Called from many threads.
pub trait Monitor: Sync {
    /// Work on `rows` rows begins. Another phase may follow, even the same one again.
    fn begin(&self, phase: Phase, rows: u64) {
        let _ = (phase, rows);
    }

    /// So many more rows are done in this phase.
    fn advance(&self, rows: u64) {
        let _ = rows;
    }

    /// Whether the build should stop as soon as it can. Asked for nearly every row, so it should be quick.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// What a build is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Rows enter the graph one after the other.
    Inserting,
    /// Rows are compared with others that may be near.
    Comparing,
    /// Rows choose their neighbours.
    Choosing,
}

impl Phase {
    /// The name that is printed: `inserting`, `comparing`, `choosing`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inserting => "inserting",
            Self::Comparing => "comparing",
            Self::Choosing => "choosing",
        }
    }
}

/// A [`Monitor`] that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {}

/// Why there is no graph.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A parameter is out of its range.
    Params(InvalidParams),
    /// A row cannot be indexed.
    Row(InvalidRow),
    /// There are more rows than one index can hold.
    TooManyRows(usize),
    /// The monitor said so.
    Cancelled,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params(invalid) => invalid.fmt(f),
            Self::Row(invalid) => invalid.fmt(f),
            Self::TooManyRows(rows) => write!(f, "expected at most {MAX_ROWS} rows, found {rows}"),
            Self::Cancelled => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Params(invalid) => Some(invalid),
            Self::Row(invalid) => Some(invalid),
            Self::TooManyRows(_) | Self::Cancelled => None,
        }
    }
}

/// What a [`GraphBuilder`] builds from.
#[derive(Debug)]
pub struct BuildInput<'a> {
    pub(crate) rows: PlainRows<'a>,
    pub(crate) distance: Distance,
    pub(crate) params: Params,
    /// The rows of each level, ascending; each level is part of the one below. Level 0 has every row that is no copy of
    /// another.
    pub(crate) members: Vec<Vec<u32>>,
}

/// The builder was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// A way to find the neighbours of every row.
///
/// A builder is deterministic: its graph depends on the input alone, not on the number of threads, on timing or on
/// earlier builds. It works on the rayon pool that it is called in. What it returns need not be connected:
/// [`build`] repairs that afterwards.
pub trait GraphBuilder: Sync + fmt::Debug {
    /// The name: `auto`, `partition`, `insert`.
    fn name(&self) -> &'static str;

    /// Whether it makes codes of the rows, wanted or not.
    fn makes_codes(&self) -> bool;

    /// Upper bounds of the memory that [`GraphBuilder::build`] needs besides the rows, their inverse norms and codes,
    /// the finished graph included.
    fn memory_parts(&self, params: &Params, rows: u64, dim: usize, threads: usize) -> Vec<MemoryPart>;

    /// Builds the graph of all levels.
    ///
    /// # Errors
    /// If the monitor says to stop.
    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Outcome, Stopped>;
}

/// What a [`GraphBuilder`] built, and how.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) graph: Graph,
    /// The builder that was used, for the index file.
    pub(crate) builder: &'static str,
    /// What `M` and `ef_construction` became, and what was measured, for the index file: name and value.
    pub(crate) effective_parameters: Vec<(&'static str, u64)>,
    /// The codes of the rows, if the builder made any.
    pub(crate) codes: Option<Codes>,
}

/// A graph with everything that belongs to it but the rows: what [`crate::file::write`] writes.
#[derive(Debug)]
pub struct Built {
    pub(crate) params: Params,
    pub(crate) graph: Graph,
    pub(crate) copies: Copies,
    pub(crate) inverse_norms: Vec<f32>,
    pub(crate) rows: usize,
    pub(crate) reachable_nodes: u64,
    pub(crate) repaired_nodes: u64,
    pub(crate) builder: &'static str,
    pub(crate) effective_parameters: Vec<(&'static str, u64)>,
    pub(crate) codes: Option<Codes>,
}

/// A part of the memory that a build needs: what for, and an upper bound in bytes.
pub type MemoryPart = (&'static str, u64);

/// Upper bounds of the memory of [`build`] and the writing of its file, besides the rows themselves, which usually are a
/// mapped file. The whole is their sum.
///
/// With `n` rows of `d` values and `T` threads there are 2.5 MiB, `25 n` for inverse norms, order, hashes and repair, 8 for each row or
/// kilobyte of rows for checksums,
/// `n * (d rounded up to 64, + 8)` for codes, if there are any, and what the builder needs:
///
/// | builder | bytes |
/// |---|---|
/// | partition | the greatest of these, as they come one after the other: `n * (12 R + 9)` for candidates with the greater of `n * (12 F + 20)` and about `3 MiB + 2048 d` a thread for leaves, and `n * (12 M + 13)` for those chosen; `n * (24 M + 29)` for those chosen by position; `n * (32 M + 28)` for links. Besides `n * (A + 8)` for at most `A` axes to carve by (512, and two thirds of `d`), `n / (M - 1) * (4 M + 16)` for upper levels, and 256 KiB a thread. `R` is `ef_construction / 2`, `F` is `0.4 * sqrt(ef_construction)` |
/// | insert | `n * 16 M` for neighbours with distances, and `n / (M - 1) * (8 M + 24)` for those of upper levels; `b * (40 M + 24)` for links of a batch of `b = n / 250` rows (64 to 16,384); and for each thread `n` visited, `16 ef_construction` and 256 KiB |
/// | auto | the greater of both |
///
/// The partition builder, and so auto, always makes codes; the insertion builder only if `codes` are asked for.
pub fn memory_parts(
    builder: &dyn GraphBuilder,
    params: &Params,
    rows: u64,
    dim: usize,
    codes: bool,
    threads: usize,
) -> Vec<MemoryPart> {
    const FIXED_BYTES: u64 = 5 << 19;
    let checksums = Cut::by_rows(4 * dim).count((rows * 4).saturating_mul(dim as u64)) * 8;
    let mut parts = vec![("rows", rows * 25 + checksums), ("fixed", FIXED_BYTES)];
    if codes || builder.makes_codes() {
        parts.push(("codes", rows * (stride_bytes(dim) as u64 + 8)));
    }
    parts.extend(builder.memory_parts(params, rows, dim, threads));
    parts
}

/// An upper bound of the memory that [`build_from`] needs for `rows` rows in all, beside what [`memory_parts`] says: with `M0`
/// twice M and `B` a fifth of `ef_construction` (or all of it, where the index was built by insertion) there are `16 B` bytes a
/// row for what was found in other graphs, and `20 M0 + 48` for lists.
pub fn join_memory_bytes(params: &Params, rows: u64) -> u64 {
    let beam = params.ef_construction.max(params.m) as u64;
    rows.saturating_mul(16 * beam + 20 * params.m0() as u64 + 48)
}

/// Builds the graph of `matrix` on the current rayon pool, and makes sure that every row can be reached from the entry
/// point.
///
/// The outcome depends on `matrix`, `params` and `builder` only.
///
/// # Errors
/// See [`BuildError`].
pub fn build(
    matrix: Matrix<'_>,
    params: &Params,
    builder: &dyn GraphBuilder,
    monitor: &dyn Monitor,
) -> Result<Built, BuildError> {
    build_from(matrix, params, builder, &[], monitor)
}

/// As [`build`], of rows of which some are the rows of indexes that are there already: their graphs save most of the work. The
/// graph is another one than [`build`] makes, and as good.
///
/// By `builder` only the rows go that belong to no index, or all where it is the better way: where most rows belong to no
/// index, where there are many indexes, or where 8-bit codes do not order rows as their vectors do.
///
/// # Errors
/// See [`BuildError`].
///
/// # Panics
/// If the indexes overlap, are not in the order of their rows, or have other rows than `matrix` has there, as far as their
/// number and dimension tell.
pub fn build_from(
    matrix: Matrix<'_>,
    params: &Params,
    builder: &dyn GraphBuilder,
    known: &[KnownGraph<'_>],
    monitor: &dyn Monitor,
) -> Result<Built, BuildError> {
    params.validate().map_err(BuildError::Params)?;
    if matrix.rows() > MAX_ROWS {
        return Err(BuildError::TooManyRows(matrix.rows()));
    }
    let distance = Distance::new(params.metric);
    let go_on = || if monitor.is_cancelled() { Err(BuildError::Cancelled) } else { Ok(()) };
    let inverse_norms = inverse_norms(matrix, &distance, monitor).map_err(BuildError::Row)?;
    go_on()?;
    let copies = Copies::find(matrix, monitor);
    go_on()?;
    let input = BuildInput {
        rows: PlainRows { matrix, inverse_norms: &inverse_norms },
        distance,
        params: *params,
        members: members(params, matrix.rows(), &copies),
    };
    let stopped = |Stopped| BuildError::Cancelled;
    let joined = if known.is_empty() {
        None
    } else {
        partition::join(&input, &copies, known, monitor).map_err(stopped)?
    };
    let Outcome { mut graph, builder, effective_parameters, codes } = match joined {
        Some(outcome) => outcome,
        None => builder.build(&input, monitor).map_err(stopped)?,
    };
    let Connected { links, reachable_nodes } =
        repair::connect(&mut graph, &input, monitor).map_err(stopped)?;
    Ok(Built {
        params: *params,
        graph,
        copies,
        rows: matrix.rows(),
        reachable_nodes,
        repaired_nodes: links,
        builder,
        effective_parameters,
        codes,
        inverse_norms,
    })
}

/// Where a row stands in an order that does not depend on that of the input, so that sorted input builds as good a graph
/// as any: rows of high levels first, and else a permutation by hash.
fn order_of(params: &Params, row: u32) -> (Reverse<u8>, u64, u32) {
    (Reverse(level::level(params, row)), level::hash(!params.seed, u64::from(row)), row)
}

/// The entry point: the first row of the top level in that order, as a slot of the level.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn entry_point(input: &BuildInput<'_>) -> Option<u32> {
    let top = input.members.len() - 1;
    let members = &input.members[top];
    let row = members.iter().copied().min_by_key(|&row| order_of(&input.params, row))?;
    match top {
        0 => Some(row),
        _ => members.binary_search(&row).ok().map(|slot| slot as u32),
    }
}

/// The rows of each level. At least level 0 is there, empty if there are no rows.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
fn members(params: &Params, rows: usize, copies: &Copies) -> Vec<Vec<u32>> {
    let mut is_copy = Vec::new();
    if !copies.rows.is_empty() {
        is_copy = vec![false; rows];
        for &copy in &copies.rows {
            is_copy[copy as usize] = true;
        }
    }
    let mut members = vec![Vec::with_capacity(rows - copies.rows.len())];
    for row in (0..rows as u32).filter(|&row| !is_copy.get(row as usize).copied().unwrap_or(false)) {
        let top = usize::from(level::level(params, row));
        if members.len() <= top {
            members.resize_with(top + 1, Vec::new);
        }
        for level in &mut members[..=top] {
            level.push(row);
        }
    }
    members
}

impl Built {
    /// Makes sure that it has 8-bit codes of its rows, which [`crate::file::write`] writes and search goes by first.
    ///
    /// # Panics
    /// If `matrix` has other rows than it was built from.
    #[must_use]
    pub fn with_codes(mut self, matrix: Matrix<'_>) -> Self {
        assert_eq!(matrix.rows(), self.rows, "the graph's own rows");
        if self.codes.is_none() {
            let rows = PlainRows { matrix, inverse_norms: &self.inverse_norms };
            let products = Distance::new(self.params.metric).products();
            self.codes = Some(Codes::new(&rows, &self.params, products));
        }
        self
    }

    /// The same, unless a sample shows that they do not order rows as the vectors do: then it has none.
    ///
    /// # Panics
    /// As [`Built::with_codes`].
    #[must_use]
    pub fn with_faithful_codes(self, matrix: Matrix<'_>) -> Self {
        if self.codes.as_ref().is_some_and(|codes| codes.are_faithful) {
            return self;
        }
        let built = self.with_codes(matrix);
        let input = BuildInput {
            rows: PlainRows { matrix, inverse_norms: &built.inverse_norms },
            distance: Distance::new(built.params.metric),
            params: built.params,
            members: members(&built.params, built.rows, &built.copies),
        };
        let faithful = built.codes.as_ref().is_some_and(|codes| fidelity::are_faithful(&input, codes));
        if faithful { built } else { built.without_codes() }
    }

    /// Makes sure that it has no codes.
    #[must_use]
    pub fn without_codes(mut self) -> Self {
        self.codes = None;
        self
    }

    /// The parameters it was built with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Whether it has 8-bit codes of its rows.
    pub fn has_codes(&self) -> bool {
        self.codes.is_some()
    }

    /// How many rows it holds, copies included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows equal an earlier one and are kept beside it.
    pub fn copies(&self) -> usize {
        self.copies.rows.len()
    }

    /// How many links [`build`] added because the builder had left no way to a node, or from it to the entry point.
    pub fn repaired_nodes(&self) -> u64 {
        self.repaired_nodes
    }

    /// The builder that was used, with its effective parameters.
    pub fn how(&self) -> String {
        let parameters: Vec<_> =
            self.effective_parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("{} ({})", self.builder, parameters.join(", "))
    }

    /// Rows on each level, level 0 first, copies not counted.
    pub fn level_rows(&self) -> Vec<u64> {
        (0..self.graph.layers.len())
            .map(|level| match &self.graph.layers[level].rows {
                Some(rows) => rows.len() as u64,
                None => (self.rows - self.copies.rows.len()) as u64,
            })
            .collect()
    }

    /// A digest of graph and copies, for tests that pin determinism.
    pub fn graph_digest(&self) -> u64 {
        let mut hasher = twox_hash::XxHash3_64::new();
        for layer in &self.graph.layers {
            hasher.write(bytemuck::cast_slice(layer.rows.as_deref().unwrap_or_default()));
            hasher.write(bytemuck::cast_slice(&layer.neighbours));
        }
        hasher.write(bytemuck::cast_slice(&self.copies.rows));
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;
    use crate::Metric;
    use crate::level::hash;

    #[test]
    fn every_instruction_set_builds_the_same_graph() {
        const DIM: usize = 37;
        let values: Vec<f32> =
            (0..700 * DIM as u64).map(|i| (hash(9, i) >> 40) as f32 / (1 << 22) as f32 - 2.0).collect();
        let matrix = Matrix::new(&values, DIM);
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            let params = Params { m: 6, ef_construction: 30, ..Params::new(metric) };
            let graph_by = |builder: &dyn GraphBuilder, distance: Distance| {
                let inverse_norms = inverse_norms(matrix, &distance, &Unmonitored).unwrap();
                let input = BuildInput {
                    rows: PlainRows { matrix, inverse_norms: &inverse_norms },
                    distance,
                    params,
                    members: members(&params, matrix.rows(), &Copies::default()),
                };
                let mut graph = builder.build(&input, &Unmonitored).unwrap().graph;
                repair::connect(&mut graph, &input, &Unmonitored).unwrap();
                graph
            };
            for builder in [&InsertBuilder as &dyn GraphBuilder, &PartitionBuilder] {
                let built = build(matrix, &params, builder, &Unmonitored).unwrap();
                for set in InstructionSet::ALL {
                    if let Some(distance) = Distance::with(metric, set) {
                        assert!(graph_by(builder, distance) == built.graph, "{builder:?} {metric} {set:?}");
                    }
                }
            }
        }
    }
}
