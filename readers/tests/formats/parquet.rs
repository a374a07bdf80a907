//! Parquet files: what is read, from which column, and what is refused.

use std::path::Path;
use std::sync::Arc;

use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use readers::arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
};
use readers::arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, StructArray, UInt64Array,
};
use readers::arrow_schema::Field;
use readers::conformance::check;
use readers::formats::ColumnOptions;
use readers::internals::{ParquetReading, open_parquet};
use readers::{BufferPool, DType, Dataset, Error, Ids, Input, Rows, Scan};
use tempfile::tempdir;

use super::tables::{expected, fixed, lists, lists_of, number, table};
use super::{assert_refused, open, open_with, read};

pub(crate) fn write(path: &Path, tables: &[RecordBatch], properties: WriterPropertiesBuilder) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, tables[0].schema(), Some(properties.build())).unwrap();
    for table in tables {
        writer.write(table).unwrap();
    }
    writer.close().unwrap();
}

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

/// Opens a table that was written with small row groups.
fn opened(
    table: RecordBatch,
    options: &str,
    dim: Option<usize>,
) -> (tempfile::TempDir, Result<Box<dyn Dataset>, Error>) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, &[table], plain().set_max_row_group_row_count(Some(7)));
    let dataset = open_with("parquet", options, &Input { dim, ..Input::new(&path) });
    (dir, dataset)
}

#[track_caller]
fn refuse(table: RecordBatch, options: &str, line: &str, help: &str) {
    let (dir, dataset) = opened(table, options, None);
    let values = dataset.and_then(|dataset| read(&*dataset, 3));
    assert_refused(values, dir.path(), &format!("a.parquet: {line}"), help);
}

fn floats(rows: usize, dim: usize) -> ArrayRef {
    lists_of::<Float32Type>(rows, dim, f32::from)
}

fn numbers(rows: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * row)))
}

fn ids_of(dataset: &dyn Dataset) -> Vec<u64> {
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows: 4 });
    let mut ids = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            assert!(matches!(batch.ids(), Ids::U64(_)));
            ids.extend((0..batch.rows()).map(|row| batch.ids().get(row)));
        }
    }
    ids
}

#[test]
fn parquet_conforms() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let with_ids = table(vec![("id", numbers(23)), ("emb", floats(23, 5))]);
    write(&path, &[with_ids], plain().set_max_row_group_row_count(Some(10)));
    check("parquet", &path, None);
    check("parquet", &path, Some(5));
    write(&path, &[table(vec![("emb", fixed(5, 3))])], plain());
    check("parquet", &path, None);
    write(&path, &[table(vec![("emb", fixed(0, 3))])], plain());
    check("parquet", &path, None);
}

#[test]
fn every_type_encoding_and_compression_gives_the_same() {
    let (rows, dim) = (300, 6);
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let arrays: [(ArrayRef, DType); 9] = [
        (floats(rows, dim), DType::F32),
        (fixed(rows, dim), DType::F32),
        (lists_of::<Float16Type>(rows, dim, |v| f16::from_f32(f32::from(v))), DType::F16),
        (lists_of::<Float64Type>(rows, dim, f64::from), DType::F64),
        (lists_of::<Int8Type>(rows, dim, |v| v), DType::I8),
        (lists_of::<UInt8Type>(rows, dim, |v| v.unsigned_abs()), DType::U8),
        (lists_of::<Int16Type>(rows, dim, i16::from), DType::I16),
        (lists_of::<Int32Type>(rows, dim, i32::from), DType::I32),
        (lists_of::<Int64Type>(rows, dim, i64::from), DType::I64),
    ];
    let properties = [
        plain(),
        plain().set_dictionary_enabled(false),
        plain().set_dictionary_enabled(false).set_writer_version(WriterVersion::PARQUET_2_0),
        plain().set_writer_version(WriterVersion::PARQUET_2_0).set_compression(Compression::SNAPPY),
        plain().set_compression(Compression::ZSTD(Default::default())).set_data_page_row_count_limit(11),
        plain().set_compression(Compression::GZIP(Default::default())),
        plain().set_compression(Compression::BROTLI(Default::default())),
        plain().set_compression(Compression::LZ4_RAW),
    ];
    for (array, dtype) in arrays {
        for (number, properties) in properties.iter().enumerate() {
            let properties =
                properties.clone().set_max_row_group_row_count(Some(120)).set_write_batch_size(16);
            write(&path, &[table(vec![("emb", Arc::clone(&array))])], properties);
            let dataset = open("parquet", &Input::new(&path)).unwrap();
            assert_eq!((dataset.info().dim, dataset.info().dtype), (dim, dtype));
            assert_eq!(dataset.info().rows, Rows::Exact(rows as u64));
            let values = read(&*dataset, 50).unwrap();
            let mut expected = expected(rows, dim);
            if dtype == DType::U8 {
                expected.iter_mut().for_each(|bits| *bits &= 0x7fff_ffff);
            }
            assert_eq!(values, expected, "{dtype} {number}");
        }
    }
    let split = plain().set_dictionary_enabled(false).set_encoding(Encoding::BYTE_STREAM_SPLIT);
    write(&path, &[table(vec![("emb", floats(rows, dim))])], split);
    assert_eq!(read(&*open("parquet", &Input::new(&path)).unwrap(), 50).unwrap(), expected(rows, dim));
}

