//! What tensors give, and what they are refused for.

use std::path::Path;

use readers::conformance::check;
use readers::{Error, ErrorKind, Input, Io, Score, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, le, open, open_with, read};

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// An entry of the header.
fn entry(name: &str, dtype: &str, shape: &str, start: usize, end: usize) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

fn one(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    file(&format!("{{{}}}", entry("a", dtype, shape, 0, data.len())), data)
}

#[track_caller]
fn refuse(bytes: &[u8], options: &str, line: &str, help: &str) -> Error {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.st");
    std::fs::write(&path, bytes).unwrap();
    let refused = || open_with("safetensors", options, &Input::new(&path));
    assert_refused(refused(), dir.path(), &format!("a.st: {line}"), help);
    refused().unwrap_err()
}

fn written(dir: &Path, bytes: &[u8]) -> Input {
    let path = dir.join("a.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Input::new(path)
}

#[test]
fn they_conform() {
    let dir = tempdir().unwrap();
    let values: Vec<f32> = (0..60u8).map(|i| f32::from(i) * 0.5 - 12.0).collect();
    let halves: Vec<u8> = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
    for bytes in
        [one("F32", "[15,4]", &le(&values)), one("BF16", "[12, 5]", &halves), one("I8", "[0,3]", &[])]
    {
        let input = written(dir.path(), &bytes);
        check("safetensors", &input.path, None);
        assert_eq!(detect(&input).unwrap().format.name, "safetensors");
    }
}

#[test]
fn every_type_and_any_alignment() {
    let dir = tempdir().unwrap();
    let wide = |bytes: [&[u8]; 2]| bytes.concat();
    for (dtype, data, expected) in [
        ("F16", wide([&[0, 0x3c], &[0, 0xc0]]), [1.0f32, -2.0]),
        ("BF16", wide([&[0x80, 0x3f], &[0, 0xc0]]), [1.0, -2.0]),
        ("F32", wide([&1f32.to_le_bytes(), &f32::NAN.to_le_bytes()]), [1.0, f32::NAN]),
        ("F64", wide([&0.1f64.to_le_bytes(), &(-2f64).to_le_bytes()]), [0.1, -2.0]),
        ("I8", vec![1, 254], [1.0, -2.0]),
        ("U8", vec![1, 254], [1.0, 254.0]),
        ("I16", wide([&1i16.to_le_bytes(), &(-2i16).to_le_bytes()]), [1.0, -2.0]),
        ("U16", wide([&1u16.to_le_bytes(), &65_535u16.to_le_bytes()]), [1.0, 65_535.0]),
        ("I32", wide([&1i32.to_le_bytes(), &(-2i32).to_le_bytes()]), [1.0, -2.0]),
        ("U32", wide([&1u32.to_le_bytes(), &9u32.to_le_bytes()]), [1.0, 9.0]),
        ("I64", wide([&1i64.to_le_bytes(), &(-2i64).to_le_bytes()]), [1.0, -2.0]),
        ("U64", wide([&1u64.to_le_bytes(), &9u64.to_le_bytes()]), [1.0, 9.0]),
    ] {
        for spaces in 0..8 {
            let name = format!("x{}", "y".repeat(spaces));
            let header = format!("{{{}}}", entry(&name, dtype, "[1,2]", 0, data.len()));
            let input = written(dir.path(), &file(&header, &data));
            for io in [Io::Mmap, Io::Read] {
                let dataset = open("safetensors", &Input { io, ..input.clone() }).unwrap();
                assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(1), 2));
                assert_eq!(read(&*dataset, 1).unwrap(), bits(&expected), "{dtype}");
            }
        }
    }
}

#[test]
fn one_tensor_of_many() {
    let dir = tempdir().unwrap();
    let entries = [
        entry("bias", "F32", "[4]", 0, 16),
        entry("b", "F32", "[1,2]", 16, 24),
        entry("mask", "BOOL", "[2,2]", 24, 28),
        r#""__metadata__":{"format":"pt"}"#.to_owned(),
    ];
    let header = format!("{{{}}}   ", entries.join(","));
    let data = [le(&[0.0, 0.0, 0.0, 0.0, 5.0, 6.0]), vec![0; 4]].concat();
    let input = written(dir.path(), &file(&header, &data));
    let dataset = open("safetensors", &input).unwrap();
    assert_eq!(read(&*dataset, 1).unwrap(), bits(&[5.0, 6.0]));
    assert_eq!(dataset.info().notes, ["vectors from the tensor `b`"]);

    let entries = [
        entry("word", "F32", "[2,2]", 0, 16),
        entry("place", "F64", "[1,3]", 16, 40),
        entry("bias", "F32", "[4]", 40, 56),
    ];
    let header = format!("{{{}}}", entries.join(","));
    let data = [le(&[1.0, 2.0, 3.0, 4.0]), vec![0; 40], b"!".to_vec()].concat();
    let input = written(dir.path(), &file(&header, &data));
    let line = "expected one tensor of two dimensions, found `place` F64 (1, 3), `word` F32 (2, 2)";
    let help = "say which, such as --vector-column place, or tensor = \"place\" in [source] of a pipeline";
    let error = refuse(&file(&header, &data), "{}", line, help);
    assert_eq!(error.kind(), ErrorKind::Request);
    for option in ["tensor", "vector_column"] {
        let dataset = open_with("safetensors", &format!("{{ {option} = 'word' }}"), &input).unwrap();
        assert_eq!(read(&*dataset, 1).unwrap(), bits(&[1.0, 2.0, 3.0, 4.0]));
        assert_eq!(dataset.info().notes, ["1 bytes after the last tensor are ignored"]);
    }
    let place = open_with("safetensors", "{ tensor = 'place' }", &input).unwrap();
    assert_eq!(place.info().notes[1], "f64 values are rounded to f32");

    let line = "expected a tensor `words`, found `bias` F32 (4), `place` F64 (1, 3), `word` F32 (2, 2)";
    refuse(&file(&header, &data), "{ tensor = 'words' }", line, "");
    let line = "tensor `bias`: expected 2 dimensions, rows and values, found F32 (4)";
    let help = "name another one, or reshape it where it is written";
    refuse(&file(&header, &data), "{ tensor = 'bias' }", line, help);
    let asked = open_with("safetensors", "{ tensor = 'word' }", &Input { dim: Some(3), ..input });
    let line = "a.safetensors: tensor `word`: expected dimension 3, as asked for, found 2";
    assert_refused(asked, dir.path(), line, "leave --dimension away: the file says it");
}

