//! The same input gives the same bytes.

use index::file::{Contents, Vectors, write};
use index::{GraphBuilder, Hit, Index, MappedMatrix, Matrix, Metric, Params, PartitionBuilder};

use twox_hash::XxHash3_64;

use crate::data::{
    BUILDERS, METRICS, TempIndex, built, built_by, by_each, clustered, file_bytes, isotropic, on_threads,
    small_params,
};

const ROWS: usize = 1_500;
const DIM: usize = 20;

/// Clustered rows, the last hundred of which are copies.
fn rows_with_copies() -> Vec<f32> {
    let mut values = clustered(3, ROWS, DIM);
    values.copy_within(500 * DIM..600 * DIM, 1_400 * DIM);
    values
}

/// Rows that differ along eight directions, and a little along all others.
fn along_few_directions(rows: usize, dim: usize) -> Vec<f32> {
    let directions = isotropic(11, 8, dim);
    let mut values: Vec<f32> = isotropic(12, rows, dim).iter().map(|value| 0.2 * value).collect();
    let along = isotropic(13, rows, 8);
    for (values, along) in values.chunks_exact_mut(dim).zip(along.chunks_exact(8)) {
        for (direction, along) in directions.chunks_exact(dim).zip(along) {
            values.iter_mut().zip(direction).for_each(|(value, direction)| *value += along * direction);
        }
    }
    values
}

/// The graph's digest, and the bytes of the file with and without codes.
fn outcome(builder: &dyn GraphBuilder, rows: Matrix<'_>, params: &Params) -> (u64, Vec<u8>, Vec<u8>) {
    let built = built_by(builder, rows, params).with_codes(rows);
    let with_codes = file_bytes(&built, rows, None, "a = 1\n");
    let built = built.without_codes();
    (built.graph_digest(), with_codes, file_bytes(&built, rows, None, "a = 1\n"))
}

fn check_threads(builder: &dyn GraphBuilder, rows: Matrix<'_>, params: &Params) {
    let first = on_threads(1, || outcome(builder, rows, params));
    for threads in [1, 2, 3, 8] {
        let other = on_threads(threads, || outcome(builder, rows, params));
        let what = format!("{builder:?}, {}, {threads} threads", params.metric);
        assert_eq!(other.0, first.0, "graph, {what}");
        assert!(other.1 == first.1, "file with codes, {what}");
        assert!(other.2 == first.2, "file without codes, {what}");
    }
}

#[test]
fn graphs_and_files_are_equal_on_any_number_of_threads_and_on_every_run() {
    let values = rows_with_copies();
    for (builder, metric) in by_each(METRICS) {
        check_threads(builder, Matrix::new(&values, DIM), &small_params(metric));
    }
}

/// More rows than are compared row by row.
#[test]
fn carved_rows_give_equal_graphs_and_files_on_any_number_of_threads() {
    let values = large_rows_with_copies();
    for (builder, metric) in [(1, Metric::L2), (1, Metric::Cosine), (1, Metric::Ip), (2, Metric::L2)] {
        check_threads(BUILDERS[builder], Matrix::new(&values, LARGE_DIM), &small_params(metric));
    }
    // Rows that differ along few directions are carved by these.
    let values = along_few_directions(8_500, 64);
    let rows = Matrix::new(&values, 64);
    assert!(built_by(&PartitionBuilder, rows, &Params::new(Metric::L2)).how().contains("carving_axes 16"));
    check_threads(&PartitionBuilder, rows, &small_params(Metric::L2));
    // Half of the nodes are on level 1, so that is carved as well; and after one round comes another.
    let values = isotropic(3, 17_500, 12);
    let params = Params { m: 2, ef_construction: 16, ..Params::new(Metric::L2) };
    check_threads(&PartitionBuilder, Matrix::new(&values, 12), &params);
}

const LARGE_ROWS: usize = 9_000;
const LARGE_DIM: usize = 9;

fn large_rows_with_copies() -> Vec<f32> {
    let mut values = clustered(3, LARGE_ROWS, LARGE_DIM);
    values.copy_within(500 * LARGE_DIM..600 * LARGE_DIM, 1_400 * LARGE_DIM);
    values
}

