//! What a program writes: a reader in any language.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::arrow_stream::messages;
use super::columns::{BytesType, ColumnOptions, Columns};
use super::ipc::IpcDataset;
use super::payload::PayloadColumns;
use crate::{Dataset, Error, ErrorKind, Format, Input, Position, Probe, Program, Score};

/// The Arrow IPC stream that a program writes to standard output, so that a reader can be written in any language. A
/// program is run only where `--allow-exec` is on the command line. It has to end with exit status 0, and its stream with
/// the marker of the end; all it writes is kept in a temporary file (in TMPDIR) first. What it writes to standard error is
/// shown. With the program it is ended, and all that it started.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments, each a word of its own: there is no shell. `{path}` in an argument becomes the
    /// `path` of the source, a file or a folder, which may be left out. It is run in the folder of the pipeline's file.
    #[serde(deserialize_with = "words")]
    pub command: Vec<String>,
    /// Variables that are added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The column of vectors, chosen as for arrow_stream where it is not given.
    pub vector_column: Option<String>,
    /// The column of ids, chosen as for arrow_stream where it is not given.
    pub id_column: Option<String>,
    /// What the values are in a column of bytes: "f32", "f16", "bf16", "f64", "i8" or "u8", little-endian.
    pub dtype: Option<BytesType>,
    /// Further columns to carry along: a list of names, or "all".
    pub payload: Option<PayloadColumns>,
}

crate::register_format!(Exec);

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err(D::Error::custom("expected a program and its arguments, found none")),
    }
}

impl Exec {
    fn columns(&self) -> ColumnOptions {
        ColumnOptions {
            vector_column: self.vector_column.clone(),
            id_column: self.id_column.clone(),
            dtype: self.dtype,
            payload: self.payload.clone(),
        }
    }
}

impl Format for Exec {
    const NAME: &'static str = "exec";
    const EXTENSIONS: &'static [&'static str] = &[];
    const SUMMARY: &'static str =
        "the Arrow IPC stream that a program of yours writes (only with --allow-exec)";
    const EXAMPLE: &'static str = "[source]\ntype = \"exec\"\ncommand = [\"python3\", \"reader.py\", \"{path}\"]\npath = \"vectors.bin\"\nvector_column = \"emb\"\n";

    fn probe(_: &Probe<'_>) -> Score {
        Score::No
    }

    fn program(&self) -> Option<Program> {
        Some(Program::new(self.command.clone(), self.env.clone()))
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        if input.unpacked.is_none() {
            return Err(Error::request("expected what a program wrote, found a file")
                .with_help("if the file is an Arrow IPC stream, say --format arrow_stream"));
        }
        let help = |error: Error| {
            match error.kind() {
            ErrorKind::Malformed => error.with_help(
                "the program has to write one Arrow IPC stream to standard output, close its writer, and say all else on \
                 standard error",
            ),
            _ => error,
        }
        };
        let source = input.source()?;
        if source.len_bytes() == 0 {
            return Err(help(Error::expected("an Arrow IPC stream", "nothing")));
        }
        let (messages, end) = messages(&source).map_err(help)?;
        let spare = source.len_bytes().saturating_sub(end);
        if spare > 0 {
            let error = Error::expected("nothing after the end of the stream", format!("{spare} more bytes"));
            return Err(help(error.at(Position::Byte(end))));
        }
        let dataset = IpcDataset::open(
            Self::NAME,
            source,
            messages,
            (&self.columns(), Columns::choose),
            input,
            Vec::new(),
        );
        Ok(Box::new(dataset.map_err(help)?.made_of(input.made_of())))
    }
}
