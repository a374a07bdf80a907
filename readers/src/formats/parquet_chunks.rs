//! The bytes of a Parquet file, as the decoders of pages ask for them.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::Source;

/// Page headers are read with so many bytes at a time; they are small.
const HEADER_BYTES: usize = 1024;

/// A page that would unpack to more than this ...
const UNPACKED_BYTES: u64 = 512 << 20;

/// ... and to more than so many times its packed bytes is not believed.
const UNPACKED_RATIO: u64 = 300;

/// Of a page that is not packed, so many bytes are read for its levels; its values are read to where they belong.
pub(super) const LEVELS_BYTES: usize = 16 << 10;

/// The bytes of the file, for the ordinary decoder.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    pub(super) source: Arc<Source>,
    /// Whether streams begin with the header of a page.
    pub(super) has_pages: bool,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.source.len_bytes()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let state = if self.has_pages { Header::Unread } else { Header::None };
        let from = From { source: Arc::clone(&self.source), offset: start, header: state };
        Ok(BufReader::with_capacity(HEADER_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        check_within(&self.source, start, length)?;
        let mut bytes = vec![0; length];
        self.source.read_at(start, &mut bytes).map_err(|e| ParquetError::General(e.to_string()))?;
        Ok(bytes.into())
    }
}

fn check_within(source: &Source, start: u64, length: usize) -> Result<(), ParquetError> {
    let left = source.len_bytes().saturating_sub(start);
    if length as u64 > left {
        let message = format!("{length} bytes from byte {start} go past the end of the file");
        return Err(ParquetError::EOF(message));
    }
    Ok(())
}

/// The bytes of the file, for a decoder that takes one page after the other: where each was is known, and the memory of
/// one is used for the next.
#[derive(Debug)]
pub(super) struct PageChunks {
    source: Arc<Source>,
    /// Whether only the beginning of a page is read.
    levels_only: bool,
    header: Arc<HeaderSeen>,
    body: AtomicU64,
    body_bytes: AtomicU64,
    own: Arc<Own>,
}

/// The header of a page that was read last: where it begins, and the sizes of the page without it.
#[derive(Debug, Default)]
struct HeaderSeen {
    offset: AtomicU64,
    unpacked_bytes: AtomicU64,
    packed_bytes: AtomicU64,
}

/// Memory for the pages of a column that nobody has just now. Every part of a row group begins with what an earlier one had: what each took
/// from the system and gave back would lie about between the rest.
#[derive(Debug, Default)]
pub(super) struct Spare {
    free: Mutex<Vec<Vec<u8>>>,
    /// The longest page so far: others will be as long.
    longest: AtomicUsize,
}

/// Memory that one reader uses for one page after the other.
#[derive(Debug)]
struct Own {
    bytes: Mutex<Vec<u8>>,
    spare: Arc<Spare>,
}