/// An optimisation that changes these numbers changes every index that anybody builds.
#[test]
fn graphs_are_the_ones_of_earlier_versions() {
    let (values, large) = (rows_with_copies(), large_rows_with_copies());
    let digests = |builder: &dyn GraphBuilder, rows| {
        METRICS.map(|metric| (metric, built_by(builder, rows, &small_params(metric)).graph_digest()))
    };
    let found = digests(BUILDERS[0], Matrix::new(&values, DIM));
    let expected = [
        (Metric::L2, 0x2ff5_6258_2818_8bcf),
        (Metric::Cosine, 0x0227_c6b5_e2c1_0e67),
        (Metric::Ip, 0x4140_ec50_c78e_b9dd),
    ];
    assert_eq!(found, expected, "insert: {found:#x?}");
    let small = Matrix::new(&values, DIM);
    let large = Matrix::new(&large, LARGE_DIM);
    let found = [digests(BUILDERS[1], small), digests(BUILDERS[1], large)];
    let expected = [
        [
            (Metric::L2, 0xe5c8_6d5e_6760_ff7a),
            (Metric::Cosine, 0x785e_00c3_c912_f421),
            (Metric::Ip, 0xf7df_0216_c9fd_20b8),
        ],
        [
            (Metric::L2, 0xd031_5bc1_5e81_876a),
            (Metric::Cosine, 0xc82e_3461_1c92_c106),
            (Metric::Ip, 0xc871_623f_c66a_588f),
        ],
    ];
    assert_eq!(found, expected, "partition: {found:#x?}");
    // The automatic choice is insertion for inner products of rows of different lengths, and here partition otherwise.
    for rows in [small, large] {
        let [by_insertion, by_partition, automatic] = BUILDERS.map(|builder| digests(builder, rows));
        assert_eq!(automatic, [by_partition[0], by_partition[1], by_insertion[2]]);
    }
}

/// The same of whole files: the builder's measurements, codes and checksums are in them.
#[test]
fn files_are_the_ones_of_earlier_versions() {
    let (values, large) = (rows_with_copies(), large_rows_with_copies());
    let found = METRICS.map(|metric| {
        let small = outcome(BUILDERS[0], Matrix::new(&values, DIM), &small_params(metric));
        let large = outcome(BUILDERS[1], Matrix::new(&large, LARGE_DIM), &small_params(metric));
        [small.1, small.2, large.1, large.2].map(|bytes| XxHash3_64::oneshot(&bytes))
    });
    let expected = [
        [0x0f87_84d2_a05d_a52b, 0x024b_e6ea_6b36_9904, 0x9d0e_b22f_1d30_0dc7, 0xa1df_406b_44a6_e0d9],
        [0x4f22_3e16_42fd_41f5, 0xfeb9_e785_83c8_634c, 0x9dc4_cda2_0637_9dc0, 0x337e_fb55_55e2_3fa8],
        [0x7d99_7783_f096_4a4d, 0x0414_d1c4_37c7_e113, 0xee15_6efb_1b04_8c54, 0x7e45_4f13_5945_9c5d],
    ];
    assert_eq!(found, expected, "{found:#x?}");
}

#[test]
fn every_parameter_and_the_seed_change_the_graph() {
    let values = rows_with_copies();
    for builder in BUILDERS {
        let digest = |params: Params| built_by(builder, Matrix::new(&values, DIM), &params).graph_digest();
        let params = small_params(Metric::L2);
        let digests = [
            digest(params),
            digest(Params { seed: 43, ..params }),
            digest(Params { m: 9, ..params }),
            digest(Params { ef_construction: 10, ..params }),
            digest(Params { metric: Metric::Cosine, ..params }),
        ];
        for (i, a) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(a), "{builder:?} {i}: {digests:x?}");
        }
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
    let contents = Contents {
        built: &built,
        vectors: Vectors::InPlace(mapped.matrix()),
        ids: None,
        text_ids: None,
        recipe: "",
        vector_checksums: None,
    };
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
    for (builder, metric) in by_each(METRICS) {
        let bytes = file_bytes(&built_by(builder, rows, &small_params(metric)), rows, None, "");
        let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
        let mut searcher = index.searcher();
        let expected: Vec<Vec<Hit>> =
            queries.chunks(DIM).map(|query| searcher.search(query, 7, 30).unwrap()).collect();
        assert!(searcher.distances_computed() > 333 * 30);
        assert_eq!(expected.len(), 333);
        for threads in [1, 2, 3, 8] {
            // Opened anew each time, so that blocks of vectors and codes are checked by all threads at once.
            let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
            let found = on_threads(threads, || index.search_all(Matrix::new(&queries, DIM), 7, 30));
            assert_eq!(found.unwrap(), expected, "{builder:?}, {metric}, {threads} threads");
        }
    }
}
