//! The values of a page, by their encoding.
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>

use std::sync::Arc;

use bytes::Bytes;

use super::parquet_runs::Runs;
use crate::{ByteOrder, DType, Source, widen};

/// Values of a page that are split by the significance of their bytes are put together so many at a time.
const SPLIT_VALUES: usize = 256;

/// The values of a page from the next one on.
#[derive(Debug)]
pub(super) enum Values {
    /// One behind the other.
    Plain { bytes: Bytes, at: usize },
    /// The same, in the file still.
    InFile { source: Arc<Source>, offset: u64 },
    /// First the lowest bytes of all of them, then the next (BYTE_STREAM_SPLIT).
    Split { bytes: Bytes, count: usize, at: usize },
    /// As numbers of values.
    Indexes { runs: Runs, dictionary: Arc<Vec<f32>> },
}

/// A page is not what the fast way reads. The ordinary reader finds out what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unlike(pub(super) &'static str);

impl Values {
    /// Fills `out` with the next values; there are so many.
    pub(super) fn take(&mut self, dtype: DType, out: &mut [f32]) -> Result<(), Unlike> {
        let size = dtype.size_bytes();
        match self {
            Self::Plain { bytes, at } => {
                let end = *at + out.len() * size;
                plain(dtype, bytes.get(*at..end).ok_or(Unlike("values are missing"))?, out)?;
                *at = end;
            }
            Self::InFile { source, offset } => {
                debug_assert_eq!(dtype, DType::F32);
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
                source.read_at(*offset, bytes).map_err(|_| Unlike("the file cannot be read"))?;
                *offset += bytes.len() as u64;
            }
            Self::Split { bytes, count, at } => {
                for out in out.chunks_mut(SPLIT_VALUES) {
                    split(dtype, bytes, *count, *at, out)?;
                    *at += out.len();
                }
            }
            Self::Indexes { runs, dictionary } => match runs.look_up(dictionary, out) {
                Ok(true) => {}
                Ok(false) => return Err(Unlike("an index without a value")),
                Err(_) => return Err(Unlike("indexes are missing")),
            },
        }
        Ok(())
    }

    /// Passes the next `count` values; there are so many.
    pub(super) fn skip(&mut self, dtype: DType, count: usize) -> Result<(), Unlike> {
        match self {
            Self::Plain { at, .. } => *at += count * dtype.size_bytes(),
            Self::InFile { offset, .. } => *offset += (count * dtype.size_bytes()) as u64,
            Self::Split { at, .. } => *at += count,
            Self::Indexes { runs, .. } => runs.skip(count).map_err(|_| Unlike("indexes are missing"))?,
        }
        Ok(())
    }
}

/// Values one behind the other, as f32.
pub(super) fn plain(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), Unlike> {
    if dtype == DType::F32 && cfg!(target_endian = "little") {
        bytemuck::cast_slice_mut(out).copy_from_slice(bytes);
        return Ok(());
    }
    widen(dtype, ByteOrder::Little, bytes, out).map_err(|_| Unlike("a value that is no f32"))
}

/// The values from `at` on of `count` that are split.
fn split(dtype: DType, bytes: &[u8], count: usize, at: usize, out: &mut [f32]) -> Result<(), Unlike> {
    let of = |byte: usize| {
        bytes.get(byte * count + at..byte * count + at + out.len()).ok_or(Unlike("values are missing"))
    };
    if dtype == DType::F32 {
        let (a, b, c, d) = (of(0)?, of(1)?, of(2)?, of(3)?);
        for ((((out, &a), &b), &c), &d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out = f32::from_le_bytes([a, b, c, d]);
        }
        return Ok(());
    }
    let size = dtype.size_bytes();
    let mut joined = [0; SPLIT_VALUES * 8];
    let joined = &mut joined[..out.len() * size];
    for byte in 0..size {
        for (to, &from) in joined[byte..].iter_mut().step_by(size).zip(of(byte)?) {
            *to = from;
        }
    }
    plain(dtype, joined, out)
}
