//! Arrow IPC: the file, which is Feather version 2 as well, and the stream.

use std::path::{Path, PathBuf};

use arrow_ipc::writer::{FileWriter, StreamWriter};
use readers::arrow_array::RecordBatch;
use readers::arrow_schema::ArrowError;
use readers::{Batch, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{Records, id_name, refuse_equal_columns, vector_name};
use super::parquet::rows_of;
use super::stream::{self, Shared, Stream, refuse_zst};
use super::{Finish, Finished, OrderedWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Bytes of vectors in a record batch.
const BATCH_BYTES: usize = 1 << 20;

/// Writes an Arrow IPC file (also called Feather version 2), not compressed, so that it can be mapped: the ids as u64 or
/// strings unless they are just row numbers, the vectors as lists of f32 of fixed size without nulls, and all further columns as they
/// came, dictionaries and views written out. The metric is in the metadata of the schema under `metric`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArrowSink {
    /// The file to write; `-` is standard output.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The name of the column of the vectors.
    #[serde(default = "vector_name")]
    vector_column: String,
    /// The name of the column of the ids.
    #[serde(default = "id_name")]
    id_column: String,
    /// The metric to record; that of the source where it is not given.
    metric: Option<Metric>,
}

/// Writes an Arrow IPC stream: the same columns as `arrow`, for programs that read them from front to back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArrowStreamSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The name of the column of the vectors.
    #[serde(default = "vector_name")]
    vector_column: String,
    /// The name of the column of the ids.
    #[serde(default = "id_name")]
    id_column: String,
    /// The metric to record; that of the source where it is not given.
    metric: Option<Metric>,
}

crate::register_sink!(ArrowSink);
crate::register_sink!(ArrowStreamSink);

fn plan(path: &Path, what: &str, input: &StreamInfo) -> Result<SinkPlan, Failure> {
    let mut plan = stream::plan(path, Some(what))?;
    // Rows as they came, put together, and as a message.
    plan.memory.push(("record batches", 8 * BATCH_BYTES.max(input.dim * 4) as u64));
    Ok(plan)
}

impl Sink for ArrowSink {
    const NAME: &'static str = "arrow";
    const ALIASES: &'static [&'static str] = &["feather", "ipc"];
    const EXTENSIONS: &'static [&'static str] = &["arrow", "feather", "ipc"];
    const SUMMARY: &'static str = "an Arrow IPC file: id, vector, further columns";
    const EXAMPLE: &'static str = "[sink]\ntype = \"arrow\"\npath = \"vectors.arrow\"\n";
    const KEEPS_PAYLOAD: bool = true;

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        stream::outputs(&self.path)
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        let help = "leave .zst away, or write a stream, which can be compressed: NAME.arrows.zst";
        refuse_zst(&self.path, "an Arrow file", help)?;
        self.metric = self.metric.or(input.metric);
        refuse_equal_columns(&self.id_column, &self.vector_column, input)?;
        plan(&self.path, "an Arrow file", input)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let rows = rows_of(BATCH_BYTES, job.input.dim);
        let records = Records::new(&job.input, &self.id_column, &self.vector_column, self.metric, rows)?;
        let out = Shared::new(Stream::create(&self.path, None)?);
        let writer = FileWriter::try_new(out.clone(), records.schema());
        let writer = Messages::File(Box::new(writer.map_err(|e| out.failure(&e))?));
        Ok(Writer::Ordered(Box::new(ArrowOutput { out, writer, records, name: Self::NAME })))
    }
}

impl Sink for ArrowStreamSink {
    const NAME: &'static str = "arrow_stream";
    const ALIASES: &'static [&'static str] = &["arrows"];
    const EXTENSIONS: &'static [&'static str] = &["arrows"];
    const SUMMARY: &'static str = "an Arrow IPC stream: id, vector, further columns";
    const EXAMPLE: &'static str = "[sink]\ntype = \"arrow_stream\"\npath = \"vectors.arrows\"\n";
    const KEEPS_PAYLOAD: bool = true;

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        stream::outputs(&self.path)
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        self.metric = self.metric.or(input.metric);
        refuse_equal_columns(&self.id_column, &self.vector_column, input)?;
        plan(&self.path, "an Arrow stream", input)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let rows = rows_of(BATCH_BYTES, job.input.dim);
        let records = Records::new(&job.input, &self.id_column, &self.vector_column, self.metric, rows)?;
        let out = Shared::new(Stream::create(&self.path, None)?);
        let writer = StreamWriter::try_new(out.clone(), records.schema());
        let writer = Messages::Stream(Box::new(writer.map_err(|e| out.failure(&e))?));
        Ok(Writer::Ordered(Box::new(ArrowOutput { out, writer, records, name: Self::NAME })))
    }
}

enum Messages {
    File(Box<FileWriter<Shared>>),
    Stream(Box<StreamWriter<Shared>>),
}

impl Messages {
    fn write(&mut self, record: &RecordBatch) -> Result<(), ArrowError> {
        match self {
            Self::File(writer) => writer.write(record),
            Self::Stream(writer) => writer.write(record),
        }
    }

    fn finish(&mut self) -> Result<(), ArrowError> {
        match self {
            Self::File(writer) => writer.finish(),
            Self::Stream(writer) => writer.finish(),
        }
    }
}

struct ArrowOutput {
    out: Shared,
    writer: Messages,
    records: Records,
    name: &'static str,
}

impl OrderedWriter for ArrowOutput {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.records.push(batch)?;
        while let Some(record) = self.records.next() {
            self.writer.write(&record).map_err(|e| self.out.failure(&e))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        while let Some(record) = self.records.last()? {
            self.writer.write(&record).map_err(|e| self.out.failure(&e))?;
        }
        let Self { out, mut writer, name, .. } = *self;
        writer.finish().map_err(|e| out.failure(&e))?;
        drop(writer);
        out.finish(name)
    }
}
