//! The column of vectors of a Parquet file, as pages. All lists have the same length and nothing is null, so the levels of a
//! page follow from its number of rows; the ordinary writer computes and packs two for every value, which takes longer than
//! all else.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/>: a page of the first version is the repetition levels, the
//! definition levels, each behind its length, and the values.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression as Codec, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::parquet::Compression;

/// Lists of so many values or more have their levels in runs, shorter ones as bits.
const RUN_VALUES: usize = 64;

/// The default of the format's own library: values of embeddings hardly compress, at any level.
pub(super) const ZSTD_LEVEL: i32 = 1;

/// The pages of a row group.
pub(super) struct VectorPages {
    column: ColumnDescPtr,
    dim: usize,
    page_rows: usize,
    packer: Packer,
    /// The pages that are complete.
    chunk: TrackedWrite<Vec<u8>>,
    locations: Vec<PageLocation>,
    uncompressed_bytes: usize,
    /// Rows in complete pages.
    rows: usize,
    /// The next page: the levels of a full one, and values behind them.
    page: Vec<u8>,
    levels_bytes: usize,
    /// The page as it is packed, and its values in another order.
    packed: Vec<u8>,
    split: Vec<u8>,
}

enum Packer {
    None,
    Zstd(zstd::bulk::Compressor<'static>),
    Snappy(Box<snap::raw::Encoder>),
}

impl VectorPages {
    /// For rows of `dim` values in pages of `page_rows` rows; `column` is their leaf in the schema.
    pub(super) fn new(
        column: ColumnDescPtr,
        dim: usize,
        page_rows: usize,
        compression: Compression,
    ) -> Result<Self> {
        let packer = match compression {
            Compression::None => Packer::None,
            Compression::Zstd => Packer::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
            Compression::Snappy => Packer::Snappy(Box::new(snap::raw::Encoder::new())),
        };
        let page = levels(page_rows, dim);
        Ok(Self {
            column,
            dim,
            page_rows,
            packer,
            chunk: TrackedWrite::new(Vec::new()),
            locations: Vec::new(),
            uncompressed_bytes: 0,
            rows: 0,
            levels_bytes: page.len(),
            page,
            packed: Vec::new(),
            split: Vec::new(),
        })
    }

    /// Takes whole rows.
    pub(super) fn push(&mut self, mut values: &[f32]) -> Result<()> {
        let full = self.levels_bytes + self.page_rows * self.dim * 4;
        while !values.is_empty() {
            let (part, rest) = values.split_at(values.len().min((full - self.page.len()) / 4));
            append(&mut self.page, part);
            values = rest;
            if self.page.len() == full {
                self.finish_page()?;
            }
        }
        Ok(())
    }

    /// Completes the page that rows have been put into.
    fn finish_page(&mut self) -> Result<()> {
        let value_bytes = self.page.len() - self.levels_bytes;
        let rows = value_bytes / (self.dim * 4);
        if rows == 0 {
            return Ok(());
        }
        if rows < self.page_rows {
            // The last of a row group.
            let levels = levels(rows, self.dim);
            self.page.splice(..self.levels_bytes, levels.iter().copied());
            self.write_page(levels.len(), rows)?;
            self.page.splice(..levels.len(), self::levels(self.page_rows, self.dim));
        } else {
            self.write_page(self.levels_bytes, rows)?;
        }
        self.page.truncate(self.levels_bytes);
        Ok(())
    }

