//! Made data, the exact answers to it, and index files in temporary folders.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use index::file::{Contents, Vectors, write};
use index::{
    AutoBuilder, Built, GraphBuilder, Hit, Index, InsertBuilder, Matrix, Metric, Params, PartitionBuilder,
    Unmonitored, build,
};

pub(crate) const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::Ip];

pub(crate) const BUILDERS: [&dyn GraphBuilder; 3] = [&InsertBuilder, &PartitionBuilder, &AutoBuilder];

/// Every builder by every one of these metrics.
pub(crate) fn by_each<const N: usize>(
    metrics: [Metric; N],
) -> impl Iterator<Item = (&'static dyn GraphBuilder, Metric)> {
    BUILDERS.into_iter().flat_map(move |builder| metrics.into_iter().map(move |metric| (builder, metric)))
}

/// The finaliser of splitmix64, written out again: the data must not change with the crate.
pub(crate) fn hash(seed: u64, i: u64) -> u64 {
    let mut x = seed.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// From -1 to 1.
fn uniform(seed: u64, i: u64) -> f32 {
    (hash(seed, i) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Nearly normal: the sum of four uniform numbers.
fn normal(seed: u64, i: u64) -> f32 {
    (0..4).map(|part| uniform(seed ^ 0xabcd, 4 * i + part)).sum()
}

/// Rows without any structure.
pub(crate) fn isotropic(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    (0..(rows * dim) as u64).map(|i| normal(seed, i)).collect()
}

/// Rows in 60 clusters of very different size and width. The clusters are the same whatever the seed is.
pub(crate) fn clustered(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    const CLUSTERS: u64 = 60;
    let mut values = Vec::with_capacity(rows * dim);
    for row in 0..rows as u64 {
        // The lesser of two draws: low clusters are full, high ones nearly empty.
        let cluster = (hash(seed, 2 * row) % CLUSTERS).min(hash(seed, 2 * row + 1) % CLUSTERS);
        let width = 0.05 + 0.05 * (cluster % 7) as f32;
        values.extend((0..dim as u64).map(|i| {
            uniform(1, cluster * dim as u64 + i) + width * normal(seed ^ 0x77, row * dim as u64 + i)
        }));
    }
    values
}

/// Small whole numbers: every sum is exact in f32, so ties are ties everywhere.
pub(crate) fn whole(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    (0..(rows * dim) as u64).map(|i| (hash(seed, i) % 9) as f32 - 4.0).collect()
}

/// The distance in f64, from its definition.
pub(crate) fn exact_distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    let dot = sum(&|a, b| a * b);
    match metric {
        Metric::L2 => sum(&|a, b| (a - b) * (a - b)),
        Metric::Ip => 0.0 - dot,
        Metric::Cosine => {
            let norms = sum(&|a, _| a * a) * sum(&|_, b| b * b);
            if norms == 0.0 { 1.0 } else { 1.0 - dot / norms.sqrt() }
        }
    }
}

/// The `k` nearest rows by comparing all, nearest first, equal distances by row.
pub(crate) fn exact_search(metric: Metric, rows: Matrix<'_>, query: &[f32], k: usize) -> Vec<(u64, f64)> {
    let mut all: Vec<(u64, f64)> = (0u32..)
        .take(rows.rows())
        .map(|row| (u64::from(row), exact_distance(metric, query, rows.row(row))))
        .collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

pub(crate) fn ids(hits: &[Hit]) -> Vec<u64> {
    hits.iter().map(|hit| hit.id).collect()
}

/// M 8, a little ef: small graphs that are quickly built, with several levels.
pub(crate) fn small_params(metric: Metric) -> Params {
    Params { m: 8, ef_construction: 60, ..Params::new(metric) }
}

/// By insertion, without codes.
pub(crate) fn built(rows: Matrix<'_>, params: &Params) -> Built {
    built_by(&InsertBuilder, rows, params)
}

/// With codes if the builder makes any.
pub(crate) fn built_by(builder: &dyn GraphBuilder, rows: Matrix<'_>, params: &Params) -> Built {
    build(rows, params, builder, &Unmonitored).unwrap()
}

/// The bytes of the index file.
pub(crate) fn file_bytes(built: &Built, rows: Matrix<'_>, ids: Option<&[u64]>, recipe: &str) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let written = write(
        &mut out,
        &Contents {
            built,
            vectors: Vectors::Elsewhere(rows),
            ids,
            text_ids: None,
            recipe,
            vector_checksums: None,
        },
    )
    .unwrap();
    let bytes = out.into_inner();
    assert_eq!(written.header.file_length_bytes, bytes.len() as u64);
    bytes
}

/// Calls `f` with a pool of so many threads.
pub(crate) fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// A file that vanishes with this value.
pub(crate) struct TempIndex {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl TempIndex {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.hnsw");
        std::fs::write(&path, bytes).unwrap();
        Self { _dir: dir, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Builds by insertion, writes and opens.
pub(crate) fn opened(rows: Matrix<'_>, params: &Params) -> Index {
    written(&built(rows, params), rows)
}

/// Builds, writes and opens; with codes if the builder makes any.
pub(crate) fn opened_by(builder: &dyn GraphBuilder, rows: Matrix<'_>, params: &Params) -> Index {
    written(&built_by(builder, rows, params), rows)
}

/// Writes and opens.
pub(crate) fn written(built: &Built, rows: Matrix<'_>) -> Index {
    let bytes = file_bytes(built, rows, None, "");
    // The map outlives the name of the file.
    Index::open(TempIndex::new(&bytes).path()).unwrap()
}

/// How many of the rows find themselves first, at distance 0 where the metric has one.
pub(crate) fn rows_that_find_themselves(index: &Index, rows: Matrix<'_>, ef: usize) -> usize {
    let found = index.search_all(rows, 1, ef).unwrap();
    found.iter().zip(0..).filter(|&(hits, row)| hits[0].id == row).count()
}
