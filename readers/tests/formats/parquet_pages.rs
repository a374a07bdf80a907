//! Parquet read page by page gives what the ordinary reader gives, bit by bit and word by word.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use readers::arrow_array::types::{Float16Type, Float32Type, Float64Type, Int8Type};
use readers::arrow_array::{ArrayRef, Int64Array, StringArray};
use readers::formats::ColumnOptions;
use readers::internals::{ParquetReading, open_parquet};
use readers::{BufferPool, Error, Input, Scan};
use tempfile::tempdir;

use super::parquet::write;
use super::tables::{fixed, lists, lists_of, number, table};

/// What came: values, ids and further columns as text, and how many rows were read in which way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    values: Vec<u32>,
    others: Vec<String>,
}

struct Way {
    outcome: Result<Rows, String>,
    by_pages: u64,
    ordinary: u64,
}

fn read(
    path: &Path,
    reading: ParquetReading,
    options: &ColumnOptions,
    rows: &(u64, u64),
    batch: usize,
) -> Way {
    let mut way = Way { outcome: Ok(Rows::default()), by_pages: 0, ordinary: 0 };
    let (dataset, counts) = match open_parquet(&Input::new(path), options, reading) {
        Ok(opened) => opened,
        Err(error) => return Way { outcome: Err(error.to_string()), ..way },
    };
    let all = dataset.info().rows.exact().unwrap();
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: rows.0.min(all)..rows.1.min(all), batch_rows: batch });
    let mut found = Rows::default();
    let read = || -> Result<(), Error> {
        for piece in dataset.pieces(&scan) {
            let mut next = piece.rows.start;
            for batch in dataset.read(&scan, &piece, &pool)? {
                let batch = batch?;
                assert_eq!(batch.first_row(), next);
                assert!(batch.rows() <= scan.batch_rows);
                next = batch.row_range().end;
                found.values.extend(batch.values().iter().map(|value| value.to_bits()));
                found.others.extend((0..batch.rows()).map(|row| {
                    let payload =
                        batch.payload().map(|payload| format!("{:?}", payload.slice(row, 1).columns()));
                    format!("{} {payload:?}", batch.ids().get(row))
                }));
                pool.put(batch.into_values());
            }
            assert_eq!(next, piece.rows.end);
        }
        Ok(())
    };
    let outcome = { read }();
    way.outcome = outcome.map(|()| found).map_err(|error| error.to_string());
    (way.by_pages, way.ordinary) =
        (counts.by_pages.load(Ordering::Relaxed), counts.ordinary.load(Ordering::Relaxed));
    way
}

const ORDINARY: ParquetReading = ParquetReading { by_pages: false, part_values: None };

/// Reads rows in both ways, with row groups in small parts and in large ones, and gives what came page by page.
#[track_caller]
fn same(path: &Path, options: &ColumnOptions, rows: (u64, u64), how: &str) -> Way {
    let ordinary = read(path, ORDINARY, options, &rows, 7);
    assert_eq!(ordinary.by_pages, 0);
    let mut last = None;
    for (part_values, batch) in [(None, 7), (Some(1), 3), (Some(40), 7), (Some(90), 50)] {
        let way = read(path, ParquetReading { by_pages: true, part_values }, options, &rows, batch);
        assert_eq!(way.outcome, ordinary.outcome, "{how}, parts of {part_values:?}, batches of {batch}");
        last = Some(way);
    }
    last.unwrap()
}

/// The same, and every row comes page by page.
#[track_caller]
fn same_by_pages(path: &Path, options: &ColumnOptions, rows: (u64, u64), how: &str) {
    let way = same(path, options, rows, how);
    let count = way.outcome.as_ref().unwrap().others.len() as u64;
    assert_eq!((way.by_pages, way.ordinary), (count, 0), "{how}: the pages were not read");
}

