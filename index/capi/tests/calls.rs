//! The library as another language calls it.
#![allow(unsafe_code, reason = "this is the other side of the interface")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test data is small")]

use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use index::{AutoBuilder, Index, Matrix, Metric, Params, Unmonitored, build, file};
use sochdb_bulk_index::*;

const DIM: usize = 8;

fn values(rows: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / f32::from(u16::MAX)
    };
    std::iter::repeat_with(next).take(rows * DIM).collect()
}

fn written(dir: &Path, rows: usize, ids: Option<&[u64]>) -> PathBuf {
    written_with(dir, rows, ids, None)
}

fn written_with(
    dir: &Path,
    rows: usize,
    ids: Option<&[u64]>,
    text_ids: Option<&dyn index::TextIdSource>,
) -> PathBuf {
    let values = values(rows, 1);
    let matrix = Matrix::new(&values, DIM);
    let built = build(matrix, &Params::new(Metric::L2), &AutoBuilder, &Unmonitored).unwrap();
    let path = dir.join(format!("{rows}.hnsw"));
    let contents = file::Contents {
        built: &built,
        vectors: file::Vectors::Elsewhere(matrix),
        vector_checksums: None,
        ids,
        text_ids,
        recipe: "version = 1\n",
    };
    file::write(&mut std::fs::File::create(&path).unwrap(), &contents).unwrap();
    path
}

fn last_error() -> String {
    // SAFETY: a null buffer asks for the length; the second one has it.
    unsafe {
        let mut text = vec![0u8; sbi_last_error(null_mut(), 0)];
        sbi_last_error(text.as_mut_ptr().cast(), text.len());
        String::from_utf8(text).unwrap()
    }
}

/// An opened index that is closed in the end.
struct Opened(*mut SbiIndex);

// SAFETY: the interface says that threads may share an index.
unsafe impl Sync for Opened {}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: from `sbi_open`, and not used any more.
        unsafe { sbi_close(self.0) }
    }
}

fn open(path: &Path) -> Result<Opened, (i32, String)> {
    let path = path.to_str().unwrap();
    let mut opened = null_mut();
    // SAFETY: the path and the place for the index are those of this function.
    match unsafe { sbi_open(path.as_ptr(), path.len(), &raw mut opened) } {
        0 => Ok(Opened(opened)),
        status => Err((status, last_error())),
    }
}

fn search(
    index: &Opened,
    queries: &[f32],
    k: usize,
    threads: usize,
) -> Result<(Vec<u64>, Vec<f32>), (i32, String)> {
    let rows = queries.len() / DIM;
    let (mut ids, mut distances) = (vec![u64::MAX; rows * k], vec![f32::NAN; rows * k]);
    let (ids_at, distances_at) = (ids.as_mut_ptr(), distances.as_mut_ptr());
    // SAFETY: all sizes are those of the vectors above.
    let status = unsafe {
        sbi_search(index.0, queries.as_ptr(), rows, DIM, k, 50, threads, ids_at, distances_at, rows * k)
    };
    if status == 0 { Ok((ids, distances)) } else { Err((status, last_error())) }
}

#[test]
fn searches_are_those_of_the_engine_by_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<u64> = (0..3000).map(|row| row * 7 + 5).collect();
    let path = written(dir.path(), 3000, Some(&ids));
    let queries = values(101, 2);
    let engine = Index::open(&path).unwrap();
    let mut searcher = engine.searcher();
    let expected: Vec<_> =
        queries.chunks(DIM).flat_map(|query| searcher.search(query, 10, 50).unwrap()).collect();
    let index = open(&path).unwrap();
    for threads in [0, 1, 2, 7, 1000] {
        let (ids, distances) = search(&index, &queries, 10, threads).unwrap();
        assert!(ids.iter().copied().eq(expected.iter().map(|hit| hit.id)), "{threads}");
        let same = |(a, b): (&f32, f32)| a.to_bits() == b.to_bits();
        assert!(distances.iter().zip(expected.iter().map(|hit| hit.distance)).all(same), "{threads}");
    }
    // Several callers at a time.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (ids, _) = search(&index, &queries, 10, 2).unwrap();
                assert!(ids.iter().copied().eq(expected.iter().map(|hit| hit.id)));
            });
        }
    });
}

#[test]
fn an_index_of_fewer_rows_than_k_gives_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&written(dir.path(), 3, None)).unwrap();
    let (ids, _) = search(&index, &values(2, 1), 5, 1).unwrap();
    // Three hits for each of two queries, and behind them nothing was written.
    assert_eq!(ids[6..], [u64::MAX; 4]);
    assert_eq!((ids[0], ids[3]), (0, 1));
    let empty = open(&written(dir.path(), 0, None)).unwrap();
    assert_eq!(search(&empty, &values(2, 1), 5, 1).unwrap().0, [u64::MAX; 10]);
}

#[test]
fn ids_and_vectors_are_where_they_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<u64> = (0..100).map(|row| u64::MAX - row).collect();
    let index = open(&written(dir.path(), 100, Some(&ids))).unwrap();
    let (mut ids_at, mut vectors_at) = (null(), null());
    // SAFETY: the index is open, and the places are those of this function.
    unsafe {
        assert_eq!(sbi_ids(index.0, &raw mut ids_at), 0);
        assert_eq!(sbi_vectors(index.0, &raw mut vectors_at), 0);
        assert_eq!(std::slice::from_raw_parts(ids_at, 100), ids);
        assert_eq!(std::slice::from_raw_parts(vectors_at, 100 * DIM), values(100, 1));
    }
    let without = open(&written(dir.path(), 50, None)).unwrap();
    // SAFETY: as above.
    unsafe { assert_eq!(sbi_ids(without.0, &raw mut ids_at), 0) };
    assert!(ids_at.is_null());
}

