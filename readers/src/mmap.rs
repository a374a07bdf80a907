//! Memory maps: the only unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::Mmap;

/// Maps the whole of `file` read-only. The buffer owns the map: it is unmapped when its last slice is dropped.
///
/// # Errors
/// The operating system's error where it cannot map the file (a pipe, a file system without maps).
pub(crate) fn map(file: &File) -> io::Result<Buffer> {
    // SAFETY: the map is private to this process and read-only. What `Mmap::map` cannot promise is that nobody else
    // changes the file meanwhile. Readers never keep a reference across calls whose validity depends on the content:
    // headers are copied before they are checked, and vectors are plain numbers, for which every bit pattern is valid.
    // A file that another process truncates ends this process with SIGBUS, never with wrong memory; `io = "read"` is
    // there for files that others rewrite, and a changed size or time is an error at the end of a run.
    let map = unsafe { Mmap::map(file) }?;
    Ok(Buffer::from(Bytes::from_owner(map)))
}
