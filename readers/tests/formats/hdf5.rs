//! HDF5 files of h5py: what they give, and what they are refused for. `data/make_hdf5.py` makes them.

use std::path::{Path, PathBuf};

use readers::conformance::check;
use readers::{BufferPool, Dataset, Error, ErrorKind, Input, Io, Metric, Scan, Score, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, open, open_with, read};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn path(name: &str) -> PathBuf {
    folder().join(name)
}

fn dataset(name: &str, options: &str) -> Box<dyn Dataset> {
    open_with("hdf5", options, &Input::new(path(name))).unwrap()
}

/// What the script calls values.
fn values(rows: u8, dim: u8) -> Vec<f32> {
    (0..rows)
        .flat_map(|row| (0..dim).map(move |column| 10.0 * f32::from(row) + f32::from(column) - 20.0))
        .collect()
}

fn ids(dataset: &dyn Dataset, batch_rows: usize) -> Vec<u64> {
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows });
    let mut ids = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            ids.extend((0..batch.rows()).map(|row| batch.ids().get(row)));
        }
    }
    ids
}

#[track_caller]
fn refuse(options: &str, line: &str, help: &str) -> Error {
    let refused = || open_with("hdf5", options, &Input::new(path("refused.h5")));
    assert_refused(refused(), &folder(), line, help);
    refused().unwrap_err()
}

#[test]
fn they_conform() {
    check("hdf5", &path("contiguous.h5"), None);
    // The kit opens with default options: one dataset a file.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/hdf5_file");
    for name in ["chunked", "btree"] {
        check("hdf5", &corpus.join(name), None);
    }
}

#[test]
fn what_lies_in_one_piece_is_used_in_place() {
    let input = Input { io: Io::Mmap, ..Input::new(path("contiguous.h5")) };
    assert_eq!(detect(&input).unwrap().format.name, "hdf5");
    let found = readers::open(&input).unwrap();
    assert_eq!((found.info().rows.exact(), found.info().dim), (Some(12), 5));
    let matrix = found.matrix().expect("it is one matrix of aligned f32");
    assert_eq!(bits(&matrix.values), bits(&values(12, 5)));
    assert_eq!(found.info().notes, [""; 0]);
}

#[test]
fn the_layout_of_ann_benchmarks() {
    let found = dataset("ann.h5", "{}");
    assert_eq!(read(&*found, 4).unwrap(), bits(&values(9, 4)));
    assert_eq!(found.info().metric, Some(Metric::Cosine));
    assert_eq!(found.info().notes, ["vectors from the dataset `train`"]);
    assert!(found.info().ids.is_none());
    for option in ["dataset = 'test'", "vector_column = '/test'"] {
        assert_eq!(read(&*dataset("ann.h5", &format!("{{ {option} }}")), 4).unwrap(), bits(&values(3, 4)));
    }
    assert_eq!(read(&*dataset("ann.h5", "{ dataset = 'neighbors' }"), 2).unwrap(), bits(&values(3, 6)));
}

#[test]
fn every_type_and_byte_order() {
    for (name, signed) in [
        ("float16", true),
        ("float32_big", true),
        ("float64", true),
        ("float64_big", true),
        ("int8", true),
        ("uint8", false),
        ("int16", true),
        ("uint16_big", false),
        ("int32", true),
        ("int64", true),
        ("uint64_big", false),
    ] {
        let found = dataset("old.h5", &format!("{{ dataset = 'types/{name}' }}"));
        let expected = match (name, signed) {
            // The script takes absolute values, of what wrapped around before.
            ("uint8", _) => values(3, 2).iter().map(|v| if *v < 0.0 { v + 256.0 } else { *v }).collect(),
            ("uint16_big", _) => {
                values(3, 2).iter().map(|v| if *v < 0.0 { v + 65_536.0 } else { *v }).collect()
            }
            (_, true) => values(3, 2),
            _ => continue,
        };
        assert_eq!(read(&*found, 2).unwrap(), bits(&expected), "{name}");
        let rounded = found.info().notes.iter().any(|note| note == "f64 values are rounded to f32");
        assert_eq!(rounded, name.starts_with("float64"), "{name}");
    }
    // What wrapped around to 2^64 - 20 is no f32.
    let error = read(&*dataset("old.h5", "{ dataset = 'types/uint64_big' }"), 2).unwrap_err();
    assert!(error.to_string().contains("row 0, column 0: expected a value that fits f32"), "{error}");
}

