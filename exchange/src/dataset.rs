//! The vectors of a foreign index as a source.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use readers::arrow_array::StringArray;
use readers::arrow_buffer::ScalarBuffer;
use readers::{
    Batch, Batches, BufferPool, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input, Matrix, Origin,
    Piece, Probe, Rows, Scan, Score,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ForeignIndex, Library, faiss, hnswlib, sochdb, usearch};

/// The rows of an index, whoever wrote it.
pub(crate) trait RowSource: Send + Sync + std::fmt::Debug {
    fn info(&self) -> &DatasetInfo;
    fn file(&self) -> Arc<Path>;
    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error>;
    fn ids(&self, rows: Range<u64>) -> Ids;
    fn matrix(&self) -> Option<ScalarBuffer<f32>>;
    fn check_unchanged(&self) -> Result<(), Error>;
}

#[derive(Debug)]
pub(crate) struct IndexRows<T>(pub(crate) T);

impl<T: RowSource> Dataset for IndexRows<T> {
    fn info(&self) -> &DatasetInfo {
        self.0.info()
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let Range { start, end } = piece.rows;
        let rows = self.info().rows.exact().unwrap_or_default();
        if start > end || end > rows {
            let message = format!("expected rows within 0..{rows}, found {start}..{end}");
            return Err(Error::request(message).in_file(self.0.file()));
        }
        let (step, file, all) = (scan.batch_rows.max(1) as u64, self.0.file(), self.0.matrix());
        let mut next = start;
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = next..end.min(next.saturating_add(step));
            if rows.is_empty() {
                return None;
            }
            next = rows.end;
            let batch = self.batch(rows, all.as_ref(), &file, pool).map_err(|error| error.in_file(&file));
            if batch.is_err() {
                next = end;
            }
            Some(batch)
        })))
    }

    fn matrix(&self) -> Option<Matrix> {
        self.0.matrix().map(|values| Matrix { values, dim: self.info().dim })
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.0.check_unchanged()
    }
}

impl<T: RowSource> IndexRows<T> {
    #[expect(clippy::cast_possible_truncation, reason = "rows of an index are fewer than 2^31")]
    fn batch(
        &self,
        rows: Range<u64>,
        all: Option<&ScalarBuffer<f32>>,
        file: &Arc<Path>,
        pool: &BufferPool,
    ) -> Result<Batch, Error> {
        let dim = self.info().dim;
        let (first, count) = (rows.start as usize, (rows.end - rows.start) as usize);
        let values = match all {
            Some(all) => all.slice(first * dim, count * dim),
            None => {
                let mut values = pool.take(count * dim);
                for (row, out) in (first..).zip(values.chunks_exact_mut(dim)) {
                    self.0.copy_vector(row, out)?;
                }
                ScalarBuffer::from(values)
            }
        };
        let origin = Origin { file: Arc::clone(file), row: rows.start };
        Ok(Batch::new(rows.start, dim, values, origin).with_ids(self.0.ids(rows)))
    }
}

#[derive(Debug)]
struct Foreign {
    index: Box<dyn ForeignIndex>,
    info: DatasetInfo,
}

impl RowSource for Foreign {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn file(&self) -> Arc<Path> {
        self.index.path()
    }

    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        self.index.copy_vector(row, out)
    }

    #[expect(clippy::cast_possible_truncation, reason = "rows of an index are fewer than 2^31")]
    fn ids(&self, rows: Range<u64>) -> Ids {
        let ids = rows.map(|row| self.index.id(row as usize));
        if self.index.info().has_wide_ids {
            let texts: StringArray = ids.map(|id| Some(wide_text(id))).collect();
            return Ids::Text(texts);
        }
        // They were found to have 64 bits.
        Ids::U64(ids.map(|id| id as u64).collect::<Vec<_>>().into())
    }

    fn matrix(&self) -> Option<ScalarBuffer<f32>> {
        self.index.matrix()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.index.check_unchanged()
    }
}

/// An id of 128 bits as text: as a UUID, which is what such ids are.
pub(crate) fn wide_text(id: u128) -> String {
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn open(library: &'static Library, input: &Input) -> Result<Box<dyn Dataset>, Error> {
    let index = library.open(input)?;
    let of = index.info();
    if of.dim == 0 {
        return Err(Error::unsupported("expected vectors, found an index without any"));
    }
    readers::formats::check_asked_dim(input.dim, of.dim)?;
    let mut notes = Vec::new();
    if let Some(obstacle) = &of.obstacle {
        notes.push(format!("{obstacle}: they are left out"));
    }
    let info = DatasetInfo {
        format: library.name,
        rows: Rows::Exact(of.rows as u64),
        dim: of.dim,
        dtype: of.dtype,
        metric: of.metric,
        ids: Some(if of.has_wide_ids { IdType::Text } else { IdType::U64 }),
        payload: None,
        chosen: Vec::new(),
        files: vec![input.path.clone()],
        size_bytes: of.size_bytes,
        notes,
    };
    Ok(Box::new(IndexRows(Foreign { index, info })))
}

/// A format that is a library's, with no options.
macro_rules! format_of {
    ($(#[$docs:meta])* $name:ident, $library:path, $word:literal, $extensions:expr, $summary:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        struct $name {}

        readers::register_format!($name);

        impl Format for $name {
            const NAME: &'static str = $word;
            const EXTENSIONS: &'static [&'static str] = $extensions;
            const SUMMARY: &'static str = $summary;
            const EXAMPLE: &'static str =
                concat!("[source]\ntype = \"", $word, "\"\npath = \"vectors.", $word, "\"\n");

            fn probe(probe: &Probe<'_>) -> Score {
                $library.probe(probe)
            }

            fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
                open(&$library, input)
            }
        }
    };
}

format_of!(
    /// The vectors and labels of an index that hnswlib saved. Deleted elements are left out.
    Hnswlib, hnswlib::LIBRARY, "hnswlib", &["hnswlib"], "vectors and labels of an index that hnswlib saved"
);
format_of!(
    /// The vectors and ids of an index that faiss wrote: an IndexHNSWFlat or an IndexFlat, also with an IndexIDMap.
    Faiss, faiss::LIBRARY, "faiss", &["faiss"], "vectors and ids of faiss's IndexHNSWFlat and IndexFlat"
);
format_of!(
    /// The vectors and keys of an index that usearch saved, of f64, f32, f16, bf16 or i8. Deleted vectors are left out.
    Usearch, usearch::LIBRARY, "usearch", &["usearch"], "vectors and keys of an index that usearch saved"
);
format_of!(
    /// The vectors and ids of an index that SochDB wrote. For cosine, rows have length 1 there.
    SochDb, sochdb::LIBRARY, "sochdb", &["sochdb"], "vectors and ids of an index that SochDB wrote"
);
