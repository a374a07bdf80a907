//! Parquet and Arrow files that other programs wrote, and those that fuzzers made: each gives rows or is refused.

use std::path::Path;

use readers::{Input, format_called};

use super::read;
use super::testdata::{files, folder};

/// How many rows a file gives, or why it gives none; with the only list of numbers, or with each of these columns.
fn outcome(format: &str, path: &Path, column: Option<&str>) -> Result<u64, String> {
    let options =
        column.map_or("{}".to_owned(), |name| format!("{{ vector_column = '{name}', payload = 'all' }}"));
    let options = toml::de::ValueDeserializer::parse(&options).unwrap();
    let dataset = (format_called(format).unwrap().parse)(options).unwrap().open(&Input::new(path));
    let dataset = dataset.map_err(|error| error.to_string())?;
    read(&*dataset, 100).map_err(|error| error.to_string())?;
    Ok(dataset.info().rows.exact().unwrap_or_default())
}

#[test]
fn each_gives_rows_or_is_refused() {
    let Some(folder) = folder() else { return };
    let mut given = Vec::new();
    for part in ["arrow-testing", "parquet-testing"] {
        for path in files(&folder.join(part)) {
            if path.extension().is_some_and(|extension| extension == "gz") {
                continue;
            }
            for format in ["arrow", "arrow_stream", "parquet"] {
                for column in
                    [None, Some("list_nullable"), Some("fixedsizelist_nullable"), Some("int64_list")]
                {
                    match outcome(format, &path, column) {
                        Ok(rows) => {
                            let name = path.strip_prefix(&folder).unwrap().display().to_string();
                            given.push(format!("{name} {} {rows}", column.unwrap_or("-")));
                        }
                        Err(message) => {
                            assert!(message.starts_with(&path.display().to_string()), "{message}");
                            assert!(!message.contains('\n'), "{message}");
                        }
                    }
                }
            }
        }
    }
    for name in &given {
        assert!(!name.contains("bigendian"), "{name}");
    }
    assert_eq!(given, [""; 0]);
}

#[test]
fn known_files_are_refused_for_the_right_reason() {
    let Some(folder) = folder() else { return };
    for (format, name, column, words) in [
        ("parquet", "parquet-testing/list_columns.parquet", None, "row 1: expected a vector of 3 values"),
        (
            "parquet",
            "parquet-testing/nested_lists.snappy.parquet",
            None,
            "expected a column of lists of numbers, found a",
        ),
        ("parquet", "parquet-testing/null_list.parquet", None, "expected a column of lists of numbers"),
        (
            "parquet",
            "parquet-testing/old_list_structure.parquet",
            None,
            "expected a column of lists of numbers",
        ),
        ("arrow", "arrow-testing/1.0.0-bigendian/generated_nested.arrow_file", None, "found big-endian"),
        ("arrow_stream", "arrow-testing/1.0.0-bigendian/generated_nested.stream", None, "found big-endian"),
    ] {
        let message = outcome(format, &folder.join(name), column).unwrap_err();
        assert!(message.contains(words), "{name}: {message}");
    }
}

/// Every byte of small files is changed, one at a time: each gives rows or is refused, and quickly.
#[test]
fn no_damage_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.any");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (format, folder) in
        [("parquet", "parquet_file"), ("arrow", "arrow_file"), ("arrow_stream", "arrow_stream")]
    {
        for file in files(&corpus.join(folder)) {
            let whole = std::fs::read(&file).unwrap();
            for at in 0..whole.len() {
                for mask in [0xff, 1 << (at % 8)] {
                    let mut damaged = whole.clone();
                    damaged[at] ^= mask;
                    std::fs::write(&path, damaged).unwrap();
                    if let Err(message) = outcome(format, &path, None) {
                        assert!(!message.contains('\n'), "{message}");
                    }
                }
            }
        }
    }
}