#[test]
fn ids_that_are_texts_are_where_they_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let texts = ["b", "", "\u{fc}ber"];
    let index = open(&written_with(dir.path(), 3, None, Some(&texts.as_slice()))).unwrap();
    let (mut offsets_at, mut texts_at) = (null(), null());
    // SAFETY: the index is open, and the places are those of this function.
    unsafe {
        assert_eq!(sbi_text_ids(index.0, &raw mut offsets_at, &raw mut texts_at), 0);
        assert_eq!(std::slice::from_raw_parts(offsets_at, 4), [0, 1, 1, 6]);
        assert_eq!(std::slice::from_raw_parts(texts_at, 6), "b\u{fc}ber".as_bytes());
        assert_eq!(sbi_text_ids(index.0, null_mut(), &raw mut texts_at), 1);
    }
    assert_eq!(search(&index, &values(3, 1), 1, 1).unwrap().0, [0, 1, 2]);
    let without = open(&written(dir.path(), 5, None)).unwrap();
    // SAFETY: as above.
    unsafe { assert_eq!(sbi_text_ids(without.0, &raw mut offsets_at, &raw mut texts_at), 0) };
    assert!(offsets_at.is_null() && texts_at.is_null());
}

#[test]
fn a_description_is_handed_over_as_far_as_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&written(dir.path(), 100, None)).unwrap();
    let mut len = 0;
    // SAFETY: the index is open, and buffers are as long as is said.
    unsafe {
        assert_eq!(sbi_describe(index.0, null_mut(), 0, &raw mut len), 0);
        let mut text = vec![0u8; len + 1];
        assert_eq!(sbi_describe(index.0, text.as_mut_ptr().cast(), 10, &raw mut len), 0);
        assert_eq!((text[9] != 0, text[10]), (true, 0));
        assert_eq!(sbi_describe(index.0, text.as_mut_ptr().cast(), len, &raw mut len), 0);
        let described: serde_json::Value = serde_json::from_slice(&text[..len]).unwrap();
        assert_eq!((&described["rows"], &described["metric"]), (&100.into(), &"l2".into()));
        assert_eq!(described["recipe"], "version = 1\n");
        assert_eq!(text[len], 0);
    }
}

#[test]
fn what_cannot_be_is_a_status_and_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| open(path).map(|_| ()).unwrap_err();
    let (status, why) = refused(&dir.path().join("none.hnsw"));
    assert_eq!(status, Status::NoFile as i32, "{why}");
    std::fs::write(dir.path().join("text"), "no index at all, but long enough").unwrap();
    assert_eq!(refused(&dir.path().join("text")).0, Status::NotAnIndex as i32);
    assert_eq!(refused(dir.path()).0, Status::Io as i32);
    let path = written(dir.path(), 500, None);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[file::VECTORS_OFFSET as usize + 5] ^= 1;
    std::fs::write(dir.path().join("damaged.hnsw"), &bytes).unwrap();
    let damaged = open(&dir.path().join("damaged.hnsw")).unwrap();
    let (status, why) = search(&damaged, &values(40, 2), 500, 2).unwrap_err();
    assert_eq!(status, Status::Corrupt as i32, "{why}");
    let mut vectors = null();
    // SAFETY: the index is open, and the place is this function's.
    assert_eq!(unsafe { sbi_vectors(damaged.0, &raw mut vectors) }, Status::Corrupt as i32);
    assert!(vectors.is_null() && last_error().contains("checksum"), "{}", last_error());

    let index = open(&path).unwrap();
    let mut queries = values(40, 2);
    assert_eq!(search(&index, &queries, 0, 1).unwrap_err().0, Status::InvalidArgument as i32);
    queries[DIM * 3 + 2] = f32::NAN;
    let (status, why) = search(&index, &queries, 1, 1).unwrap_err();
    assert_eq!((status, why.as_str()), (1, "query 3, column 2: expected a finite number, found NaN"));
    let (mut ids, mut distances) = ([0u64; 4], [0f32; 4]);
    let mut call = |index: *const SbiIndex, rows: usize, dim: usize, queries: *const f32| {
        let (ids, distances) = (ids.as_mut_ptr(), distances.as_mut_ptr());
        // SAFETY: what does not fit the buffers must be refused before any of them is touched.
        unsafe { sbi_search(index, queries, rows, dim, 1, 10, 1, ids, distances, 4) }
    };
    let asked = values(5, 2);
    assert_eq!(call(index.0, 4, DIM, asked.as_ptr()), 0);
    assert_eq!(call(index.0, 5, DIM, asked.as_ptr()), 1);
    assert_eq!(call(index.0, usize::MAX, DIM, asked.as_ptr()), 1);
    assert_eq!(call(index.0, 4, DIM + 1, asked.as_ptr()), 1);
    assert_eq!(call(index.0, 4, DIM, null()), 1);
    assert_eq!(call(index.0, 3, DIM, asked.as_ptr().cast::<u8>().wrapping_add(1).cast()), 1);
    assert_eq!(call(null(), 4, DIM, asked.as_ptr()), 1);
    // SAFETY: null pointers are what these calls are to refuse.
    unsafe {
        assert_eq!(sbi_open(null(), 0, null_mut()), 1);
        assert_eq!(sbi_ids(index.0, null_mut()), 1);
        assert_eq!(sbi_vectors(index.0, null_mut()), 1);
        assert_eq!(sbi_describe(index.0, null_mut(), 0, null_mut()), 1);
        sbi_close(null_mut());
    }
    assert_eq!(sbi_abi_version(), ABI_VERSION);
}
