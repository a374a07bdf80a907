//! The readers of `sochdb-bulk`: vectors out of files, as one stream of batches.
//!
//! This crate is what a format plugin depends on. A format is a type that implements [`Format`] and is registered with
//! [`register_format!`]; opening a file with it gives a [`Dataset`], whose rows come as [`Batch`]es of f32 vectors,
//! piece by piece and in parallel.
//!
//! ```
//! use readers::{BufferPool, Input, Scan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("vectors.f32");
//! std::fs::write(&path, [1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).as_flattened())?;
//!
//! let dataset = readers::open(&Input { dim: Some(2), ..Input::new(&path) })?;
//! assert_eq!(dataset.info().rows.exact(), Some(2));
//!
//! let (pool, scan) = (BufferPool::new(), Scan { rows: 0..2, batch_rows: 1000 });
//! for piece in dataset.pieces(&scan) {
//!     for batch in dataset.read(&scan, &piece, &pool)? {
//!         assert_eq!(batch?.vectors().last(), Some([3.0, 4.0].as_slice()));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod batch;
mod concat;
pub mod conformance;
mod dataset;
mod dtype;
mod error;
mod files;
mod format;
pub mod formats;
#[cfg(feature = "parquet")]
#[doc(hidden)]
pub mod internals;
mod metric;
mod mmap;
mod parked;
mod parts;
mod pool;
mod probe;
mod program;
mod rows_of;
mod source;
mod unpack;
mod zip_rows;

pub use batch::{Batch, IdType, Ids, Origin};
pub use concat::{Concat, Opener};
pub use dataset::{Batches, Chosen, Dataset, DatasetInfo, Matrix, Piece, Rows, Scan};
pub use dtype::{ByteOrder, DType, Unrepresentable, widen};
pub use error::{Error, ErrorKind, Position, Topic};
pub use files::files_called;
pub use format::{Format, FormatDescriptor, Input, OpenFormat, format_called, formats};
pub use metric::{Metric, UnknownMetric};
pub use pool::BufferPool;
pub use probe::{Detected, Probe, Score, check_named, detect, other_build};
pub use program::{Program, Surroundings};
pub use rows_of::Portions;
pub use source::{Io, Source};
pub use unpack::Unpacked;
pub use zip_rows::Zip;

/// The Arrow types that batches are made of, so that a plugin needs no Arrow of its own.
pub use {arrow_array, arrow_buffer, arrow_schema};

#[doc(hidden)]
pub use inventory as __inventory;

/// The most values that one vector may have. Nobody's embeddings come near it; a larger number is a misread header.
pub const MAX_DIM: usize = 65_536;

/// Opens a file, or all files that match a pattern, as one dataset: each is unpacked if it is packed, its format detected and
/// opened with that format's defaults.
///
/// # Errors
/// As [`files_called`], [`Input::unpacked`], [`detect`], [`Format::open`] and [`Concat::push`].
pub fn open(input: &Input) -> Result<Box<dyn Dataset>, Error> {
    if input.unpacked.is_some() {
        return open_file(input);
    }
    let files = files_called(std::path::Path::new(""), &input.path)?;
    let mut all = Concat::of(files.len());
    for path in files {
        let mut input = Input { path, ..input.clone() };
        if input.path == std::path::Path::new("-") {
            // It cannot be read again.
            input = input.unpacked()?;
        }
        let open = move || open_file(&input);
        all.push(open()?, Some(Box::new(open)))?;
    }
    all.finish()
}

fn open_file(input: &Input) -> Result<Box<dyn Dataset>, Error> {
    let input = input.clone().unpacked()?;
    detect(&input)?.format.with_defaults()?.open(&input)
}
