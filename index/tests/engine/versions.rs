//! Files of other versions, and files of other kinds.

use index::Index;
use index::file::{OpenError, read_header};

use crate::data::TempIndex;
use crate::raw::Raw;
use crate::roundtrip::FILE;

fn open(raw: &Raw) -> Result<(), OpenError> {
    let file = TempIndex::new(&raw.0);
    let outcome = Index::open(file.path()).map(|_| ());
    let of_header = read_header(file.path()).map(|_| ());
    assert_eq!(format!("{outcome:?}"), format!("{of_header:?}"));
    outcome
}

fn patched(patch: impl FnOnce(&mut Raw)) -> Raw {
    let mut raw = Raw(FILE.clone());
    patch(&mut raw);
    raw.seal();
    raw
}

#[test]
fn later_major_versions_and_unknown_required_features_are_named() {
    for (at, byte, expected) in [
        (8, 2, (2, 1)),
        (9, 1, (257, 1)),
        (16, 3, (1, 1)),
        (16, 16, (1, 1)),
        (20, 4, (1, 1)),
        (23, 0x80, (1, 1)),
    ] {
        let error = open(&patched(|raw| raw.0[at] = byte)).unwrap_err();
        assert!(matches!(error, OpenError::Newer { version } if version == expected), "{at}: {error:?}");
        // Without the checksum it is damage, and no version.
        let mut raw = Raw(FILE.clone());
        raw.0[at] = byte;
        assert!(matches!(open(&raw), Err(OpenError::Corrupt(_))));
    }
    let newer = open(&patched(|raw| raw.0[8..12].copy_from_slice(&[3, 0, 7, 0]))).unwrap_err();
    assert_eq!(newer.to_string(), "written in format 3.7; this program reads up to 1.1");
}

#[test]
fn later_minor_versions_are_read() {
    open(&patched(|raw| raw.0[10] = 9)).unwrap();
}

#[test]
fn other_files_are_no_index() {
    for bytes in [
        &b""[..],
        b"\x89SD",
        b"\x89SDB\r\n\x1a",
        b"query,answer\n1,2\n",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
        // Changed by a transfer in text mode.
        b"\x89SDB\n\x1a\n\x01\x00\x00\x00",
        &[0; 10_000],
    ] {
        assert!(matches!(open(&Raw(bytes.to_vec())), Err(OpenError::NotAnIndex)), "{bytes:?}");
    }
    // The magic number alone is the beginning of one.
    assert!(matches!(open(&Raw(FILE[..8].to_vec())), Err(OpenError::Corrupt(_))));
}
