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
pub mod conformance;
mod dataset;
mod dtype;
mod error;
mod format;
pub mod formats;
#[cfg(feature = "parquet")]
#[doc(hidden)]
pub mod internals;
mod metric;
mod mmap;
mod pool;
mod probe;
mod source;
mod unpack;

pub use batch::{Batch, Ids, Origin};
pub use dataset::{Batches, Dataset, DatasetInfo, Matrix, Piece, Rows, Scan};
pub use dtype::{ByteOrder, DType, Unrepresentable, widen};
pub use error::{Error, ErrorKind, Position};
pub use format::{Format, FormatDescriptor, Input, OpenFormat, format_called, formats};
pub use metric::{Metric, UnknownMetric};
pub use pool::BufferPool;
pub use probe::{Detected, Probe, Score, check_named, detect};
pub use source::{Io, Source};
pub use unpack::Unpacked;

/// The Arrow types that batches are made of, so that a plugin needs no Arrow of its own.
pub use {arrow_array, arrow_buffer, arrow_schema};

#[doc(hidden)]
pub use inventory as __inventory;

/// The most values that one vector may have. Nobody's embeddings come near it; a larger number is a misread header.
pub const MAX_DIM: usize = 65_536;

/// Unpacks a file if it is packed, detects its format and opens it with that format's defaults.
///
/// # Errors
/// As [`Input::unpacked`], [`detect`] and [`Format::open`].
pub fn open(input: &Input) -> Result<Box<dyn Dataset>, Error> {
    let input = input.clone().unpacked()?;
    detect(&input)?.format.with_defaults()?.open(&input)
}
