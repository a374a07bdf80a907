//! Rows that are set aside in temporary files without names, and read again in another order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_cast::cast;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use arrow_ipc::writer::FileWriter;
use arrow_select::coalesce::BatchCoalescer;
use arrow_select::interleave::interleave_record_batch;
use readers::arrow_array::cast::AsArray;
use readers::arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use readers::arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use readers::{
    Batch, Batches, BufferPool, DType, Dataset, DatasetInfo, Error, IdType, Ids, Io, Matrix, Origin, Piece,
    Position, Rows, Scan, Source,
};

use super::{IdSource, StreamInfo};
use crate::Failure;
use crate::output::pieces::PORTION_BYTES;

/// Rows of a record batch of further columns.
const RECORD_ROWS: usize = 1024;

/// A row's number and its id.
const KEY_BYTES: usize = 16;

/// Takes rows one after the other.
pub(super) struct Spool {
    values: BufWriter<File>,
    keys: BufWriter<File>,
    payload: Option<Payload>,
    rows: u64,
    dim: usize,
    source: Arc<Path>,
    /// The file of the rows, and what is between a row's number in it and in the source; none before the first row.
    origin: Option<(Arc<Path>, u64)>,
    columns: Columns,
}

/// What rows have besides their vectors and numbers.
#[derive(Debug, Clone)]
struct Columns {
    payload: Option<SchemaRef>,
    has_texts: bool,
}

impl Columns {
    fn of(stream: &StreamInfo) -> Self {
        Self { payload: stream.payload.clone(), has_texts: stream.ids == IdSource::Text }
    }
}

/// Further columns on their way into an Arrow file, in record batches of always the same number of rows.
struct Payload {
    schema: SchemaRef,
    coalescer: BatchCoalescer,
    writer: FileWriter<BufWriter<File>>,
}

impl Spool {
    /// For rows such as `stream` says.
    pub(super) fn new(stream: &StreamInfo) -> Result<Self, Failure> {
        let file = || tempfile::tempfile().map(|file| BufWriter::with_capacity(PORTION_BYTES, file));
        let file = || file().map_err(|e| no_room("make a temporary file", &e));
        // Ids that are texts are one more column, the last.
        let texts = (stream.ids == IdSource::Text).then(|| Arc::new(Field::new("", DataType::Utf8, false)));
        let columns = stream.payload.iter().flat_map(|schema| schema.fields().iter().cloned()).chain(texts);
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let has_columns = stream.payload.is_some() || stream.ids == IdSource::Text;
        let payload = has_columns.then(|| -> Result<Payload, Failure> {
            let writer = FileWriter::try_new(file()?, &schema).map_err(|e| arrow(&e))?;
            let coalescer = BatchCoalescer::new(Arc::clone(&schema), RECORD_ROWS);
            Ok(Payload { schema, coalescer, writer })
        });
        Ok(Self {
            values: file()?,
            keys: file()?,
            payload: payload.transpose()?,
            rows: 0,
            dim: stream.dim,
            source: stream.source.shared(),
            origin: None,
            columns: Columns::of(stream),
        })
    }

