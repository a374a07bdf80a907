//! Headers that cannot be.

use index::file::{OpenError, read_header};
use index::{Index, Matrix, Metric, Params};

use super::{Case, LEVELS, drop_section, refuse};
use crate::data::{TempIndex, built, file_bytes};
use crate::raw::{FILLING, Raw, kind};
use crate::roundtrip::FILE;

const ROWS: usize = 40;
const DIM: usize = 48;

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