#[test]
fn every_index_and_filter_of_chunks() {
    for (file, name) in [
        ("old.h5", "chunks/plain"),
        ("old.h5", "chunks/gzip"),
        ("old.h5", "chunks/all"),
        ("new.h5", "single"),
        ("new.h5", "fixed"),
        ("new.h5", "growing"),
        ("new.h5", "growing_both"),
        ("new.h5", "implicit"),
        ("new.h5", "compact"),
    ] {
        for io in [Io::Mmap, Io::Read] {
            let input = Input { io, ..Input::new(path(file)) };
            let found = open_with("hdf5", &format!("{{ dataset = '{name}' }}"), &input).unwrap();
            assert_eq!((found.info().rows.exact(), found.info().dim), (Some(11), 6), "{name}");
            for batch_rows in [1, 2, 3, 4, 5, 11, 100] {
                assert_eq!(
                    read(&*found, batch_rows).unwrap(),
                    bits(&values(11, 6)),
                    "{name} by {batch_rows}"
                );
            }
            // Pieces begin at chunks, wherever the scan begins.
            let scan = Scan { rows: 5..11, batch_rows: 2 };
            let starts: Vec<_> = found.pieces(&scan).iter().map(|piece| piece.rows.start).collect();
            if ["chunks/plain", "fixed", "growing_both"].contains(&name) {
                assert_eq!(starts, [5, 8]);
            }
        }
    }
    assert_eq!(dataset("new.h5", "{ dataset = 'single' }").info().metric, Some(Metric::L2));
}

#[test]
fn ids_beside_the_vectors_or_by_name() {
    let found = dataset("old.h5", "{ dataset = 'chunks/all' }");
    assert!(found.info().ids.is_some());
    let expected: Vec<u64> = (0..11).map(|row| row * 3 + 100).collect();
    assert_eq!((ids(&*found, 3), ids(&*found, 11)), (expected.clone(), expected));
    let found = dataset("userblock.h5", "{}");
    assert_eq!(found.info().notes, ["vectors from the dataset `emb`", "ids from the dataset `id`"]);
    assert_eq!(ids(&*found, 2), [7, 1 << 63, 9]);
    let input = Input { own_ids: false, ..Input::new(path("userblock.h5")) };
    assert!(open("hdf5", &input).unwrap().info().ids.is_none());
    // As many ids as rows, and not in another group.
    assert!(dataset("userblock.h5", "{ dataset = 'other' }").info().ids.is_none());
    let found = dataset("refused.h5", "{ dataset = 'large', ids_dataset = 'negative' }");
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..1, batch_rows: 7 });
    let error = found.read(&scan, &found.pieces(&scan)[0], &pool).unwrap().next().unwrap().unwrap_err();
    assert!(error.to_string().ends_with("row 0: expected an id of at least 0, found -5"), "{error}");
}

