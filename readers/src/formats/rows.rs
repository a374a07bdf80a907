//! Rows that only reading finds: the lines of a text. One pass over the file counts them and keeps where blocks of about
//! 1 MiB begin; the blocks are what threads then read.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;

use crate::{Batch, Batches, BufferPool, Error, Ids, Origin, Piece, Position, Scan, Source};

const BLOCK_BYTES: usize = 1 << 20;

/// A row of the largest vector in its longest spelling has some MiB: a longer one is no row.
const MAX_ROW_BYTES: usize = 256 << 20;

/// How a file falls into rows.
pub(super) trait Split: Send + Sync + fmt::Debug {
    /// The length of the first row of `bytes` with what ends it; nothing if the row may go on behind them, which it cannot
    /// where they are the `last` of the file. `bytes` are not empty.
    fn row_len(&self, bytes: &[u8], last: bool) -> Result<Option<usize>, Error>;

    /// Whether a row of [`Split::row_len`] is none after all: an empty line.
    fn is_blank(&self, row: &[u8]) -> bool;
}

/// Rows are lines, and blank lines are nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines;

impl Split for Lines {
    fn row_len(&self, bytes: &[u8], last: bool) -> Result<Option<usize>, Error> {
        Ok(memchr::memchr(b'\n', bytes).map(|newline| newline + 1).or(last.then_some(bytes.len())))
    }

    fn is_blank(&self, row: &[u8]) -> bool {
        row.trim_ascii_start().is_empty()
    }
}

/// Makes values of a row.
pub(super) trait Parse: Send {
    /// Fills `out` with the values of row `number`, and keeps its id and further columns.
    fn row(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<(), Error>;

    /// The ids of the rows since the last call, if the file has ids.
    fn take_ids(&mut self) -> Option<Ids> {
        None
    }

    /// The further columns of the rows since the last call, if there are any.
    fn take_payload(&mut self) -> Result<Option<RecordBatch>, Error> {
        Ok(None)
    }
}

#[derive(Debug, Clone)]
struct Block {
    bytes: Range<u64>,
    first_row: u64,
}

/// A file and where its rows are.
#[derive(Debug)]
pub(super) struct FoundRows<S> {
    source: Source,
    file: Arc<Path>,
    split: S,
    blocks: Vec<Block>,
    rows: u64,
}

impl<S: Split> FoundRows<S> {
    /// Looks for the rows of `source` from byte `start` on.
    pub(super) fn find(source: Source, start: u64, split: S) -> Result<Self, Error> {
        Self::find_and_look(source, start, split, |_, _| ())
    }

    /// As [`FoundRows::find`], and shows `look` every row with its number, in their order.
    pub(super) fn find_and_look(
        source: Source,
        start: u64,
        split: S,
        mut look: impl FnMut(u64, &[u8]),
    ) -> Result<Self, Error> {
        let file = Arc::from(source.path());
        let mut found = Self { source, file, split, blocks: Vec::new(), rows: 0 };
        let end = found.source.len_bytes();
        let mut at = start;
        let mut window_bytes = BLOCK_BYTES;
        while at < end {
            let window = at..end.min(at.saturating_add(window_bytes as u64));
            let bytes = found.bytes(&window)?;
            let (mut used, mut rows) = (0, 0);
            while used < bytes.len() {
                let len = found.split.row_len(&bytes[used..], window.end == end);
                let Some(len) = len.map_err(|e| e.at(Position::Row(found.rows + rows)))? else { break };
                let row = &bytes[used..used + len];
                if !found.split.is_blank(row) {
                    look(found.rows + rows, row);
                    rows += 1;
                }
                used += len;
            }
            if used == 0 {
                // The row is longer than the window.
                if window_bytes >= MAX_ROW_BYTES {
                    let expected = format!("a row of up to {MAX_ROW_BYTES} bytes");
                    return Err(Error::expected(expected, "a longer one").at(Position::Row(found.rows)));
                }
                window_bytes *= 2;
                continue;
            }
            let next = at + used as u64;
            if rows > 0 {
                found.blocks.push(Block { bytes: at..next, first_row: found.rows });
            }
            found.rows += rows;
            at = next;
            window_bytes = BLOCK_BYTES;
        }
        Ok(found)
    }

    /// All rows but the first, which are counted from 0 again.
    pub(super) fn without_first(mut self) -> Result<Self, Error> {
        let Some(block) = self.blocks.first() else { return Ok(self) };
        let (range, mut reading) = (block.bytes.clone(), Reading { bytes: self.bytes(&block.bytes)?, at: 0 });
        reading.next(&self.split)?;
        let rest = range.start + reading.at as u64..range.end;
        drop(reading);
        self.rows -= 1;
        self.blocks[0].bytes = rest;
        for block in &mut self.blocks[1..] {
            block.first_row -= 1;
        }
        // The first block may be empty now.
        if self.blocks.get(1).map_or(self.rows, |next| next.first_row) == 0 {
            self.blocks.remove(0);
        }
        Ok(self)
    }

    pub(super) fn count(&self) -> u64 {
        self.rows
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.source.len_bytes()
    }

