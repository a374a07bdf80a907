//! Arrow files and streams: what is read, in place or not, and what is refused.

use std::path::Path;
use std::sync::Arc;

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use half::f16;
use readers::arrow_array::types::{Float16Type, Float32Type, Float64Type, Int32Type};
use readers::arrow_array::{Array, ArrayRef, DictionaryArray, FixedSizeListArray, Int64Array, RecordBatch};
use readers::arrow_buffer::NullBuffer;
use readers::conformance::check;
use readers::{BufferPool, DType, Dataset, Error, Input, Io, Rows, Scan};
use tempfile::tempdir;

use super::tables::{expected, fixed, lists, lists_of, table};
use super::{assert_refused, open, open_with, read};

const KINDS: [&str; 2] = ["arrow", "arrow_stream"];

fn write(kind: &str, path: &Path, tables: &[RecordBatch], compression: Option<CompressionType>) {
    let file = std::fs::File::create(path).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let schema = tables[0].schema();
    if kind == "arrow" {
        let mut writer = FileWriter::try_new_with_options(file, &schema, options).unwrap();
        tables.iter().for_each(|table| writer.write(table).unwrap());
        writer.finish().unwrap();
    } else {
        let mut writer = StreamWriter::try_new_with_options(file, &schema, options).unwrap();
        tables.iter().for_each(|table| writer.write(table).unwrap());
        writer.finish().unwrap();
    }
}

fn ids(rows: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 3)))
}

/// A table in two or three record batches.
fn halves(table: &RecordBatch, at: usize) -> [RecordBatch; 3] {
    [table.slice(0, at), table.slice(at, 0), table.slice(at, table.num_rows() - at)]
}

#[test]
fn arrow_files_and_streams_conform() {
    let dir = tempdir().unwrap();
    for kind in KINDS {
        let path = dir.path().join("a.arrow");
        write(kind, &path, &[table(vec![("v", fixed(11, 3))])], None);
        check(kind, &path, None);
        let whole = table(vec![("id", ids(23)), ("v", lists_of::<Float32Type>(23, 3, f32::from))]);
        write(kind, &path, &halves(&whole, 9), None);
        check(kind, &path, Some(3));
        write(kind, &path, &halves(&table(vec![("v", fixed(23, 3))]), 9), Some(CompressionType::ZSTD));
        check(kind, &path, None);
        write(kind, &path, &[table(vec![("v", fixed(0, 3))])], None);
        check(kind, &path, None);
    }
}

#[test]
fn every_type_and_compression_gives_the_same() {
    let (rows, dim) = (40, 6);
    let dir = tempdir().unwrap();
    let arrays: [(ArrayRef, DType); 5] = [
        (fixed(rows, dim), DType::F32),
        (lists_of::<Float32Type>(rows, dim, f32::from), DType::F32),
        (lists_of::<Float16Type>(rows, dim, |v| f16::from_f32(f32::from(v))), DType::F16),
        (lists_of::<Float64Type>(rows, dim, f64::from), DType::F64),
        (lists_of::<Int32Type>(rows, dim, i32::from), DType::I32),
    ];
    for kind in KINDS {
        let path = dir.path().join("a.any");
        for (array, dtype) in &arrays {
            for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
                let whole = table(vec![("id", ids(40)), ("v", Arc::clone(array))]);
                write(kind, &path, &halves(&whole, 13), compression);
                let dataset = readers::open(&Input::new(&path)).unwrap();
                let info = dataset.info();
                assert_eq!((info.format, info.dim, info.dtype), (kind, dim, *dtype));
                assert_eq!((info.rows, info.ids.is_some()), (Rows::Exact(rows as u64), true));
                assert_eq!(read(&*dataset, 5).unwrap(), expected(rows, dim), "{kind} {dtype}");
                assert_eq!(dataset.info().files, std::slice::from_ref(&path));
            }
        }
    }
}

#[test]
fn lists_of_one_length_are_used_in_place() {
    let dir = tempdir().unwrap();
    for kind in KINDS {
        let path = dir.path().join("a.any");
        let whole = table(vec![("text", ids(40)), ("v", fixed(40, 6))]);
        write(kind, &path, std::slice::from_ref(&whole), None);
        let of = |io| open(kind, &Input { io, ..Input::new(&path) }).unwrap();
        let matrix = of(Io::Mmap).matrix().unwrap();
        assert_eq!(matrix.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected(40, 6));
        assert!(of(Io::Read).matrix().is_none());
        write(kind, &path, &halves(&whole, 9), None);
        assert!(of(Io::Mmap).matrix().is_none());
        let (pool, scan) = (BufferPool::new(), Scan { rows: 0..40, batch_rows: 100 });
        let dataset = of(Io::Mmap);
        assert_eq!(dataset.pieces(&scan).len(), 2);
        for piece in dataset.pieces(&scan) {
            for batch in dataset.read(&scan, &piece, &pool).unwrap() {
                assert!(
                    batch.unwrap().into_values().into_inner().into_vec::<f32>().is_err(),
                    "it was copied"
                );
            }
        }
    }
}

