//! The directory of a zip archive: its members and where their bytes lie. After PKWARE's APPNOTE 6.3, zip64 included.

use std::io::{self, Read, Write};

use flate2::{Crc, read::DeflateDecoder};

use super::quoted;
use crate::{Error, Position, Source};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";

/// The bytes of these parts up to what is of variable length.
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_BYTES: usize = 20;
const ENTRY_BYTES: usize = 46;
pub(super) const LOCAL_BYTES: usize = 30;

/// The longest comment behind the directory.
const MAX_COMMENT_BYTES: usize = u16::MAX as usize;

/// The extra field with the numbers that do not fit 32 bits.
const ZIP_64: u16 = 1;

/// Deflate makes nothing more than 1032 times smaller.
const MAX_RATIO: u64 = 1032;

const CHUNK_BYTES: usize = 64 * 1024;

/// How the bytes of a member are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// A member of an archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Its bytes when it is taken out.
    pub(super) size: u64,
    encrypted: bool,
    method: u16,
    crc: u32,
    packed: u64,
    local: u64,
}

/// A little-endian number, or nothing where the bytes end before it does.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    u16::try_from(number(bytes, at, 2)?).ok()
}

fn damaged(expected: &str, at: u64) -> Error {
    Error::expected(expected, "something else")
        .at(Position::Byte(at))
        .with_help("the archive is damaged: copy or save it again")
}

/// The part of `source` from `at` on, at most `limit` bytes.
fn part(source: &Source, at: u64, limit: usize) -> Result<Vec<u8>, Error> {
    let left = usize::try_from(source.len_bytes().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(limit)];
    source.read_at(at, &mut bytes)?;
    Ok(bytes)
}

/// All members of an archive, in the order of its directory.
pub(super) fn members(source: &Source) -> Result<Vec<Member>, Error> {
    let (count, size, offset) = find_directory(source)?;
    let end = offset.checked_add(size).filter(|&end| end <= source.len_bytes());
    let (Some(_), Ok(size)) = (end, usize::try_from(size)) else {
        let len = source.len_bytes();
        let expected = format!("{size} bytes of directory from byte {offset}");
        return Err(Error::expected(expected, format!("a file of {len} bytes"))
            .with_help("the archive is damaged: copy or save it again"));
    };
    let directory = part(source, offset, size)?;
    let mut members = Vec::new();
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        let at = offset + (size - rest.len()) as u64;
        let (member, len) = entry(rest).ok_or_else(|| damaged("an entry of the zip directory", at))?;
        members.push(member);
        rest = &rest[len..];
    }
    if members.len() as u64 != count {
        return Err(Error::expected(format!("{count} members, as the end says"), members.len())
            .with_help("the archive is damaged: copy or save it again"));
    }
    Ok(members)
}

/// How many entries the directory has, its size, and its first byte.
fn find_directory(source: &Source) -> Result<(u64, u64, u64), Error> {
    let len = source.len_bytes();
    let start = len.saturating_sub((END_BYTES + MAX_COMMENT_BYTES) as u64);
    let tail = part(source, start, END_BYTES + MAX_COMMENT_BYTES)?;
    let is_end = |&at: &usize| {
        tail[at..].starts_with(END)
            && u16_at(&tail, at + 20)
                .is_some_and(|comment| at + END_BYTES + usize::from(comment) == tail.len())
    };
    let Some(at) = (0..tail.len()).rev().find(is_end) else {
        return Err(Error::expected("the directory of a zip archive at the end", "none")
            .with_help("the file was cut short: copy or save it again"));
    };
    let end = &tail[at..];
    let fields = (number(end, 10, 2), number(end, 12, 4), number(end, 16, 4));
    let (Some(count), Some(size), Some(offset)) = fields else {
        return Err(damaged("the end of the zip directory", start + at as u64));
    };
    let small = count < u64::from(u16::MAX) && size < u64::from(u32::MAX) && offset < u64::from(u32::MAX);
    let end_at = start + at as u64;
    if small || end_at < LOCATOR_BYTES as u64 {
        return Ok((count, size, offset));
    }
    let locator = part(source, end_at - LOCATOR_BYTES as u64, LOCATOR_BYTES)?;
    if !locator.starts_with(END_64_LOCATOR) {
        return Ok((count, size, offset));
    }
    let at = number(&locator, 8, 8).unwrap_or(u64::MAX);
    let end = if at < len { part(source, at, END_64_BYTES)? } else { Vec::new() };
    match (number(&end, 32, 8), number(&end, 40, 8), number(&end, 48, 8)) {
        (Some(count), Some(size), Some(offset)) if end.starts_with(END_64) => Ok((count, size, offset)),
        _ => Err(damaged("the end of the zip64 directory", at)),
    }
}

