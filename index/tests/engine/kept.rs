//! Files of version 1 that were written once and are kept: every later version opens them, and answers the same bits.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::PathBuf;

use index::file::{Contents, Vectors, write};
use index::{AutoBuilder, Index, InsertBuilder, Matrix, Metric, Params, Storage};

use crate::data::built_by;

const ROWS: usize = 60;
const DIM: usize = 12;

/// Their names: three of version 1.0, two of 1.1.
pub(crate) const KEPT: [&str; 5] =
    ["v1-f32-ids-copies", "v1-f16-text-ids", "v1-i8", "v1.1-f32-ids-copies", "v1.1-i8"];

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The bytes of one of them.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(&format!("{name}.hnsw"))).unwrap()
}

/// Numbers that every program computes the same, a few of them in a cluster.
fn value(row: usize, column: usize) -> f32 {
    let mixed = (row * 2_654_435_761 + column * 40_503 + (row / 6) * 977 * column) % 1021;
    mixed as f32 / 64.0 - 8.0 + (row / 6) as f32
}

/// What is asked of each.
pub(crate) fn queries() -> Vec<Vec<f32>> {
    let near = (0..6).map(|at| (0..DIM).map(|column| value(at * 11, column) + 0.25).collect());
    near.chain([vec![0.0; DIM], vec![-3.5; DIM]]).collect()
}

/// All answers as text: ids, and the bits of the distances.
pub(crate) fn answers(index: &Index) -> String {
    let mut out = String::new();
    for (at, query) in queries().iter().enumerate() {
        for ef in [6, ROWS] {
            let hits = index.searcher().search(query, 5, ef).unwrap();
            write!(out, "query {at} ef {ef}").unwrap();
            for hit in hits {
                match index.text_id(hit.id) {
                    Some(text) => write!(out, " {text}").unwrap(),
                    None => write!(out, " {}", hit.id).unwrap(),
                }
                write!(out, ":{:08x}", hit.distance.to_bits()).unwrap();
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn files_of_version_1_give_their_answers_for_ever() {
    for name in KEPT {
        let index = Index::open(&path(&format!("{name}.hnsw"))).unwrap();
        let expected = std::fs::read_to_string(path(&format!("{name}.answers"))).unwrap();
        assert_eq!(answers(&index), expected, "{name}");
        assert!(index.check_blocks().iter().all(|blocks| blocks.damaged_blocks == 0));
        assert_eq!(index.count_reachable_nodes(), index.header().reachable_nodes);
    }
    let open = |name: &str| Index::open(&path(&format!("{name}.hnsw"))).unwrap();
    let plain = open(KEPT[0]);
    assert_eq!((plain.header().copies, plain.ids().unwrap()[7]), (4, 1_000_021));
    assert!(plain.header().section(index::file::SectionKind::Codes).is_some());
    let halves = open(KEPT[1]);
    assert_eq!((halves.header().storage, halves.text_id(7)), (Storage::F16, Some("name 7 \u{e4}")));
    assert_eq!(halves.header().default_ef, Some(77));
    assert_eq!(open(KEPT[2]).header().storage, Storage::I8);
    for (old, new) in [(KEPT[0], KEPT[3]), (KEPT[2], KEPT[4])] {
        let errors = |name| open(name).header().section(index::file::SectionKind::CodeErrors).is_some();
        assert_eq!((errors(old), errors(new)), (false, true));
        assert_eq!(answers(&open(old)), answers(&open(new)));
    }
}

/// They were written once, and no file that is there is ever written again. `SOCHDB_BULK_UPDATE=1` writes one that is new.
#[test]
fn every_kept_file_is_there() {
    let mut values: Vec<f32> = (0..ROWS * DIM).map(|at| value(at / DIM, at % DIM)).collect();
    values.copy_within(3 * DIM..4 * DIM, 20 * DIM);
    values.copy_within(3 * DIM..5 * DIM, 40 * DIM);
    values.copy_within(9 * DIM..10 * DIM, 59 * DIM);
    let rows = Matrix::new(&values, DIM);
    let ids: Vec<u64> = (0..ROWS as u64).map(|row| 1_000_000 + 3 * row).collect();
    let texts: Vec<String> = (0..ROWS).map(|row| format!("name {row} \u{e4}")).collect();
    let params = |metric| Params { metric, m: 4, ef_construction: 40, seed: 1 };
    for name in KEPT {
        let target = path(&format!("{name}.hnsw"));
        if target.exists() {
            continue;
        }
        assert!(std::env::var_os("SOCHDB_BULK_UPDATE").is_some(), "{name} is gone");
        // What is missing is a new one: as this program writes it.
        let content = name.split_once('-').unwrap().1;
        let (built, vectors) = match content {
            "f32-ids-copies" => {
                let built = built_by(&AutoBuilder, rows, &params(Metric::Cosine)).with_codes(rows);
                (built, Vectors::Elsewhere(rows))
            }
            "f16-text-ids" => {
                let built = built_by(&InsertBuilder, rows, &params(Metric::L2)).without_codes();
                (built, Vectors::Narrowed(rows, Storage::F16))
            }
            _ => {
                let built = built_by(&InsertBuilder, rows, &params(Metric::Ip)).with_codes(rows);
                (built, Vectors::Narrowed(rows, Storage::I8))
            }
        };
        let has = |wanted| content == wanted;
        let contents = Contents {
            built: &built,
            vectors,
            vector_checksums: None,
            ids: has("f32-ids-copies").then_some(&ids[..]),
            text_ids: if has("f16-text-ids") { Some(&texts) } else { None },
            recipe: if has("f32-ids-copies") { "version = 1\n" } else { "" },
        };
        let mut out = Cursor::new(Vec::new());
        write(&mut out, &contents).unwrap();
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(&target, out.into_inner()).unwrap();
        if has("f16-text-ids") {
            let mut file = std::fs::File::options().read(true).write(true).open(&target).unwrap();
            index::file::store_default_ef(&mut file, 77).unwrap();
        }
        std::fs::write(path(&format!("{name}.answers")), answers(&Index::open(&target).unwrap())).unwrap();
    }
}
