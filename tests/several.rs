//! Several files as one input, and vectors with the columns of other files, by every command.

use std::fs::File;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use readers::arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};

use crate::util::{Dir, difference, ids_bytes, le_bytes, npy_f32, values};

const DIM: usize = 8;

/// 1,200 rows as one file, and in shards whose natural order is not that of their letters.
fn shards() -> (Dir, Vec<f32>) {
    let dir = Dir::new();
    let rows = values(5, 1200, DIM);
    dir.write("all.npy", npy_f32(DIM, &rows));
    std::fs::create_dir(dir.path("s")).unwrap();
    for (name, part) in [("emb_1", 0..700), ("emb_2", 700..701), ("emb_10", 701..1200)] {
        dir.write(&format!("s/{name}.npy"), npy_f32(DIM, &rows[part.start * DIM..part.end * DIM]));
    }
    (dir, rows)
}

/// A table of ids and titles of the rows from `first` on.
fn write_metadata(dir: &Dir, name: &str, first: u64, rows: u64) {
    let key: ArrayRef = Arc::new(UInt64Array::from_iter_values((first..first + rows).map(|row| row * 7 + 1)));
    let titles = (first..first + rows).map(|row| Some(format!("title {row}")));
    let title: ArrayRef = Arc::new(titles.collect::<StringArray>());
    let table = RecordBatch::try_from_iter([("key", key), ("title", title)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(dir.path(name)).unwrap(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
}

#[test]
fn an_index_of_shards_is_that_of_the_whole_file() {
    let (dir, _) = shards();
    dir.ok("build-index -i all.npy -o all.hnsw");
    let expected = dir.read("all.hnsw");
    for ways in [
        "-i s/*.npy",
        "-i s/emb_1.npy -i s/emb_2.npy --input s/emb_10.npy -t 1",
        "-i s/emb_?.npy -i s/emb_10.npy -t 2 --batch-size 7",
        "-i s/*.npy -t 3 --batch-size 1",
        "-i s/*.npy -t 8 --batch-size 100000 --io read",
    ] {
        dir.ok(&format!("build-index {ways} -o o.hnsw"));
        assert_eq!(difference(&expected, &dir.read("o.hnsw")), None, "{ways}");
    }
    dir.ok("build-index -i all.npy -o all.hnsw --rows 600..1000");
    dir.ok("build-index -i s/*.npy -o o.hnsw --rows 600..1000 -t 2 --batch-size 13");
    assert_eq!(difference(&dir.read("all.hnsw"), &dir.read("o.hnsw")), None);
    dir.ok("build-index -i all.npy -o all.hnsw --limit 705");
    dir.ok("build-index -i s/*.npy -o o.hnsw --limit 705");
    assert_eq!(difference(&dir.read("all.hnsw"), &dir.read("o.hnsw")), None);
    let recipe = dir.info("all.hnsw")["recipe"].as_str().unwrap().to_owned();
    assert!(!recipe.contains("emb_") && recipe.contains("type = \"npy\""), "{recipe}");
}

#[test]
fn shards_are_converted_in_natural_order_and_named() {
    let (dir, rows) = shards();
    let output = dir.ok("convert --verbose -i s/*.npy -o o.f32");
    assert_eq!(dir.read("o.f32"), le_bytes(&rows));
    let named: Vec<_> = output.stderr.lines().filter(|line| line.contains("read as npy")).collect();
    let starts = ["s/emb_1.npy: 700 rows", "s/emb_2.npy: 1 rows", "s/emb_10.npy: 499 rows"];
    assert_eq!(named.len(), 3, "{}", output.stderr);
    for (line, start) in named.iter().zip(starts) {
        assert!(line.starts_with(&format!("note: {start}, read as npy (")), "{line}");
    }
    // Files that are named come as they are named, and may come twice.
    dir.ok("convert -i s/emb_10.npy -i s/emb_1.npy -i s/emb_10.npy -o o.f32");
    let [ten, one] = [&rows[701 * DIM..], &rows[..700 * DIM]];
    assert_eq!(dir.read("o.f32"), le_bytes(&[ten, one, ten].concat()));
    // Queries are read the same way.
    dir.ok("build-index -i all.npy -o a.hnsw");
    let hits = dir.hits("-i a.hnsw -q s/*.npy -k 1");
    assert!(hits.iter().enumerate().all(|(row, hits)| hits[0].0 == row as u64));
    assert_eq!(hits.len(), 1200);
    assert_eq!(dir.hits("-i a.hnsw -q s/emb_2.npy -q s/emb_1.npy -k 1")[0][0].0, 700);
}

#[test]
fn sources_of_several_kinds_are_one() {
    let (dir, rows) = shards();
    dir.write("raw.f32", le_bytes(&rows[..DIM * 3]));
    dir.write("lines.jsonl", format!("{{\"e\": {:?}, \"other\": [1]}}\n", &rows[..DIM]));
    dir.write(
        "p.toml",
        "version = 1
[[source]]
paths = [\"s/emb_2.npy\", \"s/emb_1*.npy\"]
[[source]]
type = \"raw_f32\"
path = \"raw.f32\"
dim = 8
[[source]]
path = \"lines.jsonl\"
vector_column = \"e\"
[sink]
type = \"hnsw\"
path = \"o.hnsw\"
",
    );
    dir.ok("run p.toml");
    let info = dir.info("o.hnsw");
    assert_eq!(info["rows"], 1204);
    assert!(info["recipe"].as_str().unwrap().contains("type = [\"npy\", \"raw_f32\", \"jsonl\"]"), "{info}");
    let expected =
        [&rows[700 * DIM..701 * DIM], &rows[..700 * DIM], &rows[701 * DIM..], &rows[..3 * DIM], &rows[..DIM]];
    dir.write("q.npy", npy_f32(DIM, &expected.concat()));
    let hits = dir.hits("-i o.hnsw -q q.npy -k 1 --ef 400");
    assert!(hits.iter().all(|hits| hits[0].1 < 1e-5), "every row is where it belongs");
    assert_eq!(hits[0][0].0, 0);
}

#[test]
fn a_printed_pipeline_of_several_files_does_the_same() {
    let (dir, _) = shards();
    write_metadata(&dir, "meta.parquet", 0, 1200);
    for options in [
        "-i s/*.npy",
        "-i s/emb_2.npy -i s/emb_1.npy",
        "-i all.npy --columns-from meta.parquet --id-column key",
    ] {
        let words = format!("build-index {options} -o o.hnsw");
        dir.ok(&words);
        let expected = dir.read("o.hnsw");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        let printed = dir.ok(&format!("{words} --print-pipeline"));
        assert!(!dir.exists("o.hnsw"));
        let run = dir.run_with("run -", &printed.stdout);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(difference(&expected, &dir.read("o.hnsw")), None, "{options}");
    }
}

#[test]
fn vectors_are_joined_with_the_columns_of_other_files() {
    let (dir, rows) = shards();
    std::fs::create_dir(dir.path("m")).unwrap();
    write_metadata(&dir, "m/9.parquet", 0, 500);
    write_metadata(&dir, "m/10.parquet", 500, 700);
    dir.ok("convert -i s/*.npy --columns-from m/*.parquet --id-column key -o o.parquet");
    let file = File::open(dir.path("o.parquet")).unwrap();
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(2000).build().unwrap();
    let tables: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let table = &tables[0];
    let names: Vec<_> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(
        (tables.len(), table.num_rows(), names),
        (1, 1200, ["id", "vector", "title"].map(String::from).to_vec())
    );
    let column = |name: &str| Arc::clone(table.column_by_name(name).unwrap());
    let (ids, titles) = (column("id"), column("title"));
    let ids = ids.as_any().downcast_ref::<UInt64Array>().unwrap();
    assert!(ids.values().iter().enumerate().all(|(row, &id)| id == row as u64 * 7 + 1));
    let titles = titles.as_any().downcast_ref::<StringArray>().unwrap();
    assert!((0..1200).all(|row| titles.value(row) == format!("title {row}")));
    // What was written is what is read, whatever the batches and threads.
    let expected = dir.read("o.parquet");
    for ways in ["-t 1 --batch-size 7", "-t 3 --batch-size 100000", "-t 8 --batch-size 64 --io read"] {
        dir.ok(&format!("convert -i s/*.npy --columns-from m/*.parquet --id-column key -o o.parquet {ways}"));
        assert_eq!(difference(&expected, &dir.read("o.parquet")), None, "{ways}");
    }

    // An index keeps the ids, and answers with them; its graph is that of the vectors alone.
    dir.ok("build-index -i s/*.npy --columns-from m/*.parquet -o o.hnsw -t 2 --batch-size 100");
    dir.write("q.npy", npy_f32(DIM, &rows[..DIM * 50]));
    let hits = dir.hits("-i o.hnsw -q q.npy -k 1");
    assert!(hits.iter().enumerate().all(|(row, hits)| hits[0].0 == row as u64 * 7 + 1));
    let recipe = dir.info("o.hnsw")["recipe"].as_str().unwrap().to_owned();
    assert!(recipe.contains("[source.columns]\ntype = \"parquet\""), "{recipe}");
    dir.write("ids.u64", ids_bytes(&(0..1200).map(|row| row * 7 + 1).collect::<Vec<_>>()));
    dir.ok("build-index -i all.npy --ids ids.u64 -o ids.hnsw");
    assert_eq!(dir.hits("-i ids.hnsw -q q.npy -k 10"), dir.hits("-i o.hnsw -q q.npy -k 10"));
    // One file of vectors is used where it is.
    let output = dir.ok("build-index -i all.npy --columns-from m/*.parquet -o b.hnsw --stats json");
    assert_eq!(output.json()["vectors_in_place"], true);
    assert_eq!(difference(&dir.read("o.hnsw"), &dir.read("b.hnsw")), None);
}

/// Runs what must be refused, and compares the first line and the help.
#[track_caller]
fn refused(dir: &Dir, words: &str, line: &str, help: &str) {
    let output = dir.run(words);
    let lines: Vec<_> = output.stderr.lines().collect();
    let first = lines.first().and_then(|line| Some(line.split_once("]: ")?.1));
    let found = (output.code, first, lines.last().map(|line| line.trim_start()));
    assert_eq!(found, (Some(2), Some(line), Some(&*format!("help: {help}"))), "{words}");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (dir, rows) = shards();
    dir.write("other.npy", npy_f32(4, &rows));
    write_metadata(&dir, "meta.parquet", 0, 1199);
    let before = dir.names();
    refused(
        &dir,
        "build-index -i s/*.npy -i other.npy -o o.hnsw",
        "other.npy: expected dimension 8, as s/emb_1.npy has, found 4",
        "name files of one model only: all vectors of an input have one dimension",
    );
    refused(
        &dir,
        "convert -i s/*.npy --columns-from meta.parquet -o o.parquet",
        "meta.parquet: expected 1200 rows, as in s/emb_1.npy and 2 more, found 1199",
        "vectors and columns must be of the same rows in the same order: name all files of one run on both sides",
    );
    refused(
        &dir,
        "convert -i s -o o.f32",
        "s: expected a file, found a directory",
        "name its files, or a pattern in quotes: 's/*'",
    );
    refused(
        &dir,
        "convert -i s/*.np -o o.f32",
        "s/*.np: expected files that match this pattern, found none",
        "`*` and `?` stand for characters of a name, `**` for folders; paths begin in the current folder, or in that of the pipeline file",
    );
    refused(
        &dir,
        "convert -i - -i - -o o.f32",
        "expected standard input once, found it twice",
        "save one of the two to a file",
    );
    refused(
        &dir,
        "convert -i s/*.npy -o s/emb_10.npy",
        "s/emb_10.npy: the output is an input",
        "write to another file",
    );
    assert_eq!(dir.names(), before);
    // Two rows of one id are found wherever they are.
    for (name, range) in [("a", 0..3), ("b", 3..6)] {
        let lines =
            range.map(|row| format!("{{\"id\": {}, \"vector\": [{row}, 1]}}\n", [5, 6, 7, 8, 6, 9][row]));
        dir.write(&format!("{name}.jsonl"), lines.collect::<String>());
    }
    let output = dir.run("build-index -i ?.jsonl -o o.hnsw");
    let line =
        "?.jsonl: expected another id for each row, found id 6 at row 1 of a.jsonl and row 1 of b.jsonl";
    assert!(output.code == Some(1) && output.stderr.contains(line), "{}", output.stderr);
    // An error in a row is one of its file.
    dir.write("c.jsonl", "{\"id\": 10, \"vector\": [1, NaN]}\n{\"id\": 11, \"vector\": [1, 1e39]}\n");
    let output = dir.run("build-index -i ?.jsonl -o o.hnsw");
    assert!(output.code == Some(1) && output.stderr.contains("c.jsonl: row "), "{}", output.stderr);
    assert!(!dir.exists("o.hnsw"));
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    let (dir, _) = shards();
    let refuse = |source: &str, line: &str, help: &str| {
        dir.write("p.toml", format!("version = 1\n{source}\n[sink]\ntype = \"null\"\n"));
        refused(&dir, "run p.toml", line, help);
    };
    refuse(
        "[source]\npath = \"all.npy\"\npaths = [\"all.npy\"]",
        "p.toml:2:1: expected `path` or `paths`, found both",
        "name all files in `paths`",
    );
    refuse(
        "[source]\npaths = []",
        "p.toml:2:1: expected at least one file in `paths`, found none",
        "name one",
    );
    refuse(
        "[[source]]\npath = \"all.npy\"\n[[source]]\npath = \"all.npy\"\nlimit = 3",
        "p.toml:6:9: expected no `limit` where there are several `[[source]]`",
        "say `rows` in [run], which counts the rows of all of them",
    );
    refuse(
        "[source]\npath = \"all.npy\"\n[source.columns]\npath = \"m.parquet\"\ndim = 3\ntype = \"parquet\"",
        "p.toml:6:1: unknown option `dim`",
        "options here: path, paths, io, type, dtype, id_column, payload, vector_column",
    );
    refuse(
        "[source]\npath = \"s/*.npx\"",
        "p.toml:2:1: s/*.npx: expected files that match this pattern, found none",
        "`*` and `?` stand for characters of a name, `**` for folders; paths begin in the current folder, or in that of the pipeline file",
    );
}

/// Some hundred files need no more handles than a few.
#[cfg(unix)]
#[test]
fn many_files_need_few_handles() {
    let dir = Dir::new();
    let rows = values(6, 900, 4);
    dir.write("all.npy", npy_f32(4, &rows));
    for (number, part) in rows.chunks(4 * 3).enumerate() {
        dir.write(&format!("p{number}.npy"), npy_f32(4, part));
    }
    dir.ok("build-index -i all.npy -o all.hnsw");
    let script =
        format!("ulimit -n 64 && exec '{}' build-index -i 'p*.npy' -o o.hnsw -t 8", crate::util::PROGRAM);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(dir.path(""));
    let output = crate::util::output(command, b"");
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(difference(&dir.read("all.hnsw"), &dir.read("o.hnsw")), None);
}
