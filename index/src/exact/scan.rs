//! Some queries compared with the rows of a portion, by their codes and then by their vectors.

use rayon::prelude::*;

use super::filter::{Block, Fitted};
use super::nearest::Nearest;
use super::{Comparison, norm_of};
use crate::codes::bounds::{Errors, QueryErrors};
use crate::codes::packed::Panels;
use crate::codes::{CodeTable, stride_bytes};
use crate::distance::prefetch;
use crate::distance::products::{TILE_COLUMNS, TILE_ROWS, TileOutput};

/// Rows that are packed by one task: whole panels.
const GROUP_ROWS: usize = 16 * TILE_COLUMNS;

/// Rows whose vectors are asked for before they are compared: they lie anywhere.
const AHEAD: usize = 4;

/// Rows as codes, those with the least errors first: so the rows of a panel are alike, and few bad ones spoil few panels.
#[derive(Debug)]
pub(super) struct Portion {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    panels: Panels,
    /// The greatest errors of each panel.
    errors: Vec<Errors>,
    /// The row of each column.
    rows: Vec<u32>,
}

impl Portion {
    pub(super) fn new(fitted: &Fitted, comparison: Comparison<'_>) -> Self {
        let (base, metric) = (comparison.base, comparison.distance.metric());
        let (rows, dim) = (base.matrix.rows(), base.matrix.dim());
        let quantizer = &fitted.quantizer;
        let stride = stride_bytes(dim);
        let table = CodeTable::new(rows, dim, metric, comparison.distance.products(), |first, bytes| {
            for (row, codes) in (first..).zip(bytes.chunks_exact_mut(stride)) {
                quantizer.encode(base.matrix.row(row), norm_of(base, metric, row as usize), codes);
            }
        });
        let codes = table.view();
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ROWS")]
        let numbers = 0..rows as u32;
        let errors: Vec<Errors> = (numbers.clone().into_par_iter())
            .map(|row| {
                let factor = norm_of(base, metric, row as usize);
                fitted.bounds.errors(base.matrix.row(row), factor, quantizer, &codes.row(row)[..dim])
            })
            .collect();
        let mut order: Vec<u32> = numbers.collect();
        let (by_residual, by_length) = fitted.weights;
        let cost = |row: u32| {
            let Errors { residual, length } = errors[row as usize];
            by_residual * f64::from(residual) + by_length * f64::from(length)
        };
        order.par_sort_unstable_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(a.cmp(&b)));
        let group = |rows: &[u32]| {
            let mut panels = Panels::default();
            panels.pack(codes, rows.iter().copied());
            let worst = |rows: &[u32]| rows.iter().map(|&row| errors[row as usize]).reduce(Errors::max);
            let errors = rows.chunks(TILE_COLUMNS).filter_map(worst).collect();
            Group { panels, errors, rows: rows.to_vec() }
        };
        Self { groups: order.par_chunks(GROUP_ROWS).map(group).collect() }
    }
}

/// A row that may be among the nearest: how far its codes are, and its number in the portion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near {
    codes: i32,
    row: u32,
}

/// What is known for one query.
#[derive(Debug)]
struct State<'a> {
    errors: &'a QueryErrors,
    nearest: &'a mut Nearest,
    /// No row that is farther is among the nearest.
    bound: f64,
    /// The same in code units.
    reach: f64,
    near: Vec<Near>,
}

