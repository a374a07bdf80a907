//! The parts of the engine, each by itself: kernels, leaves, builds, search, opening a file. Data is made from a fixed seed.
//!
//! Kernels run on data that is in the cache and begins on a line of it, as rows in an index file mostly do, by every
//! instruction set of the machine. All else runs by the fastest, or by what `SOCHDB_BULK_INSTRUCTIONS` leaves. Builds take
//! the threads of rayon's default pool (`RAYON_NUM_THREADS`), searches take one. With `SOCHDB_BULK_BENCH_NPY=FILE` an .npy
//! file of f32 is built, searched and opened too; its last rows are the queries.
#![allow(clippy::print_stderr, reason = "what is not run, and what the figures belong to")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use index::internals::{LeafBench, ProductsBench, TILE_PAIRS};
use index::{
    Built, Distance, GraphBuilder, Index, InsertBuilder, InstructionSet, Matrix, Metric, Params,
    PartitionBuilder, Unmonitored, build, file,
};
use readers::arrow_buffer::{Buffer, ScalarBuffer};

const DIMS: [usize; 4] = [128, 384, 768, 1536];
const QUERIES: usize = 1_000;
const K: usize = 10;

/// Uniform numbers from -0.5 to 0.5, the same for every seed every time.
fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}

/// `rows` vectors around 16 centres, spread along 24 directions of each and a little along all: like embeddings, whose
/// neighbourhoods have far fewer dimensions than values. They begin on a line of the cache: otherwise figures would depend
/// on where the allocator happens to put them.
fn clustered(rows: usize, dim: usize) -> ScalarBuffer<f32> {
    const CENTRES: usize = 16;
    const DIRECTIONS: usize = 24;
    let mut uniform = uniform(1);
    let mut vectors = |count: usize| -> Vec<f32> { (0..count * dim).map(|_| uniform()).collect() };
    let (centres, directions) = (vectors(CENTRES), vectors(CENTRES * DIRECTIONS));
    let mut values = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        let cluster = row * 7 % CENTRES;
        let along: [f32; DIRECTIONS] = std::array::from_fn(|_| 1.5 * uniform());
        for i in 0..dim {
            let spread: f32 =
                (0..DIRECTIONS).map(|d| along[d] * directions[(cluster * DIRECTIONS + d) * dim + i]).sum();
            values.push(centres[cluster * dim + i] + spread + 0.5 * uniform());
        }
    }
    // Arrow's own allocations begin on a line.
    ScalarBuffer::from(Buffer::from(bytemuck::cast_slice::<f32, u8>(&values)))
}

/// A short measurement of something that works on so many pairs.
fn group<'a>(c: &'a mut Criterion, name: &str, pairs: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(pairs));
    group
}

fn distances(c: &mut Criterion) {
    for set in InstructionSet::ALL {
        for (name, metric) in [("l2", Metric::L2), ("dot", Metric::Ip)] {
            let Some(distance) = Distance::with(metric, set) else {
                eprintln!("distance/{name}_{}: not run, the machine lacks it", set.name());
                continue;
            };
            for dim in DIMS {
                let values = clustered(5, dim);
                let rows: Vec<&[f32]> = values.chunks(dim).collect();
                let others = [rows[1], rows[2], rows[3], rows[4]];
                let id = |many| format!("{name}_x{dim}_{many}_{}", set.name());
                group(c, "distance", 1).bench_function(id("one"), |b| {
                    b.iter(|| distance.between(black_box(rows[0]), 0.0, black_box(rows[1]), 0.0));
                });
                group(c, "distance", 4).bench_function(id("four"), |b| {
                    b.iter(|| distance.to_four(black_box(rows[0]), 0.0, black_box(others), [0.0; 4]));
                });
            }
        }
    }
}

fn products(c: &mut Criterion) {
    for set in InstructionSet::ALL {
        for dim in DIMS {
            let id = |what| format!("{what}_x{dim}_{}", set.name());
            let Some(mut products) = ProductsBench::new(set, dim) else {
                eprintln!("products/{}: not run, the machine lacks it", set.name());
                break;
            };
            group(c, "products", 4).bench_function(id("four"), |b| b.iter(|| black_box(&products).four()));
            group(c, "products", TILE_PAIRS as u64).bench_function(id("tile"), |b| {
                b.iter(|| black_box(&mut products).tile()[0]);
            });
        }
    }
}

/// All rows of a leaf with each other, as the partition builder compares them.
fn leaves(c: &mut Criterion) {
    const DIM: usize = 384;
    for rows in [256, 512, 1024] {
        let mut leaf = LeafBench::new(&clustered(rows, DIM), DIM);
        let pairs = rows as u64 * (rows as u64 - 1) / 2;
        let id = format!("k{K}_{rows}_x{DIM}_{}", InstructionSet::best().name());
        group(c, "leaf", pairs).bench_function(id, |b| b.iter(|| leaf.run(K)));
    }
}

/// Rows and queries of the same kind.
struct Data {
    prefix: &'static str,
    values: ScalarBuffer<f32>,
    dim: usize,
}

impl Data {
    fn made(rows: usize, dim: usize) -> Self {
        Self { prefix: "", values: clustered(rows + QUERIES, dim), dim }
    }

