//! The built-in formats, one file each. A new one is a file, a line here, and nothing else.

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "arrow")]
mod arrow_stream;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod column_others;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod column_text;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod column_values;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod column_vectors;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod columns;
#[cfg(any(feature = "arrow", feature = "hdf5", feature = "parquet"))]
mod contained;
mod csv;
mod csv_columns;
mod csv_records;
mod csv_survey;
mod dense;
#[cfg(feature = "arrow")]
mod exec;
mod fbin;
mod glove;
#[cfg(feature = "hdf5")]
mod hdf5;
#[cfg(feature = "hdf5")]
mod hdf5_table;
mod ids;
#[cfg(feature = "arrow")]
mod ipc;
#[cfg(feature = "arrow")]
mod ipc_messages;
mod json;
mod jsonl;
mod jsonl_survey;
mod matrix;
mod npy;
mod npy_header;
mod npy_literal;
mod npy_type;
mod npz;
mod number;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_chunks;
#[cfg(feature = "parquet")]
mod parquet_dataset;
#[cfg(feature = "parquet")]
mod parquet_page_rows;
#[cfg(feature = "parquet")]
mod parquet_pages;
#[cfg(feature = "parquet")]
mod parquet_runs;
#[cfg(feature = "parquet")]
mod parquet_sample;
#[cfg(feature = "parquet")]
mod parquet_values;
mod payload;
mod raw_f32;
mod row_dataset;
mod row_ids;
mod rows;
mod safetensors;
mod sidecar;
mod text;
mod text_ids;
mod vecs;
mod word2vec;
mod words;
mod zip;

#[cfg(feature = "arrow")]
pub use self::arrow::Arrow;
#[cfg(feature = "arrow")]
pub use self::arrow_stream::ArrowStream;
#[cfg(feature = "parquet")]
pub use self::parquet::Parquet;
#[cfg(feature = "parquet")]
pub(crate) use self::parquet::open_vectors as parquet_file;
#[cfg(feature = "parquet")]
#[doc(hidden)]
pub use self::parquet_dataset::{ParquetReading, RowCounts};
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub use columns::{BytesType, ColumnOptions};
pub use csv::Csv;
pub use dense::check_asked_dim;
#[cfg(feature = "arrow")]
pub use exec::Exec;
pub use fbin::{F16bin, Fbin, I8bin, Ibin, U8bin};
pub use glove::Glove;
#[cfg(feature = "hdf5")]
pub use hdf5::Hdf5;
pub use ids::{read_npy_ids, read_u64_ids};
pub use jsonl::JsonLines;
pub use matrix::{MatrixFile, MatrixLayout};
pub use npy::Npy;
pub use npy_header::{NpyHeader, npy_header, parse_npy_header};
pub use npy_type::VoidType;
pub use npz::Npz;
pub use payload::{PayloadColumns, PayloadWord};
pub use raw_f32::RawF32;
pub use safetensors::Safetensors;
pub use sidecar::{Sidecar, sidecar_path_for_writing};
pub use text_ids::TextIdFile;
pub use vecs::{Bvecs, Fvecs, Ivecs};
pub use word2vec::Word2vec;
pub use words::Words;

/// Text out of a file for a one-line message: shortened, and with nothing in it that a terminal would obey.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown = String::from("`");
    for char in text.chars().take(SHOWN) {
        match char {
            '\'' | '"' => shown.push(char),
            _ => shown.extend(char.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown.push('`');
    shown
}
