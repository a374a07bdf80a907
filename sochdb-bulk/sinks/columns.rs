//! What sinks with named columns have in common: which columns there are, and their rows as Arrow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_cast::cast;
use arrow_select::coalesce::BatchCoalescer;
use readers::arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, RecordBatchOptions, UInt64Array,
};
use readers::arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use readers::{Batch, IdType, Ids, Metric};

use crate::Failure;
use crate::pipeline::{IdSource, StreamInfo, plain};

/// The usual name of the column of the vectors.
pub(super) fn vector_name() -> String {
    "vector".to_owned()
}

/// The usual name of the column of the ids.
pub(super) fn id_name() -> String {
    "id".to_owned()
}

/// The key of the metric in the metadata of a file.
pub(super) const METRIC: &str = "metric";

/// The further columns of a stream.
pub(crate) fn payload_fields(input: &StreamInfo) -> &[FieldRef] {
    input.payload.as_ref().map_or(&[], |schema| schema.fields())
}

/// The further columns of a batch.
pub(crate) fn payload_columns(batch: &Batch, fields: usize) -> Result<&[ArrayRef], Failure> {
    let columns = batch.payload().map_or(&[][..], RecordBatch::columns);
    if columns.len() == fields {
        return Ok(columns);
    }
    let file = batch.origin().file.display();
    Err(Failure::failed(format!(
        "{file}: row {}: expected {fields} further columns, found {}",
        batch.origin().row,
        columns.len()
    )))
}

/// Fails if two columns of the file would have one name. `own` are the options that name ours, and the names.
pub(super) fn refuse_equal_names(own: &[(&str, &str)], input: &StreamInfo) -> Result<(), Failure> {
    for (at, (option, name)) in own.iter().enumerate() {
        if name.is_empty() {
            return Err(Failure::refused(format!("expected a name for `{option}`, found none"))
                .with_help("leave the option away for the usual name"));
        }
        let is_taken = payload_fields(input).iter().any(|field| field.name() == name)
            || own[..at].iter().any(|(_, other)| other == name);
        if is_taken {
            return Err(Failure::refused(format!("two columns would be called `{name}`"))
                .with_help(format!("set another name in the `[sink]` (--to-option {option}=NAME)")));
        }
    }
    Ok(())
}

/// As [`refuse_equal_names`], for the columns that [`Records`] has.
pub(super) fn refuse_equal_columns(
    id_column: &str,
    vector_column: &str,
    input: &StreamInfo,
) -> Result<(), Failure> {
    let own = [("id_column", id_column), ("vector_column", vector_column)];
    refuse_equal_names(if input.ids_are_positions() { &own[1..] } else { &own }, input)
}

/// The rows of a stream as Arrow record batches of always the same number of rows, so that what is written does not
/// depend on the batches of the stream: the ids, if they are kept, the vectors, and the further columns.
pub(super) struct Records {
    schema: SchemaRef,
    ids: Option<IdType>,
    has_vectors: bool,
    payload: usize,
    coalescer: BatchCoalescer,
}

impl Records {
    /// For record batches of `rows` rows.
    pub(super) fn new(
        input: &StreamInfo,
        id_column: &str,
        vector_column: &str,
        metric: Option<Metric>,
        rows: usize,
    ) -> Result<Self, Failure> {
        let dim = i32::try_from(input.dim)
            .map_err(|_| Failure::refused(format!("a dimension of {} is too large for Arrow", input.dim)))?;
        let element = Arc::new(Field::new("element", DataType::Float32, false));
        let vector = Field::new(vector_column, DataType::FixedSizeList(element, dim), false);
        let ids = match input.ids {
            IdSource::Text => Some(IdType::Text),
            _ => (!input.ids_are_positions()).then_some(IdType::U64),
        };
        let id = ids.map(|kind| match kind {
            IdType::U64 => Field::new(id_column, DataType::UInt64, false),
            IdType::Text => Field::new(id_column, DataType::Utf8, false),
        });
        let payload = payload_fields(input);
        let fields: Vec<FieldRef> = (id.into_iter().chain([vector]).map(Arc::new))
            .chain(
                payload
                    .iter()
                    .map(|field| Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())))),
            )
            .collect();
        let metadata = metric.map(|metric| (METRIC.to_owned(), metric.name().to_owned()));
        let schema =
            Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect::<HashMap<_, _>>()));
        let coalescer = BatchCoalescer::new(Arc::clone(&schema), rows.max(1));
        Ok(Self { schema, ids, has_vectors: true, payload: payload.len(), coalescer })
    }

    /// The same without the vectors, for a sink that writes those itself.
    pub(super) fn without_vectors(self, rows: usize) -> Self {
        let vectors = usize::from(self.ids.is_some());
        let fields = self.schema.fields().iter().enumerate();
        let fields: Vec<FieldRef> =
            fields.filter(|(at, _)| *at != vectors).map(|(_, field)| Arc::clone(field)).collect();
        let schema = Arc::new(Schema::new(fields));
        let coalescer = BatchCoalescer::new(Arc::clone(&schema), rows.max(1));
        Self { schema, has_vectors: false, coalescer, ..self }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes the next rows.
    pub(super) fn push(&mut self, batch: &Batch) -> Result<(), Failure> {
        let record = self.record(batch)?;
        self.coalescer.push_batch(record).map_err(|e| in_batch(batch, &e))
    }

    /// The next full record batch, if there is one.
    pub(super) fn next(&mut self) -> Option<RecordBatch> {
        self.coalescer.next_completed_batch()
    }

    /// The last record batch, which is smaller, if there is one.
    pub(super) fn last(&mut self) -> Result<Option<RecordBatch>, Failure> {
        let finished = self.coalescer.finish_buffered_batch();
        finished.map_err(|e| Failure::failed(format!("cannot put the last rows together: {e}")))?;
        Ok(self.coalescer.next_completed_batch())
    }

    fn record(&self, batch: &Batch) -> Result<RecordBatch, Failure> {
        let rows = batch.rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        match (self.ids, batch.ids()) {
            (None, _) => {}
            (Some(IdType::Text), Ids::Text(ids)) => columns.push(Arc::new(ids.clone())),
            (Some(IdType::U64), Ids::U64(ids)) => columns.push(Arc::new(UInt64Array::new(ids.clone(), None))),
            (Some(IdType::U64), ids @ Ids::From(_)) => {
                let ids = (0..rows).map(|at| ids.get(at));
                columns.push(Arc::new(UInt64Array::from_iter_values(ids)));
            }
            _ => return Err(in_batch(batch, &"expected ids of one kind, found another")),
        }
        if self.has_vectors {
            let DataType::FixedSizeList(element, dim) = self.schema.field(columns.len()).data_type() else {
                return Err(Failure::failed("the column of vectors has another type"));
            };
            let values = Arc::new(Float32Array::new(batch.values().clone(), None));
            let vectors = FixedSizeListArray::try_new(Arc::clone(element), *dim, values, None);
            columns.push(Arc::new(vectors.map_err(|e| in_batch(batch, &e))?));
        }
        for column in payload_columns(batch, self.payload)? {
            let wanted = self.schema.field(columns.len()).data_type();
            let column = if column.data_type() == wanted {
                Arc::clone(column)
            } else {
                cast(column, wanted).map_err(|e| in_batch(batch, &e))?
            };
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| in_batch(batch, &e))
    }
}

fn in_batch(batch: &Batch, error: &impl std::fmt::Display) -> Failure {
    let file = batch.origin().file.display();
    Failure::failed(format!("{file}: row {} and on: {error}", batch.origin().row))
}
