//! JSON, one object a line.

use std::path::{Path, PathBuf};

use readers::Batch;
use readers::arrow_schema::FieldRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{id_name, payload_columns, payload_fields, refuse_equal_names, vector_name};
use super::json_columns::{JsonColumns, push_string};
use super::stream::{self, Stream};
use super::{Finish, Finished, OrderedWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::pieces::PORTION_BYTES;
use crate::pipeline::StreamInfo;

/// Writes `{"id": 1, "vector": [0.5, -1.0]}`, one row a line, and further columns as further keys; those that
/// are marked as JSON (arrow.json) are objects and arrays again. Every value is the
/// shortest decimal number that is read back as the same f32.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonlSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The key of the vector.
    #[serde(default = "vector_name")]
    vector_column: String,
    /// The key of the id.
    #[serde(default = "id_name")]
    id_column: String,
}

crate::register_sink!(JsonlSink);

impl Sink for JsonlSink {
    const NAME: &'static str = "jsonl";
    const ALIASES: &'static [&'static str] = &["ndjson"];
    const EXTENSIONS: &'static [&'static str] = &["jsonl", "ndjson"];
    const SUMMARY: &'static str = "a JSON object a line: id, vector, further columns";
    const EXAMPLE: &'static str =
        "[sink]\ntype = \"jsonl\"\npath = \"vectors.jsonl\"\nvector_column = \"embedding\"\n";
    const KEEPS_PAYLOAD: bool = true;

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        stream::outputs(&self.path)
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        let own = [("id_column", self.id_column.as_str()), ("vector_column", self.vector_column.as_str())];
        refuse_equal_names(&own, input)?;
        let mut plan = stream::plan(&self.path, None)?;
        plan.memory.push(("text", text_bytes(input.dim)));
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let mut before_vector = b",".to_vec();
        push_string(&mut before_vector, &self.vector_column);
        before_vector.extend_from_slice(b":[");
        let mut before_id = b"{".to_vec();
        push_string(&mut before_id, &self.id_column);
        before_id.push(b':');
        Ok(Writer::Ordered(Box::new(Lines {
            stream: Stream::create(&self.path, None)?,
            text: Vec::new(),
            before_id,
            before_vector,
            payload: payload_fields(&job.input).to_vec(),
        })))
    }
}

/// A bound of the text that is held: a portion, and the row that makes it full.
pub(crate) fn text_bytes(dim: usize) -> u64 {
    /// The longest an f32 gets, with its comma: `-1.17549435e-38,`.
    const VALUE_BYTES: usize = 16;
    2 * (PORTION_BYTES + dim * VALUE_BYTES) as u64
}

struct Lines {
    stream: Stream,
    text: Vec<u8>,
    before_id: Vec<u8>,
    before_vector: Vec<u8>,
    payload: Vec<FieldRef>,
}

impl OrderedWriter for Lines {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        let columns = payload_columns(batch, self.payload.len())?;
        let mut columns = JsonColumns::new(&self.payload, columns)?;
        let mut number = zmij::Buffer::new();
        for (row, vector) in batch.vectors().enumerate() {
            let text = &mut self.text;
            text.extend_from_slice(&self.before_id);
            match batch.ids().texts() {
                Some(ids) => push_string(text, ids.value(row)),
                None => text.extend_from_slice(batch.ids().get(row).to_string().as_bytes()),
            }
            text.extend_from_slice(&self.before_vector);
            for (at, &value) in vector.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(number.format_finite(value).as_bytes());
            }
            text.push(b']');
            for column in 0..columns.count() {
                text.push(b',');
                columns.put(column, row, text);
            }
            text.extend_from_slice(b"}\n");
            if text.len() >= PORTION_BYTES {
                self.stream.put(text)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        self.stream.put(&self.text)?;
        self.stream.finish(JsonlSink::NAME)
    }
}
