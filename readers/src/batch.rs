//! The one currency of a pipeline.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;

/// The identifiers of the rows of a [`Batch`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ids {
    /// Consecutive numbers from this one on: what rows get that bring no ids, their row number in the dataset.
    From(u64),
    /// One id a row.
    U64(ScalarBuffer<u64>),
}

impl Ids {
    /// The id of the row at `position` of the batch.
    ///
    /// # Panics
    /// If `position` is not a row of the batch.
    pub fn get(&self, position: usize) -> u64 {
        match self {
            Self::From(first) => first + position as u64,
            Self::U64(ids) => ids[position],
        }
    }
}

/// Where the rows of a [`Batch`] come from, for errors that name a file and a row.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The row of that file that is the batch's first.
    pub row: u64,
}

/// Rows in file order: `rows` vectors of `dim` f32 values, row-major, with their ids.
///
/// The values are an Arrow buffer, so that the same type is a slice of a mapped file (no copy), the memory of an Arrow
/// array, or a buffer of a [`crate::BufferPool`].
#[derive(Debug, Clone)]
pub struct Batch {
    first_row: u64,
    dim: usize,
    values: ScalarBuffer<f32>,
    ids: Ids,
    payload: Option<RecordBatch>,
    origin: Origin,
}

impl Batch {
    /// A batch of whole rows whose ids are their row numbers in the dataset, `first_row` and on.
    ///
    /// # Panics
    /// If `dim` is 0 or does not divide the number of values.
    pub fn new(first_row: u64, dim: usize, values: ScalarBuffer<f32>, origin: Origin) -> Self {
        assert!(dim > 0, "vectors have at least one value");
        assert_eq!(values.len() % dim, 0, "{} values are not whole rows of {dim}", values.len());
        Self { first_row, dim, values, ids: Ids::From(first_row), payload: None, origin }
    }

    /// The same rows with these ids.
    ///
    /// # Panics
    /// If there is not one id a row.
    #[must_use]
    pub fn with_ids(mut self, ids: Ids) -> Self {
        if let Ids::U64(ids) = &ids {
            assert_eq!(ids.len(), self.rows(), "one id a row");
        }
        self.ids = ids;
        self
    }

    /// The same rows with further columns.
    ///
    /// # Panics
    /// If the columns have another number of rows.
    #[must_use]
    pub fn with_payload(mut self, payload: RecordBatch) -> Self {
        assert_eq!(payload.num_rows(), self.rows(), "payload and vectors have the same rows");
        self.payload = Some(payload);
        self
    }

    /// The same rows with other values, as a stage that computes makes them.
    ///
    /// # Panics
    /// If `dim` is 0 or the values are not `rows` vectors of `dim`.
    #[must_use]
    pub fn with_values(mut self, dim: usize, values: ScalarBuffer<f32>) -> Self {
        assert!(dim > 0, "vectors have at least one value");
        assert_eq!(values.len(), self.rows() * dim, "stages that change values keep the rows");
        self.dim = dim;
        self.values = values;
        self
    }

    /// The number of the first row in the dataset.
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dim
    }

    /// The numbers of the rows in the dataset.
    pub fn row_range(&self) -> Range<u64> {
        self.first_row..self.first_row + self.rows() as u64
    }

    /// All values, row-major.
    pub fn values(&self) -> &ScalarBuffer<f32> {
        &self.values
    }

    /// The vectors in row order.
    pub fn vectors(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim)
    }

    /// The ids of the rows.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Further columns, where the source carries any.
    pub fn payload(&self) -> Option<&RecordBatch> {
        self.payload.as_ref()
    }

    /// Where the rows come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The values, for a [`crate::BufferPool`] to take back.
    pub fn into_values(self) -> ScalarBuffer<f32> {
        self.values
    }
}
