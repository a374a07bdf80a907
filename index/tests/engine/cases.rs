//! The edges: few rows, wide rows, equal rows, bad rows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use index::{
    BuildError, GraphBuilder, InsertBuilder, Matrix, Metric, Monitor, Params, Phase, Unmonitored, build,
};

use crate::data::{
    BUILDERS, METRICS, built_by, by_each, clustered, exact_distance, exact_search, file_bytes, ids,
    isotropic, on_threads, opened, opened_by, rows_that_find_themselves, small_params, whole, written,
};

#[test]
fn few_rows_of_any_width_are_indexed_and_found() {
    for dim in [1, 3, 33, 65_536] {
        for count in 0..=3 {
            let values = isotropic(dim as u64, count, dim);
            let rows = Matrix::new(&values, dim);
            for (builder, metric) in by_each(METRICS) {
                let index = opened_by(builder, rows, &Params::new(metric));
                assert_eq!((index.rows(), index.dim()), (count, dim));
                assert_eq!(index.header().reachable_share(), 1.0);
                let query = isotropic(99, 1, dim);
                // By codes alone, one of two rows that are about as far is the nearer.
                let least_ef = if builder.makes_codes() { count } else { 1 };
                for (k, ef) in [(1, least_ef), (10, 1), (10, 50)] {
                    let hits = index.searcher().search(&query, k, ef).unwrap();
                    let expected: Vec<u64> =
                        exact_search(metric, rows, &query, k).into_iter().map(|(row, _)| row).collect();
                    assert_eq!(ids(&hits), expected, "{builder:?} {metric} dim {dim}, {count} rows, k {k}");
                }
            }
        }
    }
}

#[test]
fn wide_rows_have_a_graph_too() {
    const DIM: usize = 65_536;
    let values = isotropic(4, 30, DIM);
    let rows = Matrix::new(&values, DIM);
    for (builder, metric) in by_each(METRICS) {
        let index = opened_by(builder, rows, &Params { m: 2, ..Params::new(metric) });
        for row in [0, 13, 29] {
            // Not all rows, so that the graph is walked; but all it holds.
            let hits = index.searcher().search(rows.row(row), 3, 29).unwrap();
            assert_eq!(hits[0].id, u64::from(row), "{builder:?} {metric}");
            let exact = exact_distance(metric, rows.row(row), rows.row(hits[1].id as u32));
            assert!((f64::from(hits[1].distance) - exact).abs() < exact.abs().max(1.0) * 1e-5);
        }
    }
}

#[test]
fn a_beam_as_wide_as_the_index_is_exact() {
    // Whole numbers: many ties, and those are broken by row.
    let values = whole(1, 400, 4);
    let rows = Matrix::new(&values, 4);
    for (builder, metric) in by_each([Metric::L2, Metric::Ip]) {
        let index = opened_by(builder, rows, &small_params(metric));
        for query in whole(2, 50, 4).chunks(4) {
            for (k, ef) in [(10, 400), (400, 1), (399, 10_000), (usize::MAX, 5)] {
                let hits = index.searcher().search(query, k, ef).unwrap();
                let found: Vec<(u64, f64)> = hits.iter().map(|h| (h.id, f64::from(h.distance))).collect();
                assert_eq!(found, exact_search(metric, rows, query, k), "{metric} k {k} ef {ef}");
            }
        }
    }
    let values = clustered(5, 400, 12);
    let rows = Matrix::new(&values, 12);
    for builder in BUILDERS {
        let index = opened_by(builder, rows, &small_params(Metric::Cosine));
        for query in clustered(6, 50, 12).chunks(12) {
            let hits = index.searcher().search(query, 400, 400).unwrap();
            assert_eq!(hits.len(), 400);
            for (hit, (_, distance)) in hits.iter().zip(exact_search(Metric::Cosine, rows, query, 400)) {
                assert!((f64::from(hit.distance) - distance).abs() < 1e-5, "{hit:?} {distance}");
            }
        }
    }
}

