//! Memory maps: the only unsafe code of this crate outside the distance kernels.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::Matrix;

/// Maps the whole of a file read-only.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: read-only and private to this process. Another process may still write to the file: every number that is
    // read from the map is checked where it is used as an address (neighbours and rows index slices), and all bit
    // patterns are valid numbers. A file that is truncated meanwhile ends the process with SIGBUS, never with wrong
    // memory; index files are replaced by rename and never written in place, so their writers do not do that.
    unsafe { Mmap::map(file) }
}

/// Wishes that of a part of a map what is not in memory comes in pieces of 2 MiB, each one huge page: for what is read as a whole, sooner
/// or later. Linux reads a file that is used here and there in pieces of 4 KiB otherwise, and keeps it so.
pub(crate) fn wish_huge_pages(map: &Mmap, range: Range<usize>) {
    // Without them everything works the same.
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::HugePage, range.start, range.len());
    #[cfg(not(target_os = "linux"))]
    let _ = (map, range);
}

/// Rows inside a file, mapped.
#[derive(Debug)]
pub struct MappedMatrix {
    map: Mmap,
    dim: usize,
}

impl MappedMatrix {
    /// Maps `rows` rows of `dim` f32 values from byte `offset` of `file` on: what a sink has just written there.
    ///
    /// # Errors
    /// If the file cannot be mapped or is too short.
    ///
    /// # Panics
    /// If `dim` is 0 or `offset` is not a multiple of 4.
    pub fn new(file: &File, offset: u64, rows: usize, dim: usize) -> io::Result<Self> {
        assert!(dim > 0 && offset.is_multiple_of(4), "rows are whole f32 values");
        let bytes = rows.checked_mul(dim).and_then(|values| values.checked_mul(4));
        let end = bytes.and_then(|bytes| offset.checked_add(bytes as u64));
        let (Some(bytes), Some(end)) = (bytes, end) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more rows than memory has addresses"));
        };
        if file.metadata()?.len() < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: as in `map`; the file is the caller's own, and its length was just checked.
        let map = unsafe { MmapOptions::new().offset(offset).len(bytes).map(file) }?;
        Ok(Self { map, dim })
    }

    /// The rows.
    pub fn matrix(&self) -> Matrix<'_> {
        // A map begins on a page, or at `offset` in one, which is a multiple of 4.
        Matrix::new(bytemuck::cast_slice(&self.map), self.dim)
    }
}

/// Zeroed memory that begins on a page, in huge pages where the system has them: random reads miss fewer addresses.
#[derive(Debug)]
pub(crate) enum AnonymousBytes {
    Mapped(MmapMut),
    /// Where nothing is to be mapped, or the system does not let.
    Plain(Vec<u8>),
}

impl AnonymousBytes {
    pub(crate) fn new(bytes: usize) -> Self {
        match MmapMut::map_anon(bytes) {
            Ok(map) if bytes > 0 => {
                // Only a wish: without huge pages everything works the same.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
                Self::Mapped(map)
            }
            _ => Self::Plain(vec![0; bytes]),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Plain(bytes) => bytes,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Plain(bytes) => bytes,
        }
    }
}

/// Zeroed numbers that threads may share, as [`AnonymousBytes`] are.
#[derive(Debug)]
pub(crate) struct AnonymousCells {
    /// Only ever read and written through [`AnonymousCells::as_slice`].
    bytes: AnonymousCellBytes,
    len: usize,
}

#[derive(Debug)]
enum AnonymousCellBytes {
    Mapped(MmapMut),
    Plain(Vec<AtomicU64>),
}

impl AnonymousCells {
    pub(crate) fn new(len: usize) -> Self {
        let bytes = match len.checked_mul(size_of::<AtomicU64>()).map(AnonymousBytes::new) {
            Some(AnonymousBytes::Mapped(map)) => AnonymousCellBytes::Mapped(map),
            _ => AnonymousCellBytes::Plain((0..len).map(|_| AtomicU64::new(0)).collect()),
        };
        Self { bytes, len }
    }

    pub(crate) fn as_slice(&self) -> &[AtomicU64] {
        match &self.bytes {
            // SAFETY: the map is private memory of at least `len` numbers, begins on a page and so at a multiple of 8,
            // and any bits are a number. It is this value's own and nothing else reaches it: `bytes` is private, and all
            // access goes through the atomic numbers returned here, which borrow this value.
            AnonymousCellBytes::Mapped(map) => unsafe {
                std::slice::from_raw_parts(map.as_ptr().cast(), self.len)
            },
            AnonymousCellBytes::Plain(numbers) => numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn cells_are_zeros_that_threads_share() {
        for len in [0, 1, 511, 100_000] {
            let cells = AnonymousCells::new(len);
            assert_eq!(cells.as_slice().len(), len);
            assert!(cells.as_slice().iter().all(|cell| cell.load(Ordering::Relaxed) == 0));
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for (value, cell) in (1..).zip(cells.as_slice()) {
                            cell.fetch_add(value, Ordering::Relaxed);
                        }
                    });
                }
            });
            let doubled = cells
                .as_slice()
                .iter()
                .zip(1..)
                .all(|(cell, value)| cell.load(Ordering::Relaxed) == 2 * value);
            assert!(doubled, "{len}");
        }
    }
}
