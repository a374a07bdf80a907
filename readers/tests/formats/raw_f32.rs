//! What raw files give, and what they are refused for.

use std::path::Path;

use readers::formats::read_u64_ids;
use readers::{BufferPool, Dataset, Error, ErrorKind, Input, Io, Metric, Scan};
use tempfile::tempdir;

use super::{assert_refused, bits, le, open, read};

fn at(path: &Path, dim: impl Into<Option<usize>>) -> Result<Box<dyn Dataset>, Error> {
    open("raw_f32", &Input { dim: dim.into(), ..Input::new(path) })
}

#[test]
fn values_are_delivered_bit_by_bit() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    let mut values: Vec<f32> = (0u8..60).map(|i| f32::from(i) * 0.1 - 3.0).collect();
    values[7] = f32::NAN;
    values[8] = -0.0;
    values[9] = f32::from_bits(0x7f80_0001);
    std::fs::write(&path, le(&values)).unwrap();
    for io in [Io::Auto, Io::Mmap, Io::Read] {
        let dataset = open("raw", &Input { io, dim: Some(6), ..Input::new(&path) }).unwrap();
        assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(10), 6));
        for batch_rows in [1, 3, 10, 1000] {
            assert_eq!(read(&*dataset, batch_rows).unwrap(), bits(&values));
        }
        assert_eq!(dataset.matrix().is_some(), io != Io::Read && cfg!(target_endian = "little"));
    }
}

#[test]
fn an_empty_file_has_no_rows() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, []).unwrap();
    for io in [Io::Auto, Io::Mmap, Io::Read] {
        let dataset = open("raw_f32", &Input { io, dim: Some(6), ..Input::new(&path) }).unwrap();
        assert_eq!(dataset.info().rows.exact(), Some(0));
        assert!(read(&*dataset, 5).unwrap().is_empty());
    }
}

#[test]
fn sizes_that_do_not_fit() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 128_000]).unwrap();
    let line = "v.f32: expected 127968 bytes, whole rows of 31 f32 values, found 128000, 32 more";
    let help = "dimensions that fit this size: 32, 25, 16, 50, 8";
    assert_refused(at(&path, 31), dir.path(), line, help);
    std::fs::write(&path, vec![0; 334]).unwrap();
    let line = "v.f32: expected 320 bytes, whole rows of 4 f32 values, found 334, 14 more";
    assert_refused(at(&path, 4), dir.path(), line, "the file was cut short, or is not raw f32");
}

#[test]
fn dimensions_that_are_none() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 400]).unwrap();
    let line = "v.f32: expected a dimension, found none: raw values do not say it";
    let help = "give --dimension N, or write { \"dim\": N } to v.json";
    assert_refused(at(&path, None), dir.path(), line, help);
    for dim in [0, 65_537, usize::MAX] {
        let line = format!("v.f32: expected a dimension from 1 to 65536, found {dim}");
        assert_refused(at(&path, dim), dir.path(), &line, "");
    }
}

