//! The rows of several datasets, numbered on from the first to the last.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};

use crate::concat::name_of;
use crate::rows_of::rows_of;
use crate::{Batch, Batches, BufferPool, Dataset, DatasetInfo, Error, Piece, Scan};

/// What [`crate::Concat`] makes: parts that agree with each other.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) info: DatasetInfo,
    pub(crate) parts: Vec<Box<dyn Dataset>>,
    /// The first row of each part as far as that is known, and the end.
    pub(crate) starts: Vec<u64>,
}

impl Dataset for Parts {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// The pieces of the parts. Where one does not know its rows, the parts behind it have no row numbers before it is read:
    /// all is one piece then.
    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        if self.info.rows.exact().is_none() {
            return vec![Piece { rows: scan.rows.clone() }];
        }
        let mut pieces = Vec::new();
        let first = self.starts.partition_point(|&start| start <= scan.rows.start).saturating_sub(1);
        for (part, ends) in self.parts.iter().zip(self.starts.windows(2)).skip(first) {
            let start = ends[0];
            if start >= scan.rows.end {
                break;
            }
            let rows = scan.rows.start.max(start) - start..scan.rows.end.min(ends[1]) - start;
            if !rows.is_empty() {
                let local = part.pieces(&Scan { rows, batch_rows: scan.batch_rows });
                pieces.extend(
                    local
                        .into_iter()
                        .map(|piece| Piece { rows: piece.rows.start + start..piece.rows.end + start }),
                );
            }
        }
        pieces
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let Range { start, end } = piece.rows;
        let all = self.info.rows.exact().unwrap_or(u64::MAX);
        if start > end || end > all {
            let message = format!("expected rows within 0..{all}, found {start}..{end}");
            return Err(Error::request(message).in_file(name_of(&self.info)));
        }
        let part = match self.info.rows.exact() {
            Some(_) => self.starts.partition_point(|&first| first <= start).saturating_sub(1),
            None => 0,
        };
        let (first, batch_rows) = (self.starts[part], scan.batch_rows);
        Ok(Box::new(Reading {
            all: self,
            rows: start..end,
            batch_rows,
            part,
            first,
            seen: first,
            batches: None,
            pool,
        }))
    }

    fn parts(&self) -> Vec<(PathBuf, u64)> {
        if self.info.rows.exact().is_none() {
            return Vec::new();
        }
        let numbered = self.parts.iter().zip(&self.starts);
        let each = numbered.flat_map(|(part, &start)| {
            let within = match part.parts() {
                inner if inner.is_empty() => vec![(name_of(part.info()).to_path_buf(), 0)],
                inner => inner,
            };
            within.into_iter().map(move |(file, first)| (file, start + first))
        });
        each.collect()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.parts.iter().try_for_each(|part| part.check_unchanged())
    }
}

impl Parts {
    /// The batch with the columns of all parts, which say together what may be null.
    fn unified(&self, batch: Batch) -> Result<Batch, Error> {
        let (Some(schema), Some(payload)) = (&self.info.payload, batch.payload()) else { return Ok(batch) };
        if payload.schema_ref() == schema {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
        let columns = payload.columns().to_vec();
        let payload = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
            .map_err(|error| Error::malformed(error.to_string()).in_file(&*batch.origin().file))?;
        Ok(batch.with_payload(payload))
    }
}

/// Rows on their way through the parts.
struct Reading<'a> {
    all: &'a Parts,
    /// What is still wanted.
    rows: Range<u64>,
    batch_rows: usize,
    /// The part that is read, the number of its first row, and that behind the last that it gave.
    part: usize,
    first: u64,
    seen: u64,
    batches: Option<Batches<'a>>,
    pool: &'a BufferPool,
}

impl<'a> Reading<'a> {
    /// The wanted rows of a part.
    fn open(&self, part: &'a dyn Dataset) -> Batches<'a> {
        let end = self.rows.end - self.first;
        let rows = match part.info().rows.exact() {
            Some(rows) => self.rows.start.saturating_sub(self.first).min(rows)..end.min(rows),
            // It is read from its first row on, to count them.
            None => 0..end,
        };
        if rows.is_empty() {
            return Box::new(std::iter::empty());
        }
        rows_of(part, Scan { rows, batch_rows: self.batch_rows }, self.pool)
    }

    /// The wanted rows of a batch, with their numbers among all.
    fn wanted(&mut self, batch: Batch) -> Option<Batch> {
        let number = self.first.saturating_add(batch.first_row());
        let batch = batch.renumbered(number);
        let Range { start, end } = batch.row_range();
        self.seen = end;
        let (from, to) = (start.max(self.rows.start), end.min(self.rows.end));
        if from >= to {
            return None;
        }
        self.rows.start = to;
        #[expect(clippy::cast_possible_truncation, reason = "within a batch, whose rows a usize counts")]
        Some(batch.slice((from - start) as usize..(to - start) as usize))
    }
}

impl Iterator for Reading<'_> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.start < self.rows.end && self.first < self.rows.end {
            let part = &**self.all.parts.get(self.part)?;
            if self.batches.is_none() {
                self.batches = Some(self.open(part));
            }
            match self.batches.as_mut().and_then(Iterator::next) {
                Some(Ok(batch)) => {
                    if let Some(batch) = self.wanted(batch) {
                        return Some(self.all.unified(batch));
                    }
                }
                Some(Err(error)) => {
                    self.rows.end = self.rows.start;
                    return Some(Err(error));
                }
                None => {
                    let end = part.info().rows.exact().map(|rows| self.first + rows);
                    self.first = end.unwrap_or(self.seen);
                    self.seen = self.first;
                    self.part += 1;
                    self.batches = None;
                }
            }
        }
        None
    }
}