impl Own {
    /// So many bytes, of any content at first.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        if bytes.capacity() == 0 {
            let mut free = self.spare.free.lock().unwrap_or_else(PoisonError::into_inner);
            bytes = free.pop().unwrap_or_default();
        }
        let longest = self.spare.longest.fetch_max(length, Ordering::Relaxed).max(length);
        if bytes.capacity() < length {
            // What is too small goes first. The next page may be a little longer.
            drop(bytes);
            bytes = Vec::with_capacity(longest.saturating_add(longest / 8));
        }
        bytes.resize(length, 0);
        bytes
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let bytes = std::mem::take(self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner));
        if bytes.capacity() > 0 {
            self.spare.free.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

impl PageChunks {
    pub(super) fn new(source: &Arc<Source>, levels_only: bool, spare: &Arc<Spare>) -> Self {
        Self {
            source: Arc::clone(source),
            levels_only,
            header: Arc::default(),
            body: AtomicU64::default(),
            body_bytes: AtomicU64::default(),
            own: Arc::new(Own { bytes: Mutex::default(), spare: Arc::clone(spare) }),
        }
    }

    /// Whether only the beginning of a page is read.
    pub(super) fn levels_only(&self) -> bool {
        self.levels_only
    }

    /// Where the header that was read last begins.
    pub(super) fn header(&self) -> u64 {
        self.header.offset.load(Ordering::Relaxed)
    }

    /// The sizes of that page as its header says them: unpacked, and packed.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let of = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (of(&self.header.unpacked_bytes), of(&self.header.packed_bytes))
    }

    /// Where the page that was read last is, without its header, and how long it is.
    pub(super) fn body(&self) -> (u64, usize) {
        let bytes = self.body_bytes.load(Ordering::Relaxed);
        (self.body.load(Ordering::Relaxed), usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Bytes of the file, in memory that is used again.
    pub(super) fn read(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        check_within(&self.source, start, length)?;
        let mut bytes = self.own.take(length);
        self.source.read_at(start, &mut bytes).map_err(|e| ParquetError::General(e.to_string()))?;
        Ok(Bytes::from_owner(Lent { bytes, own: Arc::clone(&self.own) }))
    }
}

impl Length for PageChunks {
    fn len(&self) -> u64 {
        self.source.len_bytes()
    }
}

impl ChunkReader for PageChunks {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let header = Header::Told(Arc::clone(&self.header));
        let from = From { source: Arc::clone(&self.source), offset: start, header };
        Ok(BufReader::with_capacity(HEADER_BYTES, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        check_within(&self.source, start, length)?;
        self.body.store(start, Ordering::Relaxed);
        self.body_bytes.store(length as u64, Ordering::Relaxed);
        self.read(start, if self.levels_only { length.min(LEVELS_BYTES) } else { length })
    }
}

/// Memory that comes back when the last part of it is dropped.
struct Lent {
    bytes: Vec<u8>,
    own: Arc<Own>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut own = self.own.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if own.capacity() < self.bytes.capacity() {
            *own = std::mem::take(&mut self.bytes);
        }
    }
}

/// What a stream begins with.
#[derive(Debug)]
enum Header {
    /// The header of a page, to be checked.
    Unread,
    /// The same, and whoever reads it wants to know where.
    Told(Arc<HeaderSeen>),
    /// Nothing that would be checked.
    None,
}

/// The file from a place on.
#[derive(Debug)]
pub(super) struct From {
    source: Arc<Source>,
    offset: u64,
    header: Header,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.len_bytes().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let len = out.len().min(left);
        let out = &mut out[..len];
        self.source.read_at(self.offset, out).map_err(io::Error::other)?;
        // A stream may be asked for and not read, where a decoder knows the header already.
        match std::mem::replace(&mut self.header, Header::None) {
            Header::None => {}
            Header::Unread => _ = believable_sizes(out)?,
            Header::Told(header) => {
                header.offset.store(self.offset, Ordering::Relaxed);
                let (unpacked, packed) = believable_sizes(out)?;
                header.unpacked_bytes.store(unpacked, Ordering::Relaxed);
                header.packed_bytes.store(packed, Ordering::Relaxed);
            }
        }
        self.offset += out.len() as u64;
        Ok(out.len())
    }
}

/// The unpacked and the packed size of a page. Refuses one that is said to unpack into what no memory holds: the decoder
/// takes that memory before it looks.
fn believable_sizes(header: &[u8]) -> io::Result<(u64, u64)> {
    match sizes(header).ok_or_else(|| io::Error::other("the header of a page has no sizes"))? {
        (Ok(unpacked), Ok(packed)) => {
            if unpacked > UNPACKED_BYTES.max(packed.saturating_mul(UNPACKED_RATIO)) {
                let message = format!("a page of {packed} bytes would unpack to {unpacked}");
                return Err(io::Error::other(message));
            }
            Ok((unpacked, packed))
        }
        // Sizes below zero are refused by the decoder.
        _ => Ok((0, 0)),
    }
}

type Size = Result<u64, std::num::TryFromIntError>;

/// The unpacked and the packed size out of the header of a page, which is a struct of Thrift's compact protocol: its
/// type, these two and more, each an i32 behind the number of its field, or the difference to the one before.
/// <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>
fn sizes(header: &[u8]) -> Option<(Size, Size)> {
    const I32: u8 = 5;
    let mut fields = header.iter().copied();
    let mut found = [None; 4];
    let mut field = 0u8;
    for _ in 1..=3 {
        let byte = fields.next()?;
        let step = byte >> 4;
        if byte & 0x0f != I32 {
            return None;
        }
        field = if step == 0 { u8::try_from(varint(&mut fields)?).ok()? } else { field.checked_add(step)? };
        let value = varint(&mut fields)?;
        *found.get_mut(usize::from(field))? = Some(value);
    }
    Some((u64::try_from(found[2]?), u64::try_from(found[3]?)))
}

/// A number in Thrift's compact protocol: seven bits a byte, the sign in the lowest.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let mut zigzag = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = bytes.next()?;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let half = i64::try_from(zigzag >> 1).ok()?;
            return Some(if zigzag & 1 == 1 { -half - 1 } else { half });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_pages_are_believable() {
        // A data page of 300 bytes that were 400.
        assert_eq!(sizes(&[0x15, 0, 0x15, 0xa0, 0x06, 0x15, 0xd8, 0x04, 0x2c]), Some((Ok(400), Ok(300))));
        // With the numbers of the fields written out.
        assert_eq!(sizes(&[5, 2, 0, 5, 4, 0xa0, 0x06, 5, 6, 0xd8, 0x04]), Some((Ok(400), Ok(300))));
        assert!(believable_sizes(&[0x15, 0, 0x15, 0xa0, 0x06, 0x15, 0xd8, 0x04]).is_ok());
        // Below zero.
        assert!(believable_sizes(&[0x15, 0, 0x15, 0x01, 0x15, 0x03]).is_ok());
        let huge = believable_sizes(&[0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0xd8, 0x04]);
        assert_eq!(huge.unwrap_err().to_string(), "a page of 300 bytes would unpack to 2147483647");
        for cut in 0..8 {
            assert!(believable_sizes(&[0x15, 0, 0x15, 0xa0, 0x06, 0x15, 0xd8, 0x04][..cut]).is_err());
        }
        for bytes in [[0x18; 12], [0x05; 12], [0xf5; 12], [0xff; 12]] {
            assert!(believable_sizes(&bytes).is_err(), "{bytes:x?}");
        }
    }
}
