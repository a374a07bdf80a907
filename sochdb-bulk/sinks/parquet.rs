//! Apache Parquet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use readers::arrow_array::RecordBatch;
use readers::arrow_schema::Schema;
use readers::{Batch, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{METRIC, Records, id_name, refuse_equal_columns, vector_name};
use super::parquet_vectors::{VectorPages, ZSTD_LEVEL};
use super::stream::{self, Shared, Stream, refuse_zst};
use super::{Finish, Finished, OrderedWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Bytes of vectors in a row group, where nobody says how many rows. A row group is in memory until it is full.
const GROUP_BYTES: usize = 64 << 20;

/// Bytes of vectors in a page: what a reader of a few rows has to read.
const PAGE_BYTES: usize = 1 << 20;

/// Writes a Parquet file: the ids as u64 or strings unless they are just row numbers, the vectors as lists of f32 of fixed size
/// without nulls, and all further columns as they came. The vectors are not put into a dictionary and get no minima and
/// maxima, which say nothing about them; every page can be found through the page index. The metric is recorded under
/// `metric`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetSink {
    /// The file to write; `-` is standard output.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// How pages are compressed: none, zstd or snappy. Values of embeddings look random: zstd makes files about a sixth
    /// smaller, and they take several times as long to read, hence none where it is not given. With a compression the
    /// bytes of the vectors are split by their significance first (BYTE_STREAM_SPLIT), which is where that sixth is.
    #[serde(default)]
    compression: Compression,
    /// Rows of a row group; what makes 64 MiB of vectors where it is not given. A row group is held in memory.
    row_group_rows: Option<u64>,
    /// The name of the column of the vectors.
    #[serde(default = "vector_name")]
    vector_column: String,
    /// The name of the column of the ids.
    #[serde(default = "id_name")]
    id_column: String,
    /// The metric to record; that of the source where it is not given.
    metric: Option<Metric>,
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compression {
    #[default]
    None,
    Zstd,
    Snappy,
}

crate::register_sink!(ParquetSink);

/// Rows of `dim` values that are about `bytes`.
pub(super) fn rows_of(bytes: usize, dim: usize) -> usize {
    (bytes / (dim * 4)).clamp(1, 1 << 16)
}

impl ParquetSink {
    fn group_rows(&self, dim: usize) -> Result<usize, Failure> {
        let Some(rows) = self.row_group_rows else { return Ok((GROUP_BYTES / (dim * 4)).clamp(1, 1 << 20)) };
        match usize::try_from(rows) {
            Ok(rows) if rows > 0 => Ok(rows),
            _ => Err(Failure::refused(format!("expected at least 1 row for `row_group_rows`, found {rows}"))
                .with_help("leave it away for row groups of about 64 MiB")),
        }
    }

    /// What holds for the ids and the further columns.
    fn properties(&self, schema: &Schema) -> Result<WriterProperties, ParquetError> {
        let codec = match self.compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
            Compression::Snappy => Codec::SNAPPY,
        };
        let metric =
            self.metric.map(|metric| vec![KeyValue::new(METRIC.to_owned(), metric.name().to_owned())]);
        let mut properties = WriterProperties::builder()
            .set_compression(codec)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_offset_index_disabled(false)
            .set_key_value_metadata(metric)
            .set_column_dictionary_enabled(ColumnPath::new(vec![self.id_column.clone()]), false)
            .build();
        add_encoded_arrow_schema_to_metadata(schema, &mut properties);
        Ok(properties)
    }
}

impl Sink for ParquetSink {
    const NAME: &'static str = "parquet";
    const ALIASES: &'static [&'static str] = &["pq"];
    const EXTENSIONS: &'static [&'static str] = &["parquet", "pq"];
    const SUMMARY: &'static str = "Apache Parquet: id, vector, further columns";
    const EXAMPLE: &'static str =
        "[sink]\ntype = \"parquet\"\npath = \"vectors.parquet\"\ncompression = \"zstd\"\n";
    const KEEPS_PAYLOAD: bool = true;

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        stream::outputs(&self.path)
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        refuse_zst(
            &self.path,
            "a .parquet file",
            "leave .zst away, and set `compression = \"zstd\"` (--to-option compression=zstd)",
        )?;
        self.metric = self.metric.or(input.metric);
        refuse_equal_columns(&self.id_column, &self.vector_column, input)?;
        let mut plan = stream::plan(&self.path, Some("a .parquet file"))?;
        let rows = input.rows.exact().unwrap_or(u64::MAX).min(self.group_rows(input.dim)? as u64);
        // The pages of a group, and rows on their way into a page: as they came, with levels, encoded, compressed.
        let group = rows.saturating_mul(input.dim as u64 * 4 + 8 + 5);
        let pages = if self.compression == Compression::None { 3 } else { 12 };
        plan.memory.push(("row group", group.saturating_add(pages * PAGE_BYTES.max(input.dim * 4) as u64)));
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let input = &job.input;
        let page_rows = rows_of(PAGE_BYTES, input.dim);
        let records = Records::new(input, &self.id_column, &self.vector_column, self.metric, page_rows)?;
        let schema = Arc::clone(records.schema());
        let out = Shared::new(Stream::create(&self.path, None)?);
        let begun = || {
            let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
            let properties = Arc::new(self.properties(&schema)?);
            let file = SerializedFileWriter::new(out.clone(), descriptor.root_schema_ptr(), properties)?;
            let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
            // The ids are one leaf, where there are any.
            let vector_leaf = usize::from(!input.ids_are_positions());
            let column = file.schema_descr().column(vector_leaf);
            let vectors = VectorPages::new(column, input.dim, page_rows, self.compression)?;
            Ok((file, factory, vectors, vector_leaf))
        };
        let (file, factory, vectors, vector_leaf) = begun().map_err(|e: ParquetError| refuse_columns(&e))?;
        Ok(Writer::Ordered(Box::new(ParquetFile {
            out,
            file,
            factory,
            vectors,
            vector_leaf,
            others: records.without_vectors(page_rows),
            other_columns: Vec::new(),
            group_rows: self.group_rows(input.dim)?,
            rows: 0,
        })))
    }
}