#[test]
fn as_many_hits_as_wanted_in_order_and_none_twice() {
    let values = clustered(7, 1_000, 8);
    let rows = Matrix::new(&values, 8);
    for (builder, metric) in by_each(METRICS) {
        let index = opened_by(builder, rows, &small_params(metric));
        let mut searcher = index.searcher();
        for query in clustered(8, 20, 8).chunks(8) {
            for (k, ef) in [(0, 10), (1, 0), (1, 1), (5, 1), (50, 60), (999, 1), (1_000, 1), (5_000, 1)] {
                let hits = searcher.search(query, k, ef).unwrap();
                assert_eq!(hits.len(), k.min(1_000), "{builder:?} {metric} k {k} ef {ef}");
                assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) < (b.distance, b.id)));
                let mut ids = ids(&hits);
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), hits.len());
            }
        }
    }
}

#[test]
fn a_query_of_another_dimension_is_refused() {
    let values = whole(1, 10, 4);
    let index = opened(Matrix::new(&values, 4), &Params::new(Metric::L2));
    let outcome = std::panic::catch_unwind(|| index.searcher().search(&[0.0; 5], 1, 1));
    assert!(outcome.is_err());
}

#[test]
fn sorted_rows_find_themselves() {
    let values: Vec<f32> = (0..3_000u16).map(f32::from).collect();
    let rows = Matrix::new(&values, 1);
    for builder in BUILDERS {
        let built = built_by(builder, rows, &small_params(Metric::L2)).with_codes(rows);
        let how = built.how();
        // A dozen rows have the same code, so codes need a wider beam.
        let with_codes = written(&built, rows);
        for (index, ef) in [(with_codes, 50), (written(&built.without_codes(), rows), 10)] {
            assert_eq!(index.header().reachable_share(), 1.0);
            let found = rows_that_find_themselves(&index, rows, ef);
            println!("{builder:?}, {how}, ef {ef}: {found} of 3000");
            // Whoever asks for the partition builder where its codes are too coarse gets what he asks for.
            if builder.name() != "partition" {
                assert_eq!(found, 3_000, "{builder:?}, {how}, ef {ef}");
                let hits = index.searcher().search(&[1_500.2], 4, ef).unwrap();
                assert_eq!(ids(&hits), [1500, 1501, 1499, 1502], "{builder:?}, {how}, ef {ef}");
            }
        }
    }
}

#[test]
fn rows_of_one_direction_are_all_reachable() {
    // By cosine all of these are equal, though no two have the same values.
    let values: Vec<f32> = (1..=2_000u16).flat_map(|i| [f32::from(i), f32::from(i) * 2.0]).collect();
    for builder in BUILDERS {
        let index = opened_by(builder, Matrix::new(&values, 2), &small_params(Metric::Cosine));
        assert_eq!(index.header().reachable_share(), 1.0);
        let hits = index.searcher().search(&[1.0, 2.0], 100, 100).unwrap();
        assert_eq!(hits.len(), 100);
        assert!(hits.iter().all(|hit| hit.distance < 1e-6), "{builder:?}: {hits:?}");
    }
}

#[test]
fn all_rows_may_be_equal() {
    let values = [1.5, -2.0, 0.25, 3.0, 0.0, 7.0, -1.0, 0.5].repeat(100_000);
    let rows = Matrix::new(&values, 8);
    for (builder, metric) in by_each([Metric::L2, Metric::Cosine]) {
        let built = built_by(builder, rows, &Params::new(metric));
        assert_eq!((built.copies(), built.level_rows()[0]), (99_999, 1));
        let index = written(&built, rows);
        for k in [1, 10, 5_000] {
            let hits = index.searcher().search(rows.row(0), k, 50).unwrap();
            assert_eq!(ids(&hits), (0..k as u64).collect::<Vec<_>>());
            assert!(hits.iter().all(|hit| hit.distance.abs() < 1e-6), "{metric}: {:?}", hits[0]);
            assert!(metric != Metric::L2 || hits.iter().all(|hit| hit.distance == 0.0));
        }
    }
}

