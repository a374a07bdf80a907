//! Indexes of other libraries: hnswlib, faiss, usearch and SochDB.
//!
//! Each library is one file here, with what its own files look like, and an entry in [`Library::ALL`]. From that follow
//!
//! - a format of [`readers`], so that the vectors in an index are a source like any other;
//! - [`open`], which takes the graph over and gives an [`index::Index`] to search, describe and check;
//! - [`Library::write`], which writes an index for the library.
//!
//! ```
//! use exchange::Library;
//!
//! let names: Vec<_> = Library::ALL.iter().map(|library| library.name).collect();
//! assert_eq!(names, ["faiss", "hnswlib", "sochdb", "usearch"]);
//! ```

mod bytes;
mod dataset;
mod faiss;
mod foreign;
mod gzip;
mod hnswlib;
mod native;
mod sochdb;
mod taken;
mod usearch;
mod whole;

pub use foreign::{ForeignIndex, ForeignInfo};
pub use taken::{Origin, TakeError, TakeOver, Taken, foreign_index, open, take, take_over};
pub use whole::{Ids, Whole};

use std::io::Write;

use readers::{Error, Input, Probe, Score};

/// A library whose indexes are known.
pub struct Library {
    /// The name in `--to`, `--index-format` and `type = "..."`.
    pub name: &'static str,
    /// How its files are usually called, without the dot.
    pub extensions: &'static [&'static str],
    /// What is written for it, in one line.
    pub summary: &'static str,
    /// The greatest id that it can hold.
    pub most_id: u64,
    /// Whether it holds ids of 128 bits, as UUIDs are.
    pub has_wide_ids: bool,
    probe: fn(&Probe<'_>) -> Score,
    open: fn(&Input) -> Result<Box<dyn ForeignIndex>, Error>,
    write: fn(&Whole<'_>, &mut dyn Write) -> Result<(), Error>,
}

impl Library {
    /// All of them, by name.
    pub const ALL: [&'static Self; 4] =
        [&faiss::LIBRARY, &hnswlib::LIBRARY, &sochdb::LIBRARY, &usearch::LIBRARY];

    /// The library of that name, in any case.
    pub fn called(word: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|library| library.name.eq_ignore_ascii_case(word))
    }

    /// Says whether a file looks like one of this library. No I/O.
    pub fn probe(&self, probe: &Probe<'_>) -> Score {
        (self.probe)(probe)
    }

    /// Opens a file of this library: reads and checks what tells its rows, dimension and graph.
    ///
    /// # Errors
    /// What is wrong with the file; what of the library is not known here.
    pub fn open(&self, input: &Input) -> Result<Box<dyn ForeignIndex>, Error> {
        (self.open)(input).map_err(|error| error.in_file(&input.path))
    }

    /// Fails if an index has ids that this library cannot hold, before anything is written.
    ///
    /// # Errors
    /// [`readers::ErrorKind::Request`] saying what.
    pub fn check(&self, whole: &Whole<'_>) -> Result<(), Error> {
        whole.numbers(self)
    }

    /// Writes an index for this library. The same index gives the same bytes.
    ///
    /// # Errors
    /// As [`Library::check`]; a damaged block of the index; what `out` says.
    pub fn write(&self, whole: &Whole<'_>, out: &mut dyn Write) -> Result<(), Error> {
        self.check(whole)?;
        (self.write)(whole, out)
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({})", self.name)
    }
}

/// The index engine's word for a metric of the readers.
pub fn metric_of(metric: readers::Metric) -> index::Metric {
    match metric {
        readers::Metric::L2 => index::Metric::L2,
        readers::Metric::Cosine => index::Metric::Cosine,
        readers::Metric::Ip => index::Metric::Ip,
    }
}