    pub(super) fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }

    /// The first rows, up to `limit` of them and of one block.
    pub(super) fn first(&self, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut first = Vec::new();
        let Some(block) = self.blocks.first() else { return Ok(first) };
        let mut reading = Reading { bytes: self.bytes(&block.bytes)?, at: 0 };
        while first.len() < limit
            && let Some(row) = reading.next(&self.split)?
        {
            first.push(reading.bytes[row].to_vec());
        }
        Ok(first)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a window or block is in memory, so a usize counts it"
    )]
    fn bytes(&self, range: &Range<u64>) -> Result<Cow<'_, [u8]>, Error> {
        if let Some(map) = self.source.map() {
            return Ok(Cow::Borrowed(&map[range.start as usize..range.end as usize]));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.source.read_at(range.start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// One piece a block, as far as the scan wants its rows.
    pub(super) fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let Range { start, end } = scan.rows;
        let first = self.blocks.partition_point(|block| block.first_row <= start).saturating_sub(1);
        let blocks = self.blocks.iter().enumerate().skip(first);
        let end_of = |at: usize| self.blocks.get(at + 1).map_or(self.rows, |next| next.first_row);
        blocks
            .take_while(|(_, block)| block.first_row < end)
            .map(|(at, block)| block.first_row.max(start)..end_of(at).min(end))
            .filter(|rows| rows.start < rows.end)
            .map(|rows| Piece { rows })
            .collect()
    }

    /// The batches of `piece`, its rows read by `parser`.
    pub(super) fn batches<'a>(
        &'a self,
        scan: &Scan,
        piece: &Piece,
        pool: &'a BufferPool,
        dim: usize,
        parser: impl Parse + 'a,
    ) -> Result<Batches<'a>, Error> {
        let Range { start, end } = piece.rows;
        if start > end || end > self.rows {
            let rows = self.rows;
            return Err(Error::request(format!("expected rows within 0..{rows}, found {start}..{end}"))
                .in_file(&self.file));
        }
        let next_block = self.blocks.partition_point(|block| block.first_row <= start).saturating_sub(1);
        let row = self.blocks.get(next_block).map_or(start, |block| block.first_row);
        let reading = Reading { bytes: Cow::Borrowed(&[]), at: 0 };
        let mut piece = PieceRows { found: self, next_block, reading, row, parser, dim, pool };
        let step = scan.batch_rows.max(1) as u64;
        let mut next = start;
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = next..end.min(next.saturating_add(step));
            if rows.is_empty() {
                return None;
            }
            next = rows.end;
            let batch = piece.batch(rows).map_err(|error| error.in_file(&self.file));
            if batch.is_err() {
                next = end;
            }
            Some(batch)
        })))
    }
}

/// A block as far as it was read.
#[derive(Debug)]
struct Reading<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
}

impl Reading<'_> {
    /// Where the next row is.
    fn next(&mut self, split: &impl Split) -> Result<Option<Range<usize>>, Error> {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            let len = split.row_len(rest, true)?.unwrap_or(rest.len());
            let row = self.at..self.at + len;
            self.at = row.end;
            if !split.is_blank(&self.bytes[row.clone()]) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// The rows of a piece, one after another.
struct PieceRows<'a, S, P> {
    found: &'a FoundRows<S>,
    next_block: usize,
    reading: Reading<'a>,
    /// The number of the next row.
    row: u64,
    parser: P,
    dim: usize,
    pool: &'a BufferPool,
}

impl<S: Split, P: Parse> PieceRows<'_, S, P> {
    fn batch(&mut self, rows: Range<u64>) -> Result<Batch, Error> {
        while self.row < rows.start {
            self.next_row()?;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a batch is in memory, so a usize counts its rows"
        )]
        let mut values = self.pool.take((rows.end - rows.start) as usize * self.dim);
        for out in values.chunks_exact_mut(self.dim) {
            let row = self.next_row()?;
            let number = self.row - 1;
            let parsed = self.parser.row(number, &self.reading.bytes[row], out);
            parsed.map_err(|error| error.at(Position::Row(number)))?;
        }
        let origin = Origin { file: Arc::clone(&self.found.file), row: rows.start };
        let mut batch = Batch::new(rows.start, self.dim, ScalarBuffer::from(values), origin);
        if let Some(ids) = self.parser.take_ids() {
            batch = batch.with_ids(ids);
        }
        if let Some(payload) = self.parser.take_payload()? {
            batch = batch.with_payload(payload);
        }
        Ok(batch)
    }

    fn next_row(&mut self) -> Result<Range<usize>, Error> {
        loop {
            if let Some(row) = self.reading.next(&self.found.split)? {
                self.row += 1;
                return Ok(row);
            }
            // A file that lost rows since they were counted was written to.
            let Some(block) = self.found.blocks.get(self.next_block) else {
                return Err(Error::expected("another row", "the end of the file").at(Position::Row(self.row)));
            };
            self.next_block += 1;
            self.row = block.first_row;
            self.reading = Reading { bytes: self.found.bytes(&block.bytes)?, at: 0 };
        }
    }
}
