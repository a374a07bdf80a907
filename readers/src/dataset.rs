//! An opened file: what is known about it, and its rows.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;

use crate::{Batch, BufferPool, DType, Error, IdType, Metric};

/// How many rows a dataset has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rows {
    /// Exactly so many.
    Exact(u64),
    /// So many or more.
    AtLeast(u64),
    /// Nobody knows before the end.
    Unknown,
}

impl Rows {
    /// The number, where it is known exactly.
    pub fn exact(self) -> Option<u64> {
        match self {
            Self::Exact(rows) => Some(rows),
            _ => None,
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(rows) => write!(f, "{rows}"),
            Self::AtLeast(rows) => write!(f, "at least {rows}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// What is known of a dataset before its rows are read.
#[derive(Debug, Clone)]
pub struct DatasetInfo {
    /// The format's name.
    pub format: &'static str,
    /// How many rows.
    pub rows: Rows,
    /// Values a row: at least 1, and 0 where only columns were asked for ([`crate::Format::open_columns`]).
    pub dim: usize,
    /// What the values are in the file, of several files in the first. Batches carry f32.
    pub dtype: DType,
    /// The metric that the file records, if any.
    pub metric: Option<Metric>,
    /// What the ids are that the rows bring, if they bring any of their own.
    pub ids: Option<IdType>,
    /// The further columns that its batches carry, if any: the schema of [`Batch::payload`].
    pub payload: Option<SchemaRef>,
    /// What the format settled on where its options may say otherwise, or was told: which column, array or tensor.
    pub chosen: Vec<Chosen>,
    /// Every file that was or will be read: first that of the vectors, then what lies beside it. None of them may be an output.
    pub files: Vec<PathBuf>,
    /// The size of the file or files.
    pub size_bytes: u64,
    /// Things a person should hear once: trailing bytes, rounding, a sidecar that was used.
    pub notes: Vec<String>,
}

/// A part of a file that was taken for the vectors or for the ids, where it could have been another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The option of `[source]` that says it, such as `vector_column`.
    pub option: &'static str,
    /// The value of the option with which the file is read just so.
    pub value: String,
    /// Values that would be possible as well, as far as the format has looked.
    pub others: Vec<String>,
}

/// Which rows to deliver, and in batches of which size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Row numbers of the dataset. The end is at most [`Rows::exact`], where that is known.
    pub rows: Range<u64>,
    /// The most rows that one batch may have; at least 1.
    pub batch_rows: usize,
}

/// A part of a scan that one worker reads alone: the unit of parallel reading. A few pieces a thread are in memory at a
/// time, so a piece should be a few MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its rows; for a source of unknown length the end is a bound.
    pub rows: Range<u64>,
}

/// The batches of one piece, in row order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, Error>> + Send + 'a>;

/// A whole file as one row-major f32 matrix in place: the map itself.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// `rows * dim` values.
    pub values: ScalarBuffer<f32>,
    /// Values a row.
    pub dim: usize,
}

/// An opened file of vectors.
///
/// For every pass over the rows the runner calls [`Dataset::pieces`] once, then [`Dataset::read`] for each piece from any
/// thread and in any order; there is one pass, and one more for every stage that learns from the rows first. Every pass
/// gives the same rows. [`Dataset::check_unchanged`] is called when all is read. Nothing of this may depend on the number
/// of threads.
pub trait Dataset: Send + Sync + fmt::Debug {
    /// What is known before a row is read.
    fn info(&self) -> &DatasetInfo;

    /// Cuts a scan into pieces, in row order and without gaps. The default cuts at every `batch_rows`, which suits
    /// formats that can be read from any row; a source of unknown length is one piece.
    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        if self.info().rows.exact().is_none() {
            return vec![Piece { rows: scan.rows.clone() }];
        }
        let step = scan.batch_rows as u64;
        let mut pieces = Vec::new();
        let mut start = scan.rows.start;
        while start < scan.rows.end {
            let end = start.saturating_add(step).min(scan.rows.end);
            pieces.push(Piece { rows: start..end });
            start = end;
        }
        pieces
    }

    /// Reads one piece. Batches have at most `scan.batch_rows` rows, values widened to f32, and buffers from `pool`
    /// where they are not the file's own memory. Values are delivered as they are: the runner refuses NaN and
    /// infinities.
    ///
    /// # Errors
    /// What makes the piece unreadable as a whole; row by row errors come out of the iterator.
    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error>;

    /// A bound of the memory that the decoders hold while `threads` threads read a scan, beside the batches that they
    /// give and what is mapped. The default is none, which suits formats that are read right into batches.
    ///
    /// It may rest on a sample where only reading everything would tell: the sizes of the first pages of a file.
    fn memory_bytes(&self, scan: &Scan, threads: usize) -> u64 {
        let _ = (scan, threads);
        0
    }

    /// All rows as one matrix without a copy, where the file's bytes already are one.
    fn matrix(&self) -> Option<Matrix> {
        None
    }

    /// The files that the rows are in, each with the number that its first row has here, where these are several and the
    /// numbers are known: the file of a row is the last that does not begin behind it. Otherwise nothing.
    fn parts(&self) -> Vec<(PathBuf, u64)> {
        Vec::new()
    }

    /// Fails if the file was written to since it was opened.
    ///
    /// # Errors
    /// What changed.
    fn check_unchanged(&self) -> Result<(), Error>;
}