    /// The rows of an .npy file, in place.
    fn of_file(path: &Path) -> Self {
        let npy = readers::format_called("npy").and_then(|npy| npy.with_defaults().ok()).expect("npy");
        let dataset = npy.open(&readers::Input::new(path)).unwrap_or_else(|e| panic!("{e}"));
        let readers::Matrix { values, dim } = dataset.matrix().expect("an .npy file of f32 in C order");
        assert!(values.len() >= 2 * QUERIES * dim, "{}: at least {} rows", path.display(), 2 * QUERIES);
        Self { prefix: "npy_", values, dim }
    }

    /// What figures of some of the rows are called after.
    fn name(&self, rows: Matrix<'_>) -> String {
        format!("{}{}_x{}", self.prefix, rows.rows(), self.dim)
    }

    fn rows(&self) -> Matrix<'_> {
        self.first(self.values.len() / self.dim - QUERIES)
    }

    fn first(&self, rows: usize) -> Matrix<'_> {
        Matrix::new(&self.values[..rows * self.dim], self.dim)
    }

    fn queries(&self) -> Matrix<'_> {
        Matrix::new(&self.values[self.values.len() - QUERIES * self.dim..], self.dim)
    }
}

static MADE: LazyLock<Data> = LazyLock::new(|| Data::made(20_000, 128));
static OF_FILE: LazyLock<Option<Data>> = LazyLock::new(|| {
    let path = std::env::var_os("SOCHDB_BULK_BENCH_NPY").map(PathBuf::from);
    if path.is_none() {
        eprintln!("npy: not run, SOCHDB_BULK_BENCH_NPY names no .npy file of f32");
    }
    path.map(|path| Data::of_file(&path))
});

fn graph(rows: Matrix<'_>, builder: &dyn GraphBuilder) -> Built {
    build(rows, &Params::new(Metric::L2), builder, &Unmonitored).expect("a graph")
}

fn builds(c: &mut Criterion) {
    /// Insertion takes longer, and the same time for every row but for a logarithm.
    const INSERTED_ROWS: usize = 5_000;
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for data in [Some(&*MADE), OF_FILE.as_ref()].into_iter().flatten() {
        let rows = data.rows();
        group.throughput(Throughput::Elements(rows.rows() as u64));
        group.bench_function(format!("partition_{}", data.name(rows)), |b| {
            b.iter(|| graph(rows, &PartitionBuilder));
        });
        let rows = data.first(INSERTED_ROWS.min(rows.rows()));
        group.throughput(Throughput::Elements(rows.rows() as u64));
        group.bench_function(format!("insert_{}", data.name(rows)), |b| {
            b.iter(|| graph(rows, &InsertBuilder))
        });
    }
    group.finish();
}

/// The files of one graph, with codes and without.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    const NAMES: [&str; 2] = ["codes", "no_codes"];

    fn new(rows: Matrix<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Self { folder };
        let built = graph(rows, &PartitionBuilder);
        eprintln!("{} rows by {} with {} threads", rows.rows(), built.how(), rayon::current_num_threads());
        files.write("codes", &built, rows);
        files.write("no_codes", &built.without_codes(), rows);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, built: &Built, rows: Matrix<'_>) {
        let mut out = std::fs::File::create(self.path(name)).expect("a file");
        let vectors = file::Vectors::Elsewhere(rows);
        let contents =
            file::Contents { built, vectors, vector_checksums: None, ids: None, text_ids: None, recipe: "" };
        file::write(&mut out, &contents).expect("a written file");
    }
}

/// The share of the `K` nearest rows that are found, on the first queries.
fn recall(index: &Index, data: &Data, ef: usize) -> f64 {
    const ASKED: u32 = 200;
    let distance = Distance::new(Metric::L2);
    let (rows, queries, mut searcher) = (data.rows(), data.queries(), index.searcher());
    let found = (0..ASKED).map(|query| {
        let query = queries.row(query);
        let mut all: Vec<f32> =
            rows.values().chunks(data.dim).map(|row| distance.between(query, 0.0, row, 0.0)).collect();
        let (_, kth, _) = all.select_nth_unstable_by(K - 1, f32::total_cmp);
        let hits = searcher.search(query, K, ef).expect("hits");
        hits.iter().filter(|hit| hit.distance <= *kth).count()
    });
    found.sum::<usize>() as f64 / (ASKED as usize * K) as f64
}

fn searches(c: &mut Criterion) {
    for data in [Some(&*MADE), OF_FILE.as_ref()].into_iter().flatten() {
        // Made when the first of these is not filtered out.
        let files = LazyLock::new(|| Files::new(data.rows()));
        let mut group = c.benchmark_group("search");
        group.throughput(Throughput::Elements(1));
        for name in Files::NAMES {
            for ef in [50, 100] {
                let id = format!("k{K}_ef{ef}_{name}_{}", data.name(data.rows()));
                let index = LazyLock::new(|| {
                    let index = Index::open(&files.path(name)).expect("an index");
                    eprintln!("{id}: recall@{K} {:.4}", recall(&index, data, ef));
                    index
                });
                group.bench_function(&id, |b| {
                    let (queries, mut searcher) = (data.queries(), index.searcher());
                    let mut turn = (0..u32::try_from(QUERIES).expect("few queries")).cycle();
                    b.iter(|| searcher.search(queries.row(turn.next().unwrap_or(0)), K, ef).expect("hits"));
                });
            }
        }
        group.finish();

        let mut group = c.benchmark_group("open");
        for name in Files::NAMES {
            group.bench_function(format!("{name}_{}", data.name(data.rows())), |b| {
                b.iter(|| Index::open(&files.path(name)).expect("an index"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, distances, products, leaves, builds, searches);
criterion_main!(benches);
