//! Parquet files: which rows they have, and their way to batches.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::SchemaDescriptor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::column_others::UUID_MARK;
use super::column_values::{Converter, first_dim};
use super::column_vectors::{check_dim, known_dim, no_dim, wrong_dim};
use super::columns::{Choose, ColumnOptions, ColumnPath, Columns};
use super::contained::{contained, one_line};
use super::parquet_chunks::Chunks;
use super::parquet_dataset::{ParquetDataset, ParquetReading};
use super::parquet_pages::Pages;
use crate::{Dataset, DatasetInfo, Error, Format, Input, Io, Position, Probe, Rows, Score, Source};

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
pub(super) const WHAT: &str = "the Parquet data";

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
        Ok(Box::new(open_vectors(input, &self.0, ParquetReading::default())?))
    }

    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        Ok(Box::new(open(input, &self.0, Columns::without_vectors, ParquetReading::default())?))
    }
}

/// Opens a file for its vectors, to be read in a certain way.
pub(crate) fn open_vectors(
    input: &Input,
    options: &ColumnOptions,
    reading: ParquetReading,
) -> Result<ParquetDataset, Error> {
    open(input, options, Columns::choose, reading)
}

/// Opens a file. How it is read makes no difference to what is read.
fn open(
    input: &Input,
    options: &ColumnOptions,
    choose: Choose,
    reading: ParquetReading,
) -> Result<ParquetDataset, Error> {
    // Nothing of it is used in place, so it is read: decoders of foreign code never see bytes that change.
    let source = Arc::new(Source::open(&input.path, Io::Read)?);
    check_magic(&source)?;
    let chunks = Chunks { source: Arc::clone(&source), has_pages: false };
    let metadata = contained("the Parquet footer", || {
        let options = ArrowReaderOptions::new();
        ArrowReaderMetadata::load(&chunks, options).map_err(|e| undecodable("the Parquet footer", &e))
    })?;
    let descriptor = metadata.parquet_schema();
    let schema = with_uuids(metadata.schema(), descriptor);
    let columns = choose(&schema, options, input)?;
    let vector = columns.vector.as_ref().map_or_else(Vec::new, |vector| below(descriptor, &vector.path));
    let others = others(descriptor, &columns);
    // Rows of such columns are found by reading all before them.
    let others_are_flat = others.iter().all(|&leaf| descriptor.column(leaf).max_rep_level() == 0);
    let leaves = [vector.as_slice(), &others].concat();
    let all = ProjectionMask::leaves(descriptor, leaves.iter().copied());
    let others = (!others.is_empty()).then(|| ProjectionMask::leaves(descriptor, others));
    let groups = Groups::of(&metadata)?;
    let file = File { chunks: Chunks { has_pages: true, ..chunks }, metadata, leaves, all, others, groups };
    let dim = dimension(&file, &columns, input)?;
    let by_pages = columns.vector.as_ref().filter(|_| reading.by_pages);
    let mut pages = by_pages.and_then(|column| Pages::of(&source, &file.metadata, column, &vector, dim));
    if let (Some(pages), Some(values)) = (&mut pages, reading.part_values) {
        pages.set_part_values(values);
    }
    let payload = columns.payload_schema(&schema).map(Arc::new);
    let info = DatasetInfo {
        format: Parquet::NAME,
        rows: Rows::Exact(file.groups.rows()),
        dim,
        dtype: columns.dtype(),
        metric: None,
        ids: columns.id_type(),
        payload: payload.clone(),
        files: vec![input.path.clone()],
        size_bytes: source.len_bytes(),
        chosen: columns.chosen.clone(),
        notes: columns.notes.clone(),
    };
    let converter = Converter { file: Arc::from(input.path.as_path()), columns, dim, payload };
    Ok(ParquetDataset::new(info, source, file, converter, pages, others_are_flat))
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

/// The leaves of the file below a column.
fn below(schema: &SchemaDescriptor, path: &ColumnPath) -> Vec<usize> {
    let is_below = |&leaf: &usize| {
        schema.get_column_root_idx(leaf) == path.root
            && schema.column(leaf).path().parts().starts_with(&path.names)
    };
    (0..schema.num_columns()).filter(is_below).collect()
}

/// The leaves of the file below the ids and the payload, ascending.
fn others(schema: &SchemaDescriptor, columns: &Columns) -> Vec<usize> {
    let is_payload = |leaf: &usize| columns.payload.contains(&schema.get_column_root_idx(*leaf));
    let mut leaves: Vec<usize> = (0..schema.num_columns()).filter(is_payload).collect();
    leaves.extend(columns.id.iter().flat_map(|id| below(schema, id)));
    leaves.sort_unstable();
    leaves.dedup();
    leaves
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

/// The row groups: the first row of each, and the end.
#[derive(Debug)]
pub(super) struct Groups(Vec<u64>);

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

    /// The rows of all.
    pub(super) fn rows(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// The rows of every group.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// The groups that hold `rows`, and the first row of the first of them.
    pub(super) fn holding(&self, rows: &Range<u64>) -> (Range<usize>, u64) {
        let first = self.0.partition_point(|&start| start <= rows.start).saturating_sub(1);
        let end = self.0.partition_point(|&start| start < rows.end);
        (first..end.max(first), self.0.get(first).copied().unwrap_or_default())
    }
}

/// The file as the decoder sees it.
#[derive(Debug)]
pub(super) struct File {
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
    /// The leaves that are read: those of the vectors, then the others.
    pub(super) leaves: Vec<usize>,
    pub(super) all: ProjectionMask,
    /// Those of the ids and the payload, if there are any.
    pub(super) others: Option<ProjectionMask>,
    pub(super) groups: Groups,
}

/// The rows of a batch of the decoder, where `batch_rows` are asked for.
pub(super) fn clamped(batch_rows: usize) -> usize {
    batch_rows.clamp(1, MAX_BATCH_ROWS)
}

impl File {
    /// The largest row group of a leaf.
    pub(super) fn largest(&self, leaf: usize) -> Option<(usize, &RowGroupMetaData)> {
        let groups = self.metadata.metadata().row_groups().iter().enumerate();
        groups.max_by_key(|(_, group)| group.column(leaf).uncompressed_size())
    }

    /// A reader of `rows`, in batches of `batch_rows`.
    pub(super) fn reader(
        &self,
        mask: &ProjectionMask,
        rows: &Range<u64>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, Error> {
        let (groups, start) = self.groups.holding(rows);
        let too_many = |_| Error::request(format!("{} rows are too many", rows.end));
        let offset = usize::try_from(rows.start - start).map_err(too_many)?;
        let limit = usize::try_from(rows.end - rows.start).map_err(too_many)?;
        contained(WHAT, || {
            let chunks = self.chunks.clone();
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.metadata.clone())
                    .with_row_groups(groups.collect())
                    .with_projection(mask.clone())
                    .with_batch_size(clamped(batch_rows).min(limit.max(1)))
                    .with_limit(limit);
            if offset > 0 {
                builder = builder.with_offset(offset);
            }
            builder.build().map_err(|e| undecodable(WHAT, &e))
        })
    }
}

/// Values a row: by the type, or by the first row.
fn dimension(file: &File, columns: &Columns, input: &Input) -> Result<usize, Error> {
    let Some(vector) = &columns.vector else { return Ok(0) };
    let known = known_dim(vector, input.dim)?;
    if let (Some(dim), Some(_)) = (known, vector.dim) {
        return Ok(dim);
    }
    if file.groups.rows() == 0 {
        return known.ok_or_else(no_dim);
    }
    let mut reader = file.reader(&file.all, &(0..1), 1)?;
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
