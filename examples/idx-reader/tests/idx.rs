//! What every reader must do, and what this one refuses.

use std::path::PathBuf;

use idx_reader as _;
use readers::{BufferPool, Dataset, Error, Input, Scan};

/// An IDX file of these dimensions, in a folder that lives as long as the first of the two.
fn file(name: &str, code: u8, dims: &[u32], values: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let mut bytes = vec![0, 0, code, u8::try_from(dims.len()).unwrap()];
    bytes.extend(dims.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn open(code: u8, dims: &[u32], values: &[u8]) -> Result<Box<dyn Dataset>, Error> {
    let (_dir, path) = file("a.idx", code, dims, values);
    readers::open(&Input::new(path))
}

#[test]
fn it_is_a_reader_as_all_others() {
    let pixels: Vec<u8> = (0..5 * 2 * 3).map(|i| i * 7).collect();
    for (code, size) in [(0x08, 1), (0x09, 1), (0x0b, 2)] {
        let values = pixels.repeat(size);
        let (_dir, path) = file("images-idx3-ubyte", code, &[5, 2, 3], &values);
        readers::conformance::check("idx", &path, None);
    }
    for (code, value) in [(0x0c, (-3i32).to_be_bytes().to_vec()), (0x0d, 1.5f32.to_be_bytes().to_vec())] {
        let (_dir, path) = file("a.idx", code, &[3, 4], &value.repeat(12));
        readers::conformance::check("idx", &path, None);
    }
    let (_dir, path) = file("a.idx", 0x0e, &[3, 2], &0.25f64.to_be_bytes().repeat(6));
    readers::conformance::check("idx", &path, None);
}

#[test]
fn an_image_is_one_row() {
    let dataset = open(0x08, &[2, 2, 2], &[0, 1, 2, 3, 252, 253, 254, 255]).unwrap();
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..2, batch_rows: 10 });
    let pieces = dataset.pieces(&scan);
    let batch = dataset.read(&scan, &pieces[0], &pool).unwrap().next().unwrap().unwrap();
    let rows: Vec<&[f32]> = batch.vectors().collect();
    assert_eq!(rows, [[0.0, 1.0, 2.0, 3.0], [252.0, 253.0, 254.0, 255.0]]);
}

#[test]
fn refusals_say_what_and_where() {
    for (code, dims, values, expected) in [
        (0x08, &[4u32][..], &[1u8, 2, 3, 4][..], "a.idx: dimensions: expected at least 2 dimensions"),
        (0x0a, &[1, 1], &[1], "a.idx: byte 2: expected a type of IDX"),
        (0x08, &[], &[], "a.idx: dimensions: expected at least 2 dimensions"),
        (0x08, &[2, 2], &[1, 2, 3], "a.idx: expected 16 bytes, for a header of 12 and 2 rows of 2 u8 values"),
        (0x08, &[1, 0], &[], "a.idx: expected from 1 to 65536 values a row, found 0"),
        (0x08, &[1, u32::MAX, u32::MAX, 2], &[], "a.idx: dimensions: a row has more than 2^64 values"),
    ] {
        let error = open(code, dims, values).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