#[test]
fn many_copies_of_one_row_hide_no_other() {
    const DIM: usize = 16;
    // Every third row is its own, the others are all equal to row 1.
    let mut values = clustered(9, 15_000, DIM);
    for row in (0..15_000).filter(|row| row % 3 != 0) {
        values.copy_within(DIM..2 * DIM, row * DIM);
    }
    let rows = Matrix::new(&values, DIM);
    let others: Vec<f32> = (0..15_000u32).step_by(3).flat_map(|row| rows.row(row)).copied().collect();
    let copies: Vec<u64> = (0..15_000).filter(|row| row % 3 != 0).collect();
    for (builder, metric) in by_each([Metric::L2, Metric::Cosine]) {
        let index = opened_by(builder, rows, &small_params(metric));
        assert_eq!((index.header().copies, index.header().reachable_share()), (9_999, 1.0));
        for k in [1, 20, 9_000, 10_000] {
            let hits = index.searcher().search(rows.row(1), k, 100).unwrap();
            assert_eq!(ids(&hits), copies[..k], "{builder:?} {metric} k {k}");
        }
        let found = index.search_all(Matrix::new(&others, DIM), 1, 100).unwrap();
        let themselves = found.iter().zip((0..15_000).step_by(3)).filter(|(hits, row)| hits[0].id == *row);
        let themselves = themselves.count();
        assert!(themselves * 1000 >= 5_000 * 999, "{builder:?} {metric}: {themselves} of 5000");
        // Enough wanted to meet the copies on the way: they come once each, among the others.
        let near: Vec<u64> =
            exact_search(metric, rows, rows.row(0), 12_000).iter().map(|hit| hit.0).collect();
        let hits = ids(&index.searcher().search(rows.row(0), 12_000, 1).unwrap());
        let common = near.iter().filter(|row| hits.contains(row)).count();
        assert!(common >= 11_900, "{builder:?} {metric}: {common}");
    }
}

#[test]
fn many_rows_that_nearly_equal_one_hide_no_other() {
    const DIM: usize = 16;
    let mut values = clustered(16, 5_000, DIM);
    for i in 1..=2_000u16 {
        let start = (5_000 - usize::from(i)) * DIM;
        values.copy_within(..DIM, start);
        values[start] += f32::from(i) * 1e-6;
    }
    let others = Matrix::new(&values[..3_000 * DIM], DIM);
    for builder in BUILDERS {
        let index = opened_by(builder, Matrix::new(&values, DIM), &Params::new(Metric::L2));
        assert!(index.header().copies < 100, "these are to be nodes");
        assert_eq!(index.header().reachable_share(), 1.0);
        let found = rows_that_find_themselves(&index, others, 100);
        // Row 0 and those that equal it but for 1e-3 have the same code.
        assert!(found >= 2_997, "{builder:?}: {found} of 3000");
    }
}

#[test]
fn few_rows_with_copies_have_one_level_and_are_found() {
    // Nodes are fewer than rows, and on level 0 a node's number is its row: the entry point may be the last row.
    for seed in 0..20 {
        for distinct in 1..=3u16 {
            let mut values = [0.5, 0.5].repeat(6);
            values.extend((0..distinct).flat_map(|i| [f32::from(i), 9.0]));
            let rows = Matrix::new(&values, 2);
            let expected: Vec<u64> =
                (0..rows.rows() as u64).map(|row| if row < 6 { 0 } else { row }).collect();
            for builder in BUILDERS {
                let index = opened_by(builder, rows, &Params { seed, ..Params::new(Metric::L2) });
                let found = index.search_all(rows, 1, 3).unwrap();
                assert_eq!(found.iter().map(|hits| hits[0].id).collect::<Vec<_>>(), expected, "{builder:?}");
            }
        }
    }
}