    fn write_page(&mut self, levels_bytes: usize, rows: usize) -> Result<()> {
        let uncompressed = self.page.len();
        let encoding = encoding(&self.packer);
        if encoding == Encoding::BYTE_STREAM_SPLIT {
            split(&self.page[levels_bytes..], &mut self.split);
            self.page[levels_bytes..].copy_from_slice(&self.split);
        }
        let bytes = match &mut self.packer {
            Packer::None => std::mem::take(&mut self.page),
            Packer::Zstd(encoder) => {
                let mut packed = std::mem::take(&mut self.packed);
                packed.clear();
                packed.reserve(zstd::zstd_safe::compress_bound(uncompressed));
                encoder.compress_to_buffer(&self.page, &mut packed)?;
                packed
            }
            Packer::Snappy(encoder) => {
                let mut packed = std::mem::take(&mut self.packed);
                packed.resize(snap::raw::max_compress_len(uncompressed), 0);
                let len = encoder.compress(&self.page, &mut packed)?;
                packed.truncate(len);
                packed
            }
        };
        let bytes = Bytes::from(bytes);
        let page = Page::DataPage {
            buf: bytes.clone(),
            num_values: u32::try_from(rows * self.dim).map_err(|_| too_large())?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let mut writer = SerializedPageWriter::new(&mut self.chunk);
        let written = writer.write_page(CompressedPage::new(page, uncompressed))?;
        self.locations.push(PageLocation {
            offset: i64::try_from(written.offset).map_err(|_| too_large())?,
            compressed_page_size: i32::try_from(written.bytes_written).map_err(|_| too_large())?,
            first_row_index: i64::try_from(self.rows).map_err(|_| too_large())?,
        });
        self.uncompressed_bytes += written.uncompressed_size;
        self.rows += rows;
        let bytes = Vec::from(bytes);
        match self.packer {
            Packer::None => self.page = bytes,
            _ => self.packed = bytes,
        }
        Ok(())
    }

    /// Ends the row group: hands all its pages over as one piece, and begins the next one in the same memory.
    pub(super) fn finish(
        &mut self,
        append: impl FnOnce(&Bytes, ColumnCloseResult) -> Result<()>,
    ) -> Result<()> {
        self.finish_page()?;
        let signed = |bytes: usize| i64::try_from(bytes).map_err(|_| too_large());
        let chunk = std::mem::replace(&mut self.chunk, TrackedWrite::new(Vec::new()));
        let bytes = Bytes::from(chunk.into_inner()?);
        let codec = codec(&self.packer)?;
        let metadata = ColumnChunkMetaData::builder(Arc::clone(&self.column))
            .set_compression(codec)
            .set_encodings(vec![encoding(&self.packer), Encoding::RLE])
            .set_num_values(signed(self.rows * self.dim)?)
            .set_total_compressed_size(signed(bytes.len())?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_data_page_offset(0)
            .build()?;
        let offset_index = OffsetIndexMetaData {
            page_locations: std::mem::take(&mut self.locations),
            unencoded_byte_array_data_bytes: None,
        };
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offset_index),
        };
        append(&bytes, close)?;
        let mut memory = Vec::from(bytes);
        memory.clear();
        self.chunk = TrackedWrite::new(memory);
        (self.rows, self.uncompressed_bytes) = (0, 0);
        Ok(())
    }
}

fn too_large() -> ParquetError {
    ParquetError::General("a page or a row group is too large".to_owned())
}

fn codec(packer: &Packer) -> Result<Codec> {
    Ok(match packer {
        Packer::None => Codec::UNCOMPRESSED,
        Packer::Zstd(_) => Codec::ZSTD(parquet::basic::ZstdLevel::try_new(ZSTD_LEVEL)?),
        Packer::Snappy(_) => Codec::SNAPPY,
    })
}

/// Values that will be compressed are split by the significance of their bytes.
fn encoding(packer: &Packer) -> Encoding {
    if matches!(packer, Packer::None) { Encoding::PLAIN } else { Encoding::BYTE_STREAM_SPLIT }
}

fn append(page: &mut Vec<u8>, values: &[f32]) {
    if cfg!(target_endian = "little") {
        page.extend_from_slice(bytemuck::cast_slice(values));
    } else {
        page.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// All lowest bytes of the values first, then all of the next.
fn split(values: &[u8], out: &mut Vec<u8>) {
    out.resize(values.len(), 0);
    let count = values.len() / 4;
    let (low, high) = out.split_at_mut(2 * count);
    let ((a, b), (c, d)) = (low.split_at_mut(count), high.split_at_mut(count));
    for ((((value, a), b), c), d) in values.chunks_exact(4).zip(a).zip(b).zip(c).zip(d) {
        (*a, *b, *c, *d) = (value[0], value[1], value[2], value[3]);
    }
}

/// The levels of `rows` lists of `dim` values, each kind behind its length.
fn levels(rows: usize, dim: usize) -> Vec<u8> {
    let mut out = vec![0; 4];
    if dim >= RUN_VALUES {
        for _ in 0..rows {
            run(&mut out, 1, 0);
            run(&mut out, dim - 1, 1);
        }
    } else {
        bits(&mut out, rows, dim);
    }
    set_len(&mut out, 0..4);
    let middle = out.len();
    out.extend([0; 4]);
    // Every value is there: its list, and itself in it.
    run(&mut out, rows * dim, 1);
    set_len(&mut out, middle..middle + 4);
    out
}

/// A run of `count` times the same level of one bit.
fn run(out: &mut Vec<u8>, count: usize, level: u8) {
    varint(out, count << 1);
    out.push(level);
}

/// Repetition levels as packed bits: 0 where a list begins, else 1.
fn bits(out: &mut Vec<u8>, rows: usize, dim: usize) {
    let bytes = (rows * dim).div_ceil(8);
    varint(out, bytes << 1 | 1);
    let start = out.len();
    out.resize(start + bytes, 0xff);
    for value in (0..rows).map(|row| row * dim) {
        out[start + value / 8] &= !(1 << (value % 8));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes the length of what is behind `place` there.
#[expect(clippy::cast_possible_truncation, reason = "a page is smaller than 4 GiB")]
fn set_len(out: &mut [u8], place: Range<usize>) {
    let len = (out.len() - place.end) as u32;
    out[place].copy_from_slice(&len.to_le_bytes());
}
