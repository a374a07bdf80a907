//! The partition builder: rows are carved into overlapping leaves, compared with all others of their leaves by products
//! of codes, and choose their neighbours among the nearest by exact distances. Only a sample of rows is searched for, to
//! see whether the finished graph has gaps.
//!
//! The idea is "Pick-in-Partitions" (arXiv 2602.21247); the choice is Algorithm 4 of the HNSW paper.

mod carve;
mod choose;
mod columns;
mod groups;
mod join;
mod known;
mod leaf;
mod level;
mod link;
mod long;
mod measure;
mod nearest;
mod pilot;
mod reduce;
mod reservoir;
mod subspace;

pub use self::join::KnownGraph;
pub(super) use self::join::join;
use self::known::Known;
use self::leaf::LeafComparer;
use self::level::{Candidates, LevelBuilder};
pub use self::measure::LeafBench;
use self::pilot::Pilot;
use super::{BuildInput, GraphBuilder, MemoryPart, Monitor, Outcome, Stopped, entry_point, fidelity};
use crate::Params;
use crate::codes::{CodeTable, Codes, CodesView, stride_bytes};
use crate::graph::{Graph, Layer};

/// Levels of up to so many rows are compared row by row: that costs no more than carving.
const SMALL_ROWS: usize = 8192;

/// Up to so many rows, all are compared with all where leaves do not do: that still costs less than insertion.
const MAX_EXACT_ROWS: usize = 65_536;

/// Rounds of carving, each with other leaders. Two rounds with four leaves for each row find more than one with eight (on
/// sentence embeddings 92 % of the ten nearest against 89 %), and one with four and two with three
/// more than two with four, for as much time.
const MAX_ROUNDS: u64 = 6;

/// More rounds for the levels above, which are small: where one of them leads astray, no row below is found.
const MORE_ROUNDS_ABOVE: u64 = 2;

/// Candidates that hold so many thousandths of the true neighbours are good, and no more rounds are needed.
const GOOD_PERMILLE: u64 = 890;

/// The same where rows have neighbours in graphs: of what they have not as candidates most was not chosen there, either, as others
/// stand for it.
const GOOD_PERMILLE_OF_KNOWN: u64 = 870;

/// With fewer than this after the first round, more rounds do not help: there is no structure to carve along. Isotropic
/// random rows have 145, sentence embeddings 770, images of clothes 970.
const HOPELESS_PERMILLE: u64 = 400;

/// If search finds fewer thousandths of a sample of rows when it looks for just them, there are gaps between clusters.
const FOUND_PERMILLE: u64 = 996;

/// Lists, bounds and stacks of a thread.
const SCRATCH_BYTES: u64 = 256 << 10;

/// Carves the rows into overlapping leaves and compares all rows of a leaf by products of 8-bit codes.
///
/// Several times faster than insertion where the rows have structure: near rows of a row are near each other. Whether
/// that is so is measured on a sample; where it is not, sets of up to 65,536 rows are compared row by row.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartitionBuilder;

/// What `M` and `ef_construction` become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effort {
    /// Leaves of a row in the first round.
    fanout: usize,
    /// Leaves of a row in each of the others.
    later_fanout: usize,
    /// Nearest rows that a row takes from a leaf.
    leaf_k: usize,
    /// Nearest rows that a row chooses its neighbours from.
    reservoir: usize,
    /// Neighbours that a row of level 0 chooses at most, of the 2 M that it has places for.
    chosen: usize,
}

impl Effort {
    fn new(params: &Params) -> Self {
        let ef = params.ef_construction.max(params.m);
        let fanout = (ef * 4 / 25).isqrt().clamp(2, 32);
        Self {
            fanout,
            later_fanout: (fanout * 3 / 4).max(2),
            leaf_k: ef.isqrt().clamp(8, 128),
            reservoir: (ef / 2).clamp(24, 1024).max(params.m * 3 / 2),
            chosen: params.m * 3 / 2,
        }
    }
}

impl Effort {
    /// Leaves of a row in a round.
    fn fanout_of_round(&self, round: u64) -> usize {
        if round == 0 { self.fanout } else { self.later_fanout }
    }
}

