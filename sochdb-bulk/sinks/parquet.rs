//! Apache Parquet.

use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use readers::arrow_array::RecordBatch;
use readers::{Batch, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{METRIC, Records, id_name, refuse_equal_columns, vector_name};
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
enum Compression {
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

    fn properties(&self, dim: usize) -> Result<WriterProperties, Failure> {
        let vector = ColumnPath::new(vec![self.vector_column.clone(), "list".into(), "element".into()]);
        let id = ColumnPath::new(vec![self.id_column.clone()]);
        let (codec, encoding) = match self.compression {
            Compression::None => (Codec::UNCOMPRESSED, Encoding::PLAIN),
            Compression::Zstd => (Codec::ZSTD(ZstdLevel::default()), Encoding::BYTE_STREAM_SPLIT),
            Compression::Snappy => (Codec::SNAPPY, Encoding::BYTE_STREAM_SPLIT),
        };
        let metric =
            self.metric.map(|metric| vec![KeyValue::new(METRIC.to_owned(), metric.name().to_owned())]);
        Ok(WriterProperties::builder()
            .set_compression(codec)
            .set_max_row_group_row_count(Some(self.group_rows(dim)?))
            .set_data_page_size_limit(PAGE_BYTES)
            .set_offset_index_disabled(false)
            .set_key_value_metadata(metric)
            .set_column_dictionary_enabled(vector.clone(), false)
            .set_column_encoding(vector.clone(), encoding)
            .set_column_statistics_enabled(vector, EnabledStatistics::None)
            .set_column_dictionary_enabled(id, false)
            .build())
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
        // The pages of a group, and rows on their way into a page: as they came, put together, with levels, encoded.
        let group = rows.saturating_mul(input.dim as u64 * 4 + 8);
        plan.memory.push(("row group", group.saturating_add(16 * PAGE_BYTES.max(input.dim * 4) as u64)));
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let input = &job.input;
        let rows = rows_of(PAGE_BYTES, input.dim);
        let records = Records::new(input, &self.id_column, &self.vector_column, self.metric, rows)?;
        let out = Shared::new(Stream::create(&self.path, None)?);
        let properties = Some(self.properties(input.dim)?);
        let writer = ArrowWriter::try_new(out.clone(), records.schema().clone(), properties);
        let writer = writer.map_err(|e| refuse_columns(&e))?;
        Ok(Writer::Ordered(Box::new(ParquetFile { out, writer, records })))
    }
}

fn refuse_columns(error: &ParquetError) -> Failure {
    Failure::refused(format!("the columns cannot be written as Parquet: {error}"))
        .with_help("write a .arrow file, which keeps every type")
}

struct ParquetFile {
    out: Shared,
    writer: ArrowWriter<Shared>,
    records: Records,
}

impl ParquetFile {
    fn write(&mut self, record: &RecordBatch) -> Result<(), Failure> {
        self.writer.write(record).map_err(|e| self.out.failure(&e))
    }
}

impl OrderedWriter for ParquetFile {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.records.push(batch)?;
        while let Some(record) = self.records.next() {
            self.write(&record)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        while let Some(record) = self.records.last()? {
            self.write(&record)?;
        }
        let Self { out, writer, .. } = *self;
        writer.close().map_err(|e| out.failure(&e))?;
        out.finish(ParquetSink::NAME)
    }
}
