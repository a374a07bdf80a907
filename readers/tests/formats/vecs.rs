//! What the files of TEXMEX give, and what they are refused for.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use readers::conformance::check;
use readers::{Error, Input, Io, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, open, read};

fn rows<const SIZE: usize>(dim: i32, rows: usize, value: impl Fn(usize) -> [u8; SIZE]) -> Vec<u8> {
    let width = usize::try_from(dim).unwrap();
    let row = |row| {
        let values = (row * width..(row + 1) * width).flat_map(&value);
        dim.to_le_bytes().into_iter().chain(values).collect::<Vec<_>>()
    };
    (0..rows).flat_map(row).collect()
}

fn float(i: usize) -> f32 {
    #[expect(clippy::cast_precision_loss)]
    let value = (i * 37 % 101) as f32 * 0.25 - 12.0;
    value
}

#[track_caller]
fn refuse(format: &str, bytes: &[u8], line: &str, help: &str) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    for io in [Io::Mmap, Io::Read] {
        for batch_rows in [1, 2, 100] {
            let all = open(format, &Input { io, ..Input::new(&path) })
                .and_then(|dataset| read(&*dataset, batch_rows));
            assert_refused(all, dir.path(), &format!("a: {line}"), help);
        }
    }
}

#[test]
fn they_conform() {
    let dir = tempdir().unwrap();
    for (format, bytes) in [
        ("fvecs", rows(5, 23, |i| float(i).to_le_bytes())),
        ("bvecs", rows(7, 30, |i| [(i * 37 % 251) as u8])),
        ("ivecs", rows(6, 19, |i| (i as i32 * 1000 - 50_000).to_le_bytes())),
    ] {
        let path = dir.path().join(format!("a.{format}"));
        std::fs::write(&path, bytes).unwrap();
        check(format, &path, None);
        assert_eq!(detect(&Input::new(&path)).unwrap().format.name, format);
    }
    // Rows longer than what is read at a time.
    let path = dir.path().join("long.fvecs");
    std::fs::write(&path, rows(40_000, 3, |i| float(i).to_le_bytes())).unwrap();
    check("fvecs", &path, Some(40_000));
}

#[test]
fn values_are_delivered_bit_by_bit() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.fvecs");
    let values = [1.5, -0.0, f32::NAN, f32::MAX, f32::INFINITY, f32::MIN_POSITIVE / 8.0];
    std::fs::write(&path, rows(2, 3, |i| values[i].to_le_bytes())).unwrap();
    let dataset = open("fvecs", &Input::new(&path)).unwrap();
    assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(3), 2));
    assert_eq!(read(&*dataset, 2).unwrap(), bits(&values));
    assert!(dataset.matrix().is_none());

    std::fs::write(&path, rows(3, 2, |i| [[0, 255, 128, 1, 2, 3][i]])).unwrap();
    let values = [0.0, 255.0, 128.0, 1.0, 2.0, 3.0];
    assert_eq!(read(&*open("bvecs", &Input::new(&path)).unwrap(), 9).unwrap(), bits(&values));
    std::fs::write(&path, rows(2, 2, |i| [16_777_216i32, -2, 7, 0][i].to_le_bytes())).unwrap();
    let values = [16_777_216.0, -2.0, 7.0, 0.0];
    assert_eq!(read(&*open("ivecs", &Input::new(&path)).unwrap(), 9).unwrap(), bits(&values));
}

#[test]
fn a_row_of_another_dimension() {
    let mut bytes = rows(4, 9, |i| float(i).to_le_bytes());
    bytes[20 * 5..20 * 5 + 4].copy_from_slice(&5i32.to_le_bytes());
    let help = "all rows must have one dimension: the file is damaged, or of another format";
    refuse("fvecs", &bytes, "row 5: expected dimension 4, as in row 0, found 5", help);
    // The first that is wrong is named, whatever else is.
    bytes[20 * 2..20 * 2 + 4].copy_from_slice(&(-1i32).to_le_bytes());
    refuse("fvecs", &bytes, "row 2: expected dimension 4, as in row 0, found -1", help);
}

#[test]
fn values_that_are_no_f32() {
    let line = "row 2, column 1: expected a value that fits f32, found 16777217 (i32)";
    let help = "scale or convert the values to float32 in the program that writes them";
    refuse("ivecs", &rows(3, 4, |i| (16_777_210 + i as i32).to_le_bytes()), line, help);
}

#[test]
fn sizes_that_do_not_fit() {
    let help = "the file is no fvecs: there every row begins with its dimension";
    refuse("fvecs", &[], "byte 0: expected the dimension of row 0 in 4 bytes, found a file of 0 bytes", "");
    for (said, dim) in [([0, 0, 0, 0], "0"), ([1, 0, 1, 0], "65537"), ([255; 4], "-1")] {
        let line = format!("row 0: expected a dimension from 1 to 65536 (i32), found {dim}");
        refuse("fvecs", &said, &line, help);
    }
    let bytes = rows(6, 5, |i| float(i).to_le_bytes());
    let cut = "the file was cut short, or its rows are not all of one dimension";
    let line = "expected a multiple of 28 bytes, rows of 4 and 6 f32 values, found 139 bytes";
    refuse("fvecs", &bytes[..139], line, cut);
    let line = "expected a multiple of 516 bytes, rows of 4 and 128 f32 values, found 132 bytes";
    refuse("fvecs", &rows(128, 1, |_| [1]), line, "another type of value has this size: --format bvecs");
}

#[test]
fn another_dimension_is_asked_for() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.fvecs");
    std::fs::write(&path, rows(6, 5, |i| float(i).to_le_bytes())).unwrap();
    let opened: Result<_, Error> = open("fvecs", &Input { dim: Some(7), ..Input::new(&path) });
    let line = "a.fvecs: row 0: expected dimension 7, as asked for, found 6";
    assert_refused(opened, dir.path(), line, "leave --dimension away: the file says it");
}
