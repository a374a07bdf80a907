//! The one currency of a pipeline.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, make_array};
use arrow_buffer::ScalarBuffer;
use arrow_data::transform::MutableArrayData;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BufferPool;

/// The identifiers of the rows of a [`Batch`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ids {
    /// Consecutive numbers from this one on: what rows get that bring no ids, their row number in the dataset.
    From(u64),
    /// One id a row.
    U64(ScalarBuffer<u64>),
    /// One text a row, none of them null.
    Text(StringArray),
}

/// What the ids are that a file brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum IdType {
    /// Whole numbers of at least 0.
    U64,
    /// Texts: names, and UUIDs in their usual spelling.
    Text,
}

impl Ids {
    /// The id of the row at `position` of the batch, where ids are numbers.
    ///
    /// # Panics
    /// If `position` is not a row of the batch; if the ids are [`Ids::texts`], of which whoever takes numbers only has to
    /// refuse the stream before.
    pub fn get(&self, position: usize) -> u64 {
        match self {
            Self::From(first) => first + position as u64,
            Self::U64(ids) => ids[position],
            Self::Text(_) => panic!("the ids are texts"),
        }
    }

    /// The ids, where they are texts.
    pub fn texts(&self) -> Option<&StringArray> {
        match self {
            Self::Text(ids) => Some(ids),
            Self::From(_) | Self::U64(_) => None,
        }
    }

