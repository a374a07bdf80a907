//! Going through all of an index.

use index::file::SectionKind;
use index::{ExactSearch, Index, Matrix, exact};

use crate::data::{
    TempIndex, built_by, by_each, clustered, exact_search, file_bytes, opened_by, small_params, whole,
};

#[test]
fn every_node_is_counted_and_every_block_is_whole() {
    let mut values = clustered(3, 1500, 24);
    // Some rows are copies, which are no nodes.
    values.extend_from_within(..24 * 40);
    for (builder, metric) in by_each(crate::data::METRICS) {
        let rows = Matrix::new(&values, 24);
        let index = opened_by(builder, rows, &small_params(metric));
        assert_eq!(index.count_reachable_nodes(), index.header().reachable_nodes, "{metric}");
        assert_eq!(index.vectors().unwrap().values(), values);
        assert_eq!(index.ids(), None);
        let checks = index.check_blocks();
        assert_eq!((checks[0].section, checks[0].blocks), (SectionKind::Vectors, 1540u64.div_ceil(16)));
        assert!(checks.iter().all(|check| check.damaged_blocks == 0 && check.first.is_none()), "{checks:?}");
    }
}

#[test]
fn all_damaged_blocks_are_counted() {
    let values = clustered(3, 3000, 24);
    let rows = Matrix::new(&values, 24);
    let (builder, metric) = by_each([index::Metric::L2]).next().unwrap();
    let built = built_by(builder, rows, &small_params(metric));
    let mut bytes = file_bytes(&built, rows, Some(&(5..3005).collect::<Vec<_>>()), "");
    let blocks = 16 * 24 * 4;
    let start = index::file::VECTORS_OFFSET as usize;
    for block in [1, 3] {
        bytes[start + block * blocks + 17] ^= 1;
    }
    let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
    let check = &index.check_blocks()[0];
    assert_eq!((check.blocks, check.damaged_blocks), (3000u64.div_ceil(16), 2));
    let first = check.first.as_ref().unwrap();
    assert_eq!(first.part, "vectors, rows 16 to 31");
    assert_eq!(first.offset_bytes as usize, start + blocks);
    assert_eq!(index.vectors().unwrap_err(), *first);
    assert_eq!(index.ids().unwrap()[..2], [5, 6]);
}

#[test]
fn many_searches_check_first_what_they_would_come_to() {
    let values = clustered(3, 3000, 24);
    let rows = Matrix::new(&values, 24);
    for (builder, metric) in by_each([index::Metric::L2]) {
        for with_codes in [false, true] {
            let built = built_by(builder, rows, &small_params(metric));
            let built = if with_codes { built.with_codes(rows) } else { built.without_codes() };
            let mut bytes = file_bytes(&built, rows, None, "");
            let whole = Index::open(TempIndex::new(&bytes).path()).unwrap();
            assert!(whole.wants_check_ahead(3000, 400) && !whole.wants_check_ahead(1, 1));
            whole.check_ahead(3000, 400).unwrap();
            assert!(!whole.wants_check_ahead(3000, 400));
            let block = 16 * 24 * 4;
            bytes[index::file::VECTORS_OFFSET as usize + 3 * block + 17] ^= 1;
            let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
            // One search may come to nothing that is damaged: it is for itself to find out.
            index.check_ahead(1, 1).unwrap();
            for _ in 0..2 {
                let found = index.check_ahead(3000, 400).unwrap_err();
                assert_eq!(found.part, "vectors, rows 48 to 63");
                assert_eq!(index.search_all(rows, 5, 100).unwrap_err(), found);
            }
            // Neither is an answer another one for it.
            let query = rows.row(7);
            let after = whole.searcher().search(query, 10, 50).unwrap();
            let before = Index::open(TempIndex::new(&file_bytes(&built, rows, None, "")).path()).unwrap();
            assert_eq!(after, before.searcher().search(query, 10, 50).unwrap());
        }
    }
}

#[test]
fn nothing_is_reached_in_an_index_without_rows() {
    let (builder, metric) = by_each([index::Metric::Ip]).next().unwrap();
    let index = opened_by(builder, Matrix::new(&[], 3), &small_params(metric));
    assert_eq!(index.count_reachable_nodes(), 0);
    assert_eq!(index.check_blocks()[0].blocks, 0);
}

/// By the definition in f64, where f32 is exact; and what a search as wide as the index finds, to the bit.
#[test]
fn exact_neighbours_are_those_of_the_widest_search() {
    let (values, queries) = (whole(1, 700, 20), whole(2, 50, 20));
    let (rows, asked) = (Matrix::new(&values, 20), Matrix::new(&queries, 20));
    for (builder, metric) in by_each(crate::data::METRICS) {
        let found = exact(rows, asked, metric, 15);
        let index = opened_by(builder, rows, &small_params(metric));
        for (hits, found) in index.search_all(asked, 15, 700).unwrap().iter().zip(&found) {
            let hits: Vec<(f32, u32)> = hits.iter().map(|hit| (hit.distance, hit.id as u32)).collect();
            assert_eq!(&hits, found, "{metric}");
        }
        if metric != index::Metric::Cosine {
            for (query, found) in queries.chunks(20).zip(&found) {
                let expected = exact_search(metric, rows, query, 15);
                assert!(expected.iter().zip(found).all(|(a, b)| a.0 == u64::from(b.1)), "{metric}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "one dimension")]
fn rows_of_another_dimension_are_refused() {
    ExactSearch::new(Matrix::new(&[1.0, 2.0], 2), index::Metric::L2, 1).add(Matrix::new(&[1.0; 3], 3));
}
