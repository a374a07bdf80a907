//! What is known of an opened index of another library.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use readers::arrow_buffer::ScalarBuffer;
use readers::{DType, Error, MAX_DIM, Metric, Position};

/// What the file says of itself.
#[derive(Debug, Clone)]
pub struct ForeignInfo {
    /// The library's name.
    pub library: &'static str,
    /// How many rows, those excepted that were deleted.
    pub rows: usize,
    /// Values a row, at least 1; 0 where there are no rows and the file says no dimension.
    pub dim: usize,
    /// What the values are in the file.
    pub dtype: DType,
    /// The metric, where the file says one.
    pub metric: Option<Metric>,
    /// Places for neighbours on levels above 0; 0 where there is no graph.
    pub m: usize,
    /// Places on level 0.
    pub m0: usize,
    /// `ef_construction`, where the file says it.
    pub ef_construction: Option<usize>,
    /// The row at which searches begin.
    pub entry_point: Option<u64>,
    /// Whether there is a graph, and not just vectors.
    pub has_graph: bool,
    /// Whether ids need more than 64 bits, and so are given as texts.
    pub has_wide_ids: bool,
    /// Why the graph cannot be taken over, where it cannot: deleted rows.
    pub obstacle: Option<String>,
    /// The size of the file; of what is packed, unpacked.
    pub size_bytes: u64,
}

/// An opened index of another library. Rows are counted from 0 in the order of the file.
pub trait ForeignIndex: Send + Sync + fmt::Debug {
    /// What the file says of itself.
    fn info(&self) -> &ForeignInfo;

    /// The name of the file.
    fn path(&self) -> Arc<Path>;

    /// Fails if the file was written to since it was opened.
    ///
    /// # Errors
    /// What changed.
    fn check_unchanged(&self) -> Result<(), Error>;

    /// The id of a row.
    fn id(&self, row: usize) -> u128;

    /// Puts the vector of a row into `out`, widened to f32.
    ///
    /// # Errors
    /// A value that is no f32.
    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error>;

    /// All vectors without a copy, where the file holds them as one matrix of f32.
    fn matrix(&self) -> Option<ScalarBuffer<f32>> {
        None
    }

    /// The highest level of a row. Nothing of this and the next is asked where there is no graph.
    fn top_level(&self, row: usize) -> u8;

    /// Appends the neighbours of a row on a level, as row numbers; what is no row at all becomes `u64::MAX`.
    fn neighbours(&self, row: usize, level: u8, out: &mut Vec<u64>);
}

/// A dimension that a file says at the byte `at`.
pub(crate) fn dim_of(at: usize, found: u64) -> Result<usize, Error> {
    usize::try_from(found).ok().filter(|dim| (1..=MAX_DIM).contains(dim)).ok_or_else(|| {
        Error::expected(format!("1 to {MAX_DIM} values a row"), found).at(Position::Byte(at as u64))
    })
}

/// A number of rows that a file says at the byte `at`.
pub(crate) fn rows_of(at: usize, found: u64) -> Result<usize, Error> {
    usize::try_from(found).ok().filter(|&rows| rows <= index::MAX_ROWS).ok_or_else(|| {
        Error::expected(format!("at most {} rows", index::MAX_ROWS), found).at(Position::Byte(at as u64))
    })
}
