//! The rows of a Parquet file: page by page where that can be, else by the ordinary reader.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::basic::Compression;

use super::column_values::Converter;
use super::contained::{contained, one_line};
use super::parquet::{File, WHAT, clamped};
use super::parquet_page_rows::PageRows;
use super::parquet_pages::Pages;
use super::parquet_sample::Sample;
use super::parquet_values::Unlike;
use crate::{Batch, Batches, BufferPool, Dataset, DatasetInfo, Error, Piece, Position, Scan, Source};

/// How a file is read, which makes no difference to what is read. Tests choose it.
#[derive(Debug, Clone, Copy)]
pub struct ParquetReading {
    /// Whether vectors are read page by page, where that can be.
    pub by_pages: bool,
    /// About how many values make a part of a row group that one thread reads.
    pub part_values: Option<u64>,
}

impl Default for ParquetReading {
    fn default() -> Self {
        Self { by_pages: true, part_values: None }
    }
}

/// How many rows were read in which way.
#[derive(Debug, Default)]
pub struct RowCounts {
    /// Page by page.
    pub by_pages: AtomicU64,
    /// By the ordinary reader, also those that were read again and left out.
    pub ordinary: AtomicU64,
}

/// An opened Parquet file.
#[derive(Debug)]
pub(crate) struct ParquetDataset {
    info: DatasetInfo,
    source: Arc<Source>,
    file: File,
    converter: Converter,
    /// The top-level columns of the ids and the payload.
    other_roots: Vec<usize>,
    pages: Option<Pages>,
    /// Whether reading ids and payload can begin anywhere in a row group.
    others_are_flat: bool,
    counts: Arc<RowCounts>,
}

impl ParquetDataset {
    pub(super) fn new(
        info: DatasetInfo,
        source: Arc<Source>,
        file: File,
        converter: Converter,
        pages: Option<Pages>,
        others_are_flat: bool,
    ) -> Self {
        let other_roots = converter.columns.other_roots();
        Self { info, source, file, converter, other_roots, pages, others_are_flat, counts: Arc::default() }
    }

    /// What is counted while it is read.
    pub(crate) fn counts(&self) -> Arc<RowCounts> {
        Arc::clone(&self.counts)
    }

    /// A row group is cut where its pages can be found, and where nothing has to be read twice for that.
    fn part_rows(&self, group: usize, rows: &Range<u64>, wanted: &Range<u64>) -> u64 {
        let all = rows.end - rows.start;
        let is_whole = wanted.start <= rows.start;
        let pages = self.pages.as_ref().filter(|_| self.others_are_flat);
        pages.and_then(|pages| pages.part_rows(group, is_whole)).unwrap_or(all).max(1)
    }

    /// Reads rows page by page, if they are in one row group and its pages can be read so.
    fn by_pages(&self, scan: &Scan, rows: &Range<u64>) -> Option<ByPages<'_>> {
        let pages = self.pages.as_ref()?;
        let (groups, start) = self.file.groups.holding(rows);
        if groups.len() != 1 {
            return None;
        }
        let is_read_before = scan.rows.start <= start;
        let rows_of = pages.rows(groups.start, rows.start - start, is_read_before).ok()?;
        let others = match &self.file.others {
            Some(mask) => Some(self.file.reader(mask, rows, scan.batch_rows).ok()?),
            None => None,
        };
        Some(ByPages { rows: rows_of, others })
    }

    /// Reads rows from `next` on as if they never had been in parts: from where the scan begins in the row group.
    fn ordinary(&self, scan: &Scan, rows: &Range<u64>) -> Result<Ordinary, Error> {
        let (_, group) = self.file.groups.holding(rows);
        let start = scan.rows.start.max(group).min(rows.start);
        let reader = self.file.reader(&self.file.all, &(start..rows.end), scan.batch_rows)?;
        Ok(Ordinary { reader, at: start, end: rows.end })
    }

    fn located(&self, row: u64, error: Error) -> Error {
        let group = self.file.groups.holding(&(row..row.saturating_add(1))).0.start;
        error.at(Position::Part(format!("row group {group}"))).in_file(&self.converter.file)
    }
}

