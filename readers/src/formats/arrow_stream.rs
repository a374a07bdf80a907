//! Arrow IPC streams: messages one after another, without a footer that says where they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_ipc::{MessageHeader, root_as_message};
use schemars::JsonSchema;
use serde::Deserialize;

use super::columns::{Choose, ColumnOptions, Columns};
use super::contained::{contained, one_line};
use super::ipc::IpcDataset;
use super::ipc_messages::{CONTINUATION, Messages, is_schema, message_at, schema};
use crate::{Dataset, Error, Format, Input, Position, Probe, Score, Source};

/// Arrow IPC streams that were saved to a file: one column of lists of numbers holds the vectors. The marker at the end
/// is required, since a stream that was cut between two messages looks whole otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ArrowStream(ColumnOptions);

crate::register_format!(ArrowStream);

/// What is decoded, in errors.
const WHAT: &str = "the Arrow stream";

impl Format for ArrowStream {
    const NAME: &'static str = "arrow_stream";
    const ALIASES: &'static [&'static str] = &["arrows", "ipc_stream"];
    const EXTENSIONS: &'static [&'static str] = &["arrows", "stream"];
    const SUMMARY: &'static str = "Arrow IPC streams: a column of lists of f16, f32, f64 or integers";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"arrow_stream\"\npath = \"vectors.arrows\"\nvector_column = \"emb\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let prefix = if probe.head.starts_with(&CONTINUATION) { 4 } else { 0 };
        let length = probe.head.get(prefix..prefix + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let length =
            length.and_then(|bytes| usize::try_from(i32::from_le_bytes(bytes)).ok()).unwrap_or_default();
        let start = prefix + 4;
        // The shortest schema there is has some more bytes than this.
        let header = probe.head.get(start..start.saturating_add(length)).filter(|header| header.len() >= 16);
        if header.is_some_and(is_schema) {
            let points = if prefix > 0 { Score::CERTAIN } else { Score::SIZES };
            return Score::Yes(points, "it begins with the schema of an Arrow stream".into());
        }
        probe.by_extension(Self::EXTENSIONS)
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        self.open_with(input, Columns::choose)
    }

    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        self.open_with(input, Columns::without_vectors)
    }
}

impl ArrowStream {
    fn open_with(&self, input: &Input, choose: Choose) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let (messages, end) = messages(&source)?;
        let spare = source.len_bytes().saturating_sub(end);
        let notes = (spare > 0).then(|| format!("{spare} bytes after the end of the stream are ignored"));
        let notes = notes.into_iter().collect();
        Ok(Box::new(IpcDataset::open(Self::NAME, source, messages, (&self.0, choose), input, notes)?))
    }
}

/// Walks over the headers of all messages. Gives the end of the stream as well.
pub(super) fn messages(source: &Source) -> Result<(Messages, u64), Error> {
    if source.head(6)? == b"ARROW1" {
        return Err(Error::expected("an Arrow stream", "an Arrow file")
            .at(Position::Byte(0))
            .with_help("say --format arrow"));
    }
    let nothing = || Error::expected("a schema", "the end of the stream").at(Position::Byte(0));
    let Ok((first, header)) = message_at(source, 0)? else { return Err(nothing()) };
    let mut messages = contained(WHAT, || {
        let message = root_as_message(&header).map_err(|e| Error::malformed(one_line(&e.to_string())))?;
        let found = message.header_as_schema().ok_or_else(|| {
            Error::expected("a schema", format!("{:?}", message.header_type())).at(Position::Byte(0))
        })?;
        Ok(Messages {
            schema: Arc::new(schema(found)?),
            version: message.version(),
            dictionaries: Vec::new(),
            batches: Vec::new(),
            replaces: false,
        })
    })?;
    let len = source.len_bytes();
    let mut known = BTreeSet::new();
    let mut offset = first.end(len).unwrap_or(len);
    loop {
        let (place, header) = match message_at(source, offset)? {
            Ok(message) => message,
            Err(end) => return Ok((messages, end)),
        };
        let at = |error: Error| error.at(Position::Byte(place.offset));
        let kind = contained(WHAT, || {
            let message =
                root_as_message(&header).map_err(|e| at(Error::malformed(one_line(&e.to_string()))))?;
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                messages.replaces |= !known.insert(dictionary.id()) && !dictionary.isDelta();
            }
            Ok(message.header_type())
        })?;
        match kind {
            MessageHeader::RecordBatch => messages.batches.push(place),
            MessageHeader::DictionaryBatch => messages.dictionaries.push(place),
            other => return Err(at(Error::expected("a record batch", format!("{other:?}")))),
        }
        offset = place.end(len).unwrap_or(len);
    }
}
