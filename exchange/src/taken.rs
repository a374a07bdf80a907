//! An index of any known library as an index of this one.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use index::file::{Contents, OpenError, VECTORS_OFFSET, Vectors};
use index::{Dropped, ForeignGraph, Index, MappedMatrix, Params, TextIdSource};
use readers::{Error, Input, Metric, detect};

use crate::dataset::wide_text;
use crate::{ForeignIndex, ForeignInfo, Ids, Library, metric_of};

/// How many bytes of vectors are written at a time.
const PORTION_BYTES: usize = 256 * 1024;

/// Where an index came from that was of another library.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What its file says.
    pub info: ForeignInfo,
    /// What of its graph was left out.
    pub dropped: Dropped,
}

/// An opened index.
#[derive(Debug)]
pub struct Taken {
    /// The index.
    pub index: Index,
    /// Where it came from, if it was not this program's.
    pub origin: Option<Origin>,
}

/// Why an index cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum TakeError {
    /// An index of this program, or no index at all.
    Own(OpenError),
    /// An index of another library, or a request that does not fit it.
    Foreign(Error),
}

impl From<Error> for TakeError {
    fn from(error: Error) -> Self {
        Self::Foreign(error)
    }
}

/// Opens an index of this or of another library. That of another one is copied into a temporary file, with `metric` where its own
/// file says none. `stop` is asked from time to time whether to give up.
///
/// # Errors
/// See [`TakeError`]; a metric that is missing, or another than that of the file.
pub fn open(path: &Path, metric: Option<Metric>, stop: &dyn Fn() -> bool) -> Result<Taken, TakeError> {
    let own_error = match Index::open(path) {
        Ok(index) => {
            let index = check_metric(index, metric).map_err(|error| error.in_file(path))?;
            return Ok(Taken { index, origin: None });
        }
        Err(error @ OpenError::NotAnIndex) => error,
        Err(error) => return Err(TakeError::Own(error)),
    };
    match foreign_index(path, stop)? {
        Some(foreign) => Ok(take(&*foreign, metric, stop).map_err(|error| error.in_file(path))?),
        None => Err(TakeError::Own(own_error)),
    }
}

/// Opens an index of another library, unpacked if it is packed; nothing if the file is none.
///
/// # Errors
/// What is wrong with it.
pub fn foreign_index(path: &Path, stop: &dyn Fn() -> bool) -> Result<Option<Box<dyn ForeignIndex>>, Error> {
    let input = Input::new(path).unpacked_unless(stop)?;
    let library = detect(&input).ok().and_then(|detected| Library::called(detected.format.name));
    library.map(|library| library.open(&input)).transpose()
}

fn check_metric(index: Index, asked: Option<Metric>) -> Result<Index, Error> {
    match asked {
        Some(asked) if metric_of(asked) != index.header().params.metric => {
            let found = index.header().params.metric;
            Err(Error::request(format!("expected the metric {asked}, as asked for, found {found}"))
                .with_help("leave --metric away: the file says it"))
        }
        _ => Ok(index),
    }
}

/// As [`take_over`], into a temporary file without a name, as an opened index.
///
/// # Errors
/// As [`take_over`]; a file that was written to meanwhile.
pub fn take(
    foreign: &dyn ForeignIndex,
    metric: Option<Metric>,
    stop: &dyn Fn() -> bool,
) -> Result<Taken, Error> {
    let file = tempfile::tempfile().map_err(|e| Error::io("make a temporary file", e))?;
    let how = TakeOver { metric, ids: Ids::Own, codes: false };
    let dropped = take_over(foreign, how, &file, stop)?;
    let index = Index::of_file(file).map_err(|e| Error::malformed(format!("the copy of the index: {e}")))?;
    foreign.check_unchanged()?;
    Ok(Taken { index, origin: Some(Origin { info: foreign.info().clone(), dropped }) })
}

/// How an index is taken over.
#[derive(Debug, Clone, Copy, Default)]
pub struct TakeOver {
    /// The metric, where the file says none.
    pub metric: Option<Metric>,
    /// Which ids the rows get.
    pub ids: Ids,
    /// Whether the rows get codes, if codes suit them: search is faster by them, and not quite the same as in the other library.
    pub codes: bool,
}