    /// Sets the rows of a batch aside.
    pub(super) fn put(&mut self, batch: &Batch) -> Result<(), Failure> {
        let write = |e: io::Error| no_room("write the rows that are set aside", &e);
        self.values.write_all(bytemuck::cast_slice(batch.values())).map_err(write)?;
        for at in 0..batch.rows() {
            self.keys.write_all(&batch.row_number(at).to_le_bytes()).map_err(write)?;
            let id = if self.columns.has_texts { 0 } else { batch.ids().get(at) };
            self.keys.write_all(&id.to_le_bytes()).map_err(write)?;
        }
        if let Some(payload) = &mut self.payload {
            payload.put(batch)?;
        }
        let Origin { file, row } = batch.origin();
        let behind = row.wrapping_sub(batch.first_row());
        match &self.origin {
            None => self.origin = Some((Arc::clone(file), behind)),
            Some((known, offset)) if known == file && *offset == behind => {}
            // Of several files: rows are named by their number in all of them.
            Some(_) => self.origin = Some((Arc::clone(&self.source), 0)),
        }
        self.rows += batch.rows() as u64;
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Nothing more comes: the rows in `order`, of which each is one that came.
    pub(super) fn reordered(self, order: Vec<u64>) -> Result<Reordered, Failure> {
        let whole = |file: BufWriter<File>| {
            let file =
                file.into_inner().map_err(|e| no_room("write the rows that are set aside", e.error()))?;
            Ok::<_, Failure>(Source::of_file(&set_aside(), file, Io::Auto)?)
        };
        let records = self.payload.map(|payload| payload.finish(whole)).transpose()?;
        let values = Values::Spooled { values: whole(self.values)?, keys: whole(self.keys)? };
        let origin = self.origin.unwrap_or((self.source, 0));
        let (info, columns) = (info(order.len(), self.dim), self.columns);
        Ok(Reordered { info, values, records, order, origin, columns })
    }
}

impl Payload {
    fn put(&mut self, batch: &Batch) -> Result<(), Failure> {
        let texts = batch.ids().texts().map(|texts| Arc::new(texts.clone()) as ArrayRef);
        let columns = batch.payload().map_or(&[][..], RecordBatch::columns);
        let columns: Vec<&ArrayRef> = columns.iter().chain(&texts).collect();
        let columns = columns.into_iter().zip(self.schema.fields()).map(|(column, field)| {
            let same = column.data_type() == field.data_type();
            if same { Ok(Arc::clone(column)) } else { cast(column, field.data_type()) }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let record = columns.and_then(|columns| {
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
        });
        record.and_then(|record| self.coalescer.push_batch(record)).map_err(|e| arrow(&e))?;
        self.write()
    }

    fn write(&mut self) -> Result<(), Failure> {
        while let Some(record) = self.coalescer.next_completed_batch() {
            self.writer.write(&record).map_err(|e| arrow(&e))?;
        }
        Ok(())
    }

    /// All record batches, as views of the mapped file.
    fn finish(
        mut self,
        whole: impl Fn(BufWriter<File>) -> Result<Source, Failure>,
    ) -> Result<Vec<RecordBatch>, Failure> {
        self.coalescer.finish_buffered_batch().map_err(|e| arrow(&e))?;
        self.write()?;
        let source = whole(self.writer.into_inner().map_err(|e| arrow(&e))?)?;
        let bytes = match source.map() {
            Some(map) => map.clone(),
            // Where files cannot be mapped they are read.
            None => source.head(usize::MAX)?.into(),
        };
        records(&bytes).map_err(|e| arrow(&e))
    }
}

/// The record batches of an Arrow file that was just written.
fn records(bytes: &readers::arrow_buffer::Buffer) -> Result<Vec<RecordBatch>, ArrowError> {
    let broken = |what: &str| ArrowError::IpcError(what.to_owned());
    const TRAILER_BYTES: usize = 10;
    let (head, trailer) = bytes.split_last_chunk::<TRAILER_BYTES>().ok_or_else(|| broken("no trailer"))?;
    let start = head.len().checked_sub(read_footer_length(*trailer)?).ok_or_else(|| broken("no footer"))?;
    let footer = root_as_footer(&head[start..]).map_err(|e| broken(&e.to_string()))?;
    let schema = footer.schema().ok_or_else(|| broken("no schema"))?;
    let decoder = FileDecoder::new(Arc::new(try_fb_to_schema(schema)?), footer.version());
    let blocks = footer.recordBatches().ok_or_else(|| broken("no blocks"))?;
    let of = |block: &arrow_ipc::Block| {
        let place = usize::try_from(block.offset()).ok().zip(usize::try_from(block.bodyLength()).ok());
        let (offset, body) = place.ok_or_else(|| broken("a negative place"))?;
        let head = usize::try_from(block.metaDataLength()).map_err(|_| broken("a negative length"))?;
        let data = bytes.slice_with_length(offset, head + body);
        decoder.read_record_batch(block, &data)?.ok_or_else(|| broken("a block without rows"))
    };
    blocks.iter().map(of).collect()
}

/// Rows in another order.
#[derive(Debug)]
pub(super) struct Reordered {
    info: DatasetInfo,
    values: Values,
    records: Option<Vec<RecordBatch>>,
    order: Vec<u64>,
    origin: (Arc<Path>, u64),
    columns: Columns,
}

#[derive(Debug)]
enum Values {
    /// Where they were: the rows of a matrix from this one on, whose numbers are their ids.
    InPlace(Matrix, u64),
    Spooled {
        values: Source,
        keys: Source,
    },
}

impl Reordered {
    /// The rows of a mapped file from `first` on, without setting them aside.
    pub(super) fn in_place(stream: &StreamInfo, matrix: Matrix, first: u64, order: Vec<u64>) -> Self {
        let origin = (stream.source.shared(), 0);
        Self {
            info: info(order.len(), matrix.dim),
            values: Values::InPlace(matrix, first),
            records: None,
            order,
            origin,
            columns: Columns::of(stream),
        }
    }

    /// The rows at `places` of the order.
    fn batch(&self, places: std::ops::Range<usize>, pool: &BufferPool) -> Result<Batch, Error> {
        let (dim, order) = (self.info.dim, &self.order[places]);
        let mut values = pool.take(order.len() * dim);
        let (mut numbers, mut ids) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
        for (&row, out) in order.iter().zip(values.chunks_exact_mut(dim)) {
            match &self.values {
                Values::InPlace(matrix, first) => {
                    let start = usize::try_from(row + first).unwrap_or(usize::MAX).saturating_mul(dim);
                    let vector = start.checked_add(dim).and_then(|end| matrix.values.get(start..end));
                    out.copy_from_slice(vector.ok_or_else(|| missing(row))?);
                    numbers.push(first + row);
                    ids.push(first + row);
                }
                Values::Spooled { values, keys } => {
                    values.read_at(row * (dim as u64) * 4, bytemuck::cast_slice_mut(out))?;
                    let mut key = [0; KEY_BYTES];
                    keys.read_at(row * KEY_BYTES as u64, &mut key)?;
                    let (number, id) = key.split_at(8);
                    let of = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    numbers.push(of(number));
                    ids.push(of(id));
                }
            }
        }
        let (file, behind) = &self.origin;
        let first = numbers.first().copied().unwrap_or_default();
        let origin = Origin { file: Arc::clone(file), row: first.wrapping_add(*behind) };
        let batch = Batch::new(first, dim, values.into(), origin)
            .with_row_numbers(numbers.into())
            .with_ids(Ids::U64(ids.into()));
        let Some(records) = &self.records else { return Ok(batch) };
        let at = |&row: &u64| {
            let row = usize::try_from(row).unwrap_or(usize::MAX);
            (row / RECORD_ROWS, row % RECORD_ROWS)
        };
        // Those record batches alone that hold a wanted row: others cost time for each of them.
        let mut wanted: Vec<usize> = order.iter().map(|row| at(row).0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let found: Option<Vec<&RecordBatch>> = wanted.iter().map(|&record| records.get(record)).collect();
        let indices: Vec<(usize, usize)> = (order.iter().map(at))
            .map(|(record, row)| (wanted.binary_search(&record).unwrap_or_default(), row))
            .collect();
        let found = found.ok_or_else(|| missing(order[0]))?;
        let payload = interleave_record_batch(&found, &indices);
        let broken = |e: ArrowError| Error::malformed(e.to_string()).at(Position::Row(first));
        let payload = payload.map_err(broken)?;
        let texts = payload.columns().last().filter(|_| self.columns.has_texts);
        let batch = match texts {
            Some(texts) => batch.with_ids(Ids::Text(texts.as_string().clone())),
            None => batch,
        };
        let Some(schema) = &self.columns.payload else { return Ok(batch) };
        let columns = payload.columns()[..schema.fields().len()].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(payload.num_rows()));
        let payload = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
        Ok(batch.with_payload(payload.map_err(broken)?))
    }
}

impl Dataset for Reordered {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.order.len());
        let (start, end, step) = (place(piece.rows.start), place(piece.rows.end), scan.batch_rows.max(1));
        Ok(Box::new((start..end).step_by(step).map(move |at| self.batch(at..end.min(at + step), pool))))
    }

    /// Nobody else knows the files; the one in place is looked at by the runner.
    fn check_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn info(rows: usize, dim: usize) -> DatasetInfo {
    DatasetInfo {
        format: "set aside",
        rows: Rows::Exact(rows as u64),
        dim,
        dtype: DType::F32,
        metric: None,
        ids: Some(IdType::U64),
        payload: None,
        files: Vec::new(),
        size_bytes: 0,
        chosen: Vec::new(),
        notes: Vec::new(),
    }
}

/// What the files are called in messages.
fn set_aside() -> PathBuf {
    tempfile::env::temp_dir().join("(rows set aside)")
}

fn missing(row: u64) -> Error {
    Error::malformed(format!("there is no row {row} to bring into order"))
}

fn no_room(action: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {action} in {}: {error}", tempfile::env::temp_dir().display()))
        .with_help("all rows are set aside there: make room, or set TMPDIR to a folder with more")
}

fn arrow(error: &ArrowError) -> Failure {
    match error {
        ArrowError::IoError(_, error) => no_room("write the rows that are set aside", error),
        other => Failure::failed(format!("further columns cannot be set aside: {other}"))
            .with_help("leave them out with the stage `select`"),
    }
}
