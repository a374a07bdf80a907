//! How good the answers are, in counts. The limits are a little wider than what was measured (0.003 of recall and 2 % of
//! the distances; for inner products 0.015, which is what another size of batches changes). As graphs are equal on all
//! machines, so are these counts.

use index::{Index, Matrix, Metric, Params};
use rayon::prelude::*;

use crate::data::{METRICS, clustered, exact_search, ids, isotropic, opened, rows_that_find_themselves};

const QUERIES: usize = 200;

/// The exact ten nearest of each query.
pub(crate) fn truth(metric: Metric, rows: Matrix<'_>, queries: Matrix<'_>) -> Vec<Vec<u64>> {
    let nearest = |query| exact_search(metric, rows, query, 10).into_iter().map(|(row, _)| row).collect();
    queries.values().par_chunks(queries.dim()).map(nearest).collect()
}

/// The share of the exact ten nearest that a search finds, and how many distances it computes for a query.
pub(crate) fn recall(index: &Index, truth: &[Vec<u64>], queries: Matrix<'_>, ef: usize) -> (f64, u64) {
    let mut searcher = index.searcher();
    let mut found = 0;
    for (query, truth) in queries.values().chunks(queries.dim()).zip(truth) {
        let hits = ids(&searcher.search(query, 10, ef).unwrap());
        found += truth.iter().filter(|row| hits.contains(row)).count();
    }
    let recall = found as f64 / (10 * queries.rows()) as f64;
    (recall, searcher.distances_computed() / queries.rows() as u64)
}

/// For each metric, each `(ef, least recall, most distances a query)`.
fn check(values: &[f32], queries: &[f32], dim: usize, least: [[(usize, f64, u64); 2]; 3]) {
    let (rows, queries) = (Matrix::new(values, dim), Matrix::new(queries, dim));
    for (metric, expected) in METRICS.into_iter().zip(least) {
        let index = opened(rows, &Params::new(metric));
        assert_eq!(index.header().reachable_share(), 1.0, "{metric}");
        let truth = truth(metric, rows, queries);
        for (ef, least_recall, most_distances) in expected {
            let (recall, distances) = recall(&index, &truth, queries, ef);
            println!("{metric} ef {ef}: recall@10 {recall:.4}, {distances} distances");
            assert!(recall >= least_recall, "{metric} ef {ef}: recall@10 {recall}, expected {least_recall}");
            assert!(distances <= most_distances, "{metric} ef {ef}: {distances} distances a query");
        }
        if metric != Metric::Ip {
            // By inner product a row's nearest is a longer one, not itself.
            let found = rows_that_find_themselves(&index, rows, 100);
            println!("{metric}: {found} of {} rows find themselves", rows.rows());
            assert!(found * 1000 >= rows.rows() * 999, "{metric}: {found} of {} rows", rows.rows());
        }
    }
}

#[test]
fn clustered_rows_are_found() {
    let least = [
        [(20, 0.990, 195), (100, 0.998, 380)],
        [(20, 0.991, 205), (100, 0.998, 425)],
        [(20, 0.950, 225), (100, 0.970, 480)],
    ];
    check(&clustered(1, 5_000, 32), &clustered(2, QUERIES, 32), 32, least);
}

#[test]
fn rows_without_structure_are_found() {
    let least = [
        [(50, 0.970, 825), (200, 0.998, 1_620)],
        [(50, 0.957, 830), (200, 0.998, 1_680)],
        [(50, 0.953, 845), (200, 0.998, 1_680)],
    ];
    check(&isotropic(1, 2_000, 48), &isotropic(2, QUERIES, 48), 48, least);
}

#[test]
fn a_wider_beam_while_building_makes_a_better_graph() {
    let (values, queries) = (isotropic(5, 1_500, 32), isotropic(6, QUERIES, 32));
    let (rows, queries) = (Matrix::new(&values, 32), Matrix::new(&queries, 32));
    let truth = truth(Metric::L2, rows, queries);
    let of = |ef_construction| {
        let params = Params { ef_construction, ..Params::new(Metric::L2) };
        recall(&opened(rows, &params), &truth, queries, 40).0
    };
    let (narrow, wide) = (of(4), of(200));
    println!("ef_construction 4: {narrow:.4}, 200: {wide:.4}");
    assert!(wide > narrow + 0.02, "{narrow} {wide}");
}
