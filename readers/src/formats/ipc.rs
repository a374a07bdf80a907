//! What Arrow's files and streams have in common: rows in record batches at places that are known.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::reader::{FileDecoder, RecordBatchDecoder};
use arrow_ipc::root_as_message;
use arrow_schema::{DataType, SchemaRef};

use super::column_values::{Converter, first_dim};
use super::column_vectors::{Layout, check_dim, known_dim, no_dim, wrong_dim};
use super::columns::{Choose, ColumnOptions, Columns};
use super::contained::{contained, one_line};
use super::ipc_messages::{Messages, Place, WHAT, bytes_of, header_at, rows_of, undecodable};
use crate::{
    Batch, Batches, BufferPool, DType, Dataset, DatasetInfo, Error, IdType, Input, Matrix, Origin, Piece,
    Position, Rows, Scan, Source,
};

/// A file or stream whose messages are known.
#[derive(Debug)]
pub(super) struct IpcDataset {
    info: DatasetInfo,
    source: Source,
    schema: SchemaRef,
    decoder: FileDecoder,
    batches: Vec<Place>,
    /// The first row of each batch, and the end.
    starts: Vec<u64>,
    /// What decoding the largest batch takes.
    table_bytes: u64,
    converter: Converter,
    /// The values of each batch, where all are f32 in the map.
    in_place: Option<Vec<ScalarBuffer<f32>>>,
}

impl IpcDataset {
    /// `notes` are said before those of the columns.
    pub(super) fn open(
        format: &'static str,
        source: Source,
        messages: Messages,
        (options, choose): (&ColumnOptions, Choose),
        input: &Input,
        mut notes: Vec<String>,
    ) -> Result<Self, Error> {
        let Messages { schema, version, dictionaries, batches, replaces } = messages;
        let columns = choose(&schema, options, input)?;
        let mut starts = vec![0u64];
        let mut table_bytes = 0;
        let is_copied = source.map().is_none() || !stays_in_place(&columns);
        for &place in &batches {
            let (rows, unpacked) = rows_of(&source, place, &header_at(&source, place)?)?;
            let copied = if is_copied { place.body_bytes } else { 0 };
            // A batch may be on its way to the sink while the next one of the same thread is decoded.
            let held = unpacked.unwrap_or(copied).saturating_mul(2);
            table_bytes = table_bytes.max(held.saturating_add(copied));
            let end = starts.last().copied().unwrap_or_default().checked_add(rows);
            let end = end.filter(|&end| i64::try_from(end).is_ok());
            starts.push(
                end.ok_or_else(|| {
                    Error::expected("a number of rows", rows).at(Position::Byte(place.offset))
                })?,
            );
        }
        let mut decoder = FileDecoder::new(Arc::clone(&schema), version).with_projection(columns.roots());
        // Lists of numbers have no dictionaries: only ids and further columns can.
        let others = columns.payload.iter().copied().chain(columns.id.iter().map(|id| id.root));
        if others.into_iter().any(|root| has_dictionary(schema.field(root).data_type())) {
            if replaces {
                let message = "expected each dictionary once, found one that is replaced";
                return Err(Error::unsupported(message).with_help(
                    "name further columns without dictionaries: payload = [\"NAME\"] in [source]",
                ));
            }
            for place in dictionaries {
                let block =
                    place.block().ok_or_else(|| Error::expected("a place in the file", place.offset))?;
                let bytes = bytes_of(&source, place, false)?;
                contained(WHAT, || decoder.read_dictionary(&block, &bytes).map_err(|e| undecodable(&e)))?;
            }
        }
        notes.extend(columns.notes.iter().cloned());
        let payload = columns.payload_schema(&schema).map(Arc::new);
        let converter =
            Converter { file: Arc::from(input.path.as_path()), columns, dim: 1, payload: payload.clone() };
        let info = DatasetInfo {
            format,
            rows: Rows::Exact(starts.last().copied().unwrap_or_default()),
            dim: 1,
            dtype: converter.columns.dtype(),
            metric: None,
            ids: converter.columns.id_type(),
            payload,
            files: vec![input.path.clone()],
            size_bytes: source.len_bytes(),
            chosen: converter.columns.chosen.clone(),
            notes,
        };
        let mut dataset =
            Self { info, source, schema, decoder, batches, starts, table_bytes, converter, in_place: None };
        dataset.info.dim = dataset.dimension(input)?;
        dataset.converter.dim = dataset.info.dim;
        dataset.in_place = dataset.map_in_place();
        Ok(dataset)
    }