#[test]
fn the_vector_column_is_chosen() {
    let wrap = |array: ArrayRef| -> ArrayRef {
        let field = Arc::new(Field::new("values", array.data_type().clone(), true));
        Arc::new(StructArray::new(vec![field].into(), vec![array], None))
    };
    let others = || lists_of::<Int32Type>(9, 2, i32::from);
    for (columns, options) in [
        (vec![("x", floats(9, 3))], "{}"),
        (vec![("id", numbers(9)), ("x", floats(9, 3))], "{}"),
        (vec![("tokens", others()), ("emb", floats(9, 3))], "{}"),
        (vec![("tokens", others()), ("title_embedding", floats(9, 3))], "{}"),
        (vec![("emb", others()), ("vector", floats(9, 3))], "{ vector_column = 'vector' }"),
        (vec![("emb", others()), ("a.b", floats(9, 3))], "{ vector_column = 'a.b' }"),
        (vec![("id", numbers(9)), ("v", wrap(floats(9, 3)))], "{ vector_column = 'v.values' }"),
        (vec![("id", numbers(9)), ("v", wrap(wrap(floats(9, 3))))], "{ vector_column = 'v.values.values' }"),
    ] {
        let (_dir, dataset) = opened(table(columns), options, None);
        assert_eq!(read(&*dataset.unwrap(), 4).unwrap(), expected(9, 3), "{options}");
    }
    let two = || table(vec![("emb", others()), ("vector", floats(9, 3)), ("text", numbers(9))]);
    let name = "name one with --vector-column: emb (list of i32), vector (list of f32)";
    refuse(two(), "{}", "expected one column of vectors, found 2 columns that could be", name);
    let line = "expected the column `none` of vector_column, found emb (lists of i32), vector (lists of f32), text (i64)";
    let help = "name one of these columns, or leave vector_column away";
    refuse(two(), "{ vector_column = 'none' }", line, help);
    let line = "expected lists of numbers, found that `text` is i64";
    refuse(two(), "{ vector_column = 'text' }", line, "emb (list of i32), vector (list of f32)");
    refuse(
        table(vec![("v", wrap(floats(9, 3)))]),
        "{}",
        "expected a column of vectors at the top, found them inside structs only",
        "name one with --vector-column: v.values (list of f32)",
    );
    refuse(
        table(vec![("id", numbers(9))]),
        "{}",
        "expected a column of lists of numbers, found id (i64)",
        "vectors are columns of type list or fixed_size_list, of floats or integers",
    );
}

#[test]
fn columns_of_bytes_are_vectors_when_asked_for() {
    let rows: Vec<Vec<u8>> = (0..9)
        .map(|row| (0..3).flat_map(|column| f32::from(number(row, column)).to_le_bytes()).collect())
        .collect();
    let fixed: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(rows.iter()).unwrap());
    let varied: ArrayRef = Arc::new(BinaryArray::from_iter_values(&rows));
    for array in [fixed, Arc::clone(&varied)] {
        let (_dir, dataset) = opened(table(vec![("v", array)]), "{ dtype = 'f32' }", None);
        assert_eq!(read(&*dataset.unwrap(), 4).unwrap(), expected(9, 3));
    }
    let help = "if a column of bytes holds the vectors, say what they are: dtype = \"f32\" in [source]";
    let line = "expected a column of lists of numbers, found v (bytes)";
    refuse(table(vec![("v", Arc::clone(&varied))]), "{}", line, help);
    let line = "row 0: expected vectors that are whole f64 values, found 12 bytes";
    refuse(table(vec![("v", varied)]), "{ dtype = 'f64' }", line, "");
    let line = "expected a column of bytes, found that `v` is lists of f32";
    let help = "dtype is for columns of bytes: leave it away";
    refuse(table(vec![("v", floats(3, 2))]), "{ vector_column = 'v', dtype = 'f32' }", line, help);
}