impl PartitionBuilder {
    /// As [`GraphBuilder::build`], but gives up where the candidates turn out to be bad and `must_be_good`.
    pub(super) fn attempt(
        &self,
        input: &BuildInput<'_>,
        monitor: &dyn Monitor,
        must_be_good: bool,
    ) -> Result<Option<Outcome>, Stopped> {
        self.attempt_from(input, monitor, must_be_good, None)
    }

    /// The same with what is known of the neighbours of some rows: then fewer rounds may do.
    fn attempt_from(
        &self,
        input: &BuildInput<'_>,
        monitor: &dyn Monitor,
        must_be_good: bool,
        known: Option<&Known<'_>>,
    ) -> Result<Option<Outcome>, Stopped> {
        let mut effort = Effort::new(&input.params);
        if known.is_some() {
            // There is one round less, then, and rows of different graphs meet in rounds only.
            effort.later_fanout = effort.fanout;
        }
        let mut codes = Codes::new(&input.rows, &input.params, input.distance.products());
        codes.are_faithful = fidelity::are_faithful(input, &codes);
        if must_be_good && !(codes.are_faithful && fidelity::are_of_one_length(input)) {
            return Ok(None);
        }
        let reduced = reduce::reduced(input, codes.view());
        let carving = reduced.as_ref().map_or(codes.view(), CodeTable::view);
        let level = |level| LevelBuilder::new(input, &codes, carving, effort, level, monitor);
        let (candidates, sampled_permille) = find_candidates(&level(0), input, known, monitor)?;
        if must_be_good && sampled_permille < good_permille(known) {
            return Ok(None);
        }
        let rounds = candidates.rounds;
        let mut layers = vec![level(0).layer(candidates, known)?];
        layers.extend(upper_layers(input, &codes, carving, effort, rounds, monitor)?);
        let graph = Graph { layers, entry_point: entry_point(input) };
        let looking_rows = if known.is_some() { long::FEW_LOOKING_ROWS } else { long::LOOKING_ROWS };
        let (graph, has_long_links) =
            with_long_links(graph, input, &codes, carving, effort, looking_rows, monitor)?;
        let effective_parameters = vec![
            ("fanout", effort.fanout as u64),
            ("leaf_k", effort.leaf_k as u64),
            ("reservoir", effort.reservoir as u64),
            ("rounds", rounds),
            ("carving_axes", reduced.as_ref().map_or(0, |table| table.view().used_bytes as u64)),
            ("sampled_permille", sampled_permille),
            ("long_links", has_long_links.into()),
        ];
        Ok(Some(Outcome { graph, builder: self.name(), effective_parameters, codes: Some(codes) }))
    }
}

/// The levels above 0, level 1 first; `rounds` are those of level 0.
fn upper_layers(
    input: &BuildInput<'_>,
    codes: &Codes,
    carving: CodesView<'_>,
    effort: Effort,
    rounds: u64,
    monitor: &dyn Monitor,
) -> Result<Vec<Layer>, Stopped> {
    let mut layers = Vec::new();
    for level in 1..input.members.len() {
        let level = LevelBuilder::new(input, codes, carving, effort, level, monitor);
        let mut candidates = level.no_candidates();
        if rounds == 0 || level.positions() <= SMALL_ROWS {
            level.compare_all(&mut candidates)?;
        }
        while candidates.rounds < rounds + MORE_ROUNDS_ABOVE && level.positions() > SMALL_ROWS {
            level.add_round(&mut candidates, None)?;
        }
        layers.push(level.layer(candidates, None)?);
    }
    Ok(layers)
}

/// The graph with long links on all levels where a sample of its rows is not found, if they help, and whether it has any.
fn with_long_links(
    mut graph: Graph,
    input: &BuildInput<'_>,
    codes: &Codes,
    carving: CodesView<'_>,
    effort: Effort,
    looking_rows: u64,
    monitor: &dyn Monitor,
) -> Result<(Graph, bool), Stopped> {
    let found = long::found_permille(&graph, input, looking_rows);
    if found >= FOUND_PERMILLE {
        return Ok((graph, false));
    }
    let without = graph.clone();
    for (at, layer) in graph.layers.iter_mut().enumerate() {
        LevelBuilder::new(input, codes, carving, effort, at, monitor).add_long_links(layer)?;
    }
    // Rows without structure are not found for other reasons, and long links are no help.
    let do_help =
        (long::found_permille(&graph, input, looking_rows).saturating_sub(found)) * 3 >= 1000 - found;
    Ok(if do_help { (graph, true) } else { (without, false) })
}

