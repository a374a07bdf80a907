//! Two sources read in step, and what differs.

use std::path::Path;
use std::sync::Arc;

use readers::arrow_array::{Array, ArrayRef};
use readers::{Batch, BufferPool, Dataset, Ids, Portions, Scan};

use super::Pair;
use super::columns::{Column, shown};
use crate::Failure;
use crate::pipeline::Cancel;

/// About so many bytes of values of each side are compared at a time.
const BATCH_BYTES: usize = 3 << 19;

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) tolerance: f64,
    /// Whether ids were compared.
    pub(super) ids: bool,
    pub(super) columns: Vec<Column>,
    /// The rows of each side.
    pub(super) rows: [u64; 2],
    /// Rows in which something differs, of those that both have.
    pub(super) differing: u64,
    pub(super) first: Option<Difference>,
    /// The largest difference of finite values, equal ones included, and its row.
    pub(super) largest: Option<(f64, u64)>,
    /// Whether a value differs of which one side is NaN or infinite: no difference is larger.
    pub(super) is_unbounded: bool,
    /// Whether a side has ids that are not the numbers of its rows.
    has_own_ids: [bool; 2],
}

/// The first difference of a row.
#[derive(Debug)]
pub(super) struct Difference {
    /// The row, counted over all files.
    pub(super) row: u64,
    /// What differs: `value 3`, `id`, `column title`.
    pub(super) what: String,
    pub(super) sides: [Place; 2],
}

/// One side of a difference.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    /// The row of that file.
    pub(super) row: u64,
    pub(super) value: String,
}

impl Comparison {
    /// Compares all rows that both have, and counts those of each.
    pub(super) fn of(
        pair: &Pair<'_>,
        tolerance: f64,
        columns: Vec<Column>,
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        let [left, right] = pair.datasets.map(Dataset::info);
        let mut comparison = Self {
            tolerance,
            ids: left.ids.is_some() && right.ids.is_some(),
            columns,
            rows: [0; 2],
            differing: 0,
            first: None,
            largest: None,
            is_unbounded: false,
            has_own_ids: [false; 2],
        };
        let batch_rows = (BATCH_BYTES / (left.dim * 4).max(1)).clamp(1, 1 << 16);
        let pool = BufferPool::new();
        let mut sides = pair.datasets.map(|dataset| {
            let rows = 0..dataset.info().rows.exact().unwrap_or(u64::MAX);
            Portions::of(dataset, Scan { rows, batch_rows }, &pool)
        });
        let mut row = 0;
        loop {
            cancel.check()?;
            let [a, b] = &mut sides;
            let rows = a.waiting()?.min(b.waiting()?);
            let (Some(a), Some(b)) = (a.take(rows), b.take(rows)) else { break };
            if rows == 0 {
                break;
            }
            comparison.add(row, [&a, &b])?;
            row += rows as u64;
            for batch in [a, b] {
                pool.put(batch.into_values());
            }
        }
        for ((dataset, side), rows) in pair.datasets.into_iter().zip(&mut sides).zip(&mut comparison.rows) {
            *rows = match dataset.info().rows.exact() {
                Some(rows) => rows,
                None => row + rest(side, cancel)?,
            };
            dataset.check_unchanged()?;
        }
        Ok(comparison)
    }

    /// Whether nothing differs.
    pub(super) fn is_equal(&self) -> bool {
        self.differing == 0 && self.rows[0] == self.rows[1]
    }

    /// What a person should hear beside the result.
    pub(super) fn notes(&self, pair: &Pair<'_>) -> Option<String> {
        let [left, right] = pair.datasets.map(|dataset| dataset.info().ids.is_some());
        let at = match (left, right) {
            (true, false) => 0,
            (false, true) => 1,
            _ => return None,
        };
        self.has_own_ids[at].then(|| format!("only {} has ids: they are not compared", pair.names[at]))
    }

