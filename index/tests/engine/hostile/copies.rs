//! Rows that are copies of others, and cannot be.

use index::file::OpenError;
use index::{Index, Matrix, Metric, Params};

use super::{Case, refuse};
use crate::data::{TempIndex, built, file_bytes};
use crate::raw::{Raw, kind};

#[test]
fn copies_that_cannot_be_are_refused() {
    // 10 representatives (20 to 29), 11 starts, 11 copies (100, 270, 101 to 109).
    let cases: &[Case] = &[
        (
            "one number less",
            |raw| {
                let at = raw.entry_of(kind::COPIES);
                raw.put_u64(at + 16, 31 * 4);
                let end = raw.section(kind::COPIES).end;
                raw.put_u32(end, 0);
            },
            "copies",
        ),
        (
            "two numbers less",
            |raw| {
                let at = raw.entry_of(kind::COPIES);
                raw.put_u64(at + 16, 30 * 4);
                let end = raw.section(kind::COPIES).end;
                raw.put_u64(end, 0);
            },
            "copies",
        ),
        (
            "no numbers",
            |raw| {
                let (at, section) = (raw.entry_of(kind::COPIES), raw.section(kind::COPIES));
                raw.put_u64(at + 16, 0);
                raw.0[section].fill(0);
            },
            "copies",
        ),
        ("representatives out of order", |raw| put_copies(raw, 0, 21), "copies, representatives"),
        ("a representative that is no row", |raw| put_copies(raw, 9, 300), "copies, representatives"),
        ("starts from 1", |raw| put_copies(raw, 10, 1), "copies"),
        ("starts that fall", |raw| put_copies(raw, 12, 5), "copies"),
        ("a representative without copies", |raw| put_copies(raw, 12, 2), "copies"),
        ("starts that end early", |raw| put_copies(raw, 20, 10), "copies"),
        ("starts that end late", |raw| put_copies(raw, 20, 12), "copies"),
        ("a start far off", |raw| put_copies(raw, 13, u32::MAX), "copies"),
        ("a copy twice", |raw| put_copies(raw, 22, 100), "copies, each once"),
        ("a copy that is no row", |raw| put_copies(raw, 31, 300), "copies, each once"),
        ("a copy with copies", |raw| put_copies(raw, 21, 29), "copies"),
    ];
    refuse(cases, false);
}

fn put_copies(raw: &mut Raw, place: usize, number: u32) {
    let at = raw.section(kind::COPIES).start + place * 4;
    raw.put_u32(at, number);
}

#[test]
fn an_entry_point_is_no_copy() {
    // One level, six rows: 0 and 5 are nodes, 1 to 4 are copies of 0.
    let values = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0];
    let rows = Matrix::new(&values, 1);
    let good = Raw(file_bytes(&built(rows, &Params { seed: 1, ..Params::new(Metric::L2) }), rows, None, ""));
    assert_eq!(good.level_nodes(), [2]);
    for (entry, part) in [
        (0, None),
        (5, None),
        (1, Some("header, entry point")),
        (4, Some("header, entry point")),
        (6, Some("header, entry point")),
    ] {
        let mut raw = good.clone();
        raw.put_u32(80, entry);
        raw.seal();
        match (Index::open(TempIndex::new(&raw.0).path()), part) {
            (Ok(index), None) => assert_eq!(index.header().entry_point, Some(entry)),
            (Err(OpenError::Corrupt(corrupt)), Some(part)) => assert_eq!(corrupt.part, part),
            other => panic!("{entry}: {other:?}"),
        }
    }
}
