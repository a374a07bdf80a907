//! What is written is read.

use std::sync::LazyLock;

use index::file::{OpenError, SectionKind, read_header};
use index::{Index, Matrix, Metric, Params};

use crate::data::{TempIndex, built, clustered, exact_search, file_bytes, ids};
use crate::raw::{Raw, kind};

pub(crate) const ROWS: usize = 300;
pub(crate) const DIM: usize = 64;
pub(crate) const RECIPE: &str = "[input]\nformat = \"npy\" # ä\n";

/// Rows 100 to 109 and 270 are copies.
pub(crate) static VALUES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut values = clustered(30, ROWS, DIM);
    values.copy_within(20 * DIM..30 * DIM, 100 * DIM);
    values.copy_within(20 * DIM..21 * DIM, 270 * DIM);
    values
});

pub(crate) fn id(row: u64) -> u64 {
    u64::MAX - row * 1_000_003
}

pub(crate) fn params() -> Params {
    Params { metric: Metric::Cosine, m: 4, ef_construction: 33, seed: 0xfeed_f00d_dead_beef }
}

/// A file with every kind of section.
pub(crate) static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let rows = Matrix::new(&VALUES, DIM);
    let own: Vec<u64> = (0..ROWS as u64).map(id).collect();
    file_bytes(&built(rows, &params()), rows, Some(&own), RECIPE)
});

#[test]
fn a_file_says_what_was_written() {
    let file = TempIndex::new(&FILE);
    let (header, recipe) = read_header(file.path()).unwrap();
    let index = Index::open(file.path()).unwrap();
    assert_eq!(index.header(), &header);
    assert_eq!(recipe, RECIPE);
    assert_eq!(header.params, params());
    assert_eq!((header.rows, header.dim, header.copies), (ROWS as u64, DIM, 11));
    assert_eq!((header.reachable_nodes, header.reachable_share()), (289, 1.0));
    assert_eq!(header.builder, "insert");
    assert_eq!(header.effective_parameters, [("ef".to_owned(), 33), ("batch_limit".to_owned(), 64)]);
    let built = built(Matrix::new(&VALUES, DIM), &params());
    assert_eq!(header.levels.iter().map(|level| level.nodes).collect::<Vec<_>>(), built.level_rows());
    assert_eq!(header.repaired_nodes, built.repaired_nodes());
    assert!(header.entry_point.is_some());
    let kinds: Vec<_> = header.sections.iter().map(|section| section.kind).collect();
    let all = [
        SectionKind::Vectors,
        SectionKind::VectorChecksums,
        SectionKind::Ids,
        SectionKind::Level0,
        SectionKind::UpperLevels,
        SectionKind::InverseNorms,
        SectionKind::Copies,
        SectionKind::Recipe,
    ];
    assert_eq!(kinds, all);
}

#[test]
fn a_file_gives_the_answers_of_its_rows() {
    let index = Index::open(TempIndex::new(&FILE).path()).unwrap();
    let rows = Matrix::new(&VALUES, DIM);
    for row in 0..ROWS as u32 {
        let hits = index.searcher().search(rows.row(row), 5, 299).unwrap();
        // The beam holds every node, but the search is a walk: 289 are nodes and 300 are rows.
        // The first of equal rows comes first.
        let first = (0..=row).find(|&other| rows.row(other) == rows.row(row)).unwrap();
        assert_eq!(hits[0].id, id(first.into()));
        assert!(hits[0].distance < 1e-6);
        let expected = exact_search(Metric::Cosine, rows, rows.row(row), 5);
        for (hit, (_, distance)) in hits.iter().zip(expected) {
            assert!((f64::from(hit.distance) - distance).abs() < 1e-5, "row {row}: {hit:?}, {distance}");
        }
    }
    let hits = index.searcher().search(rows.row(20), 3, 60).unwrap();
    assert_eq!(ids(&hits), [id(20), id(100), id(270)]);
}

#[test]
fn sections_hold_what_the_document_says() {
    let raw = Raw(FILE.clone());
    assert_eq!(&raw.0[..8], b"\x89SDB\r\n\x1a\n");
    assert_eq!(raw.0[8..12], [1, 0, 1, 0]);
    assert_eq!(raw.u64(16), 8);
    assert_eq!(raw.u64(32), FILE.len() as u64);
    assert_eq!((raw.rows(), raw.u32(48) as usize, raw.0[52]), (ROWS, DIM, 1));
    assert_eq!((raw.m(), raw.u32(60), raw.u32(64), raw.u64(72)), (4, 8, 33, 0xfeed_f00d_dead_beef));
    assert_eq!(raw.section(kind::VECTORS), 4096..4096 + ROWS * DIM * 4);
    assert_eq!(&raw.0[raw.section(kind::VECTORS)], bytemuck::cast_slice::<f32, u8>(&VALUES));
    assert_eq!(raw.section(kind::VECTOR_CHECKSUMS).len(), ROWS / 4 * 8);
    let stored_ids: Vec<u64> = raw.section(kind::IDS).step_by(8).map(|at| raw.u64(at)).collect();
    assert_eq!(stored_ids, (0..ROWS as u64).map(id).collect::<Vec<_>>());
    let norms: Vec<f32> =
        raw.u32s(raw.section(kind::INVERSE_NORMS)).into_iter().map(f32::from_bits).collect();
    for (norm, row) in norms.iter().zip(VALUES.chunks(DIM)) {
        let exact = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt().recip();
        assert!((f64::from(*norm) / exact - 1.0).abs() < 1e-6);
    }
    let mut copies: Vec<u32> = (20..30).collect();
    copies.extend([0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    copies.extend([100, 270]);
    copies.extend(101..110);
    assert_eq!(raw.u32s(raw.section(kind::COPIES)), copies);
    assert_eq!(&raw.0[raw.section(kind::RECIPE)], RECIPE.as_bytes());
    // The helper that makes hostile files computes the checksums that the writer computed.
    let mut sealed = raw.clone();
    sealed.seal();
    assert!(sealed.0 == raw.0);
}

#[test]
fn sections_that_nothing_needs_are_absent() {
    let values = clustered(31, 5, 3);
    let rows = Matrix::new(&values, 3);
    let params = Params { seed: 1, ..Params::new(Metric::L2) };
    let raw = Raw(file_bytes(&built(rows, &params), rows, None, ""));
    let kinds: Vec<u32> = (0..raw.u32(84) as usize).map(|i| raw.u32(1024 + i * 32)).collect();
    assert_eq!(raw.level_nodes(), [5]);
    assert_eq!(kinds, [kind::VECTORS, kind::VECTOR_CHECKSUMS, kind::LEVEL0]);
    // Nothing but the rows, the parameters and the builder: no time, no host, no thread count.
    let text: String =
        raw.0[..4096].iter().filter(|b| b.is_ascii_graphic()).map(|&b| char::from(b)).collect();
    assert!(text.contains("insert") && text.contains("batch_limit"), "{text}");
}

#[test]
fn what_is_no_file_is_the_systems_error() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing")] {
        assert!(matches!(Index::open(&path), Err(OpenError::Io(_))));
        assert!(matches!(read_header(&path), Err(OpenError::Io(_))));
    }
}