    /// The same, made of a further file or folder.
    pub(super) fn made_of(mut self, path: Option<&Path>) -> Self {
        self.info.files.extend(path.map(Path::to_path_buf));
        self
    }

    fn dimension(&self, input: &Input) -> Result<usize, Error> {
        let Some(vector) = &self.converter.columns.vector else { return Ok(0) };
        let known = known_dim(vector, input.dim)?;
        if let (Some(dim), Some(_)) = (known, vector.dim) {
            return Ok(dim);
        }
        let Some(first) = self.starts.windows(2).position(|ends| ends[0] < ends[1]) else {
            return known.ok_or_else(no_dim);
        };
        let table = self.table(first)?;
        let root = self.converter.columns.roots().binary_search(&vector.path.root).ok();
        let array = root.and_then(|at| table.columns().get(at));
        let found = contained(WHAT, || array.map_or(Ok(None), |array| first_dim(array, vector, 0)))?;
        let dim = found.ok_or_else(|| Error::expected("a first row, as the message says", "none"))?;
        check_dim(dim).map_err(|error| error.at(Position::Row(0)))?;
        match known.filter(|&asked| asked != dim) {
            Some(asked) => Err(wrong_dim(asked, dim).at(Position::Row(0))),
            None => Ok(dim),
        }
    }

    /// The values of all batches, if they can be used where they are. What keeps them from it, reading says.
    fn map_in_place(&self) -> Option<Vec<ScalarBuffer<f32>>> {
        let columns = &self.converter.columns;
        let vector = columns.vector.as_ref()?;
        let is_plain = vector.layout == Layout::FixedList && vector.dtype == DType::F32;
        let alone = columns.id.is_none() && columns.payload.is_empty();
        let map = self.source.map().filter(|_| is_plain && alone && vector.path.names.len() == 1)?;
        let range = map.as_ptr_range();
        let pool = BufferPool::new();
        let mut all = Vec::with_capacity(self.batches.len());
        for (number, &first) in self.starts.iter().take(self.batches.len()).enumerate() {
            let table = self.table(number).ok()?;
            let batch = contained(WHAT, || self.converter.batch(&table, first, &pool)).ok()?;
            let values = batch.into_values();
            // Compressed batches were unpacked: they are not kept.
            let is_mapped = values.is_empty() || range.contains(&values.inner().as_ptr());
            all.push(is_mapped.then_some(values)?);
        }
        Some(all)
    }

    /// One record batch, decoded.
    fn table(&self, number: usize) -> Result<RecordBatch, Error> {
        let place = self.batches[number];
        let block = place.block().ok_or_else(|| Error::expected("a place in the file", place.offset))?;
        // Offsets and texts are checked once and trusted then, so they must not be in a map that others can change.
        let in_place = stays_in_place(&self.converter.columns);
        let bytes = bytes_of(&self.source, place, in_place)?;
        let rows = self.starts[number + 1] - self.starts[number];
        let table = if in_place {
            self.table_in_place(place, &bytes)
        } else {
            contained(WHAT, || {
                let table = self.decoder.read_record_batch(&block, &bytes).map_err(|e| undecodable(&e))?;
                table.ok_or_else(|| Error::expected("a record batch", "a message of another kind"))
            })
        };
        let table = table.map_err(|error| error.at(Position::Part(format!("record batch {number}"))))?;
        if table.num_rows() as u64 != rows {
            return Err(Error::expected(format!("{rows} rows"), table.num_rows())
                .at(Position::Part(format!("record batch {number}"))));
        }
        Ok(table)
    }

