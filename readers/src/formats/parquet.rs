//! Parquet files: which rows they have, and their way to batches.

use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescriptor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::column_values::{Converter, first_dim};
use super::columns::{
    Choose, ColumnOptions, ColumnPath, Columns, UUID_MARK, check_dim, known_dim, no_dim, wrong_dim,
};
use super::contained::{contained, one_line};
use crate::{
    Batches, BufferPool, Dataset, DatasetInfo, Error, Format, Input, Io, Piece, Position, Probe, Rows, Scan,
    Score, Source,
};

/// Parquet files: one column of lists of numbers holds the vectors.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Parquet(ColumnOptions);

crate::register_format!(Parquet);

const MAGIC: &[u8] = b"PAR1";
const ENCRYPTED: &[u8] = b"PARE";

/// The magic number at both ends, and the length of the footer.
const MIN_BYTES: u64 = 12;

/// What is decoded, in errors.
const WHAT: &str = "the Parquet data";

/// The most rows that are decoded at a time: the decoder reserves memory for as many as are asked for.
const MAX_BATCH_ROWS: usize = 1 << 16;

impl Format for Parquet {
    const NAME: &'static str = "parquet";
    const ALIASES: &'static [&'static str] = &["pq"];
    const EXTENSIONS: &'static [&'static str] = &["parquet", "pq", "parq"];
    const SUMMARY: &'static str = "Parquet: a column of lists of f16, f32, f64 or integers, ids from another";
    const EXAMPLE: &'static str = "[source]\ntype = \"parquet\"\npath = \"vectors.parquet\"\nvector_column = \"emb\"\nid_column = \"id\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if probe.head.starts_with(MAGIC) || probe.head.starts_with(ENCRYPTED) {
            Score::Yes(Score::MAGIC, "its first bytes are the magic number of Parquet".into())
        } else {
            probe.by_extension(Self::EXTENSIONS)
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        self.open_with(input, Columns::choose)
    }

    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        self.open_with(input, Columns::without_vectors)
    }
}

impl Parquet {
    fn open_with(&self, input: &Input, choose: Choose) -> Result<Box<dyn Dataset>, Error> {
        // Nothing of it is used in place, so it is read: decoders of foreign code never see bytes that change.
        let source = Arc::new(Source::open(&input.path, Io::Read)?);
        check_magic(&source)?;
        let chunks = Chunks(Arc::clone(&source));
        let metadata = contained("the Parquet footer", || {
            let options = ArrowReaderOptions::new();
            ArrowReaderMetadata::load(&chunks, options).map_err(|e| undecodable("the Parquet footer", &e))
        })?;
        let schema = with_uuids(metadata.schema(), metadata.parquet_schema());
        let columns = choose(&schema, &self.0, input)?;
        let mask = mask(metadata.parquet_schema(), &columns);
        let groups = Groups::of(&metadata)?;
        let mut file = File { chunks, metadata, mask, groups };
        let dim = dimension(&mut file, &columns, input)?;
        let payload = columns.payload_schema(&schema).map(Arc::new);
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(file.groups.rows()),
            dim,
            dtype: columns.dtype(),
            metric: None,
            ids: columns.id_type(),
            payload: payload.clone(),
            files: vec![input.path.clone()],
            size_bytes: source.len_bytes(),
            notes: columns.notes.clone(),
        };
        let converter = Converter { file: Arc::from(input.path.as_path()), columns, dim, payload };
        Ok(Box::new(ParquetDataset { info, source, file, converter }))
    }
}

fn check_magic(source: &Source) -> Result<(), Error> {
    let len = source.len_bytes();
    let head = source.head(MAGIC.len())?;
    if head != MAGIC && head != ENCRYPTED {
        let found =
            if head.is_empty() { "an empty file".to_owned() } else { format!("`{}`", head.escape_ascii()) };
        return Err(Error::expected("the magic number `PAR1`", found).at(Position::Byte(0)));
    }
    let mut tail = [0; 4];
    if len >= MIN_BYTES {
        source.read_at(len - 4, &mut tail)?;
    }
    if head == ENCRYPTED || tail == ENCRYPTED {
        return Err(Error::unsupported("expected a readable Parquet file, found an encrypted one (`PARE`)")
            .with_help("decrypt it with the program that has the keys"));
    }
    if tail != MAGIC {
        return Err(Error::expected("the magic number `PAR1` at the end", "other bytes")
            .at(Position::Byte(len.saturating_sub(4)))
            .with_help("the file was cut short, or its writer did not finish: copy or write it again"));
    }
    Ok(())
}

