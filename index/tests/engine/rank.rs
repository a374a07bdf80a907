//! Of what a walk by codes finds, only rows that may be among the nearest are compared: with the same answers.

use std::io::Cursor;

use index::file::{Contents, Vectors, write};
use index::{AutoBuilder, Hit, Index, Matrix, Metric, Storage};

use crate::data::{METRICS, TempIndex, built_by, clustered, hash, isotropic, small_params};
use crate::hostile::drop_section;
use crate::raw::{Raw, kind};

const ROWS: usize = 900;
const DIM: usize = 40;

/// Rows that codes are good for, and rows that they are bad for: far out of their range, of nothing, equal, and with one huge value.
fn values() -> Vec<f32> {
    let mut values = clustered(71, ROWS, DIM);
    values[..DIM * 100].copy_from_slice(&isotropic(72, 100, DIM));
    values[DIM * 100..DIM * 110].iter_mut().for_each(|value| *value *= 50.0);
    values[DIM * 110..DIM * 112].fill(0.0);
    values.copy_within(DIM * 200..DIM * 260, DIM * 300);
    values[DIM * 400 + 3] = 1e4;
    values[DIM * 500..DIM * 510].iter_mut().for_each(|value| *value *= 1e-20);
    values
}

fn queries(values: &[f32]) -> Vec<Vec<f32>> {
    let row = |row: usize| values[row * DIM..(row + 1) * DIM].to_vec();
    let mut queries: Vec<Vec<f32>> = clustered(73, 60, DIM).chunks(DIM).map(<[f32]>::to_vec).collect();
    queries.extend((0..ROWS).step_by(29).map(row));
    let scaled = |row: Vec<f32>, factor: f32| row.into_iter().map(|value| value * factor).collect();
    queries.extend([0.0, 1e-30, 1e-6, 30.0, -1e5, 1e15].map(|factor| scaled(row(700), factor)));
    queries
}

fn file(values: &[f32], metric: Metric, storage: Storage) -> Vec<u8> {
    let rows = Matrix::new(values, DIM);
    let built = built_by(&AutoBuilder, rows, &small_params(metric)).with_codes(rows);
    let vectors = match storage {
        Storage::F32 => Vectors::Elsewhere(rows),
        storage => Vectors::Narrowed(rows, storage),
    };
    let mut out = Cursor::new(Vec::new());
    let contents =
        Contents { built: &built, vectors, vector_checksums: None, ids: None, text_ids: None, recipe: "" };
    write(&mut out, &contents).unwrap();
    out.into_inner()
}

fn bits(hits: Vec<Hit>) -> Vec<(u64, u32)> {
    hits.into_iter().map(|hit| (hit.id, hit.distance.to_bits())).collect()
}

/// All answers, and how many distances they took.
fn answers(index: &Index, queries: &[Vec<f32>]) -> (Vec<Vec<(u64, u32)>>, u64) {
    let mut searcher = index.searcher();
    let cases = [(1, 1), (1, 30), (3, 60), (10, 100), (40, 41), (100, 100), (7, 700)];
    let all = queries.iter().flat_map(|query| cases.map(|(k, ef)| (query, k, ef)));
    let found = all.map(|(query, k, ef)| bits(searcher.search(query, k, ef).unwrap())).collect();
    (found, searcher.distances_computed())
}

fn without_errors(file: &[u8]) -> Vec<u8> {
    let mut raw = Raw(file.to_vec());
    let errors = raw.section(kind::CODE_ERRORS);
    raw.0[errors].fill(0);
    drop_section(&mut raw, kind::CODE_ERRORS);
    raw.seal();
    raw.0
}

#[test]
fn what_is_left_out_changes_no_answer() {
    let values = values();
    let queries = queries(&values);
    for metric in METRICS {
        for storage in [Storage::F32, Storage::F16, Storage::I8] {
            let file = file(&values, metric, storage);
            let index = Index::open(TempIndex::new(&file).path()).unwrap();
            let all = Index::open(TempIndex::new(&without_errors(&file)).path()).unwrap();
            let (found, distances) = answers(&index, &queries);
            let (expected, more) = answers(&all, &queries);
            assert_eq!(found, expected, "{metric} {storage}");
            // The outliers leave i8 too few steps for all others to be told apart.
            assert!(distances < more || storage == Storage::I8, "{metric} {storage}: {distances} and {more}");
        }
    }
}

#[test]
fn of_rows_that_codes_are_good_for_few_are_compared() {
    let values = clustered(74, 3_000, DIM);
    let rows = Matrix::new(&values, DIM);
    for metric in [Metric::L2, Metric::Cosine] {
        let file = file(&values, metric, Storage::F32);
        let index = Index::open(TempIndex::new(&file).path()).unwrap();
        let all = Index::open(TempIndex::new(&without_errors(&file)).path()).unwrap();
        let distances = |index: &Index| {
            let mut searcher = index.searcher();
            for row in (0..3_000).step_by(30) {
                searcher.search(rows.row(row), 10, 100).unwrap();
            }
            searcher.distances_computed() / 100
        };
        let spared = distances(&all) - distances(&index);
        assert!((50..=90).contains(&spared), "{metric}: {spared} of 100 were left out");
    }
}

/// Whatever the numbers are, and also where they are none: nothing fails, and what is found is compared exactly.
#[test]
fn wrong_errors_cost_answers_and_nothing_else() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    for metric in METRICS {
        let file = file(&values, metric, Storage::F32);
        let all = Index::open(TempIndex::new(&file).path()).unwrap();
        for (round, pattern) in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30, 1e30, 0.0].iter().enumerate()
        {
            let mut raw = Raw(file.clone());
            for at in raw.section(kind::CODE_ERRORS).step_by(4) {
                let keeps = hash(round as u64, at as u64).is_multiple_of(2);
                raw.put_u32(at, if keeps { raw.u32(at) } else { pattern.to_bits() });
            }
            raw.seal();
            let index = Index::open(TempIndex::new(&raw.0).path()).unwrap();
            for row in (0..ROWS as u32).step_by(31) {
                let hits = bits(index.searcher().search(rows.row(row), 5, 50).unwrap());
                let exact = bits(all.searcher().search(rows.row(row), ROWS, ROWS).unwrap());
                assert_eq!(hits.len(), 5);
                assert!(hits.iter().all(|hit| exact.contains(hit)), "{metric} {pattern}");
            }
        }
    }
}
