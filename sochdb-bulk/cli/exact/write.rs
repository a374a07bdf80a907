//! Row numbers and distances in the formats that other programs read.

use std::path::Path;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use readers::arrow_array::builder::{Float32Builder, Int32Builder, ListBuilder};
use readers::arrow_array::{ArrayRef, RecordBatch};
use readers::formats::npy_header;

use super::Format;
use super::compare::Found;
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::stdout;
use crate::pipeline::is_stdio;

/// Writes the numbers, and the distances where they are wanted: both files, or none of them.
pub(super) fn write(
    found: &Found,
    format: Format,
    output: &Path,
    distances: Option<&Path>,
) -> Result<(), Failure> {
    // Every query has as many rows: k, or all where those are fewer.
    let width = found.nearest.first().map_or(0, Vec::len);
    let rows = match format {
        Format::Ivecs => ivecs(found),
        Format::Ibin => ibin(found, width),
        Format::Npy => array("<i4", found, width, |(_, row)| row.to_le_bytes()),
        Format::Parquet => parquet(found)
            .map_err(|e| Failure::failed(format!("{}: cannot write Parquet: {e}", output.display())))?,
        Format::Json => json(found),
    };
    let mut files = Vec::new();
    if let Some(path) = distances {
        files.push(prepared(path, &array("<f4", found, width, |(distance, _)| distance.to_le_bytes()))?);
    }
    if is_stdio(output) {
        stdout::write(&rows)?;
    } else {
        files.push(prepared(output, &rows)?);
    }
    files.into_iter().try_for_each(AtomicFile::publish)
}

/// A file that lacks nothing but its name.
fn prepared(path: &Path, bytes: &[u8]) -> Result<AtomicFile, Failure> {
    let mut file = AtomicFile::create(path)?;
    file.write_all_at(bytes, 0)?;
    file.prepare()?;
    Ok(file)
}

/// Numbers of rows have 31 bits: as i32 and as u32 they are the same bytes.
fn ivecs(found: &Found) -> Vec<u8> {
    let mut out = Vec::new();
    for nearest in &found.nearest {
        out.extend_from_slice(&size(nearest.len()));
        out.extend(nearest.iter().flat_map(|(_, row)| row.to_le_bytes()));
    }
    out
}

fn ibin(found: &Found, width: usize) -> Vec<u8> {
    let mut out = [size(found.nearest.len()), size(width)].concat();
    out.extend(found.nearest.iter().flatten().flat_map(|(_, row)| row.to_le_bytes()));
    out
}

/// k has 32 bits, and so many queries do not fit into memory.
fn size(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

fn array(descr: &str, found: &Found, width: usize, bytes: impl Fn((f32, u32)) -> [u8; 4]) -> Vec<u8> {
    let mut out = npy_header(descr, &[found.nearest.len() as u64, width as u64]);
    out.extend(found.nearest.iter().flatten().flat_map(|&pair| bytes(pair)));
    out
}

fn parquet(found: &Found) -> Result<Vec<u8>, ParquetError> {
    let mut neighbours = ListBuilder::new(Int32Builder::new());
    let mut distances = ListBuilder::new(Float32Builder::new());
    for nearest in &found.nearest {
        for &(distance, row) in nearest {
            neighbours.values().append_value(row.cast_signed());
            distances.values().append_value(distance);
        }
        neighbours.append(true);
        distances.append(true);
    }
    let columns: [(&str, ArrayRef); 2] =
        [("neighbors", Arc::new(neighbours.finish())), ("distances", Arc::new(distances.finish()))];
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn json(found: &Found) -> Vec<u8> {
    let mut out = String::new();
    for (query, nearest) in found.nearest.iter().enumerate() {
        let rows: Vec<_> = nearest.iter().map(|&(_, row)| row).collect();
        let distances: Vec<_> = nearest.iter().map(|&(distance, _)| distance).collect();
        out += &serde_json::json!({ "query": query, "rows": rows, "distances": distances }).to_string();
        out.push('\n');
    }
    out.into_bytes()
}
