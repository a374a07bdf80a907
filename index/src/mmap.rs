//! Memory maps: the only unsafe code of this crate outside the distance kernels.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

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