#[test]
fn zero_rows_have_cosine_distance_1() {
    let mut values = clustered(10, 300, 6);
    values[7 * 6..8 * 6].fill(0.0);
    values[200 * 6..201 * 6].fill(-0.0);
    let rows = Matrix::new(&values, 6);
    for builder in BUILDERS {
        let index = opened_by(builder, rows, &small_params(Metric::Cosine));
        assert_eq!(index.header().copies, 1);
        // 298 of 299 nodes are found by a walk, and all by comparing.
        for (k, ef) in [(300, 1), (298, 298)] {
            let hits = index.searcher().search(rows.row(0), k, ef).unwrap();
            for zero in hits.iter().filter(|hit| [7, 200].contains(&hit.id)) {
                assert_eq!(zero.distance, 1.0);
            }
            assert!(k < 300 || hits.iter().filter(|hit| [7, 200].contains(&hit.id)).count() == 2);
        }
        let from_zero = index.searcher().search(&[0.0; 6], 300, 1).unwrap();
        assert!(from_zero.iter().all(|hit| hit.distance == 1.0));
        assert_eq!(ids(&from_zero), (0..300).collect::<Vec<_>>());
        let near_zero = index.searcher().search(&[0.0; 6], 20, 20).unwrap();
        assert!(near_zero.iter().all(|hit| hit.distance == 1.0));
    }
}

#[test]
fn minus_0_is_0() {
    let values = [0.0, 1.0, -0.0, 1.0, 2.0, 2.0, 0.0, -1.0];
    for (builder, metric) in by_each(METRICS) {
        let index = opened_by(builder, Matrix::new(&values, 2), &Params::new(metric));
        assert_eq!(index.header().copies, 1, "{builder:?} {metric}");
        let of = |query: [f32; 2]| index.searcher().search(&query, 4, 10).unwrap();
        assert_eq!(of([0.0, 1.0]), of([-0.0, 1.0]));
    }
}

