//! The messages of Arrow's files and streams: where they are, what their headers say, and their bytes.

use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{Block, Endianness, MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::contained::{contained, one_line};
use crate::{Error, Position, Source};

/// What is decoded, in errors.
pub(super) const WHAT: &str = "the Arrow data";

/// What begins a message since version 0.15 of Arrow; before, its length did.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];

/// Up to so many bytes are unpacked from one message without asking how many it has itself.
const UNPACKED_BYTES: u64 = 512 << 20;

/// What one packed byte can become at most beyond that.
const UNPACKED_RATIO: u64 = 300;

/// The place of a message: prefix and header first, then the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Prefix and header, with padding.
    pub(super) header_bytes: u32,
    pub(super) body_bytes: u64,
}

impl Place {
    /// The byte behind it, if that is within a file of `len` bytes.
    pub(super) fn end(self, len: u64) -> Option<u64> {
        let end = self.offset.checked_add(u64::from(self.header_bytes))?.checked_add(self.body_bytes)?;
        (end <= len).then_some(end)
    }

    /// The same for Arrow's decoder.
    pub(super) fn block(self) -> Option<Block> {
        let offset = i64::try_from(self.offset).ok()?;
        Some(Block::new(offset, i32::try_from(self.header_bytes).ok()?, i64::try_from(self.body_bytes).ok()?))
    }
}

/// All messages of a file or stream.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) schema: SchemaRef,
    pub(super) version: MetadataVersion,
    pub(super) dictionaries: Vec<Place>,
    pub(super) batches: Vec<Place>,
    /// Whether a dictionary takes the place of an earlier one, so that it is of the batches behind it only.
    pub(super) replaces: bool,
}

/// What the decoder says, in one line.
pub(super) fn undecodable(error: &ArrowError) -> Error {
    let message = format!("{WHAT} cannot be decoded: {}", one_line(&error.to_string()));
    match error {
        ArrowError::NotYetImplemented(_) => Error::unsupported(message),
        _ => Error::malformed(message)
            .with_help("the file is damaged, or of a kind that is not read: write it again"),
    }
}

/// The schema of a file, if its bytes are in this machine's order.
pub(super) fn schema(schema: arrow_ipc::Schema<'_>) -> Result<Schema, Error> {
    if schema.endianness() != Endianness::Little {
        return Err(Error::unsupported("expected little-endian data, found big-endian")
            .at(Position::Part("schema".to_owned()))
            .with_help("read and write it again on a machine that is little-endian"));
    }
    try_fb_to_schema(schema).map_err(|e| undecodable(&e))
}

/// Whether a header is that of a schema.
pub(super) fn is_schema(header: &[u8]) -> bool {
    let looked = contained(WHAT, || {
        let message = root_as_message(header).map_err(|e| Error::malformed(e.to_string()))?;
        Ok(message.header_type() == MessageHeader::Schema && message.header_as_schema().is_some())
    });
    looked.unwrap_or(false)
}

/// Reads the header of the message at `offset`: its place and what it is. Nothing at the end marker; the byte behind
/// that is `Err`.
pub(super) fn message_at(source: &Source, offset: u64) -> Result<Result<(Place, Vec<u8>), u64>, Error> {
    let at = |error: Error| error.at(Position::Byte(offset));
    let mut word = [0; 4];
    let cut = |_| {
        at(Error::expected("a message or the end marker FFFFFFFF 00000000", "the end of the file"))
            .with_help("the stream was cut short: copy or write it again")
    };
    source.read_at(offset, &mut word).map_err(cut)?;
    let mut prefix_bytes = 4;
    if word == CONTINUATION {
        prefix_bytes = 8;
        source.read_at(offset + 4, &mut word).map_err(cut)?;
    }
    if word == [0; 4] {
        return Ok(Err(offset + prefix_bytes));
    }
    let left = source.len_bytes().saturating_sub(offset + prefix_bytes);
    let header_bytes = i32::from_le_bytes(word);
    let len = u32::try_from(header_bytes).ok().filter(|&len| u64::from(len) <= left);
    let len = len.ok_or_else(|| {
        at(Error::expected(format!("a header of up to {left} bytes"), format!("a length of {header_bytes}")))
    })?;
    let mut header = vec![0; len as usize];
    source.read_at(offset + prefix_bytes, &mut header)?;
    let body_bytes = contained(WHAT, || {
        let message = root_as_message(&header).map_err(|e| {
            at(Error::malformed(format!("the message is none: {}", one_line(&e.to_string()))))
        })?;
        u64::try_from(message.bodyLength()).map_err(|_| at(Error::expected("a body", message.bodyLength())))
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "4 or 8")]
    let place = Place { offset, header_bytes: len.saturating_add(prefix_bytes as u32), body_bytes };
    if place.end(source.len_bytes()).is_none() {
        let error = Error::expected(format!("a body of {body_bytes} bytes"), "the end of the file");
        return Err(at(error).with_help("the file was cut short: copy or write it again"));
    }
    Ok(Ok((place, header)))
}

