//! What .npy files are refused for, and the words for it.

use readers::formats::{npy_header, read_npy_ids};
use readers::{Error, ErrorKind, Input};
use tempfile::tempdir;

use super::{assert_refused, npy, open, open_with, read};

fn dictionary(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
}

#[track_caller]
fn refuse(bytes: &[u8], dim: Option<usize>, line: &str, help: &str) -> Error {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, bytes).unwrap();
    let refused = || open("npy", &Input { dim, ..Input::new(&path) });
    assert_refused(refused(), dir.path(), &format!("a.npy: {line}"), help);
    refused().unwrap_err()
}

#[test]
fn types_that_are_no_numbers() {
    const AS_F32: &str = "np.save(\"vectors.npy\", a.astype(\"float32\"))";
    for (descr, found, help) in [
        (
            "'|O'",
            "Python objects (a pickle): `|O`",
            "unpack it where it is trusted: np.save(\"vectors.npy\", np.stack(a).astype(\"float32\"))",
        ),
        ("'>c16'", "complex numbers: `>c16`", "save a real part: np.save(\"vectors.npy\", a.real)"),
        ("'|b1'", "truth values: `|b1`", &format!("save them as numbers: {AS_F32}")),
        ("'<U8'", "strings: `<U8`", &format!("if they are numbers, save them as such: {AS_F32}")),
        ("'|S3'", "strings: `|S3`", &format!("if they are numbers, save them as such: {AS_F32}")),
        ("'<M8[ns]'", "dates or durations: `<M8[ns]`", "save the columns that are vectors"),
        (
            "'<V2'",
            "2 bytes of no type that numpy knows: `<V2`",
            &format!("if they are bfloat16, say dtype = \"bf16\" in [source], or convert: {AS_F32}"),
        ),
        ("'|V16'", "bytes of no type that numpy knows: `|V16`", &format!("convert them: {AS_F32}")),
        ("'<f16'", "a type that is not read: `<f16`", &format!("convert it: {AS_F32}")),
        ("'<g2'", "a type that is not read: `<g2`", &format!("convert it: {AS_F32}")),
        ("''", "a type that is not read: ``", &format!("convert it: {AS_F32}")),
        (
            "[('id', '<i8'), ('emb', '<f4', (4,))]",
            "a structured type: `[('id', '<i8'), ('emb', '<f4', (4,))]`",
            "save one field as a plain array: np.save(\"vectors.npy\", a[\"FIELD\"])",
        ),
    ] {
        let file = npy(1, dictionary(descr, "False", "(2, 2)").as_bytes(), 128, &[0; 64]);
        let line = format!("descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found {found}");
        assert_eq!(refuse(&file, None, &line, help).kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn shapes_that_are_no_vectors() {
    for (shape, dim, message, help) in [
        (
            "(4,)",
            None,
            "expected 2 dimensions, rows and values, found (4,)",
            "one vector is a.reshape(1, -1), vectors of D values are a.reshape(-1, D)",
        ),
        (
            "(4,)",
            Some(2),
            "expected 2 dimensions, rows and values, found (4,)",
            "one vector is a.reshape(1, -1), vectors of 2 values are a.reshape(-1, 2)",
        ),
        (
            "()",
            None,
            "expected 2 dimensions, rows and values, found ()",
            "a single number is no vector; one vector of one value is a.reshape(1, 1)",
        ),
        (
            "(2, 3, 4)",
            None,
            "expected 2 dimensions, rows and values, found (2, 3, 4)",
            "one vector for each entry of the first dimension is a.reshape(len(a), -1)",
        ),
        (
            "(1000, 0)",
            None,
            "expected at least 1 value a row, found (1000, 0)",
            "the array holds no values: look at what was saved",
        ),
        (
            "(2, 65537)",
            None,
            "expected at most 65536 values a row, found (2, 65537)",
            "if the vectors are its columns, save a.T",
        ),
        (
            "(4611686018427387904, 8)",
            None,
            "expected a size below 2^64 bytes, found (4611686018427387904, 8) of f32",
            "",
        ),
        (
            "(2, 32)",
            Some(31),
            "expected dimension 31, as asked for, found 32",
            "leave --dimension away: the file says it",
        ),
    ] {
        let file = npy(1, dictionary("'<f4'", "False", shape).as_bytes(), 128, &[0; 256]);
        refuse(&file, dim, &format!("shape: {message}"), help);
    }
}

#[test]
fn data_shorter_than_the_shape() {
    let file = [npy_header("<f4", &[1000, 32]), vec![0; 127_000]].concat();
    let line = "byte 128: expected 128000 bytes of data for (1000, 32) of f32, found 127000";
    refuse(&file, None, line, "the file was cut short: copy or save it again");
    let line =
        "byte 128: expected 18446744073709551612 bytes of data for (4611686018427387903, 1) of f32, found 0";
    refuse(
        &npy_header("<f4", &[(1 << 62) - 1, 1]),
        None,
        line,
        "the file was cut short: copy or save it again",
    );
}

#[test]
fn broken_headers() {
    let plain = npy_header("<f4", &[2, 2]);
    let cut = "the file was cut short: copy or save it again";
    let zip = "if it is one, say --format npz";
    refuse(b"", None, "byte 0: expected the magic number `\\x93NUMPY`, found an empty file", "");
    refuse(b"\x93NUM\nPY", None, "byte 0: expected the magic number `\\x93NUMPY`, found `\\x93NUM\\nP`", "");
    refuse(
        b"PK\x03\x04..",
        None,
        "byte 0: expected the magic number `\\x93NUMPY`, found a zip archive (.npz?)",
        zip,
    );
    refuse(&plain[..7], None, "byte 6: expected a version number, found the end of the file", "");
    refuse(&plain[..9], None, "byte 8: expected the length of the header, found the end of the file", "");
    let line = "byte 10: expected a header of 118 bytes, found 40 before the end of the file";
    refuse(&plain[..50], None, line, cut);

    let mut version = plain.clone();
    version[6] = 4;
    refuse(&version, None, "byte 6: expected version 1.0, 2.0 or 3.0, found 4.0", "");
    version[6..8].copy_from_slice(&[1, 1]);
    refuse(&version, None, "byte 6: expected version 1.0, 2.0 or 3.0, found 1.1", "");

    let long = npy(1, dictionary("'<f4'", "False", "(2, 2)").as_bytes(), 10_011, &[0; 16]);
    let line = "byte 8: expected a header of at most 10000 bytes, found a length of 10001";
    refuse(&long, None, line, "");
    let huge = b"\x93NUMPY\x02\x00\xff\xff\xff\xff";
    let line = "byte 8: expected a header of at most 10000 bytes, found a length of 4294967295";
    refuse(huge, None, line, "");

    let named = b"{'descr': [('\xe9', '<f4')], 'fortran_order': False, 'shape': (2, 2)}";
    refuse(&npy(3, named, 128, &[0; 16]), None, "byte 25: expected a header in UTF-8, found byte 0xe9", "");
}

#[test]
fn dictionaries_that_are_none() {
    for (text, line) in [
        (
            "",
            "byte 11: expected `{` and the keys descr, fortran_order and shape, found the end of the header",
        ),
        ("(2, 3)", "byte 10: expected `{` and the keys descr, fortran_order and shape, found `(2, 3)\\n`"),
        ("{descr: 3}", "byte 11: expected a key in quotes or `}`, found `descr: 3}\\n`"),
        ("{'descr", "byte 17: expected a closing quote, found `\\n`"),
        ("{'descr'}", "byte 18: expected `:`, found `}\\n`"),
        ("{'descr': 4}", "byte 20: expected a type in quotes, or a list of fields, found `4}\\n`"),
        ("{'descr': '<f4' 'x'}", "byte 26: expected `,` or `}`, found `'x'}\\n`"),
        ("{'descr': [(]}", "byte 22: expected the bracket that was opened last, found `]}\\n`"),
        ("{'descr': [(", "byte 23: expected a closing bracket, found the end of the header"),
        ("{'color': 1}", "byte 11: expected descr, fortran_order or shape, found the key `color`"),
        ("{'fortran_order': 0}", "byte 28: expected True or False, found `0}\\n`"),
        ("{'shape': [2, 2]}", "byte 20: expected sizes in round brackets, found `[2, 2]}\\n`"),
        ("{'shape': (2)}", "byte 22: expected `,`, found `)}\\n`"),
        ("{'shape': (-2, 3)}", "byte 21: expected a size of the shape, found `-2, 3)}\\n`"),
        ("{'shape': (2, 03)}", "byte 24: expected a size of the shape, found `03)}\\n`"),
        ("{'shape': (2, 3.0)}", "byte 25: expected `,` or `)`, found `.0)}\\n`"),
        (
            "{'shape': (18446744073709551616, 1)}",
            "byte 21: expected a size below 2^64, found `18446744073709551616`",
        ),
        ("{'shape': (2, 2), 'shape': (2, 3)}", "byte 28: expected each key once, found a second `shape`"),
        (
            "{'descr': '<f4', 'shape': (2, 2)}",
            "header: expected the keys descr, fortran_order and shape, found no `fortran_order`",
        ),
        ("{}", "header: expected the keys descr, fortran_order and shape, found no `descr`"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} x",
            "byte 68: expected nothing but spaces after the dictionary, found `x\\n`",
        ),
    ] {
        refuse(&npy(1, text.as_bytes(), 0, &[0; 16]), None, line, "");
    }
    // Python 2 is older than version 3 of the format.
    let longs = dictionary("'<f4'", "False", "(2L, 2)");
    let line = "byte 64: expected `,`, found `L, 2), }\\n`";
    refuse(&npy(3, longs.as_bytes(), 0, &[0; 16]), None, line, "");
}

#[test]
fn values_that_are_no_f32() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let help = "scale or convert the values to float32 in the program that writes them";
    let mut data = vec![0; 8 * 6];
    data[8 * 5..].copy_from_slice(&1e39f64.to_le_bytes());
    std::fs::write(&path, [npy_header("<f8", &[2, 3]), data].concat()).unwrap();
    let values = open("npy", &Input::new(&path)).and_then(|dataset| read(&*dataset, 1));
    let found = format!("found {} (f64)", 1e39);
    let line = format!("a.npy: row 1, column 2: expected a value that fits f32, {found}");
    assert_refused(values, dir.path(), &line, help);

    let mut data = vec![0; 4 * 6];
    data[4 * 2..4 * 3].copy_from_slice(&(-16_777_217i32).to_le_bytes());
    std::fs::write(&path, [npy_header("<i4", &[3, 2]), data].concat()).unwrap();
    let values = open("npy", &Input::new(&path)).and_then(|dataset| read(&*dataset, 10));
    let line = "a.npy: row 1, column 0: expected a value that fits f32, found -16777217 (i32)";
    assert_refused(values, dir.path(), line, help);
}

#[test]
fn requests_that_do_not_fit() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, [npy_header("<f4", &[2, 3]), vec![0; 24]].concat()).unwrap();
    let dataset = open_with("npy", "{ dtype = 'bf16' }", &Input::new(&path));
    let line = "a.npy: descr: expected `V2`, which dtype = \"bf16\" is for, found `<f4`";
    assert_refused(dataset, dir.path(), line, "leave dtype away");

    for format in ["npy", "raw_f32"] {
        let options = toml::de::ValueDeserializer::parse("{ colour = 1 }").unwrap();
        let error = (readers::format_called(format).unwrap().parse)(options).unwrap_err();
        assert!(error.message().starts_with("unknown field `colour`"), "{format}: {error}");
    }

    let dataset = open("npy", &Input::new(&path)).unwrap();
    let (pool, scan) = (readers::BufferPool::new(), readers::Scan { rows: 0..3, batch_rows: 10 });
    let batches = dataset.read(&scan, &readers::Piece { rows: 0..3 }, &pool).map(|_| ());
    assert_refused(batches, dir.path(), "a.npy: expected rows within 0..2, found 0..3", "");
}

#[test]
fn ids() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("ids.npy");
    let refuse = |bytes: Vec<u8>, line: &str, help: &str| {
        std::fs::write(&path, bytes).unwrap();
        assert_refused(read_npy_ids(&Input::new(&path)), dir.path(), &format!("ids.npy: {line}"), help);
    };
    let as_integers = "save them as integers: np.save(\"ids.npy\", ids.astype(\"uint64\"))";
    refuse(
        [npy_header("<i8", &[3]), [1i64, -5, 2].map(i64::to_le_bytes).concat()].concat(),
        "row 1: expected an id of at least 0, found -5",
        "",
    );
    refuse(
        [npy_header("<f4", &[3]), vec![0; 12]].concat(),
        "descr: expected integer ids, found `<f4`",
        as_integers,
    );
    refuse(
        [npy_header("<u4", &[1, 3]), vec![0; 12]].concat(),
        "shape: expected one id a row, shape (n,), found (1, 3)",
        "save one column: np.save(\"ids.npy\", ids.reshape(-1))",
    );
    refuse(
        [npy_header("<u4", &[3]), vec![0; 11]].concat(),
        "byte 128: expected 12 bytes of data for (3,) of u32, found 11",
        "the file was cut short: copy or save it again",
    );
}
