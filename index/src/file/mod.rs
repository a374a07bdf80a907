//! The index file, version 1: mapped, checksummed, self-describing. docs/FORMAT.md describes it byte by byte.

mod blocks;
mod cut;
mod header;
mod open;
mod section;
mod sections;
mod source;
mod validate;
mod write;

use std::fmt;

pub(crate) use cut::Cut;
pub use header::{Header, LevelInfo};
pub(crate) use open::Sections;
pub use open::{OpenError, read_header};
pub use section::{SectionInfo, SectionKind};
pub use write::{Contents, VectorChecksums, VectorSource, Vectors, Written, store_default_ef, write};

#[cfg(target_endian = "big")]
compile_error!("index files are little-endian and mapped: a big-endian machine cannot use them in place");

/// Where the vectors begin: behind the header, so that they can be written before anything else is known.
pub const VECTORS_OFFSET: u64 = header::HEADER_BYTES as u64;

/// Something in an index file that its own rules forbid: the file is damaged, or was never written by this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrupt {
    /// The part: "header", "level-0 neighbours", "vectors, block 17".
    pub part: String,
    /// Where it begins in the file.
    pub offset_bytes: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, offset_bytes, expected, found } = self;
        write!(f, "byte {offset_bytes}: {part}: expected {expected}, found {found}")
    }
}

impl std::error::Error for Corrupt {}

fn corrupt(
    part: impl Into<String>,
    offset_bytes: u64,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Corrupt {
    Corrupt { part: part.into(), offset_bytes, expected: expected.to_string(), found: found.to_string() }
}
