//! Vectors of one file with ids and further columns of another.

use std::sync::Arc;

use parquet::file::properties::WriterProperties;
use readers::arrow_array::types::Float32Type;
use readers::arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use readers::conformance::check_dataset;
use readers::{BufferPool, Dataset, Error, IdType, Ids, Input, Rows, Scan, Zip, format_called};
use tempfile::{TempDir, tempdir};

use super::several::{vectors, write_npy};
use super::tables::{lists_of, table};
use super::{assert_refused, bits, read};

fn metadata(first: i64, rows: i64) -> RecordBatch {
    let range = || first..first + rows;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(range().map(|row| row * 10)));
    let names = range().map(|row| (row % 3 > 0).then(|| format!("name {row}")));
    let names: ArrayRef = Arc::new(names.collect::<StringArray>());
    table(vec![("id", ids), ("name", names)])
}

fn write_parquet(dir: &TempDir, name: &str, table: RecordBatch) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7));
    super::parquet::write(&dir.path().join(name), &[table], properties);
}

fn columns(dir: &TempDir, name: &str, options: &str) -> Result<Box<dyn Dataset>, Error> {
    let input = Input { payload: true, ..Input::new(dir.path().join(name)) };
    let format = readers::detect(&input)?.format;
    let options = toml::de::ValueDeserializer::parse(options).unwrap();
    (format_called(format.name).unwrap().parse)(options).unwrap().open_columns(&input)
}

fn npy(dir: &TempDir, name: &str, first: usize, rows: usize) -> Box<dyn Dataset> {
    let path = dir.path().join(name);
    write_npy(&path, 2, &vectors(first, rows));
    readers::open(&Input::new(path)).unwrap()
}

/// The ids and names of all rows.
fn columns_of(dataset: &dyn Dataset, batch_rows: usize) -> Vec<(u64, Option<String>)> {
    let rows = dataset.info().rows.exact().unwrap();
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..rows, batch_rows });
    let mut all = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            assert!(matches!(batch.ids(), Ids::U64(_)));
            let payload = batch.payload().unwrap();
            assert_eq!(payload.schema_ref(), dataset.info().payload.as_ref().unwrap());
            let names = payload.column_by_name("name").unwrap();
            let names = names.as_any().downcast_ref::<StringArray>().unwrap().iter();
            all.extend(names.enumerate().map(|(at, name)| (batch.ids().get(at), name.map(str::to_owned))));
        }
    }
    all
}

fn expected(rows: u64) -> Vec<(u64, Option<String>)> {
    (0..rows).map(|row| (row * 10, (row % 3 > 0).then(|| format!("name {row}")))).collect()
}

#[test]
fn rows_of_both_files_belong_together() {
    let dir = tempdir().unwrap();
    write_parquet(&dir, "meta.parquet", metadata(0, 40));
    let zip = Zip::new(npy(&dir, "a.npy", 0, 40), columns(&dir, "meta.parquet", "{}").unwrap()).unwrap();
    let info = zip.info();
    assert_eq!((info.rows, info.dim, info.format, info.ids), (Rows::Exact(40), 2, "npy", Some(IdType::U64)));
    assert_eq!(info.files, ["a.npy", "meta.parquet"].map(|name| dir.path().join(name)));
    assert!(zip.matrix().is_some(), "the vectors can be used where they are");
    check_dataset(&zip);
    for batch_rows in [1, 3, 7, 100] {
        assert_eq!(read(&zip, batch_rows).unwrap(), bits(&vectors(0, 40)));
        assert_eq!(columns_of(&zip, batch_rows), expected(40));
    }
}

