//! Files whose checksums are right and whose contents are not.

use index::file::{OpenError, read_header};
use index::{Index, Matrix, Metric, Params};

use crate::data::{TempIndex, built, file_bytes};
use crate::raw::{FILLING, Raw, kind};
use crate::roundtrip::FILE;

/// What is done to the file, and the part that is then named.
pub(crate) type Case = (&'static str, fn(&mut Raw), &'static str);

fn refuse(cases: &[Case], by_header: bool) {
    refuse_changed(&FILE, cases, by_header);
}

/// Applies each change to the file, computes the checksums again, and expects the refusal.
pub(crate) fn refuse_changed(bytes: &[u8], cases: &[Case], by_header: bool) {
    for &(what, patch, part) in cases {
        let mut raw = Raw(bytes.to_vec());
        patch(&mut raw);
        assert!(raw.0 != bytes, "{what}: nothing was changed");
        raw.seal();
        let file = TempIndex::new(&raw.0);
        match Index::open(file.path()) {
            Err(OpenError::Corrupt(corrupt)) => {
                assert_eq!(corrupt.part, part, "{what}: {corrupt}");
                assert!(corrupt.offset_bytes <= raw.0.len() as u64, "{what}: {corrupt}");
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(read_header(file.path()).is_err(), by_header, "{what}");
    }
}

const ROWS: usize = 40;
const DIM: usize = 48;
const LEVELS: usize = 320;

#[test]
fn headers_that_cannot_be_are_refused() {
    let cases: &[Case] = &[
        ("major version 0", |raw| raw.0[8] = 0, "header, major version"),
        ("header length", |raw| raw.put_u32(12, 4097), "header, header length"),
        ("optional features", |raw| raw.put_u64(24, 1 << 40), "header, optional features"),
        ("file length", |raw| raw.put_u64(32, u64::MAX), "header, file length"),
        ("more rows than can be", |raw| raw.put_u64(ROWS, 1 << 31), "header, rows"),
        ("rows", |raw| raw.put_u64(ROWS, u64::MAX), "header, rows"),
        ("one row more than there is", |raw| raw.put_u64(ROWS, 301), "header, nodes of a level"),
        (
            "one row and one node more",
            |raw| {
                raw.put_u64(ROWS, 301);
                raw.put_u64(LEVELS, 290);
            },
            "header, vectors",
        ),
        (
            "rows times dim beyond any file",
            |raw| {
                raw.put_u64(ROWS, (1 << 31) - 1);
                raw.put_u64(LEVELS, (1 << 31) - 1 - 11);
                raw.put_u32(DIM, 65_536);
            },
            "header, vectors",
        ),
        ("no dim", |raw| raw.put_u32(DIM, 0), "header, dim"),
        ("dim", |raw| raw.put_u32(DIM, 65_537), "header, dim"),
        ("half the dim", |raw| raw.put_u32(DIM, 32), "header, vectors"),
        ("metric", |raw| raw.0[52] = 3, "header, metric"),
        (
            "M 1",
            |raw| {
                raw.put_u32(56, 1);
                raw.put_u32(60, 2);
            },
            "header, M",
        ),
        (
            "M 1025",
            |raw| {
                raw.put_u32(56, 1025);
                raw.put_u32(60, 2050);
            },
            "header, M",
        ),
        ("M0", |raw| raw.put_u32(60, 16), "header, M0"),
        (
            "M 5",
            |raw| {
                raw.put_u32(56, 5);
                raw.put_u32(60, 10);
            },
            "header, level-0 neighbours",
        ),
        ("ef_construction 0", |raw| raw.put_u32(64, 0), "header, ef_construction"),
        ("ef_construction", |raw| raw.put_u32(64, u32::MAX), "header, ef_construction"),
        ("no levels", |raw| raw.put_u32(68, 0), "header, levels"),
        ("34 levels", |raw| raw.put_u32(68, 34), "header, levels"),
        (
            "a level without nodes",
            |raw| {
                let levels = raw.u32(68);
                raw.put_u32(68, levels + 1);
            },
            "header, nodes of a level",
        ),
        (
            "a level with more nodes than the one below",
            |raw| raw.put_u64(LEVELS + 16, 290),
            "header, nodes of a level",
        ),
        ("more nodes than fit", |raw| raw.put_u64(LEVELS + 16, u64::MAX), "header, nodes of a level"),
        (
            "one node of level 1 less",
            |raw| {
                let n = raw.u64(LEVELS + 16);
                raw.put_u64(LEVELS + 16, n - 1);
            },
            "header, upper levels",
        ),
        ("more edges than places", |raw| raw.put_u64(LEVELS + 8, 289 * 8 + 1), "header, edges of a level"),
        (
            "entry point",
            |raw| {
                let top = *raw.level_nodes().last().unwrap();
                raw.put_u32(80, top as u32);
            },
            "header, entry point",
        ),
        ("no entry point", |raw| raw.put_u32(80, u32::MAX), "header, entry point"),
        ("no sections", |raw| raw.put_u32(84, 0), "header, sections"),
        ("33 sections", |raw| raw.put_u32(84, 33), "header, sections"),
        ("copies", |raw| raw.put_u64(88, 10), "header, nodes of a level"),
        ("copies beyond the rows", |raw| raw.put_u64(88, u64::MAX), "header, copies"),
        ("reachable nodes", |raw| raw.put_u64(96, 290), "header, reachable nodes"),
        ("a builder's name", |raw| raw.0[112] = 7, "header"),
        ("a builder's name with a hole", |raw| raw.0[113] = 0, "header"),
        ("a parameter's name", |raw| raw.0[128] = 0xc3, "header"),
        (
            "an unknown section",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                raw.put_u32(at, 99);
            },
            "header",
        ),
        (
            "two of a kind",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                raw.put_u32(at, kind::COPIES);
            },
            "header",
        ),
        (
            "a section in another",
            |raw| {
                let (at, ids) = (raw.entry_of(kind::LEVEL0), raw.section(kind::IDS).start as u64);
                raw.put_u64(at + 8, ids);
            },
            "header, level-0 neighbours",
        ),
        (
            "a section in the header",
            |raw| {
                let at = raw.entry_of(kind::VECTORS);
                raw.put_u64(at + 8, 0);
            },
            "header, vectors",
        ),
        (
            "sections out of order",
            |raw| {
                let at = raw.entry_of(kind::IDS);
                let (a, b) = (raw.0[at..at + 32].to_vec(), raw.0[at + 32..at + 64].to_vec());
                raw.0[at..at + 32].copy_from_slice(&b);
                raw.0[at + 32..at + 64].copy_from_slice(&a);
            },
            "header, ids",
        ),
        (
            "a section off its boundary",
            |raw| {
                let at = raw.entry_of(kind::IDS);
                let offset = raw.u64(at + 8);
                raw.put_u64(at + 8, offset + 8);
            },
            "header, ids",
        ),
        (
            "a section behind the end",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                raw.put_u64(at + 8, 1 << 40);
            },
            "header, recipe",
        ),
        (
            "a section into the footer",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                let length = raw.u64(at + 16);
                raw.put_u64(at + 16, length + 1);
            },
            "header, recipe",
        ),
        (
            "a section as long as numbers go",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                raw.put_u64(at + 16, u64::MAX);
            },
            "header, recipe",
        ),
        (
            "a section whose end is too large",
            |raw| {
                let at = raw.entry_of(kind::RECIPE);
                raw.put_u64(at + 16, u64::MAX - 4096);
            },
            "header, recipe",
        ),
        (
            "copies of half a number",
            |raw| {
                let at = raw.entry_of(kind::COPIES);
                let length = raw.u64(at + 16);
                raw.put_u64(at + 16, length + 2);
            },
            "header, copies",
        ),
        ("no vectors", |raw| drop_section(raw, kind::VECTORS), "header"),
        ("no block checksums", |raw| drop_section(raw, kind::VECTOR_CHECKSUMS), "header"),
        ("no level 0", |raw| drop_section(raw, kind::LEVEL0), "header"),
        ("no upper levels", |raw| drop_section(raw, kind::UPPER), "header"),
        ("no inverse norms", |raw| drop_section(raw, kind::INVERSE_NORMS), "header"),
        ("no copies", |raw| drop_section(raw, kind::COPIES), "header"),
    ];
    refuse(cases, true);
}

