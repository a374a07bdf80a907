//! Files of vectors that are compared with others: as queries are, or as what queries are compared with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use readers::{
    Batch, BufferPool, Concat, Dataset, FormatDescriptor, Input, OpenFormat, Opener, Position, Scan,
    check_named, detect, files_called,
};

use super::sources::opener_with;
use crate::pipeline::{check_finite, is_stdio};
use crate::{Code, Failure};

/// What queries have to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The format, where it is named.
    pub(super) format: Option<&'static FormatDescriptor>,
    /// The column of the vectors, where it is named.
    pub(super) vector_column: Option<&'a str>,
    /// That of what they are compared with.
    pub(super) dim: usize,
    /// What has that dimension, such as `a.hnsw was built from vectors`.
    pub(super) others: &'a str,
}

/// The files of queries, all that match where a pattern was given.
pub(super) fn files_of(names: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for name in names {
        if is_stdio(name) && files.contains(name) {
            return Err(stdin_twice());
        }
        files.extend(files_called(Path::new(""), name)?);
    }
    Ok(files)
}

/// Standard input is named twice, and can be read once.
pub(super) fn stdin_twice() -> Failure {
    Failure::refused("expected standard input once, found it twice")
        .with_code(Code::Stdio)
        .with_help("save one of the two to a file")
}

/// All files as one dataset.
pub(super) fn open(files: Vec<PathBuf>, wanted: Wanted<'_>) -> Result<Box<dyn Dataset>, Failure> {
    let mut all = Concat::of(files.len());
    for file in files {
        let (dataset, again) = open_file(&file, wanted)?;
        all.push(dataset, Some(again))?;
    }
    Ok(all.finish()?)
}

/// A file of queries, and what opens it again.
fn open_file(file: &Path, wanted: Wanted<'_>) -> Result<(Box<dyn Dataset>, Opener), Failure> {
    let dim = wanted.dim;
    // Bare f32 relies on the dimension of the others; a format that knows its own is compared below, in better words.
    let packed = Input { own_ids: false, ..Input::new(file) };
    let bare = packed.clone().unpacked()?;
    let with_dim = Input { dim: Some(dim), ..bare.clone() };
    let format = match wanted.format {
        Some(format) => {
            check_named(format, &with_dim)?;
            format
        }
        None => {
            detect(&with_dim)
                .map_err(|e| match e.kind() {
                    readers::ErrorKind::Request => {
                        let known: Vec<_> = readers::formats().iter().map(|format| format.name).collect();
                        e.with_help(format!("name the format with --query-format: {}", known.join(", ")))
                    }
                    _ => e,
                })?
                .format
        }
    };
    let opener: Arc<dyn OpenFormat> = opener_with(format, [("vector_column", wanted.vector_column)])?.into();
    if let Ok(dataset) = opener.open(&bare)
        && dataset.info().dim != dim
    {
        let found = dataset.info().dim;
        let message = format!("{}: expected queries of dimension {dim}, found {found}", bare.path.display());
        let help = format!("{} of dimension {dim}: use the same model", wanted.others);
        return Err(Failure::refused(message).with_code(Code::Dimension).with_help(help));
    }
    let dataset = opener.open(&with_dim)?;
    // Standard input stays unpacked, since it cannot be read again.
    let input = if is_stdio(file) { with_dim } else { Input { dim: Some(dim), ..packed } };
    Ok((dataset, Box::new(move || opener.open(&input.clone().unpacked()?))))
}

/// All queries, row by row: each checked as vectors for an index are.
pub(super) fn read(dataset: &dyn Dataset) -> Result<Vec<f32>, Failure> {
    let rows = dataset.info().rows.exact().unwrap_or(u64::MAX);
    let scan = Scan { rows: 0..rows, batch_rows: 1000 };
    let pool = BufferPool::new();
    let mut queries = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            check(&batch, "scale the queries as the vectors of the index were")?;
            queries.extend_from_slice(batch.values());
        }
    }
    Ok(queries)
}

/// Fails if a row has no distances: a value of it is not finite, or it is so long that they overflow.
pub(super) fn check(batch: &Batch, help: &str) -> Result<(), Failure> {
    let norms = index::Distance::new(index::Metric::L2);
    // One pass where all is well: the sum of a row with NaN or an infinity is within no bound.
    let overflows = |query: &[f32]| !matches!(norms.squared_norm(query), 0.0..=index::MAX_SQUARED_NORM);
    match batch.vectors().position(overflows) {
        None => Ok(()),
        Some(at) => {
            check_finite(batch)?;
            let found = "more: distances would overflow";
            Err(readers::Error::expected("values whose squares sum up to 4e37 at most", found)
                .in_file(&*batch.origin().file)
                .at(Position::Row(batch.origin().row + at as u64))
                .with_help(help)
                .into())
        }
    }
}
