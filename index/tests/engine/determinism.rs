//! The same input gives the same bytes.

use index::file::{Contents, Vectors, write};
use index::{Hit, Index, MappedMatrix, Matrix, Metric, Params};

use crate::data::{METRICS, TempIndex, built, clustered, file_bytes, on_threads, small_params};

const ROWS: usize = 1_500;
const DIM: usize = 20;

/// Clustered rows, the last hundred of which are copies.
fn rows_with_copies() -> Vec<f32> {
    let mut values = clustered(3, ROWS, DIM);
    values.copy_within(500 * DIM..600 * DIM, 1_400 * DIM);
    values
}

#[test]
fn graphs_and_files_are_equal_on_any_number_of_threads_and_on_every_run() {
    let values = rows_with_copies();
    let rows = Matrix::new(&values, DIM);
    for metric in METRICS {
        let params = small_params(metric);
        let outcome = |threads| {
            on_threads(threads, || {
                let built = built(rows, &params);
                (built.graph_digest(), file_bytes(&built, rows, None, "a = 1\n"))
            })
        };
        let first = outcome(1);
        for threads in [1, 2, 3, 8] {
            let other = outcome(threads);
            assert_eq!(other.0, first.0, "graph, {metric}, {threads} threads");
            assert!(other.1 == first.1, "file, {metric}, {threads} threads");
        }
    }
}

/// An optimisation that changes these numbers changes every index that anybody builds.
#[test]
fn graphs_are_the_ones_of_earlier_versions() {
    let values = rows_with_copies();
    let found = METRICS
        .map(|metric| (metric, built(Matrix::new(&values, DIM), &small_params(metric)).graph_digest()));
    let expected = [
        (Metric::L2, 0x2ff5_6258_2818_8bcf),
        (Metric::Cosine, 0x0227_c6b5_e2c1_0e67),
        (Metric::Ip, 0x4140_ec50_c78e_b9dd),
    ];
    assert_eq!(found, expected, "{found:#x?}");
}

#[test]
fn every_parameter_and_the_seed_change_the_graph() {
    let values = rows_with_copies();
    let digest = |params: Params| built(Matrix::new(&values, DIM), &params).graph_digest();
    let params = small_params(Metric::L2);
    let digests = [
        digest(params),
        digest(Params { seed: 43, ..params }),
        digest(Params { m: 9, ..params }),
        digest(Params { ef_construction: 20, ..params }),
        digest(Params { metric: Metric::Cosine, ..params }),
    ];
    for (i, a) in digests.iter().enumerate() {
        assert!(!digests[..i].contains(a), "{i}: {digests:x?}");
    }
}

#[test]
fn vectors_that_are_in_the_file_already_give_the_same_file() {
    let values = rows_with_copies();
    let rows = Matrix::new(&values, DIM);
    let built = built(rows, &small_params(Metric::Cosine));
    let expected = file_bytes(&built, rows, None, "");

    let mut bytes = vec![0xaa; 4096];
    bytes.extend(bytemuck::cast_slice::<f32, u8>(&values));
    let file = TempIndex::new(&bytes);
    let mut out = std::fs::File::options().read(true).write(true).open(file.path()).unwrap();
    let mapped = MappedMatrix::new(&out, index::file::VECTORS_OFFSET, ROWS, DIM).unwrap();
    assert_eq!(mapped.matrix().values(), values);
    let contents =
        Contents { built: &built, vectors: Vectors::InPlace(mapped.matrix()), ids: None, recipe: "" };
    write(&mut out, &contents).unwrap();
    assert!(std::fs::read(file.path()).unwrap() == expected);

    assert!(MappedMatrix::new(&out, 4096, usize::MAX, DIM).is_err());
    assert!(MappedMatrix::new(&out, 4096, 1 << 30, DIM).is_err());
}

#[test]
fn searching_all_is_searching_one_by_one() {
    let values = rows_with_copies();
    let rows = Matrix::new(&values, DIM);
    let queries = clustered(4, 333, DIM);
    for metric in METRICS {
        let bytes = file_bytes(&built(rows, &small_params(metric)), rows, None, "");
        let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
        let mut searcher = index.searcher();
        let expected: Vec<Vec<Hit>> =
            queries.chunks(DIM).map(|query| searcher.search(query, 7, 30).unwrap()).collect();
        assert!(searcher.distances_computed() > 333 * 30);
        assert_eq!(expected.len(), 333);
        for threads in [1, 2, 3, 8] {
            // Opened anew each time, so that blocks of vectors are checked by all threads at once.
            let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
            let found = on_threads(threads, || index.search_all(Matrix::new(&queries, DIM), 7, 30));
            assert_eq!(found.unwrap(), expected, "{metric}, {threads} threads");
        }
    }
}