impl Dataset for ParquetDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let wanted = &scan.rows;
        let mut pieces = Vec::new();
        for (group, all) in self.file.groups.iter().enumerate() {
            let mut rows = all.start.max(wanted.start)..all.end.min(wanted.end);
            if rows.is_empty() {
                continue;
            }
            let step = self.part_rows(group, &all, wanted);
            while rows.start < rows.end {
                let end = rows.start.saturating_add(step).min(rows.end);
                pieces.push(Piece { rows: rows.start..end });
                rows.start = end;
            }
        }
        pieces
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let rows = piece.rows.clone();
        let all = self.file.groups.rows();
        if rows.start > rows.end || rows.end > all {
            let error =
                Error::request(format!("expected rows within 0..{all}, found {}..{}", rows.start, rows.end));
            return Err(error.in_file(&self.converter.file));
        }
        let way = match self.by_pages(scan, &rows) {
            Some(pages) => Way::Pages(Box::new(pages)),
            None => {
                let ordinary = self.ordinary(scan, &rows);
                Way::Ordinary(Box::new(ordinary.map_err(|error| error.in_file(&self.converter.file))?))
            }
        };
        let mut reading = Reading { dataset: self, scan: scan.clone(), rows, pool, way };
        Ok(Box::new(std::iter::from_fn(move || reading.next())))
    }

    fn memory_bytes(&self, scan: &Scan, threads: usize) -> u64 {
        /// What the ordinary decoder has beside its pages and rows: tables of a decompressor, buffers for headers and levels.
        const DECODER_BYTES: u64 = 1 << 20;
        /// The same of what reads page by page, as it was measured for each compression.
        const fn page_decoder_bytes(compression: Compression) -> u64 {
            match compression {
                Compression::UNCOMPRESSED => 48 << 10,
                Compression::GZIP(_) => 640 << 10,
                // Its window has up to 4 MiB, where those of others are no larger than a page.
                Compression::BROTLI(_) => 9 << 19,
                _ => 320 << 10,
            }
        }
        let batch_rows = (scan.rows.end - scan.rows.start).min(clamped(scan.batch_rows) as u64);
        let pages = self.pages.as_ref().filter(|pages| pages.has_all());
        let mut bytes = 0u64;
        for (number, &leaf) in self.file.leaves.iter().enumerate() {
            let Some((group, metadata)) = self.file.largest(leaf) else { continue };
            let rows = u64::try_from(metadata.num_rows()).unwrap_or_default().max(1);
            let sample = Sample::of(&self.source, metadata.column(leaf), rows).unwrap_or_default();
            let held = match pages.filter(|_| number == 0) {
                Some(pages) => {
                    let decoder_bytes = page_decoder_bytes(metadata.column(leaf).compression());
                    pages.memory_bytes(group, &sample).saturating_add(decoder_bytes)
                }
                None => {
                    let all = u64::try_from(metadata.column(leaf).uncompressed_size()).unwrap_or_default();
                    let values = u64::try_from(metadata.column(leaf).num_values()).unwrap_or_default();
                    // Values of up to eight bytes, which a dictionary makes smaller in the file, and two levels of two
                    // bytes; a batch that is made, and those on their way.
                    let row = (all / rows).max(8 * (values / rows)).saturating_add(4 * (values / rows));
                    let rows = row.saturating_mul(4 * batch_rows).saturating_add(DECODER_BYTES);
                    sample.page_bytes.saturating_mul(2).saturating_add(rows)
                }
            };
            bytes = bytes.saturating_add(held);
        }
        bytes.saturating_mul(threads.min(self.pieces(scan).len()) as u64)
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}

/// A piece from the next row on.
struct Reading<'a> {
    dataset: &'a ParquetDataset,
    scan: Scan,
    /// Those that are left.
    rows: Range<u64>,
    pool: &'a BufferPool,
    way: Way<'a>,
}

