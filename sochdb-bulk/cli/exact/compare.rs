//! All vectors of files or of an index, part by part, compared with all queries.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use index::{ExactSearch, Index, Matrix, Metric};
use rayon::ThreadPool;
use readers::{Batch, BufferPool, Dataset, Portions, Scan};

use super::super::info::damaged;
use super::super::queries::check;
use crate::pipeline::Monitoring;
use crate::{Code, Failure};

/// Vectors of about so many bytes are compared at a time.
const PART_BYTES: usize = 16 << 20;

/// What queries are compared with.
pub(in crate::cli) enum Base {
    /// The vectors of an index, and its file.
    Index(Arc<Index>, PathBuf),
    /// Files, and the first of their names.
    Files { dataset: Box<dyn Dataset>, metric: Metric, name: PathBuf },
}

impl Base {
    pub(super) fn dim(&self) -> usize {
        match self {
            Self::Index(index, _) => index.dim(),
            Self::Files { dataset, .. } => dataset.info().dim,
        }
    }

    pub(super) fn metric(&self) -> Metric {
        match self {
            Self::Index(index, _) => index.header().params.metric,
            Self::Files { metric, .. } => *metric,
        }
    }

    pub(super) fn name(&self) -> &Path {
        match self {
            Self::Index(_, path) => path,
            Self::Files { name, .. } => name,
        }
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        match self {
            Self::Index(_, path) => std::slice::from_ref(path),
            Self::Files { dataset, .. } => &dataset.info().files,
        }
    }
}

/// What was found.
pub(in crate::cli) struct Found {
    /// For each query the distances and numbers of its nearest rows, nearest first; of every query as many.
    pub(in crate::cli) nearest: Vec<Vec<(f32, u32)>>,
    /// Rows that were compared with each.
    pub(in crate::cli) rows: u64,
}

/// The `k` nearest rows of each query; all of them if there are fewer.
pub(in crate::cli) fn nearest(
    base: &Base,
    queries: &[f32],
    k: usize,
    threads: usize,
    monitoring: &Monitoring,
) -> Result<Found, Failure> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Failure::failed(format!("cannot start {threads} threads: {e}")))?;
    let queries = Matrix::new(queries, base.dim());
    let mut search = pool.install(|| ExactSearch::new(queries, base.metric(), k));
    let rows = match base {
        Base::Index(index, path) => add_index(index, path, &mut search, &pool, monitoring),
        Base::Files { dataset, .. } => add_files(&**dataset, &mut search, &pool, monitoring),
    };
    monitoring.progress.clear();
    let rows = rows?;
    if rows == 0 {
        let message = format!("{}: expected rows to compare with, found none", base.name().display());
        return Err(Failure::refused(message).with_code(Code::Rows).with_help("name a file that has rows"));
    }
    Ok(Found { nearest: pool.install(|| search.finish()), rows })
}

fn add_index(
    index: &Index,
    path: &Path,
    search: &mut ExactSearch<'_>,
    pool: &ThreadPool,
    monitoring: &Monitoring,
) -> Result<u64, Failure> {
    let dim = index.dim();
    monitoring.progress.begin("comparing", Some(index.rows() as u64));
    let (part, mut buffer) = (part_rows(dim), Vec::new());
    for first in (0..index.rows()).step_by(part) {
        monitoring.cancel.check()?;
        let rows = first..(first + part).min(index.rows());
        let added = pool.install(|| {
            let vectors = index.vectors_of(rows.clone(), &mut buffer)?;
            search.add(vectors);
            Ok(())
        });
        added.map_err(|e| damaged(path, &e))?;
        monitoring.progress.advance(rows.len() as u64);
    }
    Ok(index.rows() as u64)
}

/// Batches of a mapped file are parts of the map; of others one is read while another is compared.
fn add_files(
    dataset: &dyn Dataset,
    search: &mut ExactSearch<'_>,
    pool: &ThreadPool,
    monitoring: &Monitoring,
) -> Result<u64, Failure> {
    let info = dataset.info();
    let (dim, known) = (info.dim, info.rows.exact());
    let scan = Scan { rows: 0..known.unwrap_or(u64::MAX), batch_rows: part_rows(dim) };
    let buffers = BufferPool::new();
    let mut portions = Portions::of(dataset, scan, &buffers);
    monitoring.progress.begin("comparing", known);
    let mut rows = 0;
    let mut waiting = next(&mut portions)?;
    while let Some(batch) = waiting {
        monitoring.cancel.check()?;
        rows += batch.rows() as u64;
        if rows > index::MAX_ROWS as u64 {
            return Err(Failure::failed(format!(
                "{}: expected up to {} rows, found more",
                batch.origin().file.display(),
                index::MAX_ROWS
            ))
            .with_code(Code::Rows)
            .with_help("compare with a part of the files at a time"));
        }
        let (read, ()) = pool
            .install(|| rayon::join(|| next(&mut portions), || search.add(Matrix::new(batch.values(), dim))));
        monitoring.progress.advance(batch.rows() as u64);
        buffers.put(batch.into_values());
        waiting = read?;
    }
    dataset.check_unchanged()?;
    Ok(rows)
}

/// The next rows, which have distances; nothing at the end.
fn next(portions: &mut Portions<'_>) -> Result<Option<Batch>, Failure> {
    let rows = portions.waiting()?;
    let batch = portions.take(rows);
    if let Some(batch) = &batch {
        check(batch, "scale the vectors, and the queries with them")?;
    }
    Ok(batch)
}

fn part_rows(dim: usize) -> usize {
    (PART_BYTES / (4 * dim)).clamp(4, 1 << 16)
}