    /// A record batch whose body stays where it is. Its header is copied first, as it is trusted once it was checked.
    fn table_in_place(&self, place: Place, bytes: &Buffer) -> Result<RecordBatch, Error> {
        let header = header_at(&self.source, place)?;
        let roots = self.converter.columns.roots();
        contained(WHAT, || {
            let message = root_as_message(&header).map_err(|e| Error::malformed(one_line(&e.to_string())))?;
            let batch = message.header_as_record_batch();
            let batch =
                batch.ok_or_else(|| Error::expected("a record batch", "a message of another kind"))?;
            let body = bytes.slice(place.header_bytes as usize);
            let (schema, version, none) = (Arc::clone(&self.schema), message.version(), HashMap::new());
            RecordBatchDecoder::try_new(&body, batch, schema, &none, &version)
                .and_then(|decoder| decoder.with_projection(Some(&roots)).read_record_batch())
                .map_err(|e| undecodable(&e))
        })
    }

    /// The batch that holds a row.
    fn holding(&self, row: u64) -> usize {
        self.starts.partition_point(|&start| start <= row).saturating_sub(1)
    }

    /// Rows of one record batch.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a record batch is in memory, so a usize counts its rows"
    )]
    fn batch(
        &self,
        rows: &Range<u64>,
        number: usize,
        decoded: &mut Option<(usize, RecordBatch)>,
        pool: &BufferPool,
    ) -> Result<Batch, Error> {
        let start = (rows.start - self.starts[number]) as usize;
        let len = (rows.end - rows.start) as usize;
        if let Some(values) = self.in_place.as_ref().and_then(|all| all.get(number)) {
            let dim = self.info.dim;
            let origin = Origin { file: Arc::clone(&self.converter.file), row: rows.start };
            return Ok(Batch::new(rows.start, dim, values.slice(start * dim, len * dim), origin));
        }
        let table = match decoded.take().filter(|(last, _)| *last == number) {
            Some((_, table)) => table,
            None => self.table(number)?,
        };
        let batch = contained(WHAT, || self.converter.batch(&table.slice(start, len), rows.start, pool));
        *decoded = Some((number, table));
        batch
    }
}

/// Whether the body of a batch may stay in a map that others can change: it is numbers only, which any bits are.
fn stays_in_place(columns: &Columns) -> bool {
    let is_fixed = columns.vector.as_ref().is_some_and(|vector| vector.layout == Layout::FixedList);
    let are_numbers = columns.id_type().is_none_or(|ids| ids == IdType::U64);
    is_fixed && are_numbers && columns.payload.is_empty()
}

/// Whether a column needs dictionaries to be read.
fn has_dictionary(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_dictionary(item.data_type()),
        DataType::RunEndEncoded(_, values) => has_dictionary(values.data_type()),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field.data_type())),
        _ => false,
    }
}

impl Dataset for IpcDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// Record batches that are decoded are one piece each; what is used in place can be cut anywhere within one.
    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for ends in self.starts.windows(2) {
            let (mut start, end) = (ends[0].max(scan.rows.start), ends[1].min(scan.rows.end));
            while start < end {
                let step = if self.in_place.is_some() { scan.batch_rows as u64 } else { end - start };
                let next = start.saturating_add(step).min(end);
                pieces.push(Piece { rows: start..next });
                start = next;
            }
        }
        pieces
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let Range { start, end } = piece.rows;
        let all = self.starts.last().copied().unwrap_or_default();
        if start > end || end > all {
            let error = Error::request(format!("expected rows within 0..{all}, found {start}..{end}"));
            return Err(error.in_file(&self.converter.file));
        }
        let (mut next, step, mut decoded) = (start, scan.batch_rows.max(1) as u64, None);
        Ok(Box::new(std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let number = self.holding(next);
            let rows = next..next.saturating_add(step).min(end).min(self.starts[number + 1]);
            let batch = self.batch(&rows, number, &mut decoded, pool);
            next = if batch.is_ok() { rows.end } else { end };
            Some(batch.map_err(|error| error.in_file(&self.converter.file)))
        })))
    }

    fn memory_bytes(&self, _scan: &Scan, threads: usize) -> u64 {
        match self.in_place {
            Some(_) => 0,
            None => self.table_bytes.saturating_mul(threads as u64),
        }
    }

    fn matrix(&self) -> Option<Matrix> {
        match self.in_place.as_deref()? {
            [values] => Some(Matrix { values: values.clone(), dim: self.info.dim }),
            _ => None,
        }
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}