#[test]
fn sidecars_bring_dimension_and_metric() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 96]).unwrap();
    let json = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();

    // The most particular one wins.
    json("meta.json", r#"{"n": 12, "dim": 2, "metric": "l2"}"#);
    let dataset = at(&path, None).unwrap();
    assert_eq!((dataset.info().dim, dataset.info().metric), (2, Some(Metric::L2)));
    json("v.json", r#"{"dim": 3, "metric": "angular", "made": {"by": "another tool"}}"#);
    let dataset = at(&path, None).unwrap();
    assert_eq!((dataset.info().dim, dataset.info().metric), (3, Some(Metric::Cosine)));
    json("v.f32.json", r#"{"n": null, "dim": 4, "dtype": "f32"}"#);
    let dataset = at(&path, None).unwrap();
    assert_eq!((dataset.info().dim, dataset.info().metric), (4, None));

    // What is another file's is skipped.
    json("v.f32.json", r#"{"dim": "not ours", "file": "w.f32"}"#);
    json("v.json", r#"{"dim": 6, "file": "v.f32", "metric": "ip"}"#);
    let dataset = at(&path, None).unwrap();
    assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(4), 6));
    let note = format!("dimension 6 and metric ip from {}", dir.path().join("v.json").display());
    assert_eq!(dataset.info().notes, [note]);
}

#[test]
fn sidecars_that_disagree() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 96]).unwrap();
    let json = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();

    json("meta.json", r#"{"n": 3, "dim": 4}"#);
    let line = "v.f32: expected 48 bytes, as n = 3 in meta.json and dimension 4 say, found 96";
    let help = "correct or remove meta.json; --dimension does not override its n";
    assert_refused(at(&path, None), dir.path(), line, help);
    assert_refused(at(&path, 4), dir.path(), line, help);
    let error = at(&path, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    let line = "v.f32: expected dimension 2, as asked for, found 4 in meta.json";
    let help = "leave --dimension away, or correct or remove meta.json";
    assert_refused(at(&path, 2), dir.path(), line, help);
}

#[test]
fn ids_beside_the_vectors() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 5 * 8]).unwrap();
    let ids = [7, 0, u64::MAX, 1 << 63, 5];
    std::fs::write(dir.path().join("ids.u64"), ids.map(u64::to_le_bytes).as_flattened()).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let input = Input { io, dim: Some(2), ..Input::new(&path) };
        let dataset = open("raw_f32", &input).unwrap();
        assert!(dataset.info().ids.is_some());
        assert_eq!(dataset.info().notes, ["ids from ids.u64"]);
        let (pool, scan) = (BufferPool::new(), Scan { rows: 1..5, batch_rows: 3 });
        let mut got = Vec::new();
        for piece in dataset.pieces(&scan) {
            for batch in dataset.read(&scan, &piece, &pool).unwrap() {
                let batch = batch.unwrap();
                got.extend((0..batch.rows()).map(|row| batch.ids().get(row)));
            }
        }
        assert_eq!(got, ids[1..]);

        let dataset = open("raw_f32", &Input { own_ids: false, ..input }).unwrap();
        assert!(dataset.info().ids.is_none() && dataset.info().notes.is_empty());
        assert_eq!(read_u64_ids(&Input { io, ..Input::new(dir.path().join("ids.u64")) }).unwrap(), ids);
    }

    std::fs::write(dir.path().join("ids.u64"), [0; 39]).unwrap();
    let line = "ids.u64: size: expected 40 bytes, 8 for each of the 5 rows of v.f32, found 39";
    let help = "if the ids are of other vectors, move the file away or name the right ids with --ids";
    assert_refused(at(&path, 2), dir.path(), line, help);
    let ids = read_u64_ids(&Input::new(dir.path().join("ids.u64")));
    assert_refused(ids, dir.path(), "ids.u64: expected 8 bytes for each id, found 39, 7 too many", "");
}

#[test]
fn npy_ids_are_not_taken_for_numbers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("ids.u64");
    std::fs::write(&path, readers::formats::npy_header("<u8", &[0])).unwrap();
    let line = "ids.u64: expected little-endian u64 ids, found an .npy file";
    assert_refused(read_u64_ids(&Input::new(&path)), dir.path(), line, "rename it so that it ends in .npy");
}

#[test]
fn detection_counts_bytes_when_it_can() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("V.F32");
    std::fs::write(&path, vec![0; 96]).unwrap();
    let reason = |dim| readers::detect(&Input { dim, ..Input::new(&path) }).unwrap().reason;
    assert_eq!(reason(None), "its name ends in .f32");
    assert_eq!(reason(Some(5)), "its name ends in .f32");
    assert_eq!(reason(Some(6)), "its name ends in .f32 and its size is whole rows of 24 bytes");
    // A header is never taken for a vector.
    std::fs::write(&path, readers::formats::npy_header("<f4", &[0, 2])).unwrap();
    let input = Input { dim: Some(2), ..Input::new(&path) };
    assert_eq!(readers::detect(&input).unwrap().format.name, "npy");
    assert!(readers::check_named(readers::format_called("bin").unwrap(), &input).is_err());
}