fn refuse_columns(error: &ParquetError) -> Failure {
    Failure::refused(format!("the columns cannot be written as Parquet: {error}"))
        .with_help("write a .arrow file, which keeps every type")
}

struct ParquetFile {
    out: Shared,
    file: SerializedFileWriter<Shared>,
    factory: ArrowRowGroupWriterFactory,
    vectors: VectorPages,
    /// The number of the vectors among the leaves of the schema.
    vector_leaf: usize,
    /// The ids and the further columns.
    others: Records,
    /// Writers of all leaves of the row group; that of the vectors stays idle. None before its first row.
    other_columns: Vec<ArrowColumnWriter>,
    group_rows: usize,
    /// Rows in the row group.
    rows: usize,
}

impl ParquetFile {
    fn push(&mut self, batch: &Batch) -> Result<(), Failure> {
        let pushed = self.vectors.push(batch.values());
        pushed.map_err(|e| self.out.failure(&e))?;
        if !self.others.schema().fields().is_empty() {
            self.others.push(batch)?;
            while let Some(record) = self.others.next() {
                self.write_others(&record).map_err(|e| self.out.failure(&e))?;
            }
        }
        self.rows += batch.rows();
        if self.rows == self.group_rows { self.finish_group() } else { Ok(()) }
    }

    fn write_others(&mut self, record: &RecordBatch) -> Result<(), ParquetError> {
        self.begin_others()?;
        let mut leaf = 0;
        for (field, column) in record.schema().fields().iter().zip(record.columns()) {
            for levels in compute_leaves(field, column)? {
                leaf += usize::from(leaf == self.vector_leaf);
                self.other_columns[leaf].write(&levels)?;
                leaf += 1;
            }
        }
        Ok(())
    }

    fn begin_others(&mut self) -> Result<(), ParquetError> {
        if self.other_columns.is_empty() {
            let number = self.file.flushed_row_groups().len();
            self.other_columns = self.factory.create_column_writers(number)?;
        }
        Ok(())
    }

    fn finish_group(&mut self) -> Result<(), Failure> {
        while let Some(record) = self.others.last()? {
            self.write_others(&record).map_err(|e| self.out.failure(&e))?;
        }
        self.write_group().map_err(|e| self.out.failure(&e))
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        self.begin_others()?;
        let mut group = self.file.next_row_group()?;
        for (leaf, column) in std::mem::take(&mut self.other_columns).into_iter().enumerate() {
            if leaf == self.vector_leaf {
                self.vectors.finish(|bytes, close| group.append_column(bytes, close))?;
            } else {
                column.close()?.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl OrderedWriter for ParquetFile {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut start = 0;
        while start < batch.rows() {
            let end = batch.rows().min(start + self.group_rows - self.rows);
            if end - start == batch.rows() {
                return self.push(batch);
            }
            self.push(&batch.clone().slice(start..end))?;
            start = end;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        if self.rows > 0 {
            self.finish_group()?;
        }
        let Self { out, file, factory, others, other_columns, .. } = *self;
        // They hold on to the output.
        drop((factory, others, other_columns));
        file.close().map_err(|e| out.failure(&e))?;
        out.finish(ParquetSink::NAME)
    }
}
