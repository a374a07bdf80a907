//! The bytes of a foreign file, and a cursor that never leaves them.

use std::path::Path;
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use readers::arrow_buffer::{Buffer, ScalarBuffer};
use readers::{Error, Input, Position, Source};

/// A whole file: its map, or its bytes in memory where it is not to be mapped.
#[derive(Debug)]
pub(crate) struct Bytes {
    source: Source,
    all: Buffer,
}

impl Bytes {
    pub(crate) fn of(input: &Input) -> Result<Self, Error> {
        let source = input.source()?;
        let all = match source.map() {
            Some(map) => map.clone(),
            None => {
                let len = usize::try_from(source.len_bytes()).map_err(|_| {
                    Error::unsupported("the file is larger than this machine's memory can be")
                })?;
                Buffer::from_vec(source.head(len)?)
            }
        };
        Ok(Self { source, all })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn path(&self) -> Arc<Path> {
        Arc::from(self.source.path())
    }

    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }

    pub(crate) fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor { bytes: &self.all, at }
    }

    /// The bytes from `at` on, which were found to be there when the file was opened.
    pub(crate) fn slice(&self, at: usize, len: usize) -> &[u8] {
        &self.all[at..at + len]
    }

    /// As [`Cursor::read`], of a place that was found to be there when the file was opened.
    pub(crate) fn read<T: AnyBitPattern>(&self, at: usize) -> T {
        bytemuck::pod_read_unaligned(self.slice(at, size_of::<T>()))
    }

    /// So many values of f32, in place, where they are aligned.
    pub(crate) fn in_place(&self, at: usize, values: usize) -> Option<ScalarBuffer<f32>> {
        let bytes = self.all.slice_with_length(at, values * 4);
        (bytes.as_ptr().align_offset(align_of::<f32>()) == 0).then(|| ScalarBuffer::from(bytes))
    }
}

/// Reads one thing after the other.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes, which are `what`.
    pub(crate) fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            let message = format!("{len} more bytes, of {what}");
            return Err(Error::expected(message, self.left())
                .at(Position::Byte(self.at as u64))
                .with_help("the file was cut short: copy or save it again"));
        };
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// The next number, little-endian as this machine is.
    pub(crate) fn read<T: AnyBitPattern>(&mut self, what: &str) -> Result<T, Error> {
        self.take(size_of::<T>(), what).map(bytemuck::pod_read_unaligned)
    }

    /// The next number as a count of things of at least `each` bytes that are still to come.
    pub(crate) fn count(&mut self, each: usize, what: &str) -> Result<usize, Error> {
        let at = self.at;
        let count: u64 = self.read(what)?;
        let most = self.left() / each.max(1);
        usize::try_from(count).ok().filter(|&count| count <= most).ok_or_else(|| {
            Error::expected(format!("at most {most} {what}, as the file is long"), count)
                .at(Position::Byte(at as u64))
        })
    }

    /// Fails unless `found`, read just before `self.at()` as `what`, is what it must be.
    pub(crate) fn must<T: PartialEq + std::fmt::Display>(
        at: usize,
        what: &str,
        expected: T,
        found: T,
    ) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(Error::expected(format!("{what} {expected}"), found).at(Position::Byte(at as u64)))
    }

    /// Fails if bytes are left.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.left() == 0 {
            return Ok(());
        }
        Err(Error::expected(format!("a file of {} bytes", self.at), self.bytes.len())
            .at(Position::Byte(self.at as u64)))
    }
}
