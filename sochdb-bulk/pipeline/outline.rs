//! What a plan says of itself before it runs.

use std::path::PathBuf;

use readers::Rows;
use serde::Serialize;

use super::{IdSource, StreamInfo};
use crate::stages::Action;

/// A plan in words and numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Outline {
    /// The pipeline's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Source, stages and sinks in their order, each with what comes out of it (or, of a sink, into it).
    pub steps: Vec<StepOutline>,
    /// How often the rows of the source are gone through.
    pub passes: u32,
    /// The size of the input.
    pub input_bytes: u64,
    /// About the size of all outputs of sinks, where that is known.
    pub output_bytes: Option<u64>,
    /// The outputs.
    pub outputs: Vec<OutputOutline>,
    /// A bound of memory, mapped files not counted.
    pub memory_bytes: u64,
    /// Its parts.
    pub memory_parts: serde_json::Map<String, serde_json::Value>,
    /// The limit that was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// The most threads at a time.
    pub threads: usize,
    /// Rows of one batch.
    pub batch_rows: usize,
    /// Whether a run that is stopped can be gone on with, if that is asked for.
    pub can_resume: bool,
    /// Things a person should hear.
    pub notes: Vec<String>,
}

/// A file that will be written.
#[derive(Debug, Clone, Serialize)]
pub struct OutputOutline {
    /// Where.
    pub path: PathBuf,
    /// Whether a file is there now.
    pub exists: bool,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct StepOutline {
    /// `source`, `stage` or `sink`.
    pub kind: &'static str,
    /// Its type.
    pub r#type: String,
    /// Rows, where they are known.
    pub rows: Option<u64>,
    /// A bound of them, where their number is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_rows: Option<u64>,
    /// Values a row.
    pub dim: usize,
    /// `in_place` where values are those of the mapped input, `copied` where they are in a batch's own memory, `set_aside`
    /// where they wait in a temporary file.
    pub vectors: &'static str,
    /// `row_numbers`, `numbers` or `texts`.
    pub ids: &'static str,
    /// Further columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Whether the step has to see rows before the first one goes on: `learns` or `orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<&'static str>,
}

impl StepOutline {
    /// A step, and the stream that comes out of it or into it.
    pub(super) fn new(kind: &'static str, name: &str, stream: &StreamInfo, vectors: &'static str) -> Self {
        let columns = stream.payload.iter().flat_map(|schema| schema.fields().iter());
        Self {
            kind,
            r#type: name.to_owned(),
            rows: stream.rows.exact(),
            most_rows: if matches!(stream.rows, Rows::Exact(_)) { None } else { stream.most_rows() },
            dim: stream.dim,
            vectors,
            ids: match stream.ids {
                IdSource::RowNumbers => "row_numbers",
                IdSource::Given => "numbers",
                IdSource::Text => "texts",
            },
            columns: columns.map(|field| field.name().clone()).collect(),
            first: None,
        }
    }

    /// The same of a stage that does this.
    pub(super) fn doing(self, action: &Action) -> Self {
        let first = match action {
            Action::Map(_) => None,
            Action::Fit(_) => Some("learns"),
            Action::Reorder(_) => Some("orders"),
        };
        Self { first, ..self }
    }
}
