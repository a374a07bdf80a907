//! Rows that are too different for one scale of codes.

use index::{AutoBuilder, Built, InsertBuilder, Matrix, Metric, Params};

use crate::answers::{recall, truth};
use crate::data::{built_by, clustered, hash, rows_that_find_themselves, written};

const DIM: usize = 16;

/// Three columns 10,000 times larger in one row of a hundred.
fn huge_values(seed: u64, rows: usize) -> Vec<f32> {
    let mut values = clustered(seed, rows, DIM);
    for row in (0..rows).filter(|&row| hash(seed + 5, row as u64).is_multiple_of(100)) {
        values[row * DIM..row * DIM + 3].iter_mut().for_each(|value| *value *= 1e4);
    }
    values
}

/// Rows from a thousandth of their length to a thousand times it.
fn spread_norms(seed: u64, rows: usize) -> Vec<f32> {
    let mut values = clustered(seed, rows, DIM);
    for (row, values) in (0..).zip(values.chunks_mut(DIM)) {
        let factor = 10f32.powf((hash(seed + 6, row) % 6001) as f32 / 1000.0 - 3.0);
        values.iter_mut().for_each(|value| *value *= factor);
    }
    values
}

/// One row in ten lies near 0, with all structure ten thousand times smaller.
fn small_corner(seed: u64, rows: usize) -> Vec<f32> {
    let mut values = clustered(seed, rows, DIM);
    for (row, values) in (0..).zip(values.chunks_mut(DIM)) {
        if hash(seed + 7, row).is_multiple_of(10) {
            values.iter_mut().for_each(|value| *value *= 1e-4);
        }
    }
    values
}

/// Compares what another way to build finds with what insertion without codes finds.
fn check(what: &str, made: fn(u64, usize) -> Vec<f32>, other: impl Fn(Matrix<'_>, &Params) -> Built) {
    let mut worse = Vec::new();
    let (count, metrics) = (5_000, [Metric::L2, Metric::Ip]);
    let (values, queries) = (made(1, count), made(2, 100));
    let (rows, queries) = (Matrix::new(&values, DIM), Matrix::new(&queries, DIM));
    let sample = Matrix::new(&values[..1_000 * DIM], DIM);
    for metric in metrics {
        let params = Params::new(metric);
        let truth = truth(metric, rows, queries);
        let measured = |built: &Built| {
            let index = written(built, rows);
            assert_eq!(index.header().reachable_share(), 1.0, "{what} {metric}");
            let themselves = match metric {
                Metric::Ip => 1_000,
                _ => rows_that_find_themselves(&index, sample, 100),
            };
            (recall(&index, &truth, queries, 100).0, themselves)
        };
        let insertion = measured(&built_by(&InsertBuilder, rows, &params).without_codes());
        let built = other(rows, &params);
        let found = measured(&built);
        println!("{what} {count} {metric}: {found:?} by {}, insertion {insertion:?}", built.how());
        if found.0 < insertion.0 - 0.01 || found.1 + 10 < insertion.1 {
            worse.push(format!(
                "{what} {count} {metric}: {found:?} by {}, insertion {insertion:?}",
                built.how()
            ));
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

fn auto_without_codes(rows: Matrix<'_>, params: &Params) -> Built {
    built_by(&AutoBuilder, rows, params).without_codes()
}

fn auto_with_codes(rows: Matrix<'_>, params: &Params) -> Built {
    built_by(&AutoBuilder, rows, params).with_faithful_codes(rows)
}

#[test]
fn auto_builds_a_good_graph_of_rows_with_huge_values() {
    check("huge values", huge_values, auto_without_codes);
}

#[test]
fn auto_builds_a_good_graph_of_rows_of_all_lengths() {
    check("spread norms", spread_norms, auto_without_codes);
}

#[test]
fn auto_builds_a_good_graph_where_a_corner_is_too_small_for_codes() {
    check("small corner", small_corner, auto_without_codes);
}

#[test]
fn codes_do_not_spoil_the_search_of_rows_with_huge_values() {
    check("huge values, codes", huge_values, auto_with_codes);
}

#[test]
fn codes_do_not_spoil_the_search_of_rows_of_all_lengths() {
    check("spread norms, codes", spread_norms, auto_with_codes);
}

#[test]
fn codes_do_not_spoil_the_search_where_a_corner_is_too_small_for_them() {
    check("small corner, codes", small_corner, auto_with_codes);
}
