//! What Arrow's files and streams have in common: messages of record batches at places that are known.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, RecordBatchDecoder};
use arrow_ipc::{Block, Endianness, MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};

use super::column_values::{Converter, first_dim};
use super::columns::{Choose, ColumnOptions, Columns, Layout, check_dim, known_dim, no_dim, wrong_dim};
use super::contained::{contained, one_line};
use crate::{
    Batch, Batches, BufferPool, DType, Dataset, DatasetInfo, Error, IdType, Input, Matrix, Origin, Piece,
    Position, Rows, Scan, Source,
};

/// What is decoded, in errors.
const WHAT: &str = "the Arrow data";

/// What begins a message since version 0.15 of Arrow; before, its length did.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];

/// Up to so many bytes are unpacked from one message without asking how many it has itself.
const UNPACKED_BYTES: u64 = 512 << 20;

/// What one packed byte can become at most beyond that.
const UNPACKED_RATIO: u64 = 300;

/// The place of a message: prefix and header first, then the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Prefix and header, with padding.
    pub(super) header_bytes: u32,
    pub(super) body_bytes: u64,
}

impl Place {
    /// The byte behind it, if that is within a file of `len` bytes.
    pub(super) fn end(self, len: u64) -> Option<u64> {
        let end = self.offset.checked_add(u64::from(self.header_bytes))?.checked_add(self.body_bytes)?;
        (end <= len).then_some(end)
    }

    fn block(self) -> Option<Block> {
        let offset = i64::try_from(self.offset).ok()?;
        Some(Block::new(offset, i32::try_from(self.header_bytes).ok()?, i64::try_from(self.body_bytes).ok()?))
    }
}

/// All messages of a file or stream.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) schema: SchemaRef,
    pub(super) version: MetadataVersion,
    pub(super) dictionaries: Vec<Place>,
    pub(super) batches: Vec<Place>,
    /// Whether a dictionary takes the place of an earlier one, so that it is of the batches behind it only.
    pub(super) replaces: bool,
}

/// What the decoder says, in one line.
pub(super) fn undecodable(error: &ArrowError) -> Error {
    let message = format!("{WHAT} cannot be decoded: {}", one_line(&error.to_string()));
    match error {
        ArrowError::NotYetImplemented(_) => Error::unsupported(message),
        _ => Error::malformed(message)
            .with_help("the file is damaged, or of a kind that is not read: write it again"),
    }
}

/// The schema of a file, if its bytes are in this machine's order.
pub(super) fn schema(schema: arrow_ipc::Schema<'_>) -> Result<Schema, Error> {
    if schema.endianness() != Endianness::Little {
        return Err(Error::unsupported("expected little-endian data, found big-endian")
            .at(Position::Part("schema".to_owned()))
            .with_help("read and write it again on a machine that is little-endian"));
    }
    try_fb_to_schema(schema).map_err(|e| undecodable(&e))
}

/// Reads the header of the message at `offset`: its place and what it is. Nothing at the end marker; the byte behind
/// that is `Err`.
pub(super) fn message_at(source: &Source, offset: u64) -> Result<Result<(Place, Vec<u8>), u64>, Error> {
    let at = |error: Error| error.at(Position::Byte(offset));
    let mut word = [0; 4];
    let cut = |_| {
        at(Error::expected("a message or the end marker FFFFFFFF 00000000", "the end of the file"))
            .with_help("the stream was cut short: copy or write it again")
    };
    source.read_at(offset, &mut word).map_err(cut)?;
    let mut prefix_bytes = 4;
    if word == CONTINUATION {
        prefix_bytes = 8;
        source.read_at(offset + 4, &mut word).map_err(cut)?;
    }
    if word == [0; 4] {
        return Ok(Err(offset + prefix_bytes));
    }
    let left = source.len_bytes().saturating_sub(offset + prefix_bytes);
    let header_bytes = i32::from_le_bytes(word);
    let len = u32::try_from(header_bytes).ok().filter(|&len| u64::from(len) <= left);
    let len = len.ok_or_else(|| {
        at(Error::expected(format!("a header of up to {left} bytes"), format!("a length of {header_bytes}")))
    })?;
    let mut header = vec![0; len as usize];
    source.read_at(offset + prefix_bytes, &mut header)?;
    let body_bytes = contained(WHAT, || {
        let message = root_as_message(&header).map_err(|e| {
            at(Error::malformed(format!("the message is none: {}", one_line(&e.to_string()))))
        })?;
        u64::try_from(message.bodyLength()).map_err(|_| at(Error::expected("a body", message.bodyLength())))
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "4 or 8")]
    let place = Place { offset, header_bytes: len.saturating_add(prefix_bytes as u32), body_bytes };
    if place.end(source.len_bytes()).is_none() {
        let error = Error::expected(format!("a body of {body_bytes} bytes"), "the end of the file");
        return Err(at(error).with_help("the file was cut short: copy or write it again"));
    }
    Ok(Ok((place, header)))
}