/// Reads the header of the message at a place that a file's footer names.
pub(super) fn header_at(source: &Source, place: Place) -> Result<Vec<u8>, Error> {
    match message_at(source, place.offset)? {
        Ok((_, header)) => Ok(header),
        Err(_) => Err(Error::expected("a message", "the end marker").at(Position::Byte(place.offset))),
    }
}

/// The rows of a record batch, from its header, and the bytes that it is unpacked to, if it is packed. Refuses those that
/// would unpack into what no memory holds.
pub(super) fn rows_of(source: &Source, place: Place, header: &[u8]) -> Result<(u64, Option<u64>), Error> {
    let at = |error: Error| error.at(Position::Byte(place.offset));
    contained(WHAT, || {
        let message = root_as_message(header).map_err(|e| Error::malformed(one_line(&e.to_string())))?;
        let Some(batch) = message.header_as_record_batch() else {
            return Err(at(Error::expected("a record batch", format!("{:?}", message.header_type()))));
        };
        let unpacked = batch.compression().map(|_| unpacked_bytes(source, place, batch).map_err(at));
        let rows = u64::try_from(batch.length());
        let rows = rows.map_err(|_| at(Error::expected("a number of rows", batch.length())))?;
        Ok((rows, unpacked.transpose()?))
    })
}

/// Adds up what the compressed buffers of a batch say they unpack to.
fn unpacked_bytes(source: &Source, place: Place, batch: arrow_ipc::RecordBatch<'_>) -> Result<u64, Error> {
    let body = place.offset + u64::from(place.header_bytes);
    let mut unpacked = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let (Ok(offset), Ok(len)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return Err(Error::expected(
                "the place of a buffer",
                format!("{}, {}", buffer.offset(), buffer.length()),
            ));
        };
        if len < 8 {
            continue;
        }
        if offset.checked_add(len).is_none_or(|end| end > place.body_bytes) {
            return Err(Error::expected("a buffer within its message", "one that goes past its end"));
        }
        let mut size = [0; 8];
        source.read_at(body + offset, &mut size)?;
        // -1 says that the buffer is not compressed.
        unpacked = unpacked.saturating_add(u64::try_from(i64::from_le_bytes(size)).unwrap_or(len));
    }
    if unpacked > UNPACKED_BYTES.max(place.body_bytes.saturating_mul(UNPACKED_RATIO)) {
        let found = format!("{unpacked} out of {}", place.body_bytes);
        return Err(Error::expected("a believable size of compressed data", found));
    }
    Ok(unpacked)
}

/// The bytes of a message: a part of the map, or a copy.
pub(super) fn bytes_of(source: &Source, place: Place, in_place: bool) -> Result<Buffer, Error> {
    let len =
        u64::from(place.header_bytes).checked_add(place.body_bytes).and_then(|len| usize::try_from(len).ok());
    let (Some(len), Some(_), Ok(offset)) =
        (len, place.end(source.len_bytes()), usize::try_from(place.offset))
    else {
        return Err(Error::expected("a message within the file", "one that goes past its end")
            .at(Position::Byte(place.offset)));
    };
    if let Some(map) = source.map().filter(|_| in_place) {
        return Ok(map.slice_with_length(offset, len));
    }
    // In words of 8 bytes, so that it is aligned.
    let mut words = vec![0u64; len.div_ceil(8)];
    source.read_at(place.offset, &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..len])?;
    Ok(Buffer::from_vec(words).slice_with_length(0, len))
}