#[test]
fn every_way_of_writing_is_read_page_by_page() {
    let (rows, dim) = (150, 6);
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row * row)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("t{row}"))));
    let all = ColumnOptions { payload: Some(serde_json::from_str("\"all\"").unwrap()), ..Default::default() };
    let kinds: [(&str, ArrayRef); 4] = [
        ("list", lists_of::<Float32Type>(rows, dim, f32::from)),
        ("fixed", fixed(rows, dim)),
        ("f64", lists_of::<Float64Type>(rows, dim, |value| f64::from(value) / 3.0)),
        ("f16", lists_of::<Float16Type>(rows, dim, |value| f16::from_f32(f32::from(value)))),
    ];
    let encodings = [None, Some(Encoding::PLAIN), Some(Encoding::BYTE_STREAM_SPLIT)];
    let codecs =
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::try_new(1).unwrap())];
    for (kind, vectors) in kinds {
        let tables = [
            table(vec![("v", Arc::clone(&vectors))]),
            table(vec![("id", Arc::clone(&ids)), ("v", vectors), ("text", Arc::clone(&texts))]),
        ];
        for (encoding, codec) in encodings.iter().flat_map(|e| codecs.iter().map(move |c| (e, c))) {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                for (page_rows, group_rows) in [(1, 150), (11, 150), (11, 40), (1000, 1000)] {
                    let mut properties = WriterProperties::builder()
                        .set_writer_version(version)
                        .set_compression(*codec)
                        .set_dictionary_enabled(encoding.is_none())
                        .set_write_batch_size(6)
                        .set_data_page_row_count_limit(page_rows)
                        .set_max_row_group_row_count(Some(group_rows));
                    if let Some(encoding) = encoding {
                        properties = properties.set_encoding(*encoding);
                    }
                    // Texts have no such encoding.
                    let few = if *encoding == Some(Encoding::BYTE_STREAM_SPLIT) { 1 } else { 2 };
                    for (number, table) in tables[..few].iter().enumerate() {
                        let how = format!(
                            "{kind} {number} {encoding:?} {codec:?} {version:?} {page_rows} {group_rows}"
                        );
                        write(&path, std::slice::from_ref(table), properties.clone());
                        same_by_pages(&path, &all, (0, 150), &how);
                        same_by_pages(&path, &all, (40, 120), &how);
                        same_by_pages(&path, &all, (77, 78), &how);
                        same_by_pages(&path, &all, (150, 150), &how);
                    }
                }
            }
        }
    }
}

/// A page as a test wants it: the lengths of the lists that begin in it, and how many values of the last one before.
struct Written {
    rest: usize,
    lists: Vec<usize>,
}

/// Numbers below 2^14.
fn varint(value: usize) -> Vec<u8> {
    let byte = |value: usize| u8::try_from(value).unwrap();
    if value < 128 { vec![byte(value)] } else { vec![byte(value % 128 + 128), byte(value / 128)] }
}

