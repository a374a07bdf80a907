//! Writes the sections of an index file one behind the other.

use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rayon::prelude::*;
use twox_hash::XxHash3_64;

use super::Cut;
use super::header::SECTION_ALIGNMENT;
use super::section::{SectionInfo, SectionKind};
use crate::codes::ErrorsOfCodes;
use crate::codes::bounds::Errors;
use crate::storage::Narrowing;
use crate::{Distance, Matrix, Metric, Storage, TextIdSource};

/// Texts are written in portions of about so many bytes.
const PORTION_BYTES: usize = 256 << 10;

/// A source of text ids gave others when it was asked again.
fn other_texts() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the text ids changed while they were written")
}

/// The checksum of each block.
pub(super) fn block_checksums(bytes: &[u8], cut: Cut) -> Vec<u64> {
    const BYTES_A_TASK: usize = 256 << 10;
    let blocks = bytes.par_chunks(cut.block_bytes());
    blocks.with_min_len(BYTES_A_TASK.div_ceil(cut.block_bytes())).map(XxHash3_64::oneshot).collect()
}

/// The blocks of rows that are stored so.
pub(super) fn cut_of(matrix: Matrix<'_>, storage: Storage) -> Cut {
    Cut::by_rows(matrix.dim() * storage.value_bytes())
}

/// How rows are narrowed, and what is to be known of them then.
pub(super) struct Portions<'a> {
    pub(super) narrowing: &'a Narrowing,
    pub(super) cut: Cut,
    pub(super) distance: Distance,
    pub(super) errors_of: Option<&'a ErrorsOfCodes<'a>>,
}

/// What is known of rows that were narrowed.
#[derive(Default)]
pub(super) struct Narrowed {
    /// Of the blocks.
    pub(super) checksums: Vec<u64>,
    /// The inverse norms of what was stored, where the metric needs them.
    pub(super) norms: Vec<f32>,
    /// Those of its codes, if there are any.
    pub(super) errors: Vec<Errors>,
}

/// Writes sections one behind the other, with zeros between.
pub(super) struct SectionWriter<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) sections: Vec<SectionInfo>,
    /// Where the last section ends.
    pub(super) end: u64,
}

impl<W: Write + Seek> SectionWriter<'_, W> {
    pub(super) fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        self.out.seek(SeekFrom::Start(offset))?;
        self.end = offset;
        Ok(())
    }

    pub(super) fn put(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.out.write_all(part)?;
            self.end += part.len() as u64;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, kind: SectionKind, offset_bytes: u64, checksum: u64) {
        self.sections.push(SectionInfo {
            kind,
            offset_bytes,
            length_bytes: self.end - offset_bytes,
            checksum,
        });
    }

    /// Fills up to where the next section begins, and returns where that is.
    pub(super) fn begin(&mut self) -> io::Result<u64> {
        let offset = self.end.next_multiple_of(SECTION_ALIGNMENT);
        self.out.seek(SeekFrom::Start(self.end))?;
        io::copy(&mut io::repeat(0).take(offset - self.end), self.out)?;
        self.end = offset;
        Ok(offset)
    }

    /// Narrows all rows and writes them.
    pub(super) fn narrowed(&mut self, matrix: Matrix<'_>, portions: &Portions<'_>) -> io::Result<Narrowed> {
        /// Whole blocks, whose rows are a power of two up to 1,024.
        const PORTION_ROWS: usize = 8192;
        const TASK_ROWS: usize = 64;
        let Portions { narrowing, cut, distance, errors_of } = portions;
        let dim = matrix.dim();
        let row_bytes = narrowing.row_bytes(dim);
        let cosine = distance.metric() == Metric::Cosine;
        let mut narrowed = Narrowed::default();
        let mut bytes = Vec::new();
        for (portion, rows) in matrix.values().chunks(PORTION_ROWS * dim).enumerate() {
            bytes.resize(rows.len() / dim * row_bytes, 0);
            rows.par_chunks(TASK_ROWS * dim)
                .zip(bytes.par_chunks_mut(TASK_ROWS * row_bytes))
                .for_each(|(rows, bytes)| narrowing.narrow(rows, bytes));
            if cosine || errors_of.is_some() {
                let of_row = |wide: &mut Vec<f32>, (row, bytes): (usize, &[u8])| {
                    wide.resize(dim, 0.0);
                    narrowing.widen(bytes, wide);
                    let norm = if cosine { distance.inverse_norm(wide) } else { 1.0 };
                    let errors = errors_of.map(|errors| errors.of(portion * PORTION_ROWS + row, wide, norm));
                    (norm, errors.unwrap_or_default())
                };
                let rows = bytes.par_chunks(row_bytes).enumerate().with_min_len(TASK_ROWS);
                let (norms, errors): (Vec<f32>, Vec<Errors>) = rows.map_init(Vec::new, of_row).unzip();
                narrowed.norms.extend_from_slice(if cosine { &norms } else { &[] });
                narrowed.errors.extend_from_slice(if errors_of.is_some() { &errors } else { &[] });
            }
            narrowed.checksums.extend(block_checksums(&bytes, *cut));
            self.put(&[&bytes])?;
        }
        Ok(narrowed)
    }

    /// The residuals of all rows; for inner products then the lengths.
    pub(super) fn code_errors(&mut self, errors: &[Errors], metric: Metric) -> io::Result<()> {
        let residuals: Vec<f32> = errors.iter().map(|errors| errors.residual).collect();
        let lengths = errors.iter().filter(|_| metric == Metric::Ip).map(|errors| errors.length);
        let lengths: Vec<f32> = lengths.collect();
        let parts = [&residuals, &lengths].map(|part| bytemuck::cast_slice(part));
        self.section(SectionKind::CodeErrors, &parts)
    }

    /// Where each text begins and where the last ends, then the texts: without holding more than a portion of either.
    pub(super) fn text_ids(&mut self, ids: &dyn TextIdSource) -> io::Result<()> {
        let offset = self.begin()?;
        let mut hasher = XxHash3_64::new();
        let mut portion = Vec::with_capacity(PORTION_BYTES + 8);
        let mut flush = |portion: &mut Vec<u8>, least: usize| {
            if portion.len() < least {
                return Ok(());
            }
            hasher.write(portion);
            let written = self.put(&[portion]);
            portion.clear();
            written
        };
        let mut end: u64 = 0;
        portion.extend_from_slice(&end.to_le_bytes());
        for row in 0..ids.rows() {
            end += ids.text_id(row)?.len() as u64;
            portion.extend_from_slice(&end.to_le_bytes());
            flush(&mut portion, PORTION_BYTES)?;
        }
        for row in 0..ids.rows() {
            let text = ids.text_id(row)?.as_bytes();
            end = end.checked_sub(text.len() as u64).ok_or_else(other_texts)?;
            portion.extend_from_slice(text);
            flush(&mut portion, PORTION_BYTES)?;
        }
        if end != 0 {
            return Err(other_texts());
        }
        flush(&mut portion, 1)?;
        self.record(SectionKind::TextIds, offset, hasher.finish());
        Ok(())
    }

    pub(super) fn section(&mut self, kind: SectionKind, parts: &[&[u8]]) -> io::Result<()> {
        let offset = self.begin()?;
        let mut hasher = XxHash3_64::new();
        parts.iter().for_each(|part| hasher.write(part));
        self.put(parts)?;
        self.record(kind, offset, hasher.finish());
        Ok(())
    }
}