enum Way<'a> {
    Pages(Box<ByPages<'a>>),
    Ordinary(Box<Ordinary>),
    /// It failed.
    None,
}

/// Vectors page by page, and what belongs to them from the ordinary reader.
struct ByPages<'a> {
    rows: PageRows<'a>,
    others: Option<ParquetRecordBatchReader>,
}

/// The ordinary reader from the row `at` on.
struct Ordinary {
    reader: ParquetRecordBatchReader,
    at: u64,
    end: u64,
}

impl Reading<'_> {
    fn next(&mut self) -> Option<Result<Batch, Error>> {
        if self.rows.is_empty() {
            return None;
        }
        let (dataset, counts) = (self.dataset, &self.dataset.counts);
        if let Way::Pages(pages) = &mut self.way {
            if let Ok(batch) = pages.next(dataset, &self.scan, &self.rows, self.pool) {
                counts.by_pages.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                self.rows.start = batch.row_range().end;
                return Some(Ok(batch));
            }
            match dataset.ordinary(&self.scan, &self.rows) {
                Ok(ordinary) => self.way = Way::Ordinary(Box::new(ordinary)),
                Err(error) => {
                    self.way = Way::None;
                    return Some(Err(error.in_file(&dataset.converter.file)));
                }
            }
        }
        loop {
            let Way::Ordinary(ordinary) = &mut self.way else { return None };
            let batch = match ordinary.next(&dataset.converter, self.pool) {
                Ok(batch) => batch,
                Err(error) => {
                    let row = ordinary.at;
                    self.way = Way::None;
                    return Some(Err(dataset.located(row, error)));
                }
            };
            counts.ordinary.fetch_add(batch.rows() as u64, Ordering::Relaxed);
            let passed = self.rows.start.saturating_sub(batch.first_row());
            let passed = usize::try_from(passed).unwrap_or(usize::MAX).min(batch.rows());
            if passed == batch.rows() {
                self.pool.put(batch.into_values());
                continue;
            }
            let batch = if passed == 0 {
                batch
            } else {
                let rows = batch.rows();
                batch.slice(passed..rows)
            };
            self.rows.start = batch.row_range().end;
            return Some(Ok(batch));
        }
    }
}

impl ByPages<'_> {
    fn next(
        &mut self,
        dataset: &ParquetDataset,
        scan: &Scan,
        rows: &Range<u64>,
        pool: &BufferPool,
    ) -> Result<Batch, Unlike> {
        const OTHERS: Unlike = Unlike("ids or payload that cannot be read");
        let left = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        let count = clamped(scan.batch_rows).min(left);
        let values = self.rows.take(count, count == left, pool)?;
        let table = match &mut self.others {
            None => None,
            Some(reader) => {
                let table = contained(WHAT, || Ok(reader.next())).ok().flatten();
                let table = table.and_then(Result::ok).filter(|table| table.num_rows() == count);
                Some(table.ok_or(OTHERS)?)
            }
        };
        let table = table.as_ref().map(|table| (table, dataset.other_roots.as_slice()));
        contained(WHAT, || dataset.converter.with_others(values, table, rows.start)).map_err(|_| OTHERS)
    }
}

impl Ordinary {
    fn next(&mut self, converter: &Converter, pool: &BufferPool) -> Result<Batch, Error> {
        let Self { reader, at, end } = self;
        let batch = contained(WHAT, || {
            let table = match reader.next() {
                Some(Ok(table)) if table.num_rows() > 0 => table,
                Some(Err(error)) => {
                    let text = one_line(&error.to_string());
                    return Err(Error::malformed(format!("{WHAT} cannot be decoded: {text}")));
                }
                _ => {
                    return Err(Error::expected(format!("rows up to {end}, as the footer says"), "fewer"));
                }
            };
            converter.batch(&table, *at, pool)
        })?;
        *at = batch.row_range().end;
        Ok(batch)
    }
}