    /// What the ids are that the file brought, if it brought any.
    pub fn given(&self) -> Option<IdType> {
        match self {
            Self::From(_) => None,
            Self::U64(_) => Some(IdType::U64),
            Self::Text(_) => Some(IdType::Text),
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

/// Rows, usually in file order: `rows` vectors of `dim` f32 values, row-major, with their ids. Where a file was opened for its
/// columns alone, `dim` is 0.
///
/// The values are an Arrow buffer, so that the same type is a slice of a mapped file (no copy), the memory of an Arrow
/// array, or a buffer of a [`crate::BufferPool`].
#[derive(Debug, Clone)]
pub struct Batch {
    first_row: u64,
    /// The number of every row, where they are not consecutive.
    row_numbers: Option<ScalarBuffer<u64>>,
    rows: usize,
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
        let (rows, ids) = (values.len() / dim, Ids::From(first_row));
        Self { first_row, row_numbers: None, rows, dim, values, ids, payload: None, origin }
    }

    /// As [`Batch::new`], of so many rows without vectors: of a file that was opened for its columns alone.
    pub fn of_columns(first_row: u64, rows: usize, origin: Origin) -> Self {
        let (values, ids) = (Vec::new().into(), Ids::From(first_row));
        Self { first_row, row_numbers: None, rows, dim: 0, values, ids, payload: None, origin }
    }

    /// The same rows as a part of a larger dataset, where the first of them has the number `first_row`. Ids that are row
    /// numbers are numbered anew as well.
    #[must_use]
    pub fn renumbered(self, first_row: u64) -> Self {
        let ids = match self.ids {
            Ids::From(first) => Ids::From(first_row + (first - self.first_row)),
            given => given,
        };
        let row_numbers = self.row_numbers.map(|numbers| {
            numbers.iter().map(|number| first_row + (number - self.first_row)).collect::<Vec<_>>().into()
        });
        Self { first_row, row_numbers, ids, ..self }
    }

    /// The same rows with these ids.
    ///
    /// # Panics
    /// If there is not one id a row.
    #[must_use]
    pub fn with_ids(mut self, ids: Ids) -> Self {
        let len = match &ids {
            Ids::From(_) => self.rows(),
            Ids::U64(ids) => ids.len(),
            Ids::Text(ids) => ids.len(),
        };
        assert_eq!(len, self.rows(), "one id a row");
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

    /// The same rows without further columns.
    #[must_use]
    pub fn without_payload(mut self) -> Self {
        self.payload = None;
        self
    }

    /// The same rows with these numbers in the dataset, in whatever order they have come.
    ///
    /// # Panics
    /// If there is not one number a row.
    #[must_use]
    pub fn with_row_numbers(mut self, numbers: ScalarBuffer<u64>) -> Self {
        assert_eq!(numbers.len(), self.rows(), "one number a row");
        if let Some(&first) = numbers.first() {
            self.first_row = first;
            self.row_numbers = Some(numbers);
        }
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
        self.rows
    }

    /// The number in the dataset of the row at `position` of the batch.
    ///
    /// # Panics
    /// If `position` is not a row of the batch, where rows were left out of it.
    pub fn row_number(&self, position: usize) -> u64 {
        match &self.row_numbers {
            Some(numbers) => numbers[position],
            None => self.first_row + position as u64,
        }
    }

    /// The number in its file of the row at `position` of the batch, for errors that name a file and a row.
    ///
    /// # Panics
    /// As [`Batch::row_number`].
    pub fn origin_row(&self, position: usize) -> u64 {
        // Rows that were reordered may have lower numbers than the first of the batch.
        let behind = self.row_number(position).wrapping_sub(self.first_row);
        self.origin.row.wrapping_add(behind)
    }

    /// Whether the rows have consecutive numbers: none was left out between them.
    pub fn is_consecutive(&self) -> bool {
        self.row_numbers.is_none()
    }

    /// The rows at `positions` of the batch alone, without a copy.
    ///
    /// # Panics
    /// If these are not rows of the batch.
    #[must_use]
    pub fn slice(self, positions: Range<usize>) -> Self {
        let (start, len) = (positions.start, positions.len());
        if len == 0 {
            // A batch without rows has no row number of its own.
            return Self {
                rows: 0,
                values: self.values.slice(0, 0),
                ids: Ids::From(0),
                row_numbers: None,
                payload: None,
                ..self
            };
        }
        let origin = Origin { row: self.origin_row(start), file: self.origin.file.clone() };
        Self {
            first_row: self.row_number(start),
            row_numbers: self.row_numbers.map(|numbers| numbers.slice(start, len)),
            rows: len,
            dim: self.dim,
            values: self.values.slice(start * self.dim, len * self.dim),
            ids: match self.ids {
                Ids::From(first) => Ids::From(first + start as u64),
                Ids::U64(ids) => Ids::U64(ids.slice(start, len)),
                Ids::Text(ids) => Ids::Text(ids.slice(start, len)),
            },
            payload: self.payload.map(|payload| payload.slice(start, len)),
            origin,
        }
    }

    /// The rows at `positions` of the batch, which ascend: a slice where they are consecutive, else copies in a buffer of
    /// `pool`. They keep their ids and their numbers in the dataset.
    ///
    /// # Panics
    /// If these are not rows of the batch in ascending order.
    #[must_use]
    pub fn select(self, positions: &[usize], pool: &BufferPool) -> Self {
        let first = positions.first().copied().unwrap_or_default();
        let last = positions.last().map_or(first, |&last| last + 1);
        if last - first == positions.len() {
            return if positions.len() == self.rows() { self } else { self.slice(first..last) };
        }
        let mut values = pool.take(positions.len() * self.dim);
        for (&position, out) in positions.iter().zip(values.chunks_exact_mut(self.dim.max(1))) {
            out.copy_from_slice(&self.values[position * self.dim..(position + 1) * self.dim]);
        }
        let row_numbers: Vec<u64> = positions.iter().map(|&position| self.row_number(position)).collect();
        let ids = match &self.ids {
            // No longer than all of them, which fit.
            Ids::Text(ids) => {
                Ids::Text(positions.iter().map(|&position| Some(ids.value(position))).collect())
            }
            ids => Ids::U64(positions.iter().map(|&position| ids.get(position)).collect()),
        };
        Self {
            first_row: self.row_number(first),
            origin: Origin { row: self.origin_row(first), file: self.origin.file.clone() },
            row_numbers: Some(row_numbers.into()),
            rows: positions.len(),
            dim: self.dim,
            values: values.into(),
            ids,
            payload: self.payload.map(|payload| selected(&payload, positions)),
        }
    }

    /// The numbers of the rows in the dataset, from the lowest to the highest; some are missing where rows were left out or
    /// reordered.
    pub fn row_range(&self) -> Range<u64> {
        let numbers = self.row_numbers.iter().flat_map(|numbers| numbers.iter().copied());
        if let (Some(lowest), Some(highest)) = (numbers.clone().min(), numbers.max()) {
            return lowest..highest + 1;
        }
        self.first_row..self.first_row + self.rows() as u64
    }

    /// All values, row-major.
    pub fn values(&self) -> &ScalarBuffer<f32> {
        &self.values
    }

    /// The vectors in row order.
    pub fn vectors(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim.max(1))
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

/// The rows at `positions` of all columns.
fn selected(payload: &RecordBatch, positions: &[usize]) -> RecordBatch {
    let columns = payload.columns().iter().map(|column| -> ArrayRef {
        let data = column.to_data();
        let mut kept = MutableArrayData::new(vec![&data], false, positions.len());
        for &position in positions {
            kept.try_extend(0, position, position + 1)
                .expect("a part of a column is no larger than all of it");
        }
        make_array(kept.freeze())
    });
    let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
    RecordBatch::try_new_with_options(payload.schema(), columns.collect(), &options)
        .expect("the columns have their types and all the same length")
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn batch() -> Batch {
        let origin = Origin { file: Path::new("a.npy").into(), row: 100 };
        let values: Vec<f32> = (0..10u8).map(f32::from).collect();
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5)]));
        let payload = RecordBatch::try_from_iter([("name", names), ("number", numbers)]).unwrap();
        Batch::new(7, 2, values.into(), origin).with_payload(payload)
    }