/// The rows of a record batch, from its header, and the bytes that it is unpacked to, if it is packed. Refuses those that
/// would unpack into what no memory holds.
fn rows_of(source: &Source, place: Place, header: &[u8]) -> Result<(u64, Option<u64>), Error> {
    let at = |error: Error| error.at(Position::Byte(place.offset));
    contained(WHAT, || {
        let message = root_as_message(header).map_err(|e| Error::malformed(one_line(&e.to_string())))?;
        let Some(batch) = message.header_as_record_batch() else {
            return Err(at(Error::expected("a record batch", format!("{:?}", message.header_type()))));
        };
        let unpacked = batch.compression().map(|_| unpacked_bytes(source, place, batch).map_err(at));
        let rows = u64::try_from(batch.length());
        let rows = rows.map_err(|_| at(Error::expected("a number of rows", batch.length())))?;
        Ok((rows, unpacked.transpose()?))
    })
}

/// Adds up what the compressed buffers of a batch say they unpack to.
fn unpacked_bytes(source: &Source, place: Place, batch: arrow_ipc::RecordBatch<'_>) -> Result<u64, Error> {
    let body = place.offset + u64::from(place.header_bytes);
    let mut unpacked = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let (Ok(offset), Ok(len)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return Err(Error::expected(
                "the place of a buffer",
                format!("{}, {}", buffer.offset(), buffer.length()),
            ));
        };
        if len < 8 {
            continue;
        }
        if offset.checked_add(len).is_none_or(|end| end > place.body_bytes) {
            return Err(Error::expected("a buffer within its message", "one that goes past its end"));
        }
        let mut size = [0; 8];
        source.read_at(body + offset, &mut size)?;
        // -1 says that the buffer is not compressed.
        unpacked = unpacked.saturating_add(u64::try_from(i64::from_le_bytes(size)).unwrap_or(len));
    }
    if unpacked > UNPACKED_BYTES.max(place.body_bytes.saturating_mul(UNPACKED_RATIO)) {
        let found = format!("{unpacked} out of {}", place.body_bytes);
        return Err(Error::expected("a believable size of compressed data", found));
    }
    Ok(unpacked)
}

/// Reads the header of the message at a place that a file's footer names.
pub(super) fn header_at(source: &Source, place: Place) -> Result<Vec<u8>, Error> {
    match message_at(source, place.offset)? {
        Ok((_, header)) => Ok(header),
        Err(_) => Err(Error::expected("a message", "the end marker").at(Position::Byte(place.offset))),
    }
}

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

/// The bytes of a message: a part of the map, or a copy.
fn bytes_of(source: &Source, place: Place, in_place: bool) -> Result<Buffer, Error> {
    let len =
        u64::from(place.header_bytes).checked_add(place.body_bytes).and_then(|len| usize::try_from(len).ok());
    let (Some(len), Some(_), Ok(offset)) =
        (len, place.end(source.len_bytes()), usize::try_from(place.offset))
    else {
        return Err(Error::expected("a message within the file", "one that goes past its end")
            .at(Position::Byte(place.offset)));
    };
    if let Some(map) = source.map().filter(|_| in_place) {
        return Ok(map.slice_with_length(offset, len));
    }
    // In words of 8 bytes, so that it is aligned.
    let mut words = vec![0u64; len.div_ceil(8)];
    source.read_at(place.offset, &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..len])?;
    Ok(Buffer::from_vec(words).slice_with_length(0, len))
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

/// Whether a header is that of a schema.
pub(super) fn is_schema(header: &[u8]) -> bool {
    let looked = contained(WHAT, || {
        let message = root_as_message(header).map_err(|e| Error::malformed(e.to_string()))?;
        Ok(message.header_type() == MessageHeader::Schema && message.header_as_schema().is_some())
    });
    looked.unwrap_or(false)
}