#[test]
fn bad_rows_are_named() {
    let dir = tempdir().unwrap();
    let good: &[Option<f32>] = &[Some(1.0), Some(2.0)];
    let mut rows = vec![Some(good); 20];
    rows[16] = Some(&[Some(3.0)]);
    let (field, size, values, _) =
        fixed(20, 2).as_any().downcast_ref::<FixedSizeListArray>().unwrap().clone().into_parts();
    let nulls = NullBuffer::from_iter((0..20).map(|row| row != 16));
    let holes: ArrayRef = Arc::new(FixedSizeListArray::new(field, size, values, Some(nulls)));
    for kind in KINDS {
        let path = dir.path().join("a.any");
        let refused = |array: ArrayRef, line: &str, help: &str| {
            write(kind, &path, &halves(&table(vec![("v", array)]), 9), None);
            let values = open(kind, &Input::new(&path)).and_then(|dataset| read(&*dataset, 4));
            assert_refused(values, dir.path(), &format!("a.any: {line}"), help);
        };
        let line = "row 16: expected a vector of 2 values, found 1";
        refused(lists(&rows), line, "all vectors must have the same length: look at what was written");
        let line = "row 16: expected a vector, found null";
        refused(Arc::clone(&holes), line, "leave such rows out in the program that writes the file");
    }
}

#[test]
fn payload_with_dictionaries() {
    let words: DictionaryArray<Int32Type> = (0..9).map(|row| ["a", "b", "c"][row % 3]).collect();
    let dir = tempdir().unwrap();
    for kind in KINDS {
        let path = dir.path().join("a.any");
        let whole = table(vec![("word", Arc::new(words.clone())), ("v", fixed(9, 3))]);
        write(kind, &path, &[whole], None);
        let dataset = open_with(kind, "{ payload = 'all' }", &Input::new(&path)).unwrap();
        let (pool, scan) = (BufferPool::new(), Scan { rows: 0..9, batch_rows: 4 });
        let pieces = dataset.pieces(&scan);
        let batches = dataset.read(&scan, &pieces[0], &pool).unwrap();
        let first = batches.map(Result::unwrap).next().unwrap();
        assert_eq!(first.payload().unwrap().column(0).to_data(), words.slice(0, 4).to_data());
    }
}

#[test]
fn files_that_are_none() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    let refuse = |kind: &str, bytes: &[u8], line: &str, help: &str| {
        std::fs::write(&path, bytes).unwrap();
        let opened: Result<Box<dyn Dataset>, Error> = open(kind, &Input::new(&path));
        assert_refused(opened, dir.path(), &format!("a.arrow: {line}"), help);
    };
    let stream = "if it is a stream, say --format arrow_stream";
    refuse("arrow", b"", "byte 0: expected the magic number `ARROW1`, found an empty file", stream);
    let feather =
        "write it as version 2: pyarrow.feather.write_feather(pyarrow.feather.read_table(OLD), NEW)";
    let line = "expected an Arrow file, found Feather version 1 (`FEA1`)";
    refuse("arrow", b"FEA1....FEA1", line, feather);
    write("arrow", &path, &[table(vec![("v", fixed(9, 3))])], None);
    let whole = std::fs::read(&path).unwrap();
    let cut = "the file was cut short, or its writer did not finish: copy or write it again";
    let line =
        format!("byte {}: expected the magic number `ARROW1` at the end, found other bytes", whole.len() - 7);
    refuse("arrow", &whole[..whole.len() - 1], &line, cut);
    refuse(
        "arrow_stream",
        &whole,
        "byte 0: expected an Arrow stream, found an Arrow file",
        "say --format arrow",
    );

    write("arrow_stream", &path, &[table(vec![("v", fixed(9, 3))])], None);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole[whole.len() - 8..], [255, 255, 255, 255, 0, 0, 0, 0]);
    let end = whole.len() - 8;
    let cut = "the stream was cut short: copy or write it again";
    let line = format!(
        "byte {end}: expected a message or the end marker FFFFFFFF 00000000, found the end of the file"
    );
    refuse("arrow_stream", &whole[..end], &line, cut);
    refuse("arrow_stream", &whole[..end + 5], &line, cut);
    std::fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
    let dataset = open("arrow_stream", &Input::new(&path)).unwrap();
    assert_eq!(dataset.info().notes[0], "4 bytes after the end of the stream are ignored");
}

/// A buffer that says it unpacks to more than there can be is refused before memory is asked for.
#[test]
fn sizes_that_nobody_believes() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    write(
        "arrow_stream",
        &path,
        &[table(vec![("v", lists_of::<Int32Type>(900, 3, i32::from))])],
        Some(CompressionType::ZSTD),
    );
    let mut bytes = std::fs::read(&path).unwrap();
    // The prefix of the compressed values: their size, 900 * 3 * 4, just before a frame of zstd.
    let size = 10_800u64.to_le_bytes();
    let frame = [0x28, 0xb5, 0x2f, 0xfd];
    let at = bytes.windows(12).position(|window| window[..8] == size && window[8..] == frame).unwrap();
    bytes[at..at + 8].copy_from_slice(&(1u64 << 45).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = open("arrow_stream", &Input::new(&path)).unwrap_err();
    assert!(
        error.to_string().contains("expected a believable size of compressed data, found 35184372"),
        "{error}"
    );
}
