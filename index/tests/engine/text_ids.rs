//! Ids that are texts: kept, found again, and checked.

use std::io::Cursor;

use index::file::{Contents, OpenError, SectionKind, Vectors, write};
use index::{Index, Matrix, Metric, TextIdSource, same_text_ids};

use crate::data::{TempIndex, built, clustered, file_bytes, small_params};
use crate::raw::{Raw, kind};

const ROWS: usize = 300;
const DIM: usize = 16;

fn names() -> Vec<String> {
    (0..ROWS).map(|row| format!("row {}{}", row * 7, "ä".repeat(row % 5))).collect()
}

/// An index file with such ids.
pub(crate) fn with_texts(names: &dyn TextIdSource) -> Vec<u8> {
    let values = clustered(11, ROWS, DIM);
    let rows = Matrix::new(&values, DIM);
    let built = built(rows, &small_params(Metric::L2));
    let mut out = Cursor::new(Vec::new());
    let contents = Contents {
        built: &built,
        vectors: Vectors::Elsewhere(rows),
        vector_checksums: None,
        ids: None,
        text_ids: Some(names),
        recipe: "",
    };
    write(&mut out, &contents).unwrap();
    out.into_inner()
}

#[test]
fn texts_come_back() {
    let values = clustered(11, ROWS, DIM);
    let names = names();
    let bytes = with_texts(&names);
    let index = Index::open(TempIndex::new(&bytes).path()).unwrap();
    assert!(index.ids().is_none());
    assert!(index.header().section(SectionKind::TextIds).is_some());
    let ids = index.text_ids().unwrap();
    assert_eq!((ids.len(), ids.is_empty(), ids.get(ROWS), ids.get(usize::MAX)), (ROWS, false, None, None));
    for (row, name) in names.iter().enumerate() {
        assert_eq!((ids.get(row), index.text_id(row as u64)), (Some(&**name), Some(&**name)));
    }
    let hit = index.searcher().search(&values[17 * DIM..18 * DIM], 1, 50).unwrap()[0];
    assert_eq!((hit.id, index.text_id(hit.id)), (17, Some(&*names[17])));
    // What an index holds goes into another.
    assert!(with_texts(&ids) == bytes);
    let plain = Index::open(TempIndex::new(&plain_file()).path()).unwrap();
    assert!(plain.text_ids().is_none() && plain.text_id(0).is_none());
}

fn plain_file() -> Vec<u8> {
    let values = clustered(11, ROWS, DIM);
    let rows = Matrix::new(&values, DIM);
    file_bytes(&built(rows, &small_params(Metric::L2)), rows, None, "")
}

#[test]
fn texts_of_an_empty_index() {
    let built = built(Matrix::new(&[], DIM), &small_params(Metric::L2));
    let mut out = Cursor::new(Vec::new());
    let none: [&str; 0] = [];
    let contents = Contents {
        built: &built,
        vectors: Vectors::Elsewhere(Matrix::new(&[], DIM)),
        vector_checksums: None,
        ids: None,
        text_ids: Some(&none.as_slice()),
        recipe: "",
    };
    write(&mut out, &contents).unwrap();
    let index = Index::open(TempIndex::new(&out.into_inner()).path()).unwrap();
    assert!(index.text_ids().unwrap().is_empty());
}

#[test]
fn longer_texts_than_a_portion() {
    let names: Vec<String> = (0..ROWS).map(|row| format!("{row}").repeat(1 + row * 31)).collect();
    let index = Index::open(TempIndex::new(&with_texts(&names)).path()).unwrap();
    assert!((0..ROWS).all(|row| index.text_id(row as u64) == Some(&*names[row])));
}

#[test]
fn the_same_text_twice() {
    let mut names = names();
    assert_eq!(same_text_ids(&names).unwrap(), None);
    names[250] = names[3].clone();
    names[200] = names[100].clone();
    names[201] = names[100].clone();
    assert_eq!(same_text_ids(&names).unwrap(), Some((100, 200)));
    let one = vec!["x"; 70_000];
    assert_eq!(same_text_ids(&one).unwrap(), Some((0, 1)));
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let bytes = with_texts(&names());
    let section = Raw(bytes.clone()).section(kind::TEXT_IDS);
    let texts_at = section.start + (ROWS + 1) * 8;
    let refused = |change: &dyn Fn(&mut Raw)| {
        let mut raw = Raw(bytes.clone());
        change(&mut raw);
        raw.seal();
        match Index::open(TempIndex::new(&raw.0).path()) {
            Err(OpenError::Corrupt(corrupt)) => corrupt,
            other => panic!("{other:?}"),
        }
    };
    // The first offset, one that falls, one past the end, the last one.
    let offsets = [(0, 1), (5, 0), (7, u64::MAX), (9, 1 << 40), (ROWS, 0), (ROWS, 1 << 40)];
    for (row, offset) in offsets {
        let corrupt = refused(&|raw| raw.put_u64(section.start + row * 8, offset));
        assert_eq!((&*corrupt.part, corrupt.offset_bytes), ("text ids, offsets", section.start as u64));
    }
    let corrupt = refused(&|raw| raw.0[texts_at] = 0xff);
    assert_eq!(
        (&*corrupt.part, corrupt.offset_bytes, &*corrupt.expected),
        ("text ids, row 0", texts_at as u64, "UTF-8")
    );
    // A character that two rows share.
    let raw = Raw(bytes.clone());
    let end = raw.u64(section.start + 2 * 8);
    let corrupt = refused(&|raw| raw.put_u64(section.start + 2 * 8, end - 1));
    assert_eq!(corrupt.part, "text ids, row 1");
    // Too short for the offsets, and numbers beside the texts.
    let entry = raw.entry_of(kind::TEXT_IDS);
    let corrupt = refused(&|raw| raw.put_u64(entry + 16, (ROWS as u64 + 1) * 8 - 1));
    assert_eq!(corrupt.part, "header, text ids");
    let corrupt = refused(&|raw| raw.put_u32(entry, kind::IDS));
    assert_eq!(corrupt.part, "header, ids");
}
