//! Ids that are texts: where they are read from, and what is refused.

use std::path::Path;

use readers::{BufferPool, Dataset, Error, IdType, Input, Scan};
use tempfile::tempdir;

use super::open_with;

/// All ids as text.
pub(crate) fn ids(dataset: &dyn Dataset, batch_rows: usize) -> Result<Vec<String>, Error> {
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows });
    let mut ids = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            assert_eq!(batch.ids().given(), dataset.info().ids);
            ids.extend((0..batch.rows()).map(|row| match batch.ids().texts() {
                Some(texts) => texts.value(row).to_owned(),
                None => batch.ids().get(row).to_string(),
            }));
        }
    }
    Ok(ids)
}

fn of_text(
    format: &str,
    options: &str,
    path: &Path,
    text: &[u8],
) -> Result<(Vec<String>, Option<IdType>), Error> {
    std::fs::write(path, text).unwrap();
    let dataset = open_with(format, options, &Input::new(path))?;
    let all = ids(&*dataset, 1)?;
    assert_eq!(ids(&*dataset, 100)?, all);
    Ok((all, dataset.info().ids))
}

#[test]
fn all_ids_of_a_text_have_one_kind() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.any");
    let (number, text) = (Some(IdType::U64), Some(IdType::Text));
    for (format, options, content, expected, kind) in [
        ("jsonl", "{}", r#"{"id":"a","v":[1]} {"v":[2],"id":"b\u00e4\n"}"#, vec!["a", "b\u{e4}\n"], text),
        ("jsonl", "{}", r#"{"v":[1],"uuid":"7"} {"uuid":"007","v":[1]}"#, vec!["7", "007"], text),
        ("jsonl", "{}", r#"{"v":[1],"id":7,"uuid":"x"} {"uuid":"y","v":[1],"id":8}"#, vec!["7", "8"], number),
        ("jsonl", "{}", r#"{"v":[1],"key":"k","uuid":"x"} {"uuid":"y","v":[1]}"#, vec!["0", "1"], None),
        ("jsonl", "{ id_type = 'u64' }", r#"{"id":"7","v":[1]} {"v":[2],"id":8}"#, vec!["7", "8"], number),
        ("jsonl", "{ id_type = 'text' }", r#"{"id":"7","v":[1]} {"v":[2],"id":-8}"#, vec!["7", "-8"], text),
        (
            "jsonl",
            "{ id_column = 'm.0.n' }",
            r#"{"m":[{"n":"p"}],"v":[1]} {"v":[2],"m":[{"n":"q"}]}"#,
            vec!["p", "q"],
            text,
        ),
        ("csv", "{}", "id,a,b\n1,2,3 2,3,4", vec!["1", "2"], number),
        ("csv", "{}", "id,a,b\n1,2,3 x,3,4", vec!["1", "x"], text),
        ("csv", "{}", "id,a,b\n1,2,3 02,3,4", vec!["1", "02"], text),
        ("csv", "{ id_type = 'u64' }", "id,a,b\n1,2,3 02,3,4", vec!["1", "2"], number),
        ("csv", "{ id_type = 'text' }", "id,a,b\n1,2,3 -2,3,4", vec!["1", "-2"], text),
        ("csv", "{ id_column = 'n' }", "a,b,n\n1,2,\"x, y\" 2,3,z", vec!["x, y", "z"], text),
        ("glove", "{ id_column = 'word' }", "the\t1\t2 of\t3\t4", vec!["the", "of"], text),
        ("word2vec", "{ id_column = 'word' }", "2\t2 the\t1\t2 of\t3\t4", vec!["the", "of"], text),
    ] {
        // Lines end where these have a space, and words where they have a tab.
        let lines = content.replace(" y\"", "#").replace(' ', "\n").replace('#', " y\"").replace('\t', " ");
        let found = of_text(format, options, &path, (lines + "\n").as_bytes());
        let (found, found_kind) = found.unwrap_or_else(|error| panic!("{content}: {error}"));
        assert_eq!(
            (found, found_kind),
            (expected.into_iter().map(str::to_owned).collect(), kind),
            "{content}"
        );
    }
}

/// The kind does not depend on where it is seen: also not on the rows that are wanted.
#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.any");
    let either = "say what the ids are: id_type = \"text\" or id_type = \"u64\" in [source]";
    let every = "ids are whole numbers or strings; where they are not in every row, rename the key, and rows are known by their numbers";
    for (format, options, text, line, help) in [
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":1}\n{\"v\":[1],\"id\":2}\n{\"id\":\"a\",\"v\":[1]}\n",
            "row 2: expected a whole number as `id`, as row 0 has, found a string",
            either,
        ),
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":\"1\"}\n{\"v\":[1],\"id\":2}\n",
            "row 1: expected a string as `id`, as row 0 has, found a whole number",
            either,
        ),
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":\"1\"}\n{\"v\":[1]}\n",
            "row 1: expected an id at `id`, found none",
            every,
        ),
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":1}\n{\"v\":[1],\"id\":-1}\n",
            "row 1: expected a whole number of at least 0 or a string as `id`, found `-1`",
            every,
        ),
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":\"1\"}\n{\"v\":[1],\"id\":null}\n",
            "row 1: expected a whole number of at least 0 or a string as `id`, found `null`",
            every,
        ),
        ("jsonl", "{}", "{\"v\":[1],\"id\":\"1\",\"id\":\"2\"}\n", "row 0: expected one id, found two", ""),
        (
            "jsonl",
            "{}",
            "{\"v\":[1],\"id\":\"\"}\n",
            "row 0: expected an id, found an empty text",
            "give every row an id, or rename the column: rows then have their row numbers",
        ),
        (
            "glove",
            "{ id_column = 'text' }",
            "the 1 2\n",
            "expected the column `word` of id_column, found `text`",
            "word vectors have one column besides the values: --id-column word",
        ),
    ] {
        let error = of_text(format, options, &path, text.as_bytes()).unwrap_err();
        let expected = format!("{}: {line}", path.display());
        assert_eq!((error.to_string(), error.help().unwrap_or_default()), (expected, help));
    }
    let error = of_text("jsonl", "{}", &path, b"{\"v\":[1],\"id\":\"\xff\"}\n").unwrap_err().to_string();
    assert!(error.ends_with("row 0: expected an id in UTF-8, found `\u{fffd}`"), "{error}");
}

