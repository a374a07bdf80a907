//! What the fbin family gives, and what it is refused for.

use std::path::Path;

use readers::conformance::check;
use readers::{Error, ErrorKind, Input, Io, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, le, open, open_with, read};

fn file(rows: u32, dim: u32, data: &[u8]) -> Vec<u8> {
    [&rows.to_le_bytes(), &dim.to_le_bytes(), data].concat()
}

#[track_caller]
fn refuse(format: &str, name: &str, bytes: &[u8], line: &str, help: &str) -> Error {
    let dir = tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let refused = || open(format, &Input::new(&path));
    assert_refused(refused(), dir.path(), &format!("{name}: {line}"), help);
    refused().unwrap_err()
}

fn detected(path: &Path) -> Result<&'static str, Error> {
    detect(&Input::new(path)).map(|detected| detected.format.name)
}

#[test]
fn they_conform() {
    let dir = tempdir().unwrap();
    let bytes: Vec<u8> = (0..60u32).map(|i| (i * 37 % 251) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) * 0.5 - 60.0).collect();
    let halves: Vec<u8> = floats.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
    let integers: Vec<u8> = bytes.iter().flat_map(|&byte| (i32::from(byte) - 99).to_le_bytes()).collect();
    for (format, data) in [
        ("fbin", le(&floats)),
        ("f16bin", halves),
        ("u8bin", bytes.clone()),
        ("i8bin", bytes.clone()),
        ("ibin", integers),
    ] {
        let path = dir.path().join(format!("{format}.{format}"));
        std::fs::write(&path, file(15, 4, &data)).unwrap();
        check(format, &path, None);
        assert_eq!(detected(&path).unwrap(), format);
        std::fs::write(&path, file(0, 4, &[])).unwrap();
        check(format, &path, None);
    }
}

#[test]
fn values_are_delivered_bit_by_bit() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.fbin");
    let values = [1.5, -0.0, f32::NAN, f32::MAX, f32::INFINITY, f32::MIN_POSITIVE / 8.0];
    std::fs::write(&path, file(2, 3, &le(&values))).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let dataset = open("f32bin", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!(read(&*dataset, 1).unwrap(), bits(&values));
        assert_eq!(dataset.matrix().is_some(), io == Io::Mmap && cfg!(target_endian = "little"));
    }
    for (format, data, expected) in [
        ("u8bin", [0, 255, 128, 1].as_slice(), [0.0, 255.0, 128.0, 1.0]),
        ("i8bin", &[0, 255, 128, 1], [0.0, -1.0, -128.0, 1.0]),
        ("hbin", &[0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0], [1.0, -2.0, 65504.0, 5.960_464_5e-8]),
        ("i32bin", &[0, 0, 0, 1, 254, 255, 255, 255, 7, 0, 0, 0, 0, 0, 0, 0], [16_777_216.0, -2.0, 7.0, 0.0]),
    ] {
        std::fs::write(&path, file(2, 2, data)).unwrap();
        let dataset = open(format, &Input::new(&path)).unwrap();
        assert_eq!(read(&*dataset, 5).unwrap(), bits(&expected), "{format}");
    }
}

#[test]
fn a_bin_is_told_by_its_sizes() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.bin");
    std::fs::write(&path, file(3, 2, &[0; 24])).unwrap();
    assert_eq!(detected(&path).unwrap(), "fbin");
    std::fs::write(&path, file(3, 2, &[0; 20])).unwrap();
    assert_eq!(detected(&path).unwrap(), "raw_f32");
    // Both fit: whole rows of one value, too.
    std::fs::write(&path, file(3, 2, &[0; 24])).unwrap();
    let error = detect(&Input { dim: Some(1), ..Input::new(&path) }).unwrap_err();
    assert_eq!(error.help(), Some("say which: --format fbin or --format raw_f32"));
}

#[test]
fn sizes_that_do_not_fit() {
    refuse(
        "fbin",
        "a.fbin",
        &[0; 7],
        "byte 0: expected two u32, rows and values a row, found a file of 7 bytes",
        "",
    );
    for dim in [0, 65_537] {
        let line = format!("byte 4: expected 1 to 65536 values a row, found {dim}");
        let help = "the file is no u8bin: that begins with rows and dimension as u32";
        refuse("u8bin", "a", &file(1, dim, &[]), &line, help);
    }
    let line = "expected 104 bytes, 8 and 4 rows of 6 f32 values, found 90";
    let help = "the file was cut short: copy it again, or, if it is the first part of a larger one, \
                say cropped = true in [source] to read the 3 rows that are there";
    refuse("fbin", "a.fbin", &file(4, 6, &[0; 82]), line, help);
    let line = "expected 104 bytes, 8 and 4 rows of 6 f32 values, found 105";
    let help = "the header or the name is wrong: fbin files end with the last row";
    refuse("fbin", "a.fbin", &file(4, 6, &[0; 97]), line, help);
    let line = "expected 104 bytes, 8 and 4 rows of 6 f32 values, found 32";
    let help = "another type of value has this size: --format u8bin or --format i8bin";
    refuse("fbin", "a.fbin", &file(4, 6, &[0; 24]), line, help);
    let line = format!(
        "expected {} bytes, 8 and 4294967295 rows of 65536 f32 values, found 8",
        1_125_899_906_580_488u64
    );
    let help = "the file was cut short: copy it again, or, if it is the first part of a larger one, \
                say cropped = true in [source] to read the 0 rows that are there";
    refuse("fbin", "a.fbin", &file(u32::MAX, 65_536, &[]), &line, help);
}

#[test]
fn files_of_another_kind() {
    let line = "expected vectors, found ground truth: 5 neighbours of 4 queries, and their distances";
    let help = "it says which rows are near each query: name the file of the vectors";
    let error = refuse("ibin", "a.ibin", &file(4, 5, &[0; 160]), line, help);
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    let line = "expected a byte for each value, found packed bits (.bbin)";
    let help = "unpack them: np.unpackbits(a, axis=1) of its rows, saved with np.save";
    refuse("u8bin", "a.bbin", &file(4, 5, &[0; 20]), line, help);
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.bbin");
    std::fs::write(&path, file(4, 5, &[0; 20])).unwrap();
    assert_eq!(detected(&path).unwrap(), "u8bin");

    std::fs::write(&path, file(4, 5, &[0; 20])).unwrap();
    let other = open("i8bin", &Input { dim: Some(6), ..Input::new(&path) });
    let line = "a.bbin: byte 4: expected dimension 6, as asked for, found 5";
    assert_refused(other, dir.path(), line, "leave --dimension away: the file says it");
}

#[test]
fn a_part_of_a_larger_file_is_read_where_that_is_said() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.fbin");
    let values: Vec<f32> = (0..12u8).map(f32::from).collect();
    let bytes = file(1_000_000_000, 5, &le(&values));
    std::fs::write(&path, &bytes).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let dataset = open_with("fbin", "{ cropped = true }", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!(dataset.info().rows.exact(), Some(2));
        assert_eq!(dataset.info().notes, ["the header says 1000000000 rows, 2 are there"]);
        assert_eq!(read(&*dataset, 7).unwrap(), bits(&values[..10]));
    }
    // More than the header says is wrong either way.
    std::fs::write(&path, file(1, 5, &le(&values))).unwrap();
    let line = "a.fbin: expected 28 bytes, 8 and 1 rows of 5 f32 values, found 56";
    let help = "the header or the name is wrong: fbin files end with the last row";
    let longer = open_with("fbin", "{ cropped = true }", &Input::new(&path));
    assert_refused(longer, dir.path(), line, help);
}
