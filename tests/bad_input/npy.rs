//! .npy files: their headers, and their lengths.

use super::Refusals;
use crate::util::{le_bytes, npy, npy_of, values};

#[test]
fn npy_files() {
    let mut t = Refusals::new();
    let data = le_bytes(&values(1, 10, 4));
    let good = npy("<f4", false, "(10, 4)", &data);
    t.case(
        "build-index -i a.npy -d 5 -o o.hnsw",
        2,
        &["a.npy: shape: expected dimension 5, as asked for, found 4"],
    );
    for (shape, says) in [
        ("(40,)", "shape: expected 2 dimensions, rows and values, found (40,)"),
        ("()", "shape: expected 2 dimensions, rows and values, found ()"),
        ("(2, 5, 4)", "shape: expected 2 dimensions, rows and values, found (2, 5, 4)"),
        ("(10, 0)", "shape: expected at least 1 value a row, found (10, 0)"),
        ("(1, 65537)", "shape: expected at most 65536 values a row, found (1, 65537)"),
        ("(4294967296, 4294967296)", "shape: expected at most 65536 values a row"),
        (
            "(4611686018427387904, 8)",
            "shape: expected a size below 2^64 bytes, found (4611686018427387904, 8)",
        ),
        ("(4611686018427388904, 32)", "shape: expected a size below 2^64 bytes"),
        ("(1000000000000, 4)", "byte 128: expected 16000000000000 bytes of data for (1000000000000, 4)"),
        ("(11, 4)", "byte 128: expected 176 bytes of data for (11, 4) of f32, found 160"),
        ("(18446744073709551616, 4)", "expected a size below 2^64, found `18446744073709551616`"),
        ("(-10, 4)", "expected a size of the shape, found `-10, 4)"),
        (")10, 4(", "expected sizes in round brackets, found `)10, 4("),
        ("[10, 4]", "expected sizes in round brackets"),
        ("(10 4)", "expected `,`"),
        ("(10.0, 4)", "expected `,`"),
    ] {
        t.npy(&npy("<f4", false, shape, &data), 1, &[says]);
    }
    for (descr, says) in [
        ("|O", "descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found Python objects"),
        ("<c8", "descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found complex numbers: `<c8`"),
        ("|b1", "found truth values"),
        ("<U4", "found strings"),
        ("|S8", "found strings"),
        ("<M8[s]", "found dates"),
        ("|V4", "found bytes of no type"),
        ("|V2", "bf16"),
        ("<f16", "found a type that is not read: `<f16`"),
        ("", "descr: expected"),
    ] {
        t.npy(&npy(descr, false, "(10, 4)", &data), 1, &[says]);
    }
    let structured = "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (10, 4), }";
    t.npy(&npy_of(structured, &data), 1, &["descr: ", "found a structured type"]);
    for (header, says) in [
        ("", "expected `{` and the keys descr, fortran_order and shape, found the end of the header"),
        ("{}", "header: expected the keys descr, fortran_order and shape, found no `descr`"),
        ("{'descr': '<f4', 'shape': (10, 4), }", "found no `fortran_order`"),
        (
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (10, 4), }",
            "found a second `descr`",
        ),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (10, 4), }", "expected True or False, found `0"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 4), } x", "expected nothing but spaces"),
        ("{'descr': '<f4', 'more': 1, 'fortran_order': False, 'shape': (10, 4), }", "found the key `more`"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 4)", "expected `,` or `}`"),
        ("{'descr': '<f4", "expected a closing quote"),
        ("[1, 2]", "byte 10: expected `{`"),
        ("garbage", "byte 10: expected `{`"),
        ("{'descr': '\u{1b}[31m', 'fortran_order': False, 'shape': (10, 4), }", "\\u{1b}"),
    ] {
        t.npy(&npy_of(header, &data), 1, &[says]);
    }
    let mut changed = |at: usize, bytes: &[u8], says: &str| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        t.npy(&file, 1, &[says]);
    };
    changed(6, &[4, 0], "byte 6: expected version 1.0, 2.0 or 3.0, found 4.0");
    changed(
        8,
        &[0xff, 0x26],
        "byte 10: expected a header of 9983 bytes, found 278 before the end of the file",
    );
    changed(8, &[0xff, 0xff], "byte 8: expected a header of at most 10000 bytes, found a length of 65535");
    changed(6, &[2, 0, 0xff, 0xff, 0xff, 0xff], "byte 8: expected a header of at most 10000 bytes");
    changed(0, b"X", "byte 0: expected the magic number");
    let mut utf8 = b"\x93NUMPY\x03\x00\x04\x00\x00\x00{\xff'}".to_vec();
    utf8.extend_from_slice(&data);
    t.npy(&utf8, 1, &["byte 13: expected a header in UTF-8, found byte 0xff"]);
    for (length, says) in [
        (0, "byte 0: expected the magic number `\\x93NUMPY`, found an empty file"),
        (3, "byte 0: expected the magic number"),
        (6, "byte 6: expected a version number"),
        (9, "byte 8: expected the length of the header"),
        (60, "byte 10: expected a header of 118 bytes, found 50 before the end of the file"),
        (128, "byte 128: expected 160 bytes of data for (10, 4) of f32, found 0"),
        (284, "byte 128: expected 160 bytes of data for (10, 4) of f32, found 156"),
    ] {
        t.npy(&good[..length], 1, &[says]);
    }
    t.npy(b"PK\x03\x04 and so on", 1, &["found a zip archive (.npz?)", "--format npz"]);
    t.npy(b"not an array", 1, &["byte 0: expected the magic number `\\x93NUMPY`, found `not an`"]);
    t.finish();
}
