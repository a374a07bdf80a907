//! An index of this program, written for each library and taken over again.

use std::fs;
use std::path::{Path, PathBuf};

use exchange::{Ids, Library, Whole, open};
use index::file::{Contents, Vectors};
use index::{Index, InsertBuilder, Matrix, Metric, Params, Unmonitored, build};

const DIM: usize = 7;

/// Values without structure, from a counter.
pub(crate) fn values(rows: usize, dim: usize) -> Vec<f32> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        f32::from(u16::try_from(state >> 48).unwrap()) / 65_536.0 - 0.5
    };
    (0..rows * dim).map(|_| next()).collect()
}

pub(crate) fn write_index(path: &Path, values: &[f32], dim: usize, metric: Metric, ids: Option<&[u64]>) {
    let matrix = Matrix::new(values, dim);
    let params = Params { m: 5, ef_construction: 40, ..Params::new(metric) };
    let built = build(matrix, &params, &InsertBuilder, &Unmonitored).unwrap();
    let contents = Contents {
        built: &built,
        vectors: Vectors::Elsewhere(matrix),
        vector_checksums: None,
        ids,
        text_ids: None,
        recipe: "",
    };
    index::file::write(&mut fs::File::create(path).unwrap(), &contents).unwrap();
}

/// Writes an index for a library.
pub(crate) fn export(index: &Index, library: &Library, path: &Path, ids: Ids) {
    let mut out = fs::File::create(path).unwrap();
    library.write(&Whole::new(index, ids), &mut out).unwrap();
}

fn exported(folder: &Path, library: &Library) -> PathBuf {
    folder.join(format!("index.{}", library.name))
}

fn readers_metric(metric: Metric) -> readers::Metric {
    match metric {
        Metric::L2 => readers::Metric::L2,
        Metric::Cosine => readers::Metric::Cosine,
        Metric::Ip => readers::Metric::Ip,
    }
}

#[test]
fn what_is_written_for_a_library_answers_the_same_when_it_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut values = values(600, DIM);
    // Rows that equal earlier ones, many of one and one of another.
    for copy in [50, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 599] {
        values.copy_within(3 * DIM..4 * DIM, copy * DIM);
    }
    values.copy_within(5 * DIM..6 * DIM, 100 * DIM);
    let ids: Vec<u64> = (0..600).map(|row| 1_000_000_007 * row + 5).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
        let path = folder.path().join("own.hnsw");
        write_index(&path, &values, DIM, metric, Some(&ids));
        let own = Index::open(&path).unwrap();
        for library in Library::ALL {
            let file = exported(folder.path(), library);
            export(&own, library, &file, Ids::Own);
            let taken = open(&file, Some(readers_metric(metric)), &|| false).unwrap();
            let origin = taken.origin.unwrap();
            assert_eq!(origin.info.library, library.name);
            assert_eq!(origin.dropped, index::Dropped::default(), "{library:?} {metric}");
            let header = taken.index.header();
            assert_eq!((header.rows, header.dim, header.params.m), (600, DIM, 5));
            assert_eq!(header.reachable_nodes, 600, "{library:?} {metric}: copies are reached, too");
            for query in values.chunks_exact(DIM).step_by(17) {
                let ids = |index: &Index| {
                    let hits = index.searcher().search(query, 20, 600).unwrap();
                    hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
                };
                let (mut expected, mut found) = (ids(&own), ids(&taken.index));
                // Unit vectors are rounded, so rows of nearly one distance may change places.
                expected.sort_unstable();
                found.sort_unstable();
                let same = expected.iter().filter(|id| found.contains(id)).count();
                assert!(same >= 19, "{library:?} {metric}: {same} of 20 are the same");
            }
        }
    }
}

#[test]
fn copies_are_found_by_the_graph_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut values = values(400, DIM);
    for copy in 350..390 {
        values.copy_within(9 * DIM..10 * DIM, copy * DIM);
    }
    let path = folder.path().join("own.hnsw");
    write_index(&path, &values, DIM, Metric::L2, None);
    let own = Index::open(&path).unwrap();
    for library in Library::ALL {
        let file = exported(folder.path(), library);
        export(&own, library, &file, Ids::Own);
        let taken = open(&file, Some(readers::Metric::L2), &|| false).unwrap();
        // 41 equal rows, found by a beam that does not hold all rows.
        let hits = taken.index.searcher().search(&values[9 * DIM..10 * DIM], 41, 60).unwrap();
        assert!(hits.iter().all(|hit| hit.distance == 0.0), "{library:?}");
        assert_eq!(
            hits.iter().map(|hit| hit.id).collect::<Vec<_>>(),
            [&[9], &(350..390).collect::<Vec<_>>()[..]].concat()
        );
    }
}

#[test]
fn an_empty_index_and_one_of_a_single_row_go_through_every_library() {
    let folder = tempfile::tempdir().unwrap();
    for rows in [0, 1, 2] {
        let values = values(rows, DIM);
        let path = folder.path().join("own.hnsw");
        write_index(&path, &values, DIM, Metric::L2, None);
        let own = Index::open(&path).unwrap();
        for library in Library::ALL {
            let file = exported(folder.path(), library);
            export(&own, library, &file, Ids::Own);
            let taken = open(&file, Some(readers::Metric::L2), &|| false).unwrap();
            assert_eq!(taken.index.rows(), rows, "{library:?}");
            let hits = taken.index.searcher().search(&[0.0; DIM], 3, 10).unwrap();
            assert_eq!(hits.len(), rows.min(3), "{library:?}");
        }
    }
}

#[test]
fn ids_that_a_library_cannot_hold_are_refused_and_row_numbers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let values = values(3, DIM);
    let path = folder.path().join("own.hnsw");
    write_index(&path, &values, DIM, Metric::L2, Some(&[1, u64::MAX, 3]));
    let own = Index::open(&path).unwrap();
    for library in Library::ALL {
        let refused = library.write(&Whole::new(&own, Ids::Own), &mut Vec::new());
        let holds_it = ["hnswlib", "sochdb"].contains(&library.name);
        assert_eq!(refused.is_ok(), holds_it, "{library:?}");
        if let Err(error) = refused {
            assert!(error.to_string().contains("18446744073709551615"), "{error}");
        }
        library.write(&Whole::new(&own, Ids::Rows), &mut Vec::new()).unwrap();
    }
}