/// Takes a section out of the table and leaves its bytes.
pub(crate) fn drop_section(raw: &mut Raw, kind: u32) {
    let (at, count) = (raw.entry_of(kind), raw.u32(84));
    let end = 1024 + count as usize * 32;
    raw.0.copy_within(at + 32..end, at);
    raw.0[end - 32..end].fill(0);
    raw.put_u32(84, count - 1);
}

/// Where the list of a row on level 0 begins.
fn list(raw: &Raw, row: usize) -> usize {
    raw.section(kind::LEVEL0).start + row * 8 * 4
}

#[test]
fn graphs_that_cannot_be_are_refused() {
    let cases: &[Case] = &[
        (
            "a neighbour that is no row",
            |raw| {
                let at = list(raw, 5);
                raw.put_u32(at, 300);
            },
            "level-0 neighbours, node 5",
        ),
        (
            "a neighbour far off",
            |raw| {
                let at = list(raw, 299);
                raw.put_u32(at, u32::MAX - 1);
            },
            "level-0 neighbours, node 299",
        ),
        (
            "a node that is its own neighbour",
            |raw| {
                let at = list(raw, 7);
                raw.put_u32(at, 7);
            },
            "level-0 neighbours, node 7",
        ),
        (
            "filling in the middle",
            |raw| {
                let at = list(raw, 9);
                assert_ne!(raw.u32(at + 4), FILLING);
                raw.put_u32(at, FILLING);
            },
            "level-0 neighbours, node 9",
        ),
        (
            "a link to a copy",
            |raw| {
                let at = list(raw, 5);
                raw.put_u32(at, 100);
            },
            "level-0 neighbours, node 5",
        ),
        (
            "a copy with neighbours",
            |raw| {
                let at = list(raw, 100);
                raw.put_u32(at, 5);
            },
            "level-0 neighbours, node 100",
        ),
        (
            "edges of level 0",
            |raw| {
                let n = raw.u64(LEVELS + 8);
                raw.put_u64(LEVELS + 8, n - 1);
            },
            "edges of level 0",
        ),
        (
            "edges of level 1",
            |raw| {
                let n = raw.u64(LEVELS + 24);
                raw.put_u64(LEVELS + 24, n - 1);
            },
            "edges of level 1",
        ),
        (
            "rows out of order",
            |raw| {
                let (rows, _) = raw.upper_level(1);
                let (a, b) = (raw.u32(rows), raw.u32(rows + 4));
                raw.put_u32(rows, b);
                raw.put_u32(rows + 4, a);
            },
            "rows of level 1",
        ),
        (
            "a row twice",
            |raw| {
                let (rows, _) = raw.upper_level(1);
                let a = raw.u32(rows);
                raw.put_u32(rows + 4, a);
            },
            "rows of level 1",
        ),
        (
            "a row that is none",
            |raw| {
                let (_, end) = raw.upper_level(1);
                raw.put_u32(end - 4, 300);
            },
            "rows of level 1",
        ),
        (
            "a copy on level 1",
            |raw| {
                let (rows, end) = raw.upper_level(1);
                let at = (rows..end).step_by(4).find(|&at| raw.u32(at) > 109).unwrap();
                raw.put_u32(at, 109);
            },
            "rows of level 1",
        ),
        (
            "a row that is not on the level below",
            |raw| {
                let below = raw.graph()[1].rows.clone();
                let (rows, _) = raw.upper_level(2);
                let (first, second) = (raw.u32(rows), raw.u32(rows + 4));
                let other = (0..second).find(|row| below.binary_search(row).is_err());
                assert_ne!(other, Some(first));
                raw.put_u32(rows, other.unwrap());
            },
            "rows of level 2",
        ),
        (
            "a neighbour that is no node of its level",
            |raw| {
                let (_, neighbours) = raw.upper_level(1);
                let nodes = raw.level_nodes()[1] as u32;
                raw.put_u32(neighbours, nodes);
            },
            "neighbours of level 1, node 0",
        ),
        (
            "a node of level 1 that is its own neighbour",
            |raw| {
                let (_, neighbours) = raw.upper_level(1);
                raw.put_u32(neighbours + 3 * 4 * 4, 3);
            },
            "neighbours of level 1, node 3",
        ),
        (
            "an infinite norm",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).start;
                raw.put_u32(at, f32::INFINITY.to_bits());
            },
            "inverse norms",
        ),
        (
            "a norm that is NaN",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).end - 4;
                raw.put_u32(at, f32::NAN.to_bits());
            },
            "inverse norms",
        ),
        (
            "a negative norm",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).start;
                raw.put_u32(at, (-1.0f32).to_bits());
            },
            "inverse norms",
        ),
        (
            "more between the sections than zeros",
            |raw| {
                let at = raw.section(kind::IDS).end;
                raw.0[at] = 1;
            },
            "padding",
        ),
    ];
    refuse(cases, false);
}

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

#[test]
fn an_empty_index_has_no_entry_point() {
    let rows = Matrix::new(&[], 1);
    let mut raw = Raw(file_bytes(&built(rows, &Params::new(Metric::L2)), rows, None, ""));
    assert_eq!(raw.u32(80), FILLING);
    raw.put_u32(80, 0);
    raw.seal();
    let Err(OpenError::Corrupt(corrupt)) = Index::open(TempIndex::new(&raw.0).path()) else {
        panic!("it was opened")
    };
    assert_eq!(corrupt.part, "header, entry point");
}

#[test]
fn a_recipe_is_text() {
    let mut raw = Raw(FILE.clone());
    let recipe = raw.section(kind::RECIPE);
    raw.0[recipe.start] = 0xff;
    raw.seal();
    let file = TempIndex::new(&raw.0);
    let Err(OpenError::Corrupt(corrupt)) = read_header(file.path()) else { panic!("it was read") };
    assert_eq!(corrupt.part, "recipe");
    // Search does not need it.
    Index::open(file.path()).unwrap();
}
