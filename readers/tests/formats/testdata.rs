//! Files that other libraries wrote. They are not part of the project: SOCHDB_BULK_TESTDATA names their folder.

use std::path::PathBuf;

use readers::formats::parse_npy_header;
use readers::{ErrorKind, Input};

use super::{open, read};

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
pub(super) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SOCHDB_BULK_TESTDATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SOCHDB_BULK_TESTDATA names no folder of files");
    }
    folder
}

/// All files below a folder, sorted.
#[cfg(all(feature = "arrow", feature = "parquet"))]
pub(super) fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[test]
fn two_dimensions_are_read() {
    let Some(folder) = folder() else { return };
    let dataset = open("npy", &Input::new(folder.join("ndarray-npy/array.npy"))).unwrap();
    assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(2), 3));
    let values = [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].map(f32::to_bits);
    assert_eq!(read(&*dataset, 1).unwrap(), values);
}

/// Everything else there is of another shape or type: refused as what it is, after its header was understood.
#[test]
fn the_rest_is_refused_for_the_right_reason() {
    let Some(folder) = folder() else { return };
    let three = "shape: expected 2 dimensions, rows and values, found (";
    let descr = "descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found ";
    let mut seen = 0;
    for (name, expected) in [
        ("ndarray-npy/example_bool_bad_value.npy", format!("{descr}truth values: `|b1`")),
        ("ndarray-npy/example_bool_standard.npy", format!("{descr}truth values: `|b1`")),
        ("ndarray-npy/example_c64_big_endian_fortran.npy", format!("{descr}complex numbers: `>c16`")),
        ("ndarray-npy/example_c64_little_endian_standard.npy", format!("{descr}complex numbers: `<c16`")),
        ("ndarray-npy/example_f64_big_endian_fortran.npy", format!("{three}2, 3, 4)")),
        ("ndarray-npy/example_f64_little_endian_standard.npy", format!("{three}2, 3, 4)")),
        ("npyz/c-order.npy", format!("{three}2, 3, 4)")),
        ("npyz/f-order.npy", format!("{three}2, 3, 4)")),
        ("npyz/ok.npy", format!("{descr}strings: `<U8`")),
        ("npyz/pickle.npy", format!("{descr}Python objects (a pickle): `|O`")),
        ("npyz/plain.npy", format!("{three}4,)")),
        ("npyz/structured.npy", format!("{descr}a structured type: ")),
        (
            "npyz/uncompressed.npz",
            "byte 0: expected the magic number `\\x93NUMPY`, found a zip archive".to_owned(),
        ),
        ("numpy/py2-np0-objarr.npy", format!("{descr}Python objects (a pickle): `|O8`")),
        ("numpy/py2-objarr.npy", format!("{descr}Python objects (a pickle): `|O8`")),
        ("numpy/py3-objarr.npy", format!("{descr}Python objects (a pickle): `|O`")),
        ("xtensor/bool.be.npy", format!("{descr}truth values: `|b1`")),
        ("xtensor/double_fortran.le.npy", format!("{three}3, 3, 3)")),
        ("xtensor/int.le.npy", format!("{three}5,)")),
        ("xtensor/unsignedlong.be.npy", format!("{three}5,)")),
    ] {
        let path = folder.join(name);
        let error = open("npy", &Input::new(&path)).unwrap_err();
        let message = error.to_string();
        let message = message.strip_prefix(&format!("{}: ", path.display())).unwrap();
        assert!(message.starts_with(&expected), "{name}: {message}");
        assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Malformed));
        assert!(error.help().is_some(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 20);
}

/// Three-dimensional payloads in all byte orders, read as matrices with the same bytes.
#[test]
fn payloads_of_every_order() {
    let Some(folder) = folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in
        ["big_endian_standard", "little_endian_standard", "big_endian_fortran", "little_endian_fortran"]
    {
        let bytes = std::fs::read(folder.join(format!("ndarray-npy/example_f64_{name}.npy"))).unwrap();
        let header = parse_npy_header(&bytes).unwrap();
        let start = usize::try_from(header.data_offset).unwrap();
        // (2, 3, 4) in C order is (6, 4) in C order; in Fortran order it is (2, 12) with columns k * 3 + j.
        let shape = if header.fortran_order { "(2, 12)" } else { "(6, 4)" };
        let order = if header.fortran_order { "True" } else { "False" };
        let text = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': {shape}}}", header.descr);
        let path = dir.path().join("a.npy");
        std::fs::write(&path, super::npy(1, text.as_bytes(), 128, &bytes[start..])).unwrap();
        let got = read(&*open("npy", &Input::new(&path)).unwrap(), 5).unwrap();
        let got: Vec<f32> = got.into_iter().map(f32::from_bits).collect();
        let expected: Vec<f32> = if header.fortran_order {
            let index = |i: u8, column: u8| f32::from(i * 12 + column % 3 * 4 + column / 3);
            (0..2).flat_map(|i| (0..12).map(move |column| index(i, column))).collect()
        } else {
            (0u8..24).map(f32::from).collect()
        };
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn ids_of_another_library() {
    let Some(folder) = folder() else { return };
    let read = |name: &str| readers::formats::read_npy_ids(&Input::new(folder.join(name))).unwrap();
    assert_eq!(read("xtensor/unsignedlong.le.npy")[..2], [12, 14]);
    assert_eq!(read("xtensor/int.le.npy")[..3], [3, 4, 5]);
}

#[test]
fn vectors_that_say_their_dimension() {
    let Some(folder) = folder() else { return };
    for (name, dim, first, last) in [
        ("siftsmall_query.fvecs", 128, [1.0f32, 3.0, 11.0], 8.0f32),
        ("siftsmall_groundtruth.ivecs", 100, [2176.0, 3752.0, 882.0], 3631.0),
    ] {
        let input = Input::new(folder.join("jvector-siftsmall").join(name));
        let dataset = readers::open(&input).unwrap();
        assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(100), dim));
        let values = read(&*dataset, 7).unwrap();
        assert_eq!(values[..3], first.map(f32::to_bits));
        assert_eq!(values.last(), Some(&last.to_bits()));
    }
}

