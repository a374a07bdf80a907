//! The files of TEXMEX and faiss: every row says its dimension. One name for each type of value.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::{NATIVE, check_asked_dim, check_piece, row_batches, unrepresentable};
use crate::{
    Batches, BufferPool, ByteOrder, DType, Dataset, DatasetInfo, Error, Format, Ids, Input, MAX_DIM, Piece,
    Position, Probe, Rows, Scan, Score, Source, widen,
};

/// The i32 before the values of each row.
const DIM_BYTES: usize = 4;

/// How many bytes are read at a time where the file is not mapped: whole rows, at least one.
const CHUNK_BYTES: usize = 64 * 1024;

macro_rules! vecs_formats {
    ($($(#[$doc:meta])* $type:ident: $name:literal, $dtype:ident, $summary:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {}

        crate::register_format!($type);

        impl Format for $type {
            const NAME: &'static str = $name;
            const EXTENSIONS: &'static [&'static str] = &[$name];
            const SUMMARY: &'static str = $summary;
            const EXAMPLE: &'static str =
                concat!("[source]\ntype = \"", $name, "\"\npath = \"vectors.", $name, "\"\n");

            fn probe(probe: &Probe<'_>) -> Score {
                probe_vecs(probe, Self::EXTENSIONS, DType::$dtype)
            }

            fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
                open_vecs(Self::NAME, DType::$dtype, input)
            }
        }
    )*};
}

vecs_formats! {
    /// f32 vectors of TEXMEX and faiss (`.fvecs`). Each row is its dimension as a little-endian i32 and so many values;
    /// all rows must have the same.
    Fvecs: "fvecs", F32, "f32 vectors, each behind its dimension (TEXMEX, faiss)";
    /// Vectors of unsigned bytes of TEXMEX and faiss (`.bvecs`). Each row is its dimension as a little-endian i32 and so
    /// many values; all rows must have the same.
    Bvecs: "bvecs", U8, "vectors of unsigned bytes, each behind its dimension (TEXMEX, faiss)";
    /// Vectors of i32 of TEXMEX and faiss (`.ivecs`), each value up to 2^24. Each row is its dimension as a little-endian
    /// i32 and so many values; all rows must have the same.
    Ivecs: "ivecs", I32, "i32 vectors, each behind its dimension (TEXMEX, faiss)";
}

/// The dimension that the first bytes say, and the bytes of a row, if it is one.
fn first_row(head: &[u8], dtype: DType) -> Result<(usize, usize), i32> {
    let said = head.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
    match usize::try_from(said) {
        Ok(dim @ 1..=MAX_DIM) => Ok((dim, DIM_BYTES + dim * dtype.size_bytes())),
        _ => Err(said),
    }
}

fn probe_vecs(probe: &Probe<'_>, extensions: &[&str], dtype: DType) -> Score {
    match (probe.by_extension(extensions), first_row(probe.head, dtype)) {
        (Score::Yes(_, why), Ok((dim, bytes))) if probe.len_bytes.is_multiple_of(bytes as u64) => {
            Score::Yes(Score::SIZES, format!("{why} and its size is whole rows of {dim} values").into())
        }
        (by_name, _) => by_name,
    }
}

fn open_vecs(format: &'static str, dtype: DType, input: &Input) -> Result<Box<dyn Dataset>, Error> {
    let source = input.source()?;
    let len = source.len_bytes();
    if len < DIM_BYTES as u64 {
        let found = format!("a file of {len} bytes");
        return Err(Error::expected("the dimension of row 0 in 4 bytes", found).at(Position::Byte(0)));
    }
    let said = source.head(DIM_BYTES)?;
    let (dim, row_bytes) = first_row(&said, dtype).map_err(|said| {
        Error::expected(format!("a dimension from 1 to {MAX_DIM} (i32)"), said)
            .at(Position::Row(0))
            .with_help(format!("the file is no {format}: there every row begins with its dimension"))
    })?;
    check_asked_dim(input.dim, dim).map_err(|error| error.at(Position::Row(0)))?;
    let rows = whole_rows(len, dim, row_bytes, dtype)?;
    let info = DatasetInfo {
        format,
        rows: Rows::Exact(rows),
        dim,
        dtype,
        metric: None,
        ids: None,
        payload: None,
        files: vec![input.path.clone()],
        size_bytes: len,
        chosen: Vec::new(),
        notes: Vec::new(),
    };
    let file = Arc::from(source.path());
    Ok(Box::new(VecsDataset { info, source, file, rows, dim, dtype, said, row_bytes }))
}

