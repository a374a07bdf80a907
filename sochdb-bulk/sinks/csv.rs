//! Comma-separated values, one column for each value of a vector.

use std::path::{Path, PathBuf};

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use readers::Batch;
use readers::arrow_array::Array as _;
use readers::arrow_schema::FieldRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{payload_columns, payload_fields};
use super::jsonl::text_bytes;
use super::stream::{self, Stream};
use super::{Finish, Finished, OrderedWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::pieces::PORTION_BYTES;
use crate::pipeline::StreamInfo;

/// Writes a header `id,dim_0,dim_1,...` and a line for each row, further columns behind the values. Every value is the
/// shortest decimal number that is read back as the same f32. A missing value of a further column is empty, an empty text
/// is `""`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

crate::register_sink!(CsvSink);

impl Sink for CsvSink {
    const NAME: &'static str = "csv";
    const EXTENSIONS: &'static [&'static str] = &["csv"];
    const SUMMARY: &'static str = "comma-separated: id, dim_0, dim_1, ..., further columns";
    const EXAMPLE: &'static str = "[sink]\ntype = \"csv\"\npath = \"vectors.csv\"\n";
    const KEEPS_PAYLOAD: bool = true;

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        stream::outputs(&self.path)
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        for field in payload_fields(input) {
            let name = field.name();
            let number = name.strip_prefix("dim_").and_then(|number| number.parse::<usize>().ok());
            if name == "id" || number.is_some_and(|number| number < input.dim) {
                return Err(Failure::refused(format!("two columns would be called `{name}`"))
                    .with_help("write jsonl, parquet or arrow, where ours can be named differently"));
            }
        }
        let mut plan = stream::plan(&self.path, None)?;
        plan.memory.push(("text", text_bytes(input.dim)));
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let payload = payload_fields(&job.input).to_vec();
        let mut text = b"id".to_vec();
        for at in 0..job.input.dim {
            text.extend_from_slice(format!(",dim_{at}").as_bytes());
        }
        for field in &payload {
            text.push(b',');
            push_text(&mut text, field.name());
        }
        text.push(b'\n');
        let stream = Stream::create(&self.path, None)?;
        Ok(Writer::Ordered(Box::new(Lines { stream, text, payload })))
    }
}

/// Appends a text, in quotes where it could be taken for something else (RFC 4180).
fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = !text.is_empty()
        && !text.contains([',', '"', '\n', '\r'])
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace);
    if is_plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    }
}

struct Lines {
    stream: Stream,
    text: Vec<u8>,
    payload: Vec<FieldRef>,
}

impl OrderedWriter for Lines {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        let options = FormatOptions::new();
        let mut formatters = Vec::new();
        for (field, column) in self.payload.iter().zip(payload_columns(batch, self.payload.len())?) {
            let formatter = ArrayFormatter::try_new(column, &options).map_err(|e| {
                Failure::failed(format!("column `{}` cannot be written as text: {e}", field.name()))
                    .with_help("write it to a .parquet or .arrow file, which keep every type")
            })?;
            formatters.push((column, formatter));
        }
        let mut number = zmij::Buffer::new();
        for (row, vector) in batch.vectors().enumerate() {
            let text = &mut self.text;
            match batch.ids().texts() {
                Some(ids) => push_text(text, ids.value(row)),
                None => text.extend_from_slice(batch.ids().get(row).to_string().as_bytes()),
            }
            for &value in vector {
                text.push(b',');
                text.extend_from_slice(number.format_finite(value).as_bytes());
            }
            for (column, formatter) in &formatters {
                text.push(b',');
                if column.is_valid(row) {
                    let value = formatter.value(row).try_to_string();
                    let value = value.map_err(|e| Failure::failed(format!("row {row} of a batch: {e}")))?;
                    push_text(text, &value);
                }
            }
            text.push(b'\n');
            if text.len() >= PORTION_BYTES {
                self.stream.put(text)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        self.stream.put(&self.text)?;
        self.stream.finish(CsvSink::NAME)
    }
}
