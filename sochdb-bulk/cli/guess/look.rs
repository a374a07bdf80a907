//! A look at some of the rows: what a pipeline has to do about them.

use readers::{BufferPool, Dataset, Scan};

use crate::Failure;
use crate::pipeline::Cancel;

/// So many rows are looked at, in so many pieces: the first ones and others at even distances.
const ROWS: u64 = 10_000;
const PIECES: u64 = 10;

/// A vector is said to have length 1 if it differs by no more: f16 and bf16 round so.
const UNIT: f64 = 5e-3;

/// The length from which on an index refuses a row: the squares of its values sum up to 4e37.
const TOO_LONG: f64 = 6.3e18;

/// Rows of a kind.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) first: Option<u64>,
}

impl Tally {
    fn add(&mut self, row: u64) {
        self.rows += 1;
        self.first.get_or_insert(row);
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) rows: u64,
    /// Rows with NaN or infinities.
    pub(super) non_finite: Tally,
    /// Rows of zeros.
    pub(super) zero: Tally,
    /// Rows that are so long that distances would overflow.
    pub(super) too_long: Tally,
    /// The shortest and the longest of the other rows.
    pub(super) lengths: Option<(f64, f64)>,
}

impl Look {
    /// Whether all rows that have a direction have the length 1.
    pub(super) fn is_unit(&self) -> bool {
        self.lengths.is_some_and(|(shortest, longest)| {
            (1.0 - UNIT..=1.0 + UNIT).contains(&shortest) && longest <= 1.0 + UNIT
        })
    }

    fn add(&mut self, row: u64, vector: &[f32]) {
        self.rows += 1;
        if !vector.iter().all(|value| value.is_finite()) {
            return self.non_finite.add(row);
        }
        let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return self.zero.add(row);
        }
        if length > TOO_LONG {
            self.too_long.add(row);
        }
        let (shortest, longest) = self.lengths.unwrap_or((length, length));
        self.lengths = Some((shortest.min(length), longest.max(length)));
    }
}

/// Looks at a sample of the rows.
pub(super) fn look(dataset: &dyn Dataset, cancel: &Cancel) -> Result<Look, Failure> {
    let pool = BufferPool::new();
    let mut look = Look::default();
    let step = ROWS / PIECES;
    let spans: Vec<_> = match dataset.info().rows.exact() {
        Some(rows) if rows > ROWS => {
            let start = |piece: u64| piece * ((rows - step) / (PIECES - 1));
            (0..PIECES).map(|piece| start(piece)..start(piece) + step).collect()
        }
        Some(rows) => std::iter::once(0..rows).collect(),
        // Only the beginning can be reached without reading all of it.
        None => std::iter::once(0..u64::MAX).collect(),
    };
    for rows in spans {
        let batch_rows = 1000;
        let scan = Scan { rows, batch_rows };
        for piece in dataset.pieces(&scan) {
            for batch in dataset.read(&scan, &piece, &pool)? {
                cancel.check()?;
                let batch = batch?;
                for (at, vector) in batch.vectors().enumerate() {
                    look.add(batch.row_number(at), vector);
                }
                pool.put(batch.into_values());
                if look.rows >= ROWS {
                    return Ok(look);
                }
            }
        }
    }
    Ok(look)
}