#[test]
fn tensors_that_are_no_vectors() {
    let none = "name another file, or reshape the tensor where it is written";
    let line = "expected a tensor of numbers in two dimensions, found `a` F8_E4M3 (2, 2)";
    refuse(&one("F8_E4M3", "[2,2]", &[0; 4]), "{}", line, none);
    refuse(&file("{}", &[]), "{}", "expected a tensor of numbers in two dimensions, found none", none);
    let line = "tensor `a`: expected numbers: F16, BF16, F32, F64, I8 to I64 or U8 to U64, found BOOL (2, 2)";
    let help = "convert it to F32 in the program that writes it";
    refuse(&one("BOOL", "[2,2]", &[0; 4]), "{ tensor = 'a' }", line, help);
    for shape in ["[2, 0]", "[0, 65537]"] {
        let found = shape.replace(['[', ']'], "");
        let line = format!("tensor `a`: expected 1 to 65536 values a row, found F32 ({found})");
        let help = "if the vectors are its columns, transpose it where it is written";
        refuse(&one("F32", shape, &[]), "{}", &line, help);
    }
}

#[test]
fn broken_headers() {
    let cut = "the file was cut short, or is no .safetensors file";
    let line = "byte 0: expected the length of a header (u64), found ";
    refuse(&[1; 7], "{}", &format!("{line}a file of 7 bytes"), cut);
    let whole = one("F32", "[2,2]", &[0; 16]);
    refuse(&whole[..20], "{}", &format!("{line}57 in a file of 20 bytes"), cut);
    let huge = [&u64::MAX.to_le_bytes(), [0; 80].as_slice()].concat();
    refuse(&huge, "{}", &format!("{line}18446744073709551615 in a file of 88 bytes"), cut);
    let line = "tensor `a`: expected 16 bytes behind the header, found 15";
    refuse(&whole[..whole.len() - 1], "{}", line, "the file was cut short: copy or save it again");

    let of =
        |start, end, shape: &str| file(&format!("{{{}}}", entry("a", "F32", shape, start, end)), &[0; 16]);
    let line = "tensor `a`: expected 16 bytes for F32 (2, 2), found bytes ";
    refuse(&of(0, 12, "[2,2]"), "{}", &format!("{line}0 to 12"), "");
    refuse(&of(16, 0, "[2,2]"), "{}", &format!("{line}16 to 0"), "");
    let line = "tensor `a`: expected 147573952589676412928 bytes for F32 (9223372036854775808, 4), found bytes 0 to 16";
    refuse(&of(0, 16, "[9223372036854775808,4]"), "{}", line, "");

    let dir = tempdir().unwrap();
    for header in [
        "[]",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,2],\"data_offsets\":[0,1]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5,2],\"data_offsets\":[0,1]}}",
        &format!("{{{0},{0}}}", entry("a", "F32", "[0,2]", 0, 0)),
        &"[".repeat(100_000),
        "{\"a\":{\"dtype\":\"\u{1b}\"}}",
    ] {
        let input = written(dir.path(), &file(header, &[]));
        let error = open("safetensors", &input).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        let expected = "header: expected tensors with dtype, shape and data_offsets, in JSON, found `";
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn they_are_told_by_content() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("model");
    std::fs::write(&path, one("F32", "[2,2]", &[0; 16])).unwrap();
    assert_eq!(detect(&Input::new(&path)).unwrap().format.name, "safetensors");
    let named = readers::format_called("raw_f32").unwrap();
    assert!(readers::check_named(named, &Input::new(&path)).is_err());
    // A length and no header is something else.
    let probe = |head: &[u8]| {
        let probe = readers::Probe { head, len_bytes: head.len() as u64, path: &path, dim: None };
        (readers::format_called("safetensors").unwrap().probe)(&probe)
    };
    assert_eq!(probe(&file("[1]", &[])), Score::No);
    assert!(matches!(probe(&file("{\"x\":1}", &[])), Score::Yes(Score::MAGIC, _)));
}

#[test]
fn files_of_the_library_itself() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/safetensors_file");
    let values: Vec<f32> = (0..24u8).map(|i| f32::from(i) * 0.5 - 7.0).collect();
    let one = readers::open(&Input::new(corpus.join("one.safetensors"))).unwrap();
    assert_eq!(one.info().notes, ["vectors from the tensor `embedding.weight`"]);
    assert_eq!(read(&*one, 5).unwrap(), bits(&values));
    for tensor in ["a", "b"] {
        let options = format!("{{ tensor = '{tensor}' }}");
        let many = open_with("safetensors", &options, &Input::new(corpus.join("many.safetensors"))).unwrap();
        assert_eq!(read(&*many, 5).unwrap(), bits(&values));
    }
}