/// A block of queries on its way through a portion.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    fitted: &'a Fitted,
    block: &'a Block,
    comparison: Comparison<'a>,
    portion: &'a Portion,
    states: Vec<State<'a>>,
    /// The greatest errors so far.
    errors: Errors,
    /// Pairs that were compared by their vectors.
    compared: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        fitted: &'a Fitted,
        block: &'a Block,
        comparison: Comparison<'a>,
        portion: &'a Portion,
        nearest: &'a mut [Nearest],
    ) -> Self {
        let state = |(errors, nearest): (&'a QueryErrors, &'a mut Nearest)| {
            nearest.tighten(comparison.k);
            let bound = f64::from(nearest.bound());
            State { errors, reach: fitted.bounds.reach(errors, bound), bound, nearest, near: Vec::new() }
        };
        let states = block.errors.iter().zip(nearest).map(state).collect();
        Self { fitted, block, comparison, portion, states, errors: Errors::default(), compared: 0 }
    }

    /// Compares all, and says how many pairs were compared by their vectors.
    pub(super) fn run(mut self) -> usize {
        let products = self.comparison.distance.products();
        let mut distances = [[0; TILE_COLUMNS]; TILE_ROWS];
        let mut row_minima = [[i32::MAX; TILE_COLUMNS]; TILE_ROWS];
        let mut column_minima = [i32::MAX; TILE_COLUMNS];
        let most = 4 * self.comparison.k + 256;
        let portion = self.portion;
        for group in &portion.groups {
            for (panel, &errors) in group.panels.iter().zip(&group.errors) {
                self.errors = self.errors.max(errors);
                let rows = &group.rows[panel.first..];
                for first in (0..self.states.len()).step_by(TILE_ROWS) {
                    let bounds = std::array::from_fn(|i| match self.states.get(first + i) {
                        Some(state) => self.fitted.bounds.threshold(state.errors, state.reach, errors),
                        None => i32::MIN,
                    });
                    let valid = [panel.valid; TILE_ROWS];
                    let input = self.block.tiles.tile(first, &panel, &valid);
                    let output = TileOutput {
                        distances: &mut distances,
                        row_minima: &mut row_minima,
                        column_minima: &mut column_minima,
                    };
                    products.tile(&input, output);
                    let masks = products.near(&distances, &bounds, &[i32::MIN; TILE_COLUMNS]).row;
                    for (i, state) in self.states[first..].iter_mut().take(TILE_ROWS).enumerate() {
                        let mut mask = masks[i] & panel.valid;
                        while mask != 0 {
                            let column = mask.trailing_zeros() as usize;
                            mask &= mask - 1;
                            state.near.push(Near { codes: distances[i][column], row: rows[column] });
                        }
                    }
                }
                for query in 0..self.states.len() {
                    if self.states[query].near.len() >= most {
                        self.shorten(query, most / 4 * 3);
                    }
                }
            }
        }
        for query in 0..self.states.len() {
            self.shorten(query, 0);
        }
        self.compared
    }

    /// Leaves out the rows of a query that are too far by what codes say of the others, and compares the rest by their
    /// vectors if they are more than `most`.
    fn shorten(&mut self, query: usize, most: usize) {
        let (bounds, k) = (&self.fitted.bounds, self.comparison.k);
        let state = &mut self.states[query];
        if state.near.len() >= k {
            let (_, kth, _) = state.near.select_nth_unstable(k - 1);
            let bound = bounds.most(state.errors, kth.codes, self.errors);
            if bound < state.bound {
                state.bound = bound;
                state.reach = bounds.reach(state.errors, bound);
            }
            let threshold = bounds.threshold(state.errors, state.reach, self.errors);
            state.near.retain(|near| near.codes <= threshold);
        }
        if state.near.len() > most {
            self.compare(query);
        }
    }

    /// Compares the rows of a query by their vectors, until the rest is too far.
    fn compare(&mut self, query: usize) {
        let Comparison { distance, k, queries, base, first } = self.comparison;
        let bounds = &self.fitted.bounds;
        let metric = distance.metric();
        let state = &mut self.states[query];
        let number = self.block.first + query;
        let dim = queries.matrix.dim();
        let vector = &queries.matrix.values()[number * dim..(number + 1) * dim];
        let norm = norm_of(queries, metric, number);
        state.near.sort_unstable();
        let near = &state.near;
        // A few before the nearest are complete by their vectors, too, since both orders are nearly the same.
        let enough = k + k / 8 + 4;
        let mut threshold = i32::MAX;
        for at in (0..near.len()).step_by(4) {
            if near[at].codes > threshold {
                break;
            }
            let four = &near[at..near.len().min(at + 4)];
            for near in near.iter().skip(at + AHEAD).take(4) {
                prefetch(base.matrix.row(near.row));
            }
            // The last few are filled up with one of them, which is not taken twice.
            let rows: [u32; 4] = std::array::from_fn(|i| four.get(i).unwrap_or(&four[0]).row);
            let norms = rows.map(|row| norm_of(base, metric, row as usize));
            let distances = distance.to_four(vector, norm, rows.map(|row| base.matrix.row(row)), norms);
            for (distance, near) in distances.into_iter().zip(four) {
                state.nearest.add(distance, first + near.row, k);
            }
            self.compared += four.len();
            if at < enough && at + 4 >= enough {
                state.nearest.tighten(k);
            }
            let bound = f64::from(state.nearest.bound());
            if bound < state.bound {
                state.bound = bound;
                state.reach = bounds.reach(state.errors, bound);
                threshold = bounds.threshold(state.errors, state.reach, self.errors);
            }
        }
        state.near.clear();
        state.nearest.tighten(k);
        let bound = f64::from(state.nearest.bound());
        if bound < state.bound {
            state.bound = bound;
            state.reach = bounds.reach(state.errors, bound);
        }
    }
}
