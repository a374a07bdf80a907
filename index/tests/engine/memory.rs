//! The formula of the memory of a build. Whether it is true is measured by the tests of the program.

use index::{
    AutoBuilder, GraphBuilder, InsertBuilder, Matrix, Metric, Params, PartitionBuilder, memory_parts,
};

use crate::data::{BUILDERS, built_by, clustered};

fn memory_bytes(
    builder: &dyn GraphBuilder,
    params: &Params,
    rows: u64,
    dim: usize,
    codes: bool,
    threads: usize,
) -> u64 {
    memory_parts(builder, params, rows, dim, codes, threads).iter().map(|part| part.1).sum()
}

#[test]
fn more_rows_threads_and_codes_need_more_memory() {
    for builder in BUILDERS {
        for (m, ef_construction) in [(2, 1), (16, 100), (1024, 1), (64, 4_000), (16, 1_000_000)] {
            let params = Params { m, ef_construction, ..Params::new(Metric::L2) };
            let of = |rows, dim, codes, threads| memory_bytes(builder, &params, rows, dim, codes, threads);
            let rows = [0, 1, 100, 8_192, 8_193, 100_000, 10_000_000, (1 << 31) - 1];
            let by_rows = rows.map(|rows| of(rows, 100, true, 2));
            assert!(by_rows.is_sorted_by(|a, b| a < b), "{builder:?} {params:?}: {by_rows:?}");
            // The graph itself, the least there can be.
            for (rows, bytes) in rows.into_iter().zip(by_rows) {
                assert!(bytes >= rows * 8 * m as u64, "{builder:?} {params:?}, {rows} rows: {bytes}");
            }
            assert!(of(1_000, 100, true, 3) > of(1_000, 100, true, 2));
            assert!(of(1_000, 65_536, true, 2) > of(1_000, 100, true, 2));
            let codes = of(1_000, 100, true, 2) - of(1_000, 100, false, 2);
            let made_anyway = builder.name() != "insert";
            assert_eq!(codes, if made_anyway { 0 } else { 1_000 * (128 + 8) }, "{builder:?}");
        }
    }
}

#[test]
fn auto_needs_what_the_greedier_of_both_needs() {
    for (m, ef_construction) in [(2, 1), (16, 100), (64, 10), (16, 4_000), (1024, 1)] {
        for rows in [0, 1_000, 1_000_000] {
            for threads in [1, 2, 64] {
                let params = Params { m, ef_construction, ..Params::new(Metric::Cosine) };
                let of = |builder| memory_bytes(builder, &params, rows, 33, true, threads);
                let both = [of(&InsertBuilder), of(&PartitionBuilder)];
                assert_eq!(of(&AutoBuilder), both[0].max(both[1]), "{params:?} {rows} {threads}");
            }
        }
    }
}

#[test]
fn builders_and_phases_have_the_names_that_are_printed() {
    let values = clustered(70, 500, 4);
    let rows = Matrix::new(&values, 4);
    for (builder, name, used) in [
        (BUILDERS[0], "insert", "insert (ef 100, batch_limit 64)"),
        (
            BUILDERS[1],
            "partition",
            "partition (fanout 4, leaf_k 10, reservoir 50, rounds 0, carving_axes 0, sampled_permille ",
        ),
        (
            BUILDERS[2],
            "auto",
            "partition (fanout 4, leaf_k 10, reservoir 50, rounds 0, carving_axes 0, sampled_permille ",
        ),
    ] {
        assert_eq!(builder.name(), name);
        let how = built_by(builder, rows, &Params::new(Metric::L2)).how();
        assert!(how.starts_with(used), "{how}");
    }
}
