//! The parts of an ingestion, each by itself: reading a file as a stream, converting it, building an index of it, opening
//! that, and searching in it. Data is made from a fixed seed.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use index::file::{Contents, Vectors};
use index::{
    AutoBuilder, Distance, Index, InsertBuilder, InstructionSet, MappedMatrix, Matrix, Metric, Params,
    Unmonitored, build,
};
use sochdb_bulk::pipeline::{Monitoring, Pipeline, Text};

const DIM: usize = 384;

/// `rows` vectors around 64 centres: neither structureless nor trivially separate, like embeddings.
fn clustered(rows: usize, dim: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..64 * dim).map(|_| uniform()).collect();
    (0..rows)
        .flat_map(|row| {
            let centre = row * 7 % 64 * dim;
            (0..dim).map(|i| centres[centre + i] + uniform()).collect::<Vec<_>>()
        })
        .collect()
}

fn run(folder: &Path, sink: &str) -> u64 {
    let text = format!("version = 1\nsource = {{ path = \"a.f32\", dim = {DIM} }}\nsink = {sink}\n");
    let pipeline = Pipeline::parse(Text::new("bench", text, folder)).expect("a good pipeline");
    pipeline.plan().and_then(|plan| plan.run(&Monitoring::silent())).expect("a good run").rows
}

fn distances(c: &mut Criterion) {
    let mut group = c.benchmark_group("distance");
    let values = clustered(5, DIM);
    let rows: Vec<&[f32]> = values.chunks(DIM).collect();
    group.throughput(Throughput::Elements(4));
    for set in InstructionSet::ALL {
        let Some(distance) = Distance::with(Metric::L2, set) else { continue };
        group.bench_function(format!("l2_x384_four_{set:?}"), |b| {
            b.iter(|| {
                distance.to_four(black_box(rows[0]), 0.0, [rows[1], rows[2], rows[3], rows[4]], [0.0; 4])
            });
        });
    }
    group.finish();
}

fn streams(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let values = clustered(20_000, DIM);
    fs::write(dir.path().join("a.f32"), bytemuck::cast_slice(&values)).expect("a file");
    let mut group = c.benchmark_group("stream");
    group.sample_size(20).throughput(Throughput::Bytes(values.len() as u64 * 4));
    group.bench_function("read_20k_x384", |b| b.iter(|| run(dir.path(), "{ type = \"null\" }")));
    group.bench_function("convert_20k_x384_to_npy", |b| {
        b.iter(|| run(dir.path(), "{ type = \"npy\", path = \"a.npy\" }"));
    });
    group.finish();
}

fn indexes(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let values = clustered(5_000, DIM);
    let matrix = Matrix::new(&values, DIM);
    let mut group = c.benchmark_group("index");
    group.sample_size(10).throughput(Throughput::Elements(5_000));
    group.bench_function("bulk_build_5k_x384", |b| {
        b.iter(|| build(matrix, &Params::new(Metric::L2), &InsertBuilder, &Unmonitored).expect("a graph"));
    });
    group.finish();

    fs::write(dir.path().join("a.f32"), bytemuck::cast_slice(&values)).expect("a file");
    run(dir.path(), "{ type = \"hnsw\", path = \"a.hnsw\", metric = \"l2\" }");
    let path = dir.path().join("a.hnsw");
    let mut group = c.benchmark_group("search");
    group.bench_function("open_5k_x384", |b| b.iter(|| Index::open(&path).expect("an index")));
    let index = Index::open(&path).expect("an index");
    let mut searcher = index.searcher();
    let mut next = 0;
    group.bench_function("k10_ef100_5k_x384", |b| {
        b.iter(|| {
            next = (next + 997) % 5_000;
            searcher.search(matrix.row(next), 10, 100).expect("hits")
        });
    });
    group.finish();
}

/// A build by the library alone, from a mapped file to a synced one, and the same by a pipeline.
fn overhead(c: &mut Criterion) {
    const ROWS: usize = 40_000;
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("a.f32"), bytemuck::cast_slice(&clustered(ROWS, DIM))).expect("a file");
    let mut group = c.benchmark_group("overhead");
    group.sample_size(20).throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("library_40k_x384", |b| {
        b.iter(|| {
            let source = File::open(dir.path().join("a.f32")).expect("a file");
            let mapped = MappedMatrix::new(&source, 0, ROWS, DIM).expect("a map");
            let matrix = mapped.matrix();
            let built = build(matrix, &Params::new(Metric::L2), &AutoBuilder, &Unmonitored)
                .expect("a graph")
                .with_faithful_codes(matrix);
            let path = dir.path().join("library.tmp");
            let mut out = File::create(&path).expect("a file");
            let vectors = Vectors::InPlace(matrix);
            let contents = Contents {
                built: &built,
                vectors,
                vector_checksums: None,
                ids: None,
                text_ids: None,
                recipe: "",
            };
            index::file::write(&mut out, &contents).expect("a file");
            out.sync_all().expect("a disk");
            fs::rename(&path, dir.path().join("library.hnsw")).expect("a name");
        });
    });
    group.bench_function("pipeline_40k_x384", |b| {
        b.iter(|| run(dir.path(), "{ type = \"hnsw\", path = \"a.hnsw\", metric = \"l2\" }"));
    });
    group.finish();
}

criterion_group!(benches, distances, streams, indexes, overhead);
criterion_main!(benches);