/// Writes an index of another library as one of this into `out`, an empty file: rows, ids and graph as they are.
///
/// # Errors
/// A metric that is missing, or another than that of the file; no graph, or one that leads over deleted rows; rows that cannot
/// be searched; what `out` says.
pub fn take_over(
    foreign: &dyn ForeignIndex,
    how: TakeOver,
    out: &File,
    stop: &dyn Fn() -> bool,
) -> Result<Dropped, Error> {
    let info = foreign.info();
    let library = info.library;
    if !info.has_graph {
        return Err(Error::request(format!(
            "expected a graph, found vectors alone, as {library} keeps them"
        ))
        .with_help("build an index of it: it is a source of vectors like any other"));
    }
    if let Some(obstacle) = &info.obstacle {
        return Err(Error::unsupported(obstacle.clone()).with_help(
            "build the index anew, with this file as the source: the rows that are left come through",
        ));
    }
    let metric = match (info.metric, how.metric) {
        (None, None) => {
            return Err(Error::request(format!("an index of {library} does not say its metric"))
                .with_help("say which it was made with: --metric l2, cosine or ip"));
        }
        // Unit vectors and inner products are how faiss does cosine.
        (Some(Metric::Ip), Some(Metric::Cosine)) => Metric::Cosine,
        (Some(found), Some(asked)) if found != asked => {
            return Err(Error::request(format!("expected the metric {asked}, as asked for, found {found}"))
                .with_help("leave --metric away: the file says it"));
        }
        (Some(found), _) => found,
        (None, Some(asked)) => asked,
    };
    let dim = info.dim.max(1);
    write_vectors(foreign, dim, out, stop)?;
    let mapped = (info.rows > 0)
        .then(|| MappedMatrix::new(out, VECTORS_OFFSET, info.rows, dim))
        .transpose()
        .map_err(|e| Error::io("map the copy", e))?;
    let matrix = mapped.as_ref().map_or(index::Matrix::new(&[], dim), MappedMatrix::matrix);
    let params = Params {
        metric: metric_of(metric),
        // M0 is twice M here, so that the longer of both fits.
        m: info.m.max(info.m0.div_ceil(2)).max(Params::MIN_M),
        ef_construction: info.ef_construction.unwrap_or(0).clamp(1, Params::MAX_EF_CONSTRUCTION),
        seed: 0,
    };
    let (built, dropped) = index::import(matrix, &params, &Graph(foreign), library).map_err(|error| {
        Error::malformed(error.to_string())
            .with_help("no search could give a right answer: build the index anew")
    })?;
    let built = if how.codes { built.with_faithful_codes(matrix) } else { built };
    let has_texts = how.ids == Ids::Own && info.has_wide_ids;
    let texts: Option<Vec<String>> =
        has_texts.then(|| (0..info.rows).map(|row| wide_text(foreign.id(row))).collect());
    let ids = if how.ids == Ids::Own && !has_texts { ids_of(foreign) } else { None };
    let contents = Contents {
        built: &built,
        vectors: Vectors::InPlace(matrix),
        vector_checksums: None,
        ids: ids.as_deref(),
        text_ids: texts.as_ref().map(|texts| texts as &dyn TextIdSource),
        recipe: "",
    };
    let mut out = out;
    index::file::write(&mut out, &contents).map_err(|e| Error::io("write the copy", e))?;
    Ok(dropped)
}

/// Writes all vectors to their place in an index file.
fn write_vectors(
    foreign: &dyn ForeignIndex,
    dim: usize,
    mut out: &File,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let failed = |e| Error::io("write the copy", e);
    out.seek(SeekFrom::Start(VECTORS_OFFSET)).map_err(failed)?;
    let portion_rows = (PORTION_BYTES / (dim * 4)).max(1);
    let mut portion = vec![0.0; portion_rows * dim];
    let rows = foreign.info().rows;
    for first in (0..rows).step_by(portion_rows) {
        if stop() {
            return Err(Error::request("stopped"));
        }
        let count = portion_rows.min(rows - first);
        for (row, vector) in (first..).zip(portion.chunks_exact_mut(dim).take(count)) {
            foreign.copy_vector(row, vector)?;
        }
        out.write_all(bytemuck::cast_slice(&portion[..count * dim])).map_err(failed)?;
    }
    Ok(())
}

/// The ids, if they are not row numbers.
#[expect(clippy::cast_possible_truncation, reason = "found to have 64 bits when the file was opened")]
fn ids_of(foreign: &dyn ForeignIndex) -> Option<Vec<u64>> {
    let rows = foreign.info().rows;
    let are_rows = (0..rows).all(|row| foreign.id(row) == row as u128);
    (!are_rows).then(|| (0..rows).map(|row| foreign.id(row) as u64).collect())
}

/// The graph of a foreign index as the engine asks for one.
struct Graph<'a>(&'a dyn ForeignIndex);

impl ForeignGraph for Graph<'_> {
    fn top_level(&self, row: u32) -> u8 {
        self.0.top_level(row as usize)
    }

    fn entry_point(&self) -> Option<u32> {
        self.0.info().entry_point.and_then(|row| u32::try_from(row).ok())
    }

    fn neighbours(&self, row: u32, level: u8, out: &mut Vec<u64>) {
        self.0.neighbours(row as usize, level, out);
    }
}
