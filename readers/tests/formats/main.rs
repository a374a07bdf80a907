//! The built-in formats: what they read, bit by bit, and what they refuse, word by word.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[cfg(feature = "arrow")]
mod arrow;
mod conformance;
#[cfg(all(feature = "arrow", feature = "parquet"))]
mod corpus;
mod csv;
mod fbin;
#[cfg(feature = "hdf5")]
mod hdf5;
mod ids;
mod jsonl;
mod npy;
mod npy_refusals;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_pages;
mod payload;
mod raw_f32;
mod safetensors;
mod several;
mod sidecar;
#[cfg(any(feature = "arrow", feature = "parquet"))]
mod tables;
mod testdata;
#[cfg(all(feature = "arrow", feature = "parquet"))]
mod testdata_all;
#[cfg(all(feature = "arrow", feature = "parquet"))]
mod testdata_tables;
mod unpack;
mod vecs;
mod words;
#[cfg(feature = "parquet")]
mod zipped;

use std::path::Path;

use readers::{BufferPool, Dataset, Error, Input, Scan};

fn open(format: &str, input: &Input) -> Result<Box<dyn Dataset>, Error> {
    open_with(format, "{}", input)
}

fn open_with(format: &str, options: &str, input: &Input) -> Result<Box<dyn Dataset>, Error> {
    let options = toml::de::ValueDeserializer::parse(options).unwrap();
    (readers::format_called(format).unwrap().parse)(options).unwrap().open(input)
}

/// All values as bits, so that NaN and -0.0 count.
fn read(dataset: &dyn Dataset, batch_rows: usize) -> Result<Vec<u32>, Error> {
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows });
    let mut values = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            assert_eq!(batch.dim(), dataset.info().dim);
            values.extend(batch.values().iter().map(|value| value.to_bits()));
            pool.put(batch.into_values());
        }
    }
    Ok(values)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An .npy file with this text as its dictionary, padded to `offset` bytes at least.
fn npy(version: u8, dictionary: &[u8], offset: usize, data: &[u8]) -> Vec<u8> {
    let length_bytes = if version == 1 { 2 } else { 4 };
    let mut header = dictionary.to_vec();
    header.resize(header.len().max(offset.saturating_sub(9 + length_bytes)), b' ');
    header.push(b'\n');
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    file.extend(&header.len().to_le_bytes()[..length_bytes]);
    file.extend(header);
    file.extend(data);
    file
}

/// The message without the folder, and the help.
fn told(error: &Error, dir: &Path) -> (String, String) {
    let dir = format!("{}/", dir.display());
    let help = error.help().unwrap_or_default().replace(&dir, "");
    (error.to_string().replace(&dir, ""), help)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, dir: &Path, line: &str, help: &str) {
    let error = result.unwrap_err();
    assert_eq!(told(&error, dir), (line.to_owned(), help.to_owned()));
}