fn whole_rows(len: u64, dim: usize, row_bytes: usize, dtype: DType) -> Result<u64, Error> {
    if len.is_multiple_of(row_bytes as u64) {
        return Ok(len / row_bytes as u64);
    }
    let expected = format!("a multiple of {row_bytes} bytes, rows of 4 and {dim} {dtype} values");
    let fits = |(_, other): &&(&str, DType)| {
        *other != dtype && len.is_multiple_of((DIM_BYTES + dim * other.size_bytes()) as u64)
    };
    let others = [("fvecs", DType::F32), ("bvecs", DType::U8), ("ivecs", DType::I32)];
    let others: Vec<_> = others.iter().filter(fits).map(|(name, _)| format!("--format {name}")).collect();
    let help = match others.as_slice() {
        [] => "the file was cut short, or its rows are not all of one dimension".to_owned(),
        others => format!("another type of value has this size: {}", others.join(" or ")),
    };
    Err(Error::expected(expected, format!("{len} bytes")).with_help(help))
}

#[derive(Debug)]
struct VecsDataset {
    info: DatasetInfo,
    source: Source,
    file: Arc<Path>,
    rows: u64,
    dim: usize,
    dtype: DType,
    /// What each row begins with: the dimension as row 0 says it.
    said: Vec<u8>,
    row_bytes: usize,
}

impl VecsDataset {
    #[expect(clippy::cast_possible_truncation, reason = "a batch is in memory, so a usize counts its values")]
    fn values(&self, rows: Range<u64>, pool: &BufferPool) -> Result<ScalarBuffer<f32>, Error> {
        let count = (rows.end - rows.start) as usize;
        let mut values = pool.take(count * self.dim);
        let start = rows.start * self.row_bytes as u64;
        if let Some(map) = self.source.map() {
            let start = start as usize;
            self.unpack(rows.start, &map[start..start + count * self.row_bytes], &mut values)?;
            return Ok(values.into());
        }
        let step = (CHUNK_BYTES / self.row_bytes).clamp(1, count.max(1));
        let mut chunk = vec![0; step * self.row_bytes];
        for (number, out) in values.chunks_mut(step * self.dim).enumerate() {
            let bytes = &mut chunk[..out.len() / self.dim * self.row_bytes];
            let first = rows.start + (number * step) as u64;
            self.source.read_at(first * self.row_bytes as u64, bytes)?;
            self.unpack(first, bytes, out)?;
        }
        Ok(values.into())
    }

    /// Takes the values out of whole rows, of which the first is number `first`.
    fn unpack(&self, first: u64, bytes: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let rows = bytes.chunks_exact(self.row_bytes).zip(out.chunks_exact_mut(self.dim));
        for ((bytes, out), row) in rows.zip(first..) {
            let (said, values) = bytes.split_at(DIM_BYTES);
            if said != self.said {
                return Err(self.ragged(row, said));
            }
            if self.dtype == DType::F32 && NATIVE == ByteOrder::Little {
                bytemuck::cast_slice_mut(out).copy_from_slice(values);
            } else if let Err(bad) = widen(self.dtype, ByteOrder::Little, values, out) {
                return Err(unrepresentable(&bad, row, bad.position).in_file(&self.file));
            }
        }
        Ok(())
    }

    fn ragged(&self, row: u64, said: &[u8]) -> Error {
        let said = said.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        Error::expected(format!("dimension {}, as in row 0", self.dim), said)
            .at(Position::Row(row))
            .in_file(&self.file)
            .with_help("all rows must have one dimension: the file is damaged, or of another format")
    }
}

impl Dataset for VecsDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let part = check_piece(self.rows, piece, &self.file)?;
        Ok(row_batches(part, scan, self.dim, &self.file, |rows| {
            Ok((self.values(rows.clone(), pool)?, Ids::From(rows.start)))
        }))
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}