/// What the decoder says, in one line.
fn undecodable(what: &str, error: &ParquetError) -> Error {
    let text = one_line(&error.to_string());
    let message = format!("{what} cannot be decoded: {text}");
    match error {
        ParquetError::NYI(_) => Error::unsupported(message),
        _ => Error::malformed(message)
            .with_help("the file is damaged, or of a kind that is not read: write it again"),
    }
}

/// The columns of a file, those of UUIDs marked as Arrow marks them: their values are 16 bytes otherwise.
fn with_uuids(schema: &Schema, parquet: &SchemaDescriptor) -> Schema {
    let fields = schema.fields().iter().zip(parquet.root_schema().get_fields()).map(|(field, column)| {
        if column.get_basic_info().logical_type_ref() != Some(&LogicalType::Uuid) {
            return Arc::clone(field);
        }
        let mut field = field.as_ref().clone();
        field.metadata_mut().extend([UUID_MARK]);
        Arc::new(field)
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

/// The leaves of the file below the columns that are read.
fn mask(schema: &SchemaDescriptor, columns: &Columns) -> ProjectionMask {
    let is_below = |leaf: usize, path: &ColumnPath| {
        schema.get_column_root_idx(leaf) == path.root
            && schema.column(leaf).path().parts().starts_with(&path.names)
    };
    let leaves = (0..schema.num_columns()).filter(|&leaf| {
        columns.vector.as_ref().is_some_and(|vector| is_below(leaf, &vector.path))
            || columns.id.as_ref().is_some_and(|id| is_below(leaf, id))
            || columns.payload.contains(&schema.get_column_root_idx(leaf))
    });
    ProjectionMask::leaves(schema, leaves)
}

/// The row groups: the first row of each, and the end.
#[derive(Debug)]
struct Groups(Vec<u64>);

impl Groups {
    fn of(metadata: &ArrowReaderMetadata) -> Result<Self, Error> {
        let mut starts = vec![0u64];
        let mut end = 0u64;
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).ok();
            // Rows are counted by i64 in the format, in all as well.
            let sum = rows.and_then(|rows| end.checked_add(rows)).filter(|&sum| i64::try_from(sum).is_ok());
            end = sum.ok_or_else(|| {
                Error::expected("a number of rows", group.num_rows())
                    .at(Position::Part(format!("row group {number}")))
            })?;
            starts.push(end);
        }
        Ok(Self(starts))
    }

    fn rows(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// The groups that hold `rows`, and the first row of the first of them.
    fn holding(&self, rows: &Range<u64>) -> (Range<usize>, u64) {
        let first = self.0.partition_point(|&start| start <= rows.start).saturating_sub(1);
        let end = self.0.partition_point(|&start| start < rows.end);
        (first..end.max(first), self.0.get(first).copied().unwrap_or_default())
    }
}

/// The file as the decoder sees it.
#[derive(Debug)]
struct File {
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    groups: Groups,
}

impl File {
    /// A reader of `rows`, in batches of `batch_rows`.
    fn reader(&self, rows: &Range<u64>, batch_rows: usize) -> Result<ParquetRecordBatchReader, Error> {
        let (groups, start) = self.groups.holding(rows);
        let too_many = |_| Error::request(format!("{} rows are too many", rows.end));
        let offset = usize::try_from(rows.start - start).map_err(too_many)?;
        let limit = usize::try_from(rows.end - rows.start).map_err(too_many)?;
        contained(WHAT, || {
            let chunks = self.chunks.clone();
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.metadata.clone())
                    .with_row_groups(groups.collect())
                    .with_projection(self.mask.clone())
                    .with_batch_size(batch_rows.clamp(1, MAX_BATCH_ROWS).min(limit.max(1)))
                    .with_limit(limit);
            if offset > 0 {
                builder = builder.with_offset(offset);
            }
            builder.build().map_err(|e| undecodable(WHAT, &e))
        })
    }
}

/// Values a row: by the type, or by the first row.
fn dimension(file: &mut File, columns: &Columns, input: &Input) -> Result<usize, Error> {
    let Some(vector) = &columns.vector else { return Ok(0) };
    let known = known_dim(vector, input.dim)?;
    if let (Some(dim), Some(_)) = (known, vector.dim) {
        return Ok(dim);
    }
    if file.groups.rows() == 0 {
        return known.ok_or_else(no_dim);
    }
    let mut reader = file.reader(&(0..1), 1)?;
    let found = contained(WHAT, || {
        let Some(table) = reader.next() else { return Ok(None) };
        let table = table.map_err(|e| {
            Error::malformed(format!("{WHAT} cannot be decoded: {}", one_line(&e.to_string())))
        })?;
        let root = columns.roots().binary_search(&vector.path.root).ok();
        let array = root.and_then(|at| table.columns().get(at));
        array.map_or(Ok(None), |array| first_dim(array, vector, 0))
    })?;
    let dim = found.ok_or_else(|| Error::expected("a first row, as the footer says", "none"))?;
    check_dim(dim).map_err(|error| error.at(Position::Row(0)))?;
    match known.filter(|&asked| asked != dim) {
        Some(asked) => Err(wrong_dim(asked, dim).at(Position::Row(0))),
        None => Ok(dim),
    }
}

#[derive(Debug)]
struct ParquetDataset {
    info: DatasetInfo,
    source: Arc<Source>,
    file: File,
    converter: Converter,
}

impl Dataset for ParquetDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let wanted = &scan.rows;
        let groups =
            self.file.groups.0.windows(2).map(|ends| ends[0].max(wanted.start)..ends[1].min(wanted.end));
        groups.filter(|rows| !rows.is_empty()).map(|rows| Piece { rows }).collect()
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let Range { start, end } = piece.rows;
        let all = self.file.groups.rows();
        if start > end || end > all {
            let error = Error::request(format!("expected rows within 0..{all}, found {start}..{end}"));
            return Err(error.in_file(&self.converter.file));
        }
        let reader = self.file.reader(&piece.rows, scan.batch_rows);
        let mut reader = Some(reader.map_err(|error| error.in_file(&self.converter.file))?);
        let mut next = start;
        Ok(Box::new(std::iter::from_fn(move || {
            let table = reader.as_mut().filter(|_| next < end)?;
            let batch = contained(WHAT, || {
                let table = match table.next() {
                    Some(Ok(table)) if table.num_rows() > 0 => table,
                    Some(Err(error)) => {
                        let text = one_line(&error.to_string());
                        return Err(Error::malformed(format!("{WHAT} cannot be decoded: {text}")));
                    }
                    _ => {
                        return Err(Error::expected(
                            format!("rows up to {end}, as the footer says"),
                            "fewer",
                        ));
                    }
                };
                self.converter.batch(&table, next, pool)
            });
            match &batch {
                Ok(batch) => next = batch.row_range().end,
                Err(_) => reader = None,
            }
            let group = self.file.groups.holding(&(next..next.saturating_add(1))).0.start;
            let at = Position::Part(format!("row group {group}"));
            Some(batch.map_err(|error| error.at(at).in_file(&self.converter.file)))
        })))
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}

/// The bytes of the file, for the decoder.
#[derive(Debug, Clone)]
struct Chunks(Arc<Source>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.len_bytes()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        // Page headers are read with it, which are small.
        const HEADER_BYTES: usize = 1024;
        Ok(BufReader::with_capacity(HEADER_BYTES, From { source: Arc::clone(&self.0), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        let left = self.0.len_bytes().saturating_sub(start);
        if length as u64 > left {
            let message = format!("{length} bytes from byte {start} go past the end of the file");
            return Err(ParquetError::EOF(message));
        }
        let mut bytes = vec![0; length];
        self.0.read_at(start, &mut bytes).map_err(|e| ParquetError::General(e.to_string()))?;
        Ok(bytes.into())
    }
}

/// The file from a place on.
#[derive(Debug)]
struct From {
    source: Arc<Source>,
    offset: u64,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.len_bytes().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let len = out.len().min(left);
        self.source.read_at(self.offset, &mut out[..len]).map_err(io::Error::other)?;
        self.offset += len as u64;
        Ok(len)
    }
}