#[test]
fn ids_come_from_a_column() {
    let squares: Vec<u64> = (0..9).map(|row| row * row).collect();
    let (_dir, dataset) = opened(table(vec![("key", numbers(9)), ("v", floats(9, 3))]), "{}", None);
    let dataset = dataset.unwrap();
    assert_eq!(ids_of(&*dataset), squares);
    assert_eq!(dataset.info().notes, ["vectors from column v", "ids from column key"]);
    let unsigned: ArrayRef = Arc::new(UInt64Array::from_iter_values(squares.iter().copied()));
    let (_dir, dataset) =
        opened(table(vec![("n", unsigned), ("v", floats(9, 3))]), "{ id_column = 'n' }", None);
    assert_eq!(ids_of(&*dataset.unwrap()), squares);

    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..9).map(|row| row.to_string())));
    // Numbers are preferred to texts.
    let (_dir, dataset) =
        opened(table(vec![("uuid", texts), ("v", floats(9, 3)), ("id", numbers(9))]), "{}", None);
    assert_eq!(ids_of(&*dataset.unwrap()), squares);
    let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true; 9]));
    let named = || table(vec![("uuid", Arc::clone(&truths)), ("v", floats(9, 3))]);
    let (_dir, dataset) = opened(named(), "{}", None);
    let dataset = dataset.unwrap();
    assert!(dataset.info().ids.is_none());
    assert_eq!(
        dataset.info().notes[1],
        "ids are row numbers: column uuid is truth values, neither integers nor strings"
    );
    let line = "expected ids that are integers (i8 to i64, u8 to u64), strings or UUIDs, found that `uuid` is truth values";
    let help = "leave --id-column away: rows are numbered, and the column can be joined by row number later";
    refuse(named(), "{ id_column = 'uuid' }", line, help);

    let both = table(vec![("id", numbers(9)), ("key", numbers(9)), ("v", floats(9, 3))]);
    let (_dir, dataset) = opened(both, "{}", None);
    let dataset = dataset.unwrap();
    assert_eq!(
        dataset.info().notes[1],
        "ids are row numbers: id, key could all be ids; --id-column says which"
    );
    let negative: ArrayRef = Arc::new(Int32Array::from_iter_values((0..9).map(|row| 7 - row)));
    let line = "row 8: expected an id of at least 0, found -1";
    let help = "name another column with --id-column, or write the ids as strings";
    refuse(table(vec![("id", negative), ("v", floats(9, 3))]), "{}", line, help);
    let holes: ArrayRef = Arc::new(Int32Array::from_iter((0..9).map(|row| (row != 4).then_some(row))));
    let line = "row 4: expected an id, found null";
    let help = "leave such rows out in the program that writes the file";
    refuse(table(vec![("id", holes), ("v", floats(9, 3))]), "{}", line, help);
}

#[test]
fn further_columns_travel_when_asked_for() {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..9).map(|row| format!("t{row}"))));
    let all = || {
        table(vec![("text", Arc::clone(&texts)), ("v", floats(9, 3)), ("id", numbers(9)), ("n", numbers(9))])
    };
    let (_dir, dataset) = opened(all(), "{}", None);
    assert_eq!(dataset.unwrap().info().payload, None);
    for (options, names) in
        [("{ payload = 'all' }", vec!["text", "n"]), ("{ payload = ['id', 'text'] }", vec!["text", "id"])]
    {
        let (_dir, dataset) = opened(all(), options, None);
        let dataset = dataset.unwrap();
        let schema = dataset.info().payload.clone().unwrap();
        assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names);
        let (pool, scan) = (BufferPool::new(), Scan { rows: 2..9, batch_rows: 4 });
        for piece in dataset.pieces(&scan) {
            for batch in dataset.read(&scan, &piece, &pool).unwrap() {
                let batch = batch.unwrap();
                let payload = batch.payload().unwrap();
                assert_eq!(payload.schema(), schema);
                let column = payload.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
                for (row, text) in (batch.first_row()..).zip(&column) {
                    assert_eq!(text, Some(format!("t{row}").as_str()));
                }
            }
        }
    }
    let line = "expected further columns as payload, found `v`, the column of vectors";
    refuse(all(), "{ payload = ['v'] }", line, "name columns at the top that are not the vectors");
    let options = toml::de::ValueDeserializer::parse("{ payload = 3 }").unwrap();
    let error = (readers::format_called("parquet").unwrap().parse)(options).unwrap_err();
    assert!(error.message().contains("expected \"all\", \"none\" or a list of column names"), "{error}");
}