#[test]
fn rows_that_have_no_distances_are_refused_by_number() {
    const DIM: usize = 5;
    let good = isotropic(11, 5_000, DIM);
    for metric in METRICS {
        for (bad, says) in [
            (f32::NAN, "row 1203: expected finite values, found NaN or an infinity"),
            (f32::INFINITY, "row 1203: expected finite values, found NaN or an infinity"),
            (f32::NEG_INFINITY, "row 1203: expected finite values, found NaN or an infinity"),
            (
                -1e20,
                "row 1203: expected values whose squares sum up to 4e37 at most, found more: distances would overflow",
            ),
        ] {
            let mut values = good.clone();
            for row in [4_999, 1_203, 3_000] {
                values[row * DIM + row % DIM] = bad;
            }
            for threads in [1, 8] {
                let outcome = on_threads(threads, || {
                    build(Matrix::new(&values, DIM), &Params::new(metric), &InsertBuilder, &Unmonitored)
                });
                let Err(BuildError::Row(invalid)) = outcome else { panic!("{metric}, {bad}: {outcome:?}") };
                assert_eq!((invalid.row, invalid.to_string()), (1_203, says.to_owned()));
            }
        }
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    let good = Params::new(Metric::L2);
    for (params, says) in [
        (Params { m: 0, ..good }, "expected M from 2 to 1024, found 0"),
        (Params { m: 1, ..good }, "expected M from 2 to 1024, found 1"),
        (Params { m: 1025, ..good }, "expected M from 2 to 1024, found 1025"),
        (Params { ef_construction: 0, ..good }, "expected ef_construction from 1 to 1000000, found 0"),
        (
            Params { ef_construction: 1_000_001, ..good },
            "expected ef_construction from 1 to 1000000, found 1000001",
        ),
    ] {
        let outcome = build(Matrix::new(&[1.0, 2.0], 1), &params, &InsertBuilder, &Unmonitored);
        let Err(BuildError::Params(invalid)) = outcome else { panic!("{params:?}: {outcome:?}") };
        assert_eq!(invalid.to_string(), says);
    }
    // The ends of the ranges work.
    let values = clustered(12, 300, 4);
    let rows = Matrix::new(&values, 4);
    for params in [
        Params { m: 2, ef_construction: 1, ..good },
        Params { m: 1024, ..good },
        Params { ef_construction: 1_000_000, seed: u64::MAX, ..good },
    ] {
        for builder in BUILDERS {
            let index = opened_by(builder, rows, &params);
            assert_eq!(index.header().params, params);
            assert_eq!(index.header().reachable_share(), 1.0);
        }
    }
}

/// Counts the rows of each phase, and says stop from some number of them on.
struct Counter {
    rows: AtomicU64,
    stop_at: u64,
    /// Of each phase that began: the rows it was to have, and those counted before it.
    phases: Mutex<Vec<(Phase, u64, u64)>>,
}

impl Counter {
    fn stopping_at(stop_at: u64) -> Self {
        Self { rows: AtomicU64::new(0), stop_at, phases: Mutex::default() }
    }

    /// Of each phase: the rows that it was to have, and those it had.
    fn into_phases(self) -> Vec<(Phase, u64, u64)> {
        let phases = self.phases.into_inner().unwrap();
        let ends = phases.iter().skip(1).map(|phase| phase.2).chain([self.rows.into_inner()]);
        phases.iter().zip(ends).map(|(&(phase, rows, before), end)| (phase, rows, end - before)).collect()
    }
}

impl Monitor for Counter {
    fn begin(&self, phase: Phase, rows: u64) {
        self.phases.lock().unwrap().push((phase, rows, self.rows.load(Ordering::Relaxed)));
    }

    fn advance(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.rows.load(Ordering::Relaxed) >= self.stop_at
    }
}

#[test]
fn a_monitor_sees_every_row_once_in_each_phase() {
    const DIM: usize = 12;
    let mut values = clustered(13, 2_000, DIM);
    values.copy_within(0..100 * DIM, 1_000 * DIM);
    // More than are compared row by row, and such that one round of carving does not do.
    values.extend(isotropic(13, 10_000, DIM));
    for builder in BUILDERS {
        for count in [0, 1, 2, 100, 2_000, 12_000] {
            let counter = Counter::stopping_at(u64::MAX);
            build(Matrix::new(&values[..count * DIM], DIM), &small_params(Metric::L2), builder, &counter)
                .unwrap();
            // Those that equal an earlier row are no work.
            let nodes = count as u64 - if count < 2_000 { 0 } else { 100 };
            let phases = counter.into_phases();
            assert!(!phases.is_empty());
            for (phase, rows, done) in phases {
                assert_eq!((rows, done), (nodes, nodes), "{builder:?}, {phase:?} of {count} rows");
            }
        }
    }
}

#[test]
fn a_monitor_stops_a_build() {
    const ROWS: u64 = 3_000;
    let values = clustered(13, ROWS as usize, 8);
    let rows = Matrix::new(&values, 8);
    let stopped = |builder: &dyn GraphBuilder, stop_at| {
        let counter = Counter::stopping_at(stop_at);
        let outcome = build(rows, &small_params(Metric::L2), builder, &counter);
        assert!(matches!(outcome, Err(BuildError::Cancelled)), "{builder:?} {stop_at}");
        counter.rows.into_inner()
    };
    for stop_at in [0, 1, 1_000] {
        let done = stopped(&InsertBuilder, stop_at);
        assert!(done < stop_at + 500, "stopped at {done} instead of {stop_at}");
    }
    // While rows are compared, and while they choose their neighbours.
    for builder in &BUILDERS[1..] {
        for stop_at in [0, 1, 1_000, ROWS, ROWS + 1_000] {
            let done = stopped(*builder, stop_at);
            assert!(done < stop_at + 1_500, "{builder:?} stopped at {done} instead of {stop_at}");
        }
    }
}

#[test]
fn recipe_and_ids_do_not_change_the_graph() {
    let values = clustered(14, 200, 4);
    let rows = Matrix::new(&values, 4);
    let own: Vec<u64> = (0..200).map(|row| u64::MAX - row).collect();
    for builder in BUILDERS {
        let built = built_by(builder, rows, &small_params(Metric::L2));
        let bytes = file_bytes(&built, rows, Some(&own), "x = 1\n");
        let index = index::Index::open(crate::data::TempIndex::new(&bytes).path()).unwrap();
        let plain = opened_by(builder, rows, &small_params(Metric::L2));
        for query in clustered(15, 30, 4).chunks(4) {
            let with_ids = index.searcher().search(query, 9, 30).unwrap();
            let without = plain.searcher().search(query, 9, 30).unwrap();
            assert_eq!(ids(&with_ids), ids(&without).iter().map(|row| u64::MAX - row).collect::<Vec<_>>());
        }
    }
}