    #[test]
    fn rows_keep_what_is_theirs() {
        let pool = BufferPool::new();
        let some = batch().select(&[1, 2, 4], &pool);
        assert_eq!(&some.values()[..], [2.0, 3.0, 4.0, 5.0, 8.0, 9.0]);
        assert_eq!(
            [0, 1, 2].map(|at| (some.row_number(at), some.ids().get(at), some.origin_row(at))),
            [(8, 8, 101), (9, 9, 102), (11, 11, 104)]
        );
        assert_eq!((some.row_range(), some.is_consecutive()), (8..12, false));
        let payload = some.payload().unwrap();
        assert_eq!(**payload.column(0), StringArray::from(vec!["b", "c", "e"]));
        assert_eq!(**payload.column(1), Int64Array::from(vec![None, Some(3), Some(5)]));

        let fewer = some.select(&[0, 2], &pool);
        assert_eq!([0, 1].map(|at| (fewer.row_number(at), fewer.origin_row(at))), [(8, 101), (11, 104)]);
        let last = fewer.slice(1..2);
        assert_eq!((last.first_row(), last.origin_row(0), last.ids().get(0)), (11, 104, 11));
        assert_eq!(last.payload().unwrap().num_rows(), 1);
    }

    #[test]
    fn texts_stay_with_their_rows() {
        let pool = BufferPool::new();
        let names = StringArray::from(vec!["a", "", "c", "d", "\u{e4}"]);
        let named = batch().with_ids(Ids::Text(names));
        let texts =
            |batch: &Batch| batch.ids().texts().unwrap().iter().flatten().collect::<Vec<_>>().join("|");
        let some = named.clone().select(&[1, 2, 4], &pool);
        assert_eq!((texts(&some), some.ids().given()), ("|c|\u{e4}".to_owned(), Some(IdType::Text)));
        assert_eq!(texts(&some.slice(1..3)), "c|\u{e4}");
        assert_eq!(texts(&named.slice(3..4)), "d");
    }

    #[test]
    fn rows_of_a_larger_dataset() {
        let pool = BufferPool::new();
        let moved = batch().select(&[1, 2, 4], &pool).renumbered(1001);
        assert_eq!([0, 1, 2].map(|at| moved.row_number(at)), [1001, 1002, 1004]);
        assert_eq!([0, 1, 2].map(|at| moved.origin_row(at)), [101, 102, 104]);
        assert_eq!(moved.ids().get(2), 11, "what was kept of other rows has ids of its own");
        let moved = batch().renumbered(1000);
        assert_eq!((moved.row_range(), moved.ids().get(4), moved.origin_row(4)), (1000..1005, 1004, 104));
    }

    #[test]
    fn rows_without_vectors() {
        let origin = Origin { file: Path::new("a.parquet").into(), row: 3 };
        let batch = Batch::of_columns(3, 5, origin).with_payload(batch().payload.unwrap());
        assert_eq!((batch.rows(), batch.dim(), batch.vectors().len(), batch.row_range()), (5, 0, 0, 3..8));
        let part = batch.clone().slice(1..3);
        assert_eq!((part.rows(), part.row_range(), part.payload().unwrap().num_rows()), (2, 4..6, 2));
        let some = batch.select(&[0, 4], &BufferPool::new());
        assert_eq!((some.rows(), some.row_number(1), some.origin_row(1)), (2, 7, 7));
    }

    #[test]
    fn rows_in_another_order_keep_their_numbers() {
        let other = batch().with_row_numbers(vec![9, 3, 12, 4, 7].into());
        let origin = Origin { row: 209, file: other.origin().file.clone() };
        let other = Batch { origin, ..other };
        assert_eq!((other.first_row(), other.row_range(), other.is_consecutive()), (9, 3..13, false));
        assert_eq!([0, 1, 2].map(|at| other.origin_row(at)), [209, 203, 212]);
        let some = other.select(&[1, 2, 4], &BufferPool::new());
        assert_eq!(
            [0, 1, 2].map(|at| (some.row_number(at), some.origin_row(at))),
            [(3, 203), (12, 212), (7, 207)]
        );
        assert_eq!(some.slice(2..3).row_range(), 7..8);
    }

    #[test]
    fn all_of_the_rows_and_none_of_them() {
        let pool = BufferPool::new();
        let all = batch().select(&[0, 1, 2, 3, 4], &pool);
        assert_eq!((all.row_range(), all.is_consecutive()), (7..12, true));
        let part = batch().select(&[2, 3], &pool);
        assert_eq!((part.row_range(), part.is_consecutive(), part.origin_row(1)), (9..11, true, 103));
        assert_eq!(batch().select(&[], &pool).rows(), 0);
    }
}
