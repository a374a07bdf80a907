//! Graphs of rows of which some have graphs already: as good as those built anew, the same by any number of threads, and whole.

use index::{AutoBuilder, Built, Index, KnownGraph, Matrix, Metric, Params, Unmonitored, build, build_from};

use super::data::{clustered, exact_search, whole};

const DIM: usize = 24;

fn index_of(values: &[f32], params: &Params, dir: &std::path::Path, name: &str) -> Index {
    let matrix = Matrix::new(values, DIM);
    let built = build(matrix, params, &AutoBuilder, &Unmonitored).unwrap();
    saved(&built, matrix, dir, name)
}

fn saved(built: &Built, matrix: Matrix<'_>, dir: &std::path::Path, name: &str) -> Index {
    let contents = index::file::Contents {
        built,
        vectors: index::file::Vectors::Elsewhere(matrix),
        vector_checksums: None,
        ids: None,
        text_ids: None,
        recipe: "",
    };
    let path = dir.join(name);
    index::file::write(&mut std::fs::File::create(&path).unwrap(), &contents).unwrap();
    Index::open(&path).unwrap()
}

/// Indexes of some ranges of rows.
fn indexes_of(
    values: &[f32],
    parts: &[(usize, usize)],
    params: &Params,
    dir: &std::path::Path,
) -> Vec<Index> {
    let index = |&(first, end): &(usize, usize)| {
        index_of(&values[first * DIM..end * DIM], params, dir, &format!("{first}-{end}"))
    };
    parts.iter().map(index).collect()
}

/// All rows, going on with the indexes of some.
fn joined(
    all: Matrix<'_>,
    indexes: &[Index],
    parts: &[(usize, usize)],
    params: &Params,
    threads: usize,
) -> Built {
    let known: Vec<KnownGraph<'_>> =
        (indexes.iter().zip(parts)).map(|(index, &(first_row, _))| KnownGraph { first_row, index }).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| build_from(all, params, &AutoBuilder, &known, &Unmonitored).unwrap())
}

fn recall(index: &Index, metric: Metric, all: Matrix<'_>, ef: usize) -> f64 {
    const QUERIES: usize = 60;
    let queries = clustered(99, QUERIES, DIM);
    let mut searcher = index.searcher();
    let found: usize = queries
        .chunks(DIM)
        .map(|query| {
            let nearest = exact_search(metric, all, query, 10);
            let hits = searcher.search(query, 10, ef).unwrap();
            hits.iter().filter(|hit| nearest.iter().any(|near| near.0 == hit.id)).count()
        })
        .sum();
    found as f64 / (QUERIES * 10) as f64
}

#[test]
fn a_joined_graph_is_as_good_as_one_built_anew_at_any_number_of_threads() {
    const ROWS: usize = 6000;
    let dir = tempfile::tempdir().unwrap();
    let values = clustered(5, ROWS, DIM);
    let all = Matrix::new(&values, DIM);
    for metric in [Metric::L2, Metric::Cosine] {
        let params = Params::new(metric);
        let fresh =
            saved(&build(all, &params, &AutoBuilder, &Unmonitored).unwrap(), all, dir.path(), "fresh");
        // Where the graphs that are there begin and end: one to go on with, two to merge, one behind new rows, and halves.
        let splits: [&[(usize, usize)]; 4] =
            [&[(0, 5400)], &[(0, 5000), (5000, 6000)], &[(50, 6000)], &[(0, 3000), (3000, 6000)]];
        for parts in splits {
            let indexes = indexes_of(&values, parts, &params, dir.path());
            let join = |threads| joined(all, &indexes, parts, &params, threads);
            let joined = join(3);
            for threads in [1, 2, 8] {
                assert_eq!(
                    join(threads).graph_digest(),
                    joined.graph_digest(),
                    "{metric} {parts:?} {threads}"
                );
            }
            let joined = saved(&joined, all, dir.path(), "joined");
            assert_eq!(joined.header().reachable_share(), 1.0, "{metric} {parts:?}");
            for ef in [10, 40] {
                let (anew, joined) = (recall(&fresh, metric, all, ef), recall(&joined, metric, all, ef));
                assert!(joined >= anew - 0.02, "{metric} {parts:?} ef {ef}: {joined} joined, {anew} anew");
            }
        }
    }
}

#[test]
fn graphs_that_missed_little_are_carved_once_more_and_are_as_good_by_any_number_of_threads() {
    // More than are compared row by row.
    const ROWS: usize = 18_000;
    let dir = tempfile::tempdir().unwrap();
    let mut values = clustered(5, ROWS, DIM);
    // Copies in the other half of rows of the first.
    values.extend_from_within(..50 * DIM);
    let rows = ROWS + 50;
    let all = Matrix::new(&values, DIM);
    let params = Params::new(Metric::L2);
    let anew = build(all, &params, &AutoBuilder, &Unmonitored).unwrap();
    let fresh = saved(&anew, all, dir.path(), "fresh");
    for parts in [&[(0, 9100)][..], &[(0, 9100), (9100, rows)], &[(500, 15_000)]] {
        let indexes = indexes_of(&values, parts, &params, dir.path());
        let join = |threads| joined(all, &indexes, parts, &params, threads);
        let joined = join(3);
        assert!(joined.how().contains("rounds 1,"), "{}", joined.how());
        assert_ne!(joined.graph_digest(), anew.graph_digest(), "{parts:?}: the graphs were of use");
        assert_eq!(join(1).graph_digest(), joined.graph_digest(), "{parts:?}");
        let joined = saved(&joined, all, dir.path(), "joined");
        assert_eq!(joined.header().reachable_share(), 1.0, "{parts:?}");
        for ef in [10, 40] {
            let (anew, joined) = (recall(&fresh, Metric::L2, all, ef), recall(&joined, Metric::L2, all, ef));
            assert!(joined >= anew - 0.02, "{parts:?} ef {ef}: {joined} joined, {anew} anew");
        }
    }
}

#[test]
fn copies_of_rows_in_other_graphs_are_copies() {
    let dir = tempfile::tempdir().unwrap();
    let params = Params::new(Metric::L2);
    // Few different values: equal rows everywhere, within graphs and across.
    let mut values = whole(3, 900, 2);
    values = values.chunks(2).flat_map(|pair| pair.iter().copied().chain([0.0; DIM - 2])).collect();
    values.extend(clustered(1, 1500, DIM));
    let first = values.clone();
    values.extend_from_within(400 * DIM..1000 * DIM);
    let all = Matrix::new(&values, DIM);
    let old = index_of(&first, &params, dir.path(), "old");
    let known = [KnownGraph { first_row: 0, index: &old }];
    let joined = build_from(all, &params, &AutoBuilder, &known, &Unmonitored).unwrap();
    let fresh = build(all, &params, &AutoBuilder, &Unmonitored).unwrap();
    assert_eq!(joined.copies(), fresh.copies());
    let index = saved(&joined, all, dir.path(), "joined");
    assert_eq!(index.count_reachable_nodes(), index.header().rows - index.header().copies);
    let mut searcher = index.searcher();
    for row in (0..all.rows()).step_by(37) {
        let hits = searcher.search(all.row(row as u32), 1, 50).unwrap();
        assert_eq!(hits[0].distance, 0.0, "{row}");
    }
}
