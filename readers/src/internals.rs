//! Ways of reading by themselves, for tests. Not part of the API: everything here may change or go at any time.

use std::sync::Arc;

use crate::formats::{ColumnOptions, parquet_file};
pub use crate::formats::{ParquetReading, RowCounts};
use crate::{Dataset, Error, Input};

/// Opens a Parquet file to be read in a certain way, and counts its rows by how they are read.
///
/// # Errors
/// As [`crate::Format::open`].
pub fn open_parquet(
    input: &Input,
    options: &ColumnOptions,
    reading: ParquetReading,
) -> Result<(Box<dyn Dataset>, Arc<RowCounts>), Error> {
    let file = parquet_file(input, options, reading)?;
    let counts = file.counts();
    Ok((Box::new(file), counts))
}