fn good_permille(known: Option<&Known<'_>>) -> u64 {
    if known.is_some() { GOOD_PERMILLE_OF_KNOWN } else { GOOD_PERMILLE }
}

/// The candidates of level 0, and how many thousandths of the true neighbours of a sample are among them.
fn find_candidates(
    level: &LevelBuilder<'_>,
    input: &BuildInput<'_>,
    known: Option<&Known<'_>>,
    monitor: &dyn Monitor,
) -> Result<(Candidates, u64), Stopped> {
    let pilot = Pilot::new(input, known.filter(|known| known.missed_little), monitor);
    let good_permille = good_permille(known);
    let mut candidates = level.no_candidates();
    if level.positions() <= SMALL_ROWS {
        level.compare_all(&mut candidates)?;
        let found = pilot.found_permille(&candidates.reservoirs);
        return Ok((candidates, found));
    }
    if let Some(known) = known {
        level.seed(&candidates, known);
    }
    loop {
        level.add_round(&mut candidates, known)?;
        let found = pilot.found_permille(&candidates.reservoirs);
        if found >= good_permille {
            return Ok((candidates, found));
        }
        if found < HOPELESS_PERMILLE || candidates.rounds == MAX_ROUNDS {
            break;
        }
    }
    if level.positions() <= MAX_EXACT_ROWS {
        if candidates.are_apart {
            drop(candidates);
            candidates = level.no_candidates();
        }
        level.compare_all(&mut candidates)?;
    }
    let found = pilot.found_permille(&candidates.reservoirs);
    Ok((candidates, found))
}

impl GraphBuilder for PartitionBuilder {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn makes_codes(&self) -> bool {
        true
    }

    fn memory_parts(&self, params: &Params, rows: u64, dim: usize, threads: usize) -> Vec<MemoryPart> {
        let effort = Effort::new(params);
        let threads = threads as u64;
        let (m, m0, chosen) = (params.m as u64, params.m0() as u64, effort.chosen as u64);
        // Places, bound and length, and the share of a lock.
        let reservoirs = rows * (8 * reservoir::places(effort.reservoir) as u64 + 8 + 1);
        let leaf = LeafComparer::memory_bytes(carve::MAX_LEAF_ROWS, stride_bytes(dim), effort.reservoir);
        // Carving and comparing come one after the other, beside the reservoirs.
        let carving = carve::memory_bytes(rows, effort.fanout as u64, threads) + threads * leaf as u64;
        let (reduced, finding) = reduce::memory_bytes(rows, dim);
        // Order and a mark; the chosen with their lengths, first as they come, and when the reservoirs are gone by position.
        let choosing = rows * (5 + 8 * chosen + 8);
        let chosen_twice = rows * (5 + 2 * (8 * chosen + 8) + 8);
        // Levels above are one row in M - 1 together, and are built one after the other when level 0 has its lists only.
        let upper = rows / (m - 1) * (4 * m + 16);
        // The chosen, once more by target, and with where each list begins, and the lists.
        let linking = rows * (2 * (8 * chosen + 8) + 8 + 4 * m0 + 4);
        // The lists of all levels twice, while long links are tried.
        let linking = linking.max(rows * 8 * m0 + 2 * upper);
        let work = [reservoirs + carving.max(choosing), chosen_twice, linking, finding];
        let work = work.into_iter().max().unwrap_or_default() + reduced;
        let threads = threads * SCRATCH_BYTES;
        vec![("candidates", work), ("upper levels", upper), ("threads", threads)]
    }

    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Outcome, Stopped> {
        match self.attempt(input, monitor, false)? {
            Some(outcome) => Ok(outcome),
            None => unreachable!("only an attempt that must be good is given up"),
        }
    }
}