#[test]
fn archives_of_numpy() {
    let Some(folder) = folder() else { return };
    for name in ["npyz/compressed.npz", "npyz/uncompressed.npz"] {
        let dataset = readers::open(&Input::new(folder.join(name))).unwrap();
        assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(2), 1));
        assert_eq!(dataset.info().notes[0], "vectors from `floats.npy`");
        assert_eq!(read(&*dataset, 7).unwrap(), [1.0f32, 2.0].map(f32::to_bits));
    }
    for (name, expected) in [
        ("npyz/csr.npz", "expected an array of vectors, found a sparse matrix of scipy"),
        ("numpy/py2-objarr.npz", "found Python objects (a pickle): `|O8`"),
        ("numpy/py3-objarr.npz", "found Python objects (a pickle): `|O`"),
    ] {
        let error = readers::open(&Input::new(folder.join(name))).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

/// Lines of bare arrays, as Qdrant's benchmarks have them.
#[test]
fn lines_of_json() {
    let Some(folder) = folder() else { return };
    for (name, rows, dim) in [("vectors", 100, 100), ("queries", 10, 100), ("neighbours", 10, 1)] {
        let input = Input::new(folder.join(format!("qdrant-vdbb/{name}.jsonl")));
        let dataset = readers::open(&input).unwrap();
        let info = dataset.info();
        assert_eq!((info.format, info.rows.exact(), info.dim), ("jsonl", Some(rows), dim));
        let values = read(&*dataset, 7).unwrap();
        if dim == 100 {
            let first = [0.298_798_27f32, 0.250_868_4, 0.771_397].map(f32::to_bits);
            assert_eq!(values[..3], first, "{name}");
        }
    }
}

/// The same words as text with and without a header, and binary; finalfusion's own form and fastText's are refused.
#[test]
fn word_vectors() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("finalfusion");
    let values_of = |name: &str, format: &str, options: &str| {
        let dataset = super::open_with(format, options, &Input::new(folder.join(name))).unwrap();
        let shape = (dataset.info().rows.exact().unwrap(), dataset.info().dim);
        (shape, read(&*dataset, 7).unwrap())
    };
    let berlin = [1.472_428_7f32, -3.066_047_2, 1.291_931_3].map(f32::to_bits);
    for (name, format, shape) in [
        ("similarity.txt", "word2vec", (41, 100)),
        ("similarity.nodims", "glove", (41, 100)),
        ("similarity.bin", "word2vec", (41, 100)),
    ] {
        let (found, values) = values_of(name, format, "{}");
        assert_eq!(found, shape, "{name}");
        for (value, expected) in values.iter().zip(berlin) {
            let difference = f32::from_bits(*value) - f32::from_bits(expected);
            assert!(difference.abs() < 1e-6, "{name}");
        }
        assert_eq!(readers::detect(&Input::new(folder.join(name))).unwrap().format.name, format);
    }
    let (shape, values) = values_of("analogy.bin", "word2vec", "{}");
    assert_eq!(shape, (43, 100));
    assert!((f32::from_bits(values[0]) - 0.879_560_6).abs() < 1e-6);

    let ignore = "{ words = \"ignore\" }";
    let rows = [-1.0f32, 0.0, 1.0, 1.0, 0.0, -1.0, 0.0, -1.0, 1.0].map(f32::to_bits);
    for (name, format) in [("utf8-incomplete.txt", "glove"), ("utf8-incomplete.dims", "word2vec")] {
        assert_eq!(values_of(name, format, ignore), ((3, 3), rows.to_vec()));
        let strict = readers::open(&Input::new(folder.join(name))).and_then(|data| read(&*data, 7));
        assert!(
            strict
                .unwrap_err()
                .to_string()
                .ends_with("row 1: expected a word in UTF-8, found `zee\u{fffd}n`")
        );
    }
    let (shape, values) = values_of("utf8-incomplete.bin", "word2vec", ignore);
    assert_eq!((shape, values[1]), ((3, 3), 0));
    assert!((f32::from_bits(values[0]) + std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);

    for (name, found) in [
        ("fasttext.bin", "a model of fastText"),
        ("similarity.fifu", "a file of finalfusion"),
        ("quantized.fifu", "a file of finalfusion"),
    ] {
        let error = readers::open(&Input::new(folder.join(name))).unwrap_err();
        assert!(error.to_string().ends_with(found), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