/// The entry that `bytes` begin with, and its length.
fn entry(bytes: &[u8]) -> Option<(Member, usize)> {
    let lengths = [u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?].map(usize::from);
    let [name_end, extra_end, end] = [
        ENTRY_BYTES + lengths[0],
        ENTRY_BYTES + lengths[0] + lengths[1],
        ENTRY_BYTES + lengths.iter().sum::<usize>(),
    ];
    if !bytes.starts_with(ENTRY) || bytes.len() < end {
        return None;
    }
    let mut wide = zip_64(&bytes[name_end..extra_end]);
    // The extra field has those numbers, in this order, that are at their limit here.
    let mut field = |at| match number(bytes, at, 4)? {
        0xffff_ffff => match wide.split_at_checked(8) {
            Some((first, rest)) => {
                wide = rest;
                number(first, 0, 8)
            }
            None => Some(0xffff_ffff),
        },
        narrow => Some(narrow),
    };
    let (size, packed, local) = (field(24)?, field(20)?, field(42)?);
    let member = Member {
        name: String::from_utf8_lossy(&bytes[ENTRY_BYTES..name_end]).into_owned(),
        size,
        encrypted: bytes[8] & 1 == 1,
        method: u16_at(bytes, 10)?,
        crc: u32::try_from(number(bytes, 16, 4)?).ok()?,
        packed,
        local,
    };
    Some((member, end))
}

/// The zip64 part of an extra field, or nothing.
fn zip_64(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some((field, rest)) = extra[4..].split_at_checked(usize::from(len)) else { break };
        if id == ZIP_64 {
            return field;
        }
        extra = rest;
    }
    &[]
}

impl Member {
    /// How it is stored, and the first of its bytes. They are all there.
    pub(super) fn locate(&self, source: &Source) -> Result<(Method, u64), Error> {
        let method = match self.method {
            _ if self.encrypted => {
                return Err(Error::unsupported("expected plain bytes, found encrypted ones"));
            }
            0 if self.packed == self.size => Method::Stored,
            0 => return Err(damaged("as many bytes as when it is taken out", self.local)),
            8 => Method::Deflated,
            other => {
                let message = format!("expected a stored or deflated member, found method {other}");
                return Err(Error::unsupported(message).with_help("save it again with np.savez"));
            }
        };
        let header =
            if self.local < source.len_bytes() { part(source, self.local, LOCAL_BYTES)? } else { Vec::new() };
        let start = match (u16_at(&header, 26), u16_at(&header, 28)) {
            (Some(name), Some(extra)) if header.starts_with(LOCAL) => {
                self.local + LOCAL_BYTES as u64 + u64::from(name) + u64::from(extra)
            }
            _ => return Err(damaged("the header of a zip member", self.local)),
        };
        match start.checked_add(self.packed) {
            Some(end) if end <= source.len_bytes() => Ok((method, start)),
            _ => {
                let expected = format!("{} bytes from byte {start}", self.packed);
                let found = format!("a file of {} bytes", source.len_bytes());
                Err(Error::expected(expected, found)
                    .with_help("the archive is damaged: copy or save it again"))
            }
        }
    }

    /// Its first bytes when it is taken out, up to `limit`.
    pub(super) fn head(&self, source: &Source, limit: usize) -> Result<Vec<u8>, Error> {
        let (method, start) = self.locate(source)?;
        let mut packed = Packed { source, at: start, end: start + self.packed };
        let limit = (limit as u64).min(self.size);
        let mut head = Vec::new();
        let read = match method {
            Method::Stored => packed.take(limit).read_to_end(&mut head),
            Method::Deflated => DeflateDecoder::new(&mut packed).take(limit).read_to_end(&mut head),
        };
        read.map_err(|error| Error::malformed(format!("it cannot be inflated: {error}")))?;
        Ok(head)
    }

    /// Writes all of it to `out`. The caller knows that its size is what it should be.
    pub(super) fn inflate(&self, source: &Source, out: &mut impl Write) -> Result<(), Error> {
        let (_, start) = self.locate(source)?;
        if self.size > self.packed.saturating_mul(MAX_RATIO).saturating_add(MAX_RATIO) {
            let expected = format!("at most {MAX_RATIO} bytes out of each of {}", self.packed);
            return Err(Error::expected(expected, format!("a size of {}", self.size)));
        }
        let mut packed = Packed { source, at: start, end: start + self.packed };
        let mut decoder = DeflateDecoder::new(&mut packed).take(self.size.saturating_add(1));
        let (mut chunk, mut crc, mut done) = (vec![0; CHUNK_BYTES], Crc::new(), 0);
        loop {
            let len = decoder
                .read(&mut chunk)
                .map_err(|error| Error::malformed(format!("it cannot be inflated: {error}")))?;
            if len == 0 {
                break;
            }
            done += len as u64;
            crc.update(&chunk[..len]);
            out.write_all(&chunk[..len]).map_err(|error| {
                Error::io(format!("write a temporary file of {} bytes", self.size), error)
                    .with_help("set TMPDIR to a folder with room, or save it without compression (np.savez)")
            })?;
        }
        let (found, sum) = (done.min(self.size + 1), crc.sum());
        if found != self.size {
            let found = if found > self.size { "more".to_owned() } else { found.to_string() };
            return Err(Error::expected(format!("{} bytes when it is inflated", self.size), found));
        }
        if sum != self.crc {
            return Err(Error::expected(format!("the checksum {:08x}", self.crc), format!("{sum:08x}"))
                .with_help("the archive is damaged: copy or save it again"));
        }
        Ok(())
    }

    /// The name as one line of a message.
    pub(super) fn shown(&self) -> String {
        quoted(&self.name)
    }
}

/// The packed bytes of a member, as a stream.
struct Packed<'a> {
    source: &'a Source,
    at: u64,
    end: u64,
}

impl Read for Packed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = left.min(out.len());
        self.source.read_at(self.at, &mut out[..len]).map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}