/// Memory that the pool did not give must not be given to it: it would grow with the file. What it gave comes back.
#[test]
fn only_memory_of_the_pool_goes_back_to_it() {
    let (dir, _) = opened(table(vec![("v", floats(9, 3))]), "{}", None);
    let input = Input::new(dir.path().join("a.parquet"));
    for by_pages in [false, true] {
        let reading = ParquetReading { by_pages, part_values: None };
        let (dataset, _) = open_parquet(&input, &ColumnOptions::default(), reading).unwrap();
        let (pool, scan) = (BufferPool::new(), Scan { rows: 0..9, batch_rows: 4 });
        for piece in dataset.pieces(&scan) {
            for batch in dataset.read(&scan, &piece, &pool).unwrap() {
                let taken_back = batch.unwrap().into_values().into_inner().into_vec::<f32>().is_ok();
                assert_eq!(taken_back, by_pages);
            }
        }
    }
}

#[test]
fn bad_rows_are_named() {
    let good: &[Option<f32>] = &[Some(1.0), Some(2.0)];
    let mut rows = vec![Some(good); 20];
    rows[17] = None;
    let line = "row 17: expected a vector, found null";
    refuse(
        table(vec![("v", lists(&rows))]),
        "{}",
        line,
        "leave such rows out in the program that writes the file",
    );
    rows[16] = Some(&[Some(3.0), None]);
    let line = "row 16, column 1: expected a number, found null";
    let help = "leave such rows out, or write a number, in the program that writes the file";
    refuse(table(vec![("v", lists(&rows))]), "{}", line, help);
    rows[15] = Some(&[Some(1.0); 3]);
    let line = "row 15: expected a vector of 2 values, found 3";
    let help = "all vectors must have the same length: look at what was written";
    refuse(table(vec![("v", lists(&rows))]), "{}", line, help);
    rows[15] = Some(&[]);
    let line = "row 15: expected a vector of 2 values, found 0";
    refuse(table(vec![("v", lists(&rows))]), "{}", line, help);
    rows[0] = Some(&[]);
    let line = "row 0: expected at least 1 value a row, found empty lists";
    refuse(
        table(vec![("v", lists(&rows))]),
        "{}",
        line,
        "the column holds no values: look at what was written",
    );
    rows[0] = None;
    let line = "row 0: expected a vector, found null";
    refuse(
        table(vec![("v", lists(&rows))]),
        "{}",
        line,
        "leave such rows out in the program that writes the file",
    );

    let large = lists_of::<Int32Type>(9, 2, |value| if value == number(6, 1) { 16_777_217 } else { 0 });
    let line = "row 6, column 1: expected a value that fits f32, found 16777217 (i32)";
    let help = "scale or convert the values to float32 in the program that writes them";
    refuse(table(vec![("v", large)]), "{}", line, help);
}

#[test]
fn dimensions_that_do_not_fit() {
    let (dir, dataset) = opened(table(vec![("v", floats(9, 3))]), "{}", Some(4));
    let help = "leave --dimension away: the file says it";
    assert_refused(
        dataset,
        dir.path(),
        "a.parquet: row 0: expected dimension 4, as asked for, found 3",
        help,
    );
    let (dir, dataset) = opened(table(vec![("v", fixed(9, 3))]), "{}", Some(4));
    assert_refused(dataset, dir.path(), "a.parquet: expected dimension 4, as asked for, found 3", help);
    let (dir, dataset) = opened(table(vec![("v", floats(0, 3))]), "{}", None);
    let help = "give --dimension N, or write the column as a fixed_size_list";
    assert_refused(
        dataset,
        dir.path(),
        "a.parquet: expected a dimension, found no rows that would tell it",
        help,
    );
    let (_dir, dataset) = opened(table(vec![("v", floats(0, 3))]), "{}", Some(3));
    assert_eq!(dataset.unwrap().info().rows, Rows::Exact(0));
}

#[test]
fn files_that_are_none() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, &[table(vec![("v", floats(9, 3))])], plain());
    let whole = std::fs::read(&path).unwrap();
    let cut = "the file was cut short, or its writer did not finish: copy or write it again";
    let mut encrypted = whole.clone();
    let end = encrypted.len() - 4;
    encrypted[end..].copy_from_slice(b"PARE");
    for (bytes, line, help) in [
        (b"".as_slice(), "byte 0: expected the magic number `PAR1`, found an empty file".to_owned(), ""),
        (b"abcdefgh", "byte 0: expected the magic number `PAR1`, found `abcd`".to_owned(), ""),
        (
            &whole[..end],
            format!("byte {}: expected the magic number `PAR1` at the end, found other bytes", end - 4),
            cut,
        ),
        (
            &encrypted,
            "expected a readable Parquet file, found an encrypted one (`PARE`)".to_owned(),
            "decrypt it with the program that has the keys",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_refused(open("parquet", &Input::new(&path)), dir.path(), &format!("a.parquet: {line}"), help);
    }
}
