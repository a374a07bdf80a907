//! Damaged files are refused, wherever the damage is.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use index::file::{OpenError, read_header};
use index::{Index, Matrix};
use rayon::prelude::*;

use crate::data::TempIndex;
use crate::raw::{Raw, kind};
use crate::roundtrip::{DIM, FILE, RECIPE, VALUES};

/// A file of which one byte after the other is changed and restored.
pub(crate) struct Patient<'a> {
    bytes: &'a [u8],
    file: TempIndex,
    out: File,
}

impl<'a> Patient<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let file = TempIndex::new(bytes);
        let out = File::options().write(true).open(file.path()).unwrap();
        Self { bytes, file, out }
    }

    pub(crate) fn with_byte<T>(&mut self, at: usize, byte: u8, f: impl FnOnce(&TempIndex) -> T) -> T {
        self.put(at, byte);
        let outcome = f(&self.file);
        self.put(at, self.bytes[at]);
        outcome
    }

    fn put(&mut self, at: usize, byte: u8) {
        self.out.seek(SeekFrom::Start(at as u64)).unwrap();
        self.out.write_all(&[byte]).unwrap();
    }
}

#[test]
fn every_changed_byte_outside_the_vectors_is_refused_at_once() {
    let vectors = Raw(FILE.clone()).section(kind::VECTORS);
    let recipe = Raw(FILE.clone()).section(kind::RECIPE);
    let header = read_header(TempIndex::new(&FILE).path()).unwrap().0;
    let places: Vec<usize> = (0..FILE.len()).filter(|at| !vectors.contains(at)).collect();
    assert!(places.len() > 30_000);
    places.par_chunks(1_000).for_each_init(
        || Patient::new(&FILE),
        |patient, places| {
            for &at in places {
                for change in [0xff, 0x01] {
                    patient.with_byte(at, FILE[at] ^ change, |file| {
                        match Index::open(file.path()) {
                            Err(OpenError::NotAnIndex) => assert!(at < 8, "byte {at}"),
                            Err(OpenError::Corrupt(_)) => assert!(at >= 8, "byte {at}"),
                            other => panic!("byte {at} ^ {change:#x}: {other:?}"),
                        }
                        // The header alone is either refused or the one that was written.
                        let in_header = at < 4096 || at >= FILE.len() - 64;
                        match read_header(file.path()) {
                            Ok(read) => assert!(
                                !in_header
                                    && !recipe.contains(&at)
                                    && read == (header.clone(), RECIPE.to_owned()),
                                "byte {at}"
                            ),
                            Err(error) => assert!(in_header || recipe.contains(&at), "byte {at}: {error}"),
                        }
                    });
                }
            }
        },
    );
}

#[test]
fn a_changed_vector_is_refused_by_the_search_that_touches_it() {
    let vectors = Raw(FILE.clone()).section(kind::VECTORS);
    let rows = Matrix::new(&VALUES, DIM);
    let answers = |file: &TempIndex| {
        let index = Index::open(file.path()).unwrap();
        let mut searcher = index.searcher();
        (0..300).map(|row| searcher.search(rows.row(row), 3, 10)).collect::<Vec<_>>()
    };
    let expected = answers(&TempIndex::new(&FILE));
    let places: Vec<usize> = vectors.clone().step_by(509).chain([vectors.end - 1]).collect();
    places.par_chunks(16).for_each_init(
        || Patient::new(&FILE),
        |patient, places| {
            for &at in places {
                for change in [0xff, 0x01] {
                    let found = patient.with_byte(at, FILE[at] ^ change, answers);
                    let first = (at - vectors.start) / (4 * DIM * 4) * 4;
                    let block = format!("vectors, rows {first} to {}", first + 3);
                    let mut refused = 0;
                    for (found, expected) in found.iter().zip(&expected) {
                        match found {
                            Ok(_) => assert_eq!(found, expected, "byte {at}"),
                            Err(corrupt) => {
                                assert_eq!(corrupt.part, block);
                                refused += 1;
                            }
                        }
                    }
                    // Rows 100 to 109 are copies, which no walk comes to.
                    assert!(refused > 0 || (100..107).contains(&first), "byte {at}");
                    let exact = patient.with_byte(at, FILE[at] ^ change, |file| {
                        Index::open(file.path()).unwrap().searcher().search(rows.row(0), 1, 300)
                    });
                    assert_eq!(exact.unwrap_err().part, block);
                }
            }
        },
    );
}

#[test]
fn files_that_are_cut_are_refused() {
    for length in (0..FILE.len()).step_by(64).chain([1, 7, 8, 9, 4_095, 4_097, FILE.len() - 1]) {
        let file = TempIndex::new(&FILE[..length]);
        match (Index::open(file.path()), read_header(file.path())) {
            (Err(OpenError::NotAnIndex), Err(OpenError::NotAnIndex)) => assert!(length < 8, "{length}"),
            (Err(OpenError::Corrupt(a)), Err(OpenError::Corrupt(b))) => assert_eq!(a, b),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn files_with_more_behind_them_are_refused() {
    for more in [1, 7, 8, 63, 64, 4_096] {
        for byte in [0, 0xff] {
            let mut bytes = FILE.clone();
            bytes.resize(FILE.len() + more, byte);
            let Err(OpenError::Corrupt(corrupt)) = Index::open(TempIndex::new(&bytes).path()) else {
                panic!("{more} bytes more")
            };
            assert_eq!(corrupt.part, "header, file length");
        }
    }
    // Nor does a second footer help.
    let mut bytes = FILE.clone();
    bytes.extend_from_slice(&FILE[FILE.len() - 64..]);
    assert!(matches!(Index::open(TempIndex::new(&bytes).path()), Err(OpenError::Corrupt(_))));
}