/// A file of one row group of `rows` rows whose pages are these, with levels in packed bits or in runs.
fn write_pages(path: &Path, rows: usize, pages: &[Written], in_runs: bool) {
    let schema = "message m { required group v (LIST) { repeated group list { required float element; } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(path).unwrap();
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::new())).unwrap();
    let column = file.schema_descr().column(0);
    assert_eq!(column.physical_type(), Type::FLOAT);
    let mut chunk = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut chunk);
    let (mut count, mut bytes) = (0usize, 0);
    for page in pages {
        let ones = |len: usize| std::iter::repeat_n(1u8, len);
        let levels: Vec<u8> = ones(page.rest)
            .chain(page.lists.iter().flat_map(|&len| [0].into_iter().chain(ones(len.saturating_sub(1)))))
            .collect();
        let values: Vec<u8> = (count..count + levels.len())
            .flat_map(|at| f32::from(number(at, at / 7)).to_le_bytes())
            .collect();
        count += levels.len();
        let mut repetition = Vec::new();
        if in_runs {
            levels.iter().for_each(|&level| repetition.extend([2, level]));
        } else {
            repetition.extend(varint(levels.len().div_ceil(8) << 1 | 1));
            repetition.extend(
                levels.chunks(8).map(|eight| eight.iter().rev().fold(0u8, |byte, &bit| byte << 1 | bit)),
            );
        }
        let mut definition = varint(levels.len() << 1);
        definition.push(1);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let body = [&len(&repetition)[..], &repetition, &len(&definition), &definition, &values].concat();
        let size = body.len();
        let page = Page::DataPage {
            buf: Bytes::from(body),
            num_values: u32::try_from(levels.len()).unwrap(),
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        bytes += writer.write_page(CompressedPage::new(page, size)).unwrap().bytes_written;
    }
    let signed = |value: u64| i64::try_from(value).unwrap();
    let metadata = ColumnChunkMetaData::builder(column)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_num_values(signed(count as u64))
        .set_total_compressed_size(signed(bytes))
        .set_total_uncompressed_size(signed(bytes))
        .set_data_page_offset(0)
        .build()
        .unwrap();
    let close = ColumnCloseResult {
        bytes_written: bytes,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    let mut group = file.next_row_group().unwrap();
    group.append_column(&Bytes::from(chunk.into_inner().unwrap()), close).unwrap();
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn pages_end_within_rows() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let options = ColumnOptions::default();
    // Rows of five values, cut every seven values, every three, and one page in the middle of a row.
    for size in [7, 3, 1, 9, 200] {
        let (rows, dim) = (20, 5);
        let mut pages = Vec::new();
        for start in (0..rows * dim).step_by(size) {
            let end = (start + size).min(rows * dim);
            let first = start.next_multiple_of(dim).min(end);
            let lists = (first..end).step_by(dim).map(|at| dim.min(end - at)).collect();
            pages.push(Written { rest: first - start, lists });
        }
        for in_runs in [false, true] {
            write_pages(&path, rows, &pages, in_runs);
            let how = format!("pages of {size} values, runs {in_runs}");
            same_by_pages(&path, &options, (0, 20), &how);
            same_by_pages(&path, &options, (3, 17), &how);
            same_by_pages(&path, &options, (19, 20), &how);
        }
    }
}

#[test]
fn files_of_pyarrow_are_read_page_by_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/parquet_pages");
    for name in [
        "mid_row_pages",
        "mid_row_dictionary",
        "falls_back_to_plain",
        "version_2",
        "split",
        "checksums",
        "doubles",
        "halves",
        "groups",
    ] {
        for rows in [(0, 40), (7, 31), (19, 20)] {
            same_by_pages(&folder.join(name), &ColumnOptions::default(), rows, name);
        }
    }
    for (name, line) in [
        ("null_row", "row 22: expected a vector, found null"),
        ("null_value", "row 22, column 2: expected a number, found null"),
        ("long_row", "row 22: expected a vector of 5 values, found 10"),
    ] {
        let way = same(&folder.join(name), &ColumnOptions::default(), (0, 40), name);
        assert!(way.outcome.unwrap_err().contains(line), "{name}");
        same(&folder.join(name), &ColumnOptions::default(), (23, 40), name);
    }
}

/// Rows of other lengths that add up: their places cannot be told from the number of values alone.
#[test]
fn rows_that_only_add_up_are_found_out() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let options = ColumnOptions::default();
    let two = |rest, lists: &[usize]| Written { rest, lists: lists.to_vec() };
    for (pages, line) in [
        // A row twice as long, and the page ends where a row of the right length would.
        (
            vec![two(0, &[2, 2, 2]), two(2, &[2, 2]), two(0, &[1, 1, 2])],
            "row 2: expected a vector of 2 values, found 4",
        ),
        (
            vec![two(0, &[2, 2]), two(0, &[2]), two(2, &[1, 1, 2])],
            "row 2: expected a vector of 2 values, found 4",
        ),
        (vec![two(0, &[2, 3, 1, 2, 2])], "row 1: expected a vector of 2 values, found 3"),
        (vec![two(0, &[2, 2]), two(0, &[2, 2, 1, 1])], "row 4: expected a vector of 2 values, found 1"),
    ] {
        let rows = pages.iter().map(|page| page.lists.len()).sum::<usize>();
        write_pages(&path, rows, &pages, false);
        for start in 0..rows as u64 {
            for end in start..=rows as u64 {
                let way = same(&path, &options, (start, end), &format!("{line}, rows {start}..{end}"));
                if (start, end) == (0, rows as u64) {
                    assert!(way.outcome.unwrap_err().contains(line));
                }
            }
        }
    }
}