#[test]
fn both_sides_may_be_several_files_cut_anywhere() {
    let dir = tempdir().unwrap();
    for (number, (first, rows)) in [(0, 11), (11, 1), (12, 28)].into_iter().enumerate() {
        npy(&dir, &format!("v{number}.npy"), first, rows);
    }
    let tables: [(i64, i64); 2] = [(0, 25), (25, 15)];
    let mut parts = readers::Concat::of(2);
    for (number, (first, rows)) in tables.into_iter().enumerate() {
        let name = format!("m{number}.parquet");
        write_parquet(&dir, &name, metadata(first, rows));
        parts.push(columns(&dir, &name, "{}").unwrap(), None).unwrap();
    }
    let all = readers::open(&Input::new(dir.path().join("v*.npy"))).unwrap();
    let zip = Zip::new(all, parts.finish().unwrap()).unwrap();
    check_dataset(&zip);
    assert_eq!(read(&zip, 6).unwrap(), bits(&vectors(0, 40)));
    assert_eq!(columns_of(&zip, 6), expected(40));
    let starts: Vec<u64> = zip.parts().iter().map(|&(_, first)| first).collect();
    assert_eq!(starts, [0, 11, 12]);
}

#[test]
fn vectors_in_a_table_have_columns_of_both() {
    let dir = tempdir().unwrap();
    let scores: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..40));
    let floats = lists_of::<Float32Type>(40, 2, f32::from);
    write_parquet(&dir, "v.parquet", table(vec![("vector", floats), ("score", scores)]));
    write_parquet(&dir, "meta.parquet", metadata(0, 40));
    let vectors =
        super::open_with("parquet", "{ payload = \"all\" }", &Input::new(dir.path().join("v.parquet")));
    let zip = Zip::new(vectors.unwrap(), columns(&dir, "meta.parquet", "{}").unwrap()).unwrap();
    let schema = zip.info().payload.clone().unwrap();
    assert_eq!(
        schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
        ["score", "name"]
    );
    check_dataset(&zip);
    assert_eq!(columns_of(&zip, 5), expected(40));
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempdir().unwrap();
    write_parquet(&dir, "meta.parquet", metadata(0, 40));
    let zip = |rows, options: &str| {
        columns(&dir, "meta.parquet", options).and_then(|meta| Zip::new(npy(&dir, "a.npy", 0, rows), meta))
    };
    let folder = format!("{}/", dir.path().display());
    let said = |error: &Error| error.to_string().replace(&folder, "");
    let unequal = zip(39, "{}").unwrap_err();
    assert_eq!(said(&unequal), "meta.parquet: expected 39 rows, as in a.npy, found 40");
    let nothing = zip(40, "{ payload = [] }").map(|zip| zip.info().ids.is_some());
    assert!(nothing.unwrap(), "ids alone are enough");
    assert_refused(
        columns(&dir, "meta.parquet", "{ vector_column = \"name\" }"),
        dir.path(),
        "meta.parquet: expected ids and further columns alone, found vector_column",
        "the vectors are in another file: leave it away, or say it where that file is named",
    );
    npy(&dir, "b.npy", 0, 40);
    assert_refused(
        columns(&dir, "b.npy", "{}"),
        dir.path(),
        "b.npy: expected a file with columns, found npy",
        "ids and further columns are read from Parquet and Arrow: write them there; ids alone can be a file for --ids",
    );
    let names: ArrayRef = Arc::new(StringArray::from(vec!["x"; 40]));
    write_parquet(&dir, "names.parquet", table(vec![("name", names)]));
    let none = columns(&dir, "names.parquet", "{ payload = [] }");
    let none = none.and_then(|meta| Zip::new(npy(&dir, "a.npy", 0, 40), meta)).unwrap_err();
    assert_eq!(said(&none), "names.parquet: expected ids or further columns, found none that are read");
    let inner = zip(40, "{}").unwrap();
    let twice = Zip::new(Box::new(inner), columns(&dir, "names.parquet", "{}").unwrap()).unwrap_err();
    assert_eq!(
        said(&twice),
        "names.parquet: expected another name than `name`, which a column beside the vectors has"
    );
}
