//! Writing an index for another library.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use exchange::{Ids, Library, Whole};
use index::Index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::pieces::{HUGE_PAGE_BYTES, PORTION_BYTES, up_to_next};
use crate::pipeline::Cancel;

/// Whose index is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum IndexFormat {
    #[default]
    Native,
    Hnswlib,
    Faiss,
    Usearch,
    Sochdb,
}

impl IndexFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The library, unless it is this program.
    pub(super) fn library(self) -> Option<&'static Library> {
        match self {
            Self::Native => None,
            Self::Hnswlib => Library::called("hnswlib"),
            Self::Faiss => Library::called("faiss"),
            Self::Usearch => Library::called("usearch"),
            Self::Sochdb => Library::called("sochdb"),
        }
    }
}

/// Writes an index for a library into a new file, on the current rayon pool.
///
/// # Errors
/// Ids that the library cannot hold; a damaged index; what the operating system says; Ctrl-C.
pub(crate) fn write_for(
    library: &Library,
    index: &Index,
    ids: Ids,
    file: &AtomicFile,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let whole = Whole::new(index, ids);
    let mut out = BufWriter::with_capacity(PORTION_BYTES, Stoppable { file: file.file(), cancel });
    library.write(&whole, &mut out).map_err(|error| match error.io_error() {
        Some(io) => cancel.check().err().unwrap_or_else(|| file.failure(io)),
        None => error.into(),
    })?;
    out.flush().map_err(|e| cancel.check().err().unwrap_or_else(|| file.failure(&e)))
}

/// A file whose writing ends with an error when it is time to stop, and that is written in pieces as large as a map of it
/// can have.
pub(super) struct Stoppable<'a> {
    pub(super) file: &'a File,
    pub(super) cancel: &'a Cancel,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_set() {
            return Err(io::Error::other("stopped"));
        }
        let portion = up_to_next(self.file.stream_position()?, HUGE_PAGE_BYTES).min(bytes.len());
        self.file.write(&bytes[..portion])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Stoppable<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