#[cfg(all(feature = "arrow", feature = "parquet"))]
mod of_tables {
    use std::fs::File;
    use std::sync::Arc;

    use readers::arrow_array::types::{Float32Type, Int8Type};
    use readers::arrow_array::{
        ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, LargeStringArray,
        RecordBatch, StringArray, StringViewArray,
    };
    use readers::arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::tables::{lists_of, table};

    fn vectors(rows: usize) -> ArrayRef {
        lists_of::<Float32Type>(rows, 2, f32::from)
    }

    /// The same table in each of the formats, opened.
    fn each(table: &RecordBatch, options: &str, check: impl Fn(Result<Vec<String>, Error>, &str)) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("a");
        for kind in ["parquet", "arrow", "arrow_stream"] {
            let file = File::create(&path).unwrap();
            let schema = table.schema();
            match kind {
                "parquet" => {
                    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema, None).unwrap();
                    writer.write(table).unwrap();
                    writer.close().unwrap();
                }
                "arrow" => {
                    let mut writer = arrow_ipc::writer::FileWriter::try_new(file, &schema).unwrap();
                    writer.write(table).unwrap();
                    writer.finish().unwrap();
                }
                _ => {
                    let mut writer = arrow_ipc::writer::StreamWriter::try_new(file, &schema).unwrap();
                    writer.write(table).unwrap();
                    writer.finish().unwrap();
                }
            }
            let found = open_with(kind, options, &Input::new(&path)).and_then(|dataset| {
                assert!(dataset.info().ids.is_some());
                let all = ids(&*dataset, 2)?;
                assert_eq!(ids(&*dataset, 1)?, all);
                Ok(all)
            });
            check(found, kind);
        }
    }

    #[test]
    fn texts_of_every_type() {
        let words = ["a", "bb", "", "\u{e4}", "a text of more than twelve bytes"];
        let dictionary: DictionaryArray<Int8Type> = words.into_iter().collect();
        let arrays: [ArrayRef; 5] = [
            Arc::new(StringArray::from_iter_values(words)),
            Arc::new(LargeStringArray::from_iter_values(words)),
            Arc::new(StringViewArray::from_iter_values(words)),
            Arc::new(dictionary),
            Arc::new(BinaryArray::from_iter_values(words)),
        ];
        for array in arrays {
            let kind = array.data_type().clone();
            // Bytes are ids only where they are named.
            let options = if kind == DataType::Binary { "{ id_column = 'id' }" } else { "{}" };
            // Vectors of one length are used where they are; texts beside them must not be.
            let rows = (0..5).map(|row| Some([Some(row as f32); 2]));
            let fixed: ArrayRef =
                Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2));
            for vectors in [vectors(5), fixed] {
                let all = table(vec![("id", Arc::clone(&array)), ("v", vectors)]);
                each(&all, options, |found, format| {
                    assert_eq!(found.unwrap(), words, "{kind} in {format}");
                });
            }
        }
    }

    #[test]
    fn uuids_in_their_usual_spelling() {
        let bytes: Vec<u8> = (0u8..32).map(|byte| byte.wrapping_mul(37)).collect();
        let array = FixedSizeBinaryArray::try_new(16, bytes.into(), None).unwrap();
        let marks = [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())];
        let id = Field::new("uuid", DataType::FixedSizeBinary(16), false).with_metadata(marks);
        let vector = Field::new("v", vectors(2).data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![id, vector]));
        let table = RecordBatch::try_new(schema, vec![Arc::new(array), vectors(2)]).unwrap();
        each(&table, "{}", |found, format| {
            let expected = ["00254a6f-94b9-de03-284d-7297bce1062b", "50759abf-e409-2e53-789d-c2e70c31567b"];
            assert_eq!(found.unwrap(), expected, "{format}");
        });
    }

    #[test]
    fn rows_without_an_id_are_refused() {
        let holes: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None]));
        each(&table(vec![("id", holes), ("v", vectors(3))]), "{}", |found, format| {
            let error = found.unwrap_err().to_string();
            assert!(error.ends_with("row 2: expected an id, found null"), "{format}: {error}");
        });
        let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"a".as_slice(), b"\xff"]));
        each(&table(vec![("id", bytes), ("v", vectors(2))]), "{ id_column = 'id' }", |found, format| {
            let error = found.unwrap_err().to_string();
            assert!(error.ends_with("row 1: expected an id in UTF-8, found `\u{fffd}`"), "{format}: {error}");
        });
    }
}
