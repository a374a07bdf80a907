//! `select`: further columns.

use std::sync::Arc;

use readers::arrow_array::types::Int32Type;
use readers::arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Int64Array, RecordBatch, StringArray,
};

use crate::util::{Dir, Output};

/// `a.arrow`: vectors of two values, `name`, `kind` (a dictionary) and `number`, in batches of 37 rows.
pub(super) fn with_columns(rows: i64) -> Dir {
    let dir = Dir::new();
    let record = |from: i64, to: i64| {
        let vector = (from..to).map(|row| Some([Some(row as f32), Some(-0.5)]));
        let vector: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<
            readers::arrow_array::types::Float32Type,
            _,
            _,
        >(vector, 2));
        let name: ArrayRef =
            Arc::new(StringArray::from_iter_values((from..to).map(|row| format!("row {row}"))));
        let kinds = ["even", "odd"];
        let kind: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(
            (from..to).map(|row| (row % 2) as i32).collect(),
            Arc::new(StringArray::from(kinds.to_vec())),
        ));
        let number: ArrayRef =
            Arc::new(Int64Array::from_iter((from..to).map(|row| (row % 7 != 0).then_some(row * 10))));
        let columns = [("vector", vector), ("name", name), ("kind", kind), ("number", number)];
        RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, name == "number")),
        )
        .unwrap()
    };
    let file = std::fs::File::create(dir.path("a.arrow")).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(file, &record(0, 1).schema()).unwrap();
    for from in (0..rows).step_by(37) {
        writer.write(&record(from, rows.min(from + 37))).unwrap();
    }
    writer.finish().unwrap();
    dir
}

/// Runs stages on all columns of `a.arrow`, into `o.jsonl`.
pub(super) fn run(dir: &Dir, threads: usize, batch_rows: usize, stages: &str) -> Output {
    let text = format!(
        "version = 1\n[run]\nthreads = {threads}\nbatch_rows = {batch_rows}\n[source]\npath = \"a.arrow\"\n\
         payload = \"all\"\n{stages}\n[sink]\ntype = \"jsonl\"\npath = \"o.jsonl\"\n"
    );
    dir.run_with("run -", text.as_bytes())
}

pub(super) fn lines(dir: &Dir, stages: &str) -> Vec<serde_json::Value> {
    let mut first: Option<Vec<u8>> = None;
    for (threads, batch_rows) in [(1, 1000), (2, 1), (3, 7), (8, 40)] {
        let output = run(dir, threads, batch_rows, stages);
        assert_eq!(output.code, Some(0), "{stages}: {}", output.stderr);
        let found = dir.read("o.jsonl");
        assert!(*first.get_or_insert_with(|| found.clone()) == found, "{threads} threads, {batch_rows} rows");
        std::fs::remove_file(dir.path("o.jsonl")).unwrap();
    }
    let text = String::from_utf8(first.unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn select(options: &str) -> String {
    format!("[[stage]]\ntype = \"select\"\n{options}\n")
}

fn keys(line: &serde_json::Value) -> Vec<&str> {
    let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn columns_are_kept_dropped_and_renamed() {
    let dir = with_columns(100);
    let all = lines(&dir, "");
    assert_eq!(keys(&all[3]), ["id", "kind", "name", "number", "vector"]);
    let found = lines(&dir, &select("keep = [\"number\", \"name\"]\nrename = { name = \"kind\" }"));
    assert_eq!(found.len(), 100);
    assert_eq!(keys(&found[3]), ["id", "kind", "number", "vector"]);
    assert_eq!((&found[3]["kind"], &found[3]["number"]), (&"row 3".into(), &30.into()));
    assert!(found[7]["number"].is_null());
    assert_eq!(keys(&lines(&dir, &select("drop = [\"name\"]"))[0]), ["id", "kind", "number", "vector"]);
    assert_eq!(keys(&lines(&dir, &select("keep = []"))[0]), ["id", "vector"]);
    assert_eq!(
        keys(&lines(&dir, &select("rename = { kind = \"k\" }"))[0]),
        ["id", "k", "name", "number", "vector"]
    );
    // The order is that of `keep`.
    let text = String::from_utf8({
        run(&dir, 2, 10, &select("keep = [\"number\", \"kind\"]"));
        dir.read("o.jsonl")
    });
    assert!(
        text.unwrap().starts_with("{\"id\":0,\"vector\":[0.0,-0.5],\"number\":null,\"kind\":\"even\"}\n")
    );
}

#[test]
fn columns_that_are_not_there_are_answered_with_those_that_are() {
    let dir = with_columns(10);
    for (options, says) in [
        ("keep = [\"nmae\"]", "there is no further column `nmae`\n"),
        ("keep = [\"nmae\"]", "help: did you mean `name`? further columns: name, kind, number"),
        ("drop = [\"vector\"]", "there is no further column `vector`"),
        ("rename = { x = \"y\" }", "there is no further column `x`"),
        ("keep = [\"name\"]\nrename = { kind = \"k\" }", "column `kind` is renamed, but not kept"),
        ("keep = [\"name\", \"name\"]", "column `name` is twice in `keep`"),
        ("rename = { kind = \"name\" }", "two columns would be called `name`"),
        ("rename = { kind = \"\" }", "expected a name for a column, found none"),
        ("rename = { kind = \"id\" }", "two columns would be called `id`"),
        ("keep = [\"name\"]\ndrop = [\"kind\"]", "expected either `keep` or `drop`, found both"),
        ("", "expected columns to `keep`, `drop` or `rename`, found none"),
    ] {
        let output = run(&dir, 2, 10, &select(options));
        assert_eq!(output.code, Some(2), "{options}");
        assert!(output.stderr.contains(says), "{says:?} is not in {}", output.stderr);
        assert!(!dir.exists("o.jsonl"));
    }
    let text = "version = 1\nsource = { path = \"a.arrow\", payload = \"none\" }\nstage = [{ type = \"select\", keep = [\"name\"] }]\n\
                sink = { type = \"null\" }\n";
    let output = dir.run_with("run -", text.as_bytes());
    assert!(output.stderr.contains("there are none at all: say `payload` in [source]"), "{}", output.stderr);
}
