//! What is known about a stream between two steps.

use std::path::{Display, Path, PathBuf};
use std::sync::Arc;

use readers::arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use readers::{Dataset, IdType, Metric, Rows};

/// Where the ids of a stream come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSource {
    /// They are the numbers of the rows in the source.
    RowNumbers,
    /// They are given, one number a row.
    Given,
    /// They are given, one text a row.
    Text,
}

/// The file or files of a source, for messages.
#[derive(Debug, Clone)]
pub struct SourceName {
    name: Arc<Path>,
    /// As [`Dataset::parts`].
    parts: Arc<[(PathBuf, u64)]>,
}

impl SourceName {
    /// The name of all of it.
    pub fn display(&self) -> Display<'_> {
        self.name.display()
    }

    /// That name, to be shared.
    pub(crate) fn shared(&self) -> Arc<Path> {
        Arc::clone(&self.name)
    }

    /// The file of a row of the source and its number there, where the source is several files.
    pub fn place(&self, row: u64) -> Option<(&Path, u64)> {
        let at = self.parts.partition_point(|&(_, first)| first <= row).checked_sub(1)?;
        let (file, first) = self.parts.get(at)?;
        Some((file, row - first))
    }
}

impl From<&Path> for SourceName {
    fn from(name: &Path) -> Self {
        Self { name: name.into(), parts: Arc::new([]) }
    }
}

/// What is known about the rows that go from one step of a pipeline to the next.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// The file or files that the rows come from, for messages.
    pub source: SourceName,
    /// How many rows.
    pub rows: Rows,
    /// A bound of the number of rows, where one is known.
    pub rows_bound: Option<u64>,
    /// Whether rows of the source may have been left out, other than behind the last: the number of a row in the source then
    /// is not its position in the stream.
    pub drops_rows: bool,
    /// Whether the rows have another order than in the source; [`StreamInfo::drops_rows`] then is true as well.
    pub is_reordered: bool,
    /// The number that the first row has in the source.
    pub first_row: u64,
    /// How many rows the source has, whether they are all wanted or not.
    pub source_rows: Rows,
    /// Values a row.
    pub dim: usize,
    /// The metric that the source records.
    pub metric: Option<Metric>,
    /// The ids.
    pub ids: IdSource,
    /// The file that the ids come from, where they do not come with the rows.
    pub ids_file: Option<Arc<Path>>,
    /// The further columns of the rows, if any.
    pub payload: Option<SchemaRef>,
    /// Whether the values are still those of the source.
    pub values_untouched: bool,
}

impl StreamInfo {
    /// The stream that comes out of a source, of the rows `rows`, beginning with `first_row`.
    pub(crate) fn of_source(name: &Path, dataset: &dyn Dataset, rows: Rows, first_row: u64) -> Self {
        let info = dataset.info();
        Self {
            source: SourceName { name: name.into(), parts: dataset.parts().into() },
            rows,
            rows_bound: rows.exact(),
            drops_rows: false,
            is_reordered: false,
            first_row,
            source_rows: info.rows,
            dim: info.dim,
            metric: info.metric,
            ids: match info.ids {
                None => IdSource::RowNumbers,
                Some(IdType::U64) => IdSource::Given,
                Some(IdType::Text) => IdSource::Text,
            },
            ids_file: None,
            payload: info.payload.clone(),
            values_untouched: true,
        }
    }

    /// A stream of no rows.
    pub(crate) fn empty(name: &Path, dim: usize) -> Self {
        Self {
            source: name.into(),
            rows: Rows::Exact(0),
            rows_bound: Some(0),
            drops_rows: false,
            is_reordered: false,
            first_row: 0,
            source_rows: Rows::Exact(0),
            dim,
            metric: None,
            ids: IdSource::RowNumbers,
            ids_file: None,
            payload: None,
            values_untouched: true,
        }
    }

    /// Whether the id of every row is its position in the stream, counted from 0.
    pub fn ids_are_positions(&self) -> bool {
        self.ids == IdSource::RowNumbers && self.first_row == 0 && !self.drops_rows
    }

    /// Whether the id of every row is its number in the source.
    pub(crate) fn ids_are_row_numbers(&self) -> bool {
        self.ids == IdSource::RowNumbers
    }

    /// Whether the place of a row is known before all rows before it were read.
    pub(crate) fn knows_places(&self) -> bool {
        self.rows.exact().is_some() && !self.drops_rows
    }

    /// So many rows at most come, where that is known.
    pub fn most_rows(&self) -> Option<u64> {
        self.rows.exact().or(self.rows_bound)
    }

    /// The stream behind a stage that leaves out nobody knows how many rows.
    #[must_use]
    pub fn with_rows_dropped(self) -> Self {
        Self { rows: Rows::Unknown, rows_bound: self.most_rows(), drops_rows: true, ..self }
    }

    /// The stream behind a stage that gives the same rows in another order. Further columns then have plain types: no
    /// dictionaries and no views.
    #[must_use]
    pub(crate) fn reordered(self) -> Self {
        let payload = self.payload.map(|schema| {
            let fields: Vec<Field> = (schema.fields().iter())
                .map(|field| field.as_ref().clone().with_data_type(plain(field.data_type())))
                .collect();
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
        });
        let ids = if self.ids == IdSource::Text { IdSource::Text } else { IdSource::Given };
        Self { ids, drops_rows: true, is_reordered: true, values_untouched: false, payload, ..self }
    }
}

/// The type that holds the same values written out. What dictionaries and views share with other batches depends on how
/// the batches were cut.
pub(crate) fn plain(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())))
    };
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