#[test]
fn bad_rows_have_the_words_of_the_ordinary_reader() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let options = ColumnOptions::default();
    let good: &[Option<f32>] = &[Some(1.0), Some(2.0)];
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for bad in
            [None, Some(&[][..]), Some(&[Some(1.0), None]), Some(&[Some(1.0); 3]), Some(&[Some(1.0); 4])]
        {
            for at in [1, 16, 17, 39] {
                let mut rows = vec![Some(good); 40];
                rows[at] = bad;
                let properties = WriterProperties::builder()
                    .set_writer_version(version)
                    .set_write_batch_size(4)
                    .set_data_page_row_count_limit(4)
                    .set_max_row_group_row_count(Some(30));
                write(&path, &[table(vec![("v", lists(&rows))])], properties);
                let way = same(&path, &options, (0, 40), &format!("{bad:?} in row {at}"));
                let message = way.outcome.unwrap_err();
                assert!(message.contains(&format!("row {at}")), "{message}");
                same(&path, &options, (at as u64 + 1, 40), "behind it");
                same(&path, &options, (0, at as u64), "before it");
            }
        }
    }
}

#[test]
fn other_types_are_left_to_the_ordinary_reader() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let integers = lists_of::<Int8Type>(40, 3, |value| value);
    write(&path, &[table(vec![("v", integers)])], WriterProperties::builder());
    let way = same(&path, &ColumnOptions::default(), (0, 40), "integers");
    assert_eq!((way.by_pages, way.ordinary), (0, 40));
}

#[test]
fn damaged_files_give_what_the_ordinary_reader_gives() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let options = ColumnOptions::default();
    let vectors = lists_of::<Float32Type>(24, 3, f32::from);
    for (version, dictionary, codec) in [
        (WriterVersion::PARQUET_1_0, false, Compression::UNCOMPRESSED),
        (WriterVersion::PARQUET_1_0, true, Compression::SNAPPY),
        (WriterVersion::PARQUET_2_0, true, Compression::UNCOMPRESSED),
        (WriterVersion::PARQUET_2_0, false, Compression::ZSTD(ZstdLevel::try_new(1).unwrap())),
    ] {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_dictionary_enabled(dictionary)
            .set_compression(codec)
            .set_write_batch_size(3)
            .set_data_page_row_count_limit(5)
            .set_max_row_group_row_count(Some(14));
        let file = std::fs::File::create(&path).unwrap();
        let table = table(vec![("v", Arc::clone(&vectors))]);
        let mut writer = ArrowWriter::try_new(file, table.schema(), Some(properties.build())).unwrap();
        writer.write(&table).unwrap();
        writer.close().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for mask in [0xff, 1 << (at % 8)] {
                let mut damaged = whole.clone();
                damaged[at] ^= mask;
                std::fs::write(&path, &damaged).unwrap();
                let ordinary = read(&path, ORDINARY, &options, &(0, 24), 7).outcome;
                for part_values in [None, Some(9)] {
                    let pages = ParquetReading { by_pages: true, part_values };
                    let found = read(&path, pages, &options, &(0, 24), 7).outcome;
                    assert_eq!(
                        found.ok(),
                        ordinary
                            .as_ref()
                            .ok()
                            .map(|rows| Rows { values: rows.values.clone(), others: rows.others.clone() }),
                        "{version:?} {codec:?}: byte {at} changed by {mask:#x}"
                    );
                }
            }
        }
    }
}