    /// Compares rows, the first of which has the number `first`.
    fn add(&mut self, first: u64, batches: [&Batch; 2]) -> Result<(), Failure> {
        self.look_at_ids(first, batches);
        let mut arrays = Vec::new();
        for column in &self.columns {
            arrays.push([column.of(batches[0], 0)?, column.of(batches[1], 1)?]);
        }
        let [a, b] = batches;
        let same_values = bytes(a) == bytes(b);
        if same_values {
            self.largest = self.largest.or((!a.values().is_empty()).then_some((0.0, first)));
        }
        let unequal: Vec<bool> = arrays.iter().map(|[a, b]| a != b).collect();
        if same_values && !self.ids && !unequal.contains(&true) {
            return Ok(());
        }
        for (at, (x, y)) in a.vectors().zip(b.vectors()).enumerate() {
            let row = first + at as u64;
            let value = if same_values { None } else { self.value(row, x, y) };
            let id = self.ids && !same_id(a.ids(), b.ids(), at);
            let differs =
                |([a, b], &unequal): (&[ArrayRef; 2], &bool)| unequal && a.slice(at, 1) != b.slice(at, 1);
            let column =
                if value.is_none() && !id { arrays.iter().zip(&unequal).position(differs) } else { None };
            let (what, values) = match (value, id, column) {
                (Some(value), ..) => {
                    (format!("value {value}"), [x[value], y[value]].map(|value| value.to_string()))
                }
                (None, true, _) => ("id".to_owned(), [a, b].map(|batch| id_text(batch.ids(), at))),
                (None, false, Some(column)) => {
                    let values = [&arrays[column][0], &arrays[column][1]].map(|array| shown(&**array, at));
                    (format!("column {}", self.columns[column].name.escape_debug()), values)
                }
                (None, false, None) => continue,
            };
            self.differing += 1;
            if self.first.is_none() {
                let [left, right] = values;
                let place = |batch: &Batch, value| Place {
                    file: Arc::clone(&batch.origin().file),
                    row: batch.origin_row(at),
                    value,
                };
                self.first = Some(Difference { row, what, sides: [place(a, left), place(b, right)] });
            }
        }
        Ok(())
    }

    fn look_at_ids(&mut self, first: u64, batches: [&Batch; 2]) {
        for (batch, has_own) in batches.into_iter().zip(&mut self.has_own_ids) {
            *has_own |= match batch.ids() {
                Ids::From(_) => false,
                Ids::U64(ids) => (first..).zip(ids.iter()).any(|(row, &id)| row != id),
                _ => true,
            };
        }
    }

    /// The first value of a row that differs.
    fn value(&mut self, row: u64, a: &[f32], b: &[f32]) -> Option<usize> {
        let mut first = None;
        for (at, (&a, &b)) in a.iter().zip(b).enumerate() {
            let (a, b) = (f64::from(a), f64::from(b));
            let difference = (a - b).abs();
            let is_finite = a.is_finite() && b.is_finite();
            if is_finite && self.largest.is_none_or(|(largest, _)| difference > largest) {
                self.largest = Some((difference, row));
            }
            let is_close = is_finite && difference <= self.tolerance * a.abs().max(b.abs()).max(1.0);
            let is_same = a == b || a.is_nan() && b.is_nan();
            self.is_unbounded |= !is_same && !is_finite;
            if !is_same && !is_close && first.is_none() {
                first = Some(at);
            }
        }
        first
    }
}

/// How many rows a side has left.
fn rest(side: &mut Portions<'_>, cancel: &Cancel) -> Result<u64, Failure> {
    let mut count = 0;
    loop {
        cancel.check()?;
        let rows = side.waiting()?;
        if rows == 0 {
            return Ok(count);
        }
        side.take(rows);
        count += rows as u64;
    }
}

fn bytes(batch: &Batch) -> &[u8] {
    bytemuck::cast_slice(&batch.values()[..])
}

fn same_id(a: &Ids, b: &Ids, at: usize) -> bool {
    match (a.texts(), b.texts()) {
        (None, None) => a.get(at) == b.get(at),
        (Some(a), Some(b)) => a.value(at) == b.value(at),
        _ => id_text(a, at) == id_text(b, at),
    }
}

fn id_text(ids: &Ids, at: usize) -> String {
    match ids.texts() {
        Some(texts) => texts.value(at).to_owned(),
        None => ids.get(at).to_string(),
    }
}