#[test]
fn what_is_no_dataset_of_vectors() {
    let all = "`bools` an enumeration (2, 3), `complex` a compound type (2, 3), `cube` f32 (2, 3, 4), `empty` f32 (0, 3), \
               `flat` f32 (6), `half` f32 (8, 2), `large` i64 (2, 2), `lzf` f32 (4, 2) and 3 more";
    let line = format!("refused.h5: expected a dataset `x`, found {all}");
    let help = "name one of these, with the groups it is in: dataset = \"group/name\"";
    let error = refuse("{ dataset = 'x' }", &line, help);
    assert_eq!(error.kind(), ErrorKind::Request);
    let line = "refused.h5: expected one dataset of two dimensions, found `empty` f32 (0, 3), `half` f32 (8, 2), `large` i64 \
                (2, 2), `lzf` f32 (4, 2), `unwritten` f32 (4, 2)";
    refuse(
        "{}",
        line,
        "say which, such as --vector-column empty, or dataset = \"empty\" in [source] of a pipeline",
    );
    let reshape = "name another dataset, or reshape it where it is written";
    let line = "refused.h5: expected 2 dimensions, rows and values, found ";
    refuse("{ dataset = 'flat' }", &format!("{line}`flat` f32 (6)"), reshape);
    refuse("{ dataset = 'cube' }", &format!("{line}`cube` f32 (2, 3, 4)"), reshape);
    let help = "write it as float32 or another type of numbers, or name another dataset";
    refuse(
        "{ dataset = 'bools' }",
        "refused.h5: dataset `bools`: expected numbers, found an enumeration",
        help,
    );
    refuse(
        "{ dataset = 'complex' }",
        "refused.h5: dataset `complex`: expected numbers, found a compound type",
        help,
    );
    let help = "write it again with compression=\"gzip\" or none; h5repack -f GZIP=1 OLD NEW does it as well";
    let line = "refused.h5: dataset `lzf`: expected gzip, shuffle or fletcher32, found lzf";
    assert_eq!(refuse("{ dataset = 'lzf' }", line, help).kind(), ErrorKind::Unsupported);
    let help =
        "the program that wrote the file did not finish: write it again, without rows that are to come";
    let line =
        "refused.h5: dataset `unwritten`: expected values, found that none of its values were ever written";
    refuse("{ dataset = 'unwritten' }", line, help);
    let line = "refused.h5: dataset `half`: expected values, found that no values of row 4 were ever written";
    refuse("{ dataset = 'half' }", line, help);
    let line = "refused.h5: expected 2 ids, integers of one dimension, found `flat` f32 (6)";
    let help = "name another dataset, or leave ids_dataset away: rows are numbered";
    refuse("{ dataset = 'large', ids_dataset = 'flat' }", line, help);

    assert_eq!(dataset("refused.h5", "{ dataset = 'empty' }").info().rows.exact(), Some(0));
    let error = read(&*dataset("refused.h5", "{ dataset = 'large' }"), 1).unwrap_err();
    let line = "row 1, column 1: expected a value that fits f32, found 16777217 (i64)";
    assert!(error.to_string().ends_with(line), "{error}");
    let asked = open("hdf5", &Input { dim: Some(3), ..Input::new(path("contiguous.h5")) });
    let line = "contiguous.h5: dataset `vectors`: expected dimension 3, as asked for, found 5";
    assert_refused(asked, &folder(), line, "leave --dimension away: the file says it");
}

#[test]
fn damaged_files() {
    let dir = tempdir().unwrap();
    let written = |bytes: &[u8]| {
        let path = dir.path().join("a.h5");
        std::fs::write(&path, bytes).unwrap();
        open_with("hdf5", "{ dataset = 'chunks/all' }", &Input::new(path))
    };
    let whole = std::fs::read(path("old.h5")).unwrap();
    let line =
        format!("a.h5: expected {} bytes, as its superblock says, found {}", whole.len(), whole.len() - 1);
    let help = "the file was cut short, or its writer did not close it: copy or write it again";
    assert_refused(written(&whole[..whole.len() - 1]), dir.path(), &line, help);
    let error = written(b"no HDF5 at all").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("byte 0: expected the magic number of HDF5 (`\\x89HDF`), found other bytes")
    );
    // The checksum of a chunk tells, or a header does, or it is a byte that is not read.
    let mut told = 0;
    for at in (0..whole.len()).step_by(23) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        if let Err(error) = written(&damaged).and_then(|dataset| read(&*dataset, 4)) {
            told += u32::from(error.to_string().contains("dataset `chunks/all`: chunk of row"));
        }
    }
    assert!(told > 2, "{told} damages of chunks were told");
}

#[test]
fn they_are_told_by_content() {
    let named = path("x.bin");
    let probe = |head: &[u8]| {
        let probe = readers::Probe { head, len_bytes: head.len() as u64, path: &named, dim: None };
        (readers::format_called("h5").unwrap().probe)(&probe)
    };
    let file = std::fs::read(path("contiguous.h5")).unwrap();
    assert!(matches!(probe(&file), Score::Yes(Score::CERTAIN, _)));
    let file = std::fs::read(path("userblock.h5")).unwrap();
    assert!(matches!(probe(&file), Score::Yes(Score::MAGIC, _)));
    assert_eq!(probe(&file[1..]), Score::No);
    assert_eq!(probe(b""), Score::No);
}
