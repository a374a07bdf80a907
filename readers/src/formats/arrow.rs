//! Arrow IPC files, which Feather is since its version 2.

use std::sync::Arc;

use arrow_ipc::{Block, root_as_footer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::columns::{Choose, ColumnOptions, Columns};
use super::contained::{contained, one_line};
use super::ipc::IpcDataset;
use super::ipc_messages::{Messages, Place, schema};
use crate::{Dataset, Error, Format, Input, Position, Probe, Score, Source};

/// Arrow IPC files and Feather files: one column of lists of numbers holds the vectors. An uncompressed column of
/// fixed_size_list of f32 is used in place.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Arrow(ColumnOptions);

crate::register_format!(Arrow);

const MAGIC: &[u8] = b"ARROW1";
const FEATHER_1: &[u8] = b"FEA1";

/// The length of the footer, and the magic number.
const TAIL_BYTES: usize = 10;

/// What is decoded, in errors.
const WHAT: &str = "the Arrow footer";

impl Format for Arrow {
    const NAME: &'static str = "arrow";
    const ALIASES: &'static [&'static str] = &["feather", "ipc", "arrow_file"];
    const EXTENSIONS: &'static [&'static str] = &["arrow", "feather", "ipc"];
    const SUMMARY: &'static str =
        "Arrow IPC and Feather files: a column of lists of f16, f32, f64 or integers";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"arrow\"\npath = \"vectors.arrow\"\nvector_column = \"emb\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if probe.head.starts_with(MAGIC) {
            Score::Yes(Score::MAGIC, "its first bytes are the magic number of Arrow files".into())
        } else if probe.head.starts_with(FEATHER_1) {
            Score::Yes(Score::MAGIC, "its first bytes are the magic number of Feather version 1".into())
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

impl Arrow {
    fn open_with(&self, input: &Input, choose: Choose) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let messages = messages(&source)?;
        Ok(Box::new(IpcDataset::open(Self::NAME, source, messages, (&self.0, choose), input, Vec::new())?))
    }
}

/// Reads the footer, which names the places of all messages.
fn messages(source: &Source) -> Result<Messages, Error> {
    let len = source.len_bytes();
    let head = source.head(MAGIC.len())?;
    if head.starts_with(FEATHER_1) {
        return Err(Error::unsupported("expected an Arrow file, found Feather version 1 (`FEA1`)")
            .with_help(
                "write it as version 2: pyarrow.feather.write_feather(pyarrow.feather.read_table(OLD), NEW)",
            ));
    }
    if head != MAGIC {
        let found = match head.as_slice() {
            [] => "an empty file".to_owned(),
            head => format!("`{}`", head.escape_ascii()),
        };
        return Err(Error::expected("the magic number `ARROW1`", found)
            .at(Position::Byte(0))
            .with_help("if it is a stream, say --format arrow_stream"));
    }
    let cut = "the file was cut short, or its writer did not finish: copy or write it again";
    let mut tail = [0; TAIL_BYTES];
    if let Some(at) = len.checked_sub(TAIL_BYTES as u64) {
        source.read_at(at, &mut tail)?;
    }
    let (size, magic) = tail.split_at(4);
    if magic != MAGIC {
        return Err(Error::expected("the magic number `ARROW1` at the end", "other bytes")
            .at(Position::Byte(len.saturating_sub(6)))
            .with_help(cut));
    }
    let size = <[u8; 4]>::try_from(size).map(i32::from_le_bytes).unwrap_or_default();
    let left = len.saturating_sub(TAIL_BYTES as u64);
    let footer_bytes = usize::try_from(size).ok().filter(|&bytes| bytes as u64 <= left);
    let Some(footer_bytes) = footer_bytes else {
        return Err(Error::expected(
            format!("a footer of up to {left} bytes"),
            format!("a length of {size}"),
        )
        .at(Position::Byte(left)));
    };
    let mut footer = vec![0; footer_bytes];
    source.read_at(left - footer_bytes as u64, &mut footer)?;
    contained(WHAT, || {
        let footer = root_as_footer(&footer).map_err(|e| {
            Error::malformed(format!("{WHAT} cannot be decoded: {}", one_line(&e.to_string())))
        })?;
        let found = footer.schema().ok_or_else(|| Error::expected("a schema in the footer", "none"))?;
        Ok(Messages {
            schema: Arc::new(schema(found)?),
            version: footer.version(),
            dictionaries: places(footer.dictionaries().iter().flatten(), len)?,
            batches: places(footer.recordBatches().iter().flatten(), len)?,
            replaces: false,
        })
    })
}

/// The places that a footer names, all within a file of `len` bytes.
fn places<'a>(blocks: impl Iterator<Item = &'a Block>, len: u64) -> Result<Vec<Place>, Error> {
    let place = |block: &Block| {
        let place = Place {
            offset: u64::try_from(block.offset()).ok()?,
            header_bytes: u32::try_from(block.metaDataLength()).ok()?,
            body_bytes: u64::try_from(block.bodyLength()).ok()?,
        };
        place.end(len).map(|_| place)
    };
    let wrong = |block: &Block| {
        let found =
            format!("{} + {} bytes from byte {}", block.metaDataLength(), block.bodyLength(), block.offset());
        Error::expected(format!("messages within the {len} bytes of the file"), found)
            .at(Position::Part("footer".to_owned()))
    };
    blocks.map(|block| place(block).ok_or_else(|| wrong(block))).collect()
}
