//! Ids that are texts, and further columns: through every format that has a place for them and back.

use crate::util::{Dir, difference};

/// Ids that are texts, and a value of each kind, missing in some rows.
const LINES: &str = r#"{"id":"a-1","vector":[0.5,-1.25],"title":"one, \"two\"\n","year":-3,"score":0.1,"seen":true,"more":{"tags":["x",1],"n":null}}
{"id":"ä","vector":[3e-5,4.0],"title":"","year":null,"score":2.0,"seen":null,"more":[1.5]}
{"id":"0007","vector":[1.0,2.0],"title":null,"year":9223372036854775807,"score":null,"seen":false,"more":null}
"#;

const HELP: &str = "name a column of integers with --id-column (`id_column` in [source]), give a file of numbers with --ids, or \
                    count the rows: a `[[stage]]` of `type = \"ids\"` in a pipeline";

/// What is written of these lines: numbers in their shortest form.
fn lines() -> String {
    LINES.replace("3e-5", "0.00003")
}

#[test]
fn lines_come_back_from_every_format_with_columns() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    dir.ok("convert -i a.jsonl -o b.jsonl");
    let parsed = |name: &str| -> Vec<serde_json::Value> {
        let text = String::from_utf8(dir.read(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let expected: Vec<serde_json::Value> =
        lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed("b.jsonl"), expected);
    for name in ["c.parquet", "c.arrow", "c.arrows"] {
        dir.ok(&format!("convert -i a.jsonl -o {name}"));
        dir.ok(&format!("convert -i {name} -o d.jsonl"));
        assert_eq!(difference(&dir.read("d.jsonl"), &dir.read("b.jsonl")), None, "{name}");
        for ways in ["--batch-size 1 -t 3", "--batch-size 2 -t 1"] {
            dir.ok(&format!("convert -i a.jsonl -o e.any --to-format {} {ways}", format_of(name)));
            assert_eq!(difference(&dir.read("e.any"), &dir.read(name)), None, "{name} {ways}");
        }
    }
    // CSV has no objects: they are texts there.
    dir.ok("convert -i a.jsonl -o c.csv");
    let text = String::from_utf8(dir.read("c.csv")).unwrap();
    let header = "id,dim_0,dim_1,title,year,score,seen,more\n";
    let first =
        "a-1,0.5,-1.25,\"one, \"\"two\"\"\n\",-3,0.1,true,\"{\"\"tags\"\":[\"\"x\"\",1],\"\"n\"\":null}\"\n";
    assert!(text.starts_with(&format!("{header}{first}ä,0.00003,4.0,\"\",,2.0,,[1.5]\n")), "{text}");
    dir.ok("convert -i c.csv -o d.csv");
    assert_eq!(difference(&dir.read("d.csv"), text.as_bytes()), None);
}

fn format_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("parquet") => "parquet",
        Some("arrow") => "arrow",
        _ => "arrow_stream",
    }
}

#[test]
fn what_has_no_place_is_said() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    let left_out = "further columns are left out: `title`, `year`, `score`, `seen`, `more`";
    for name in ["o.f32", "o.npy", "o.fbin", "o.fvecs"] {
        let told = dir.ok(&format!("convert -v -i a.jsonl -o {name}")).stderr;
        assert!(
            told.contains(
                "has no place for ids that are texts: they are left out, the rows keep their order"
            ),
            "{told}"
        );
        assert!(told.contains(left_out), "{told}");
        assert!(!dir.exists("ids.u64"));
    }
    let told = dir.ok("convert -v -i a.jsonl -o o.parquet").stderr;
    assert!(!told.contains("left out"), "{told}");
}

#[test]
fn an_index_takes_numbers_only() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    let run = dir.run("build-index -i a.jsonl -o o.hnsw");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(
        run.stderr.contains("the ids of an index are numbers, and those of the source are texts"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains(HELP), "{}", run.stderr);
    assert!(!dir.exists("o.hnsw"));
    // Each way that the help names.
    dir.write("ids.u64", [3u64, 2, 1].map(u64::to_le_bytes).concat());
    dir.ok("build-index -i a.jsonl -o o.hnsw --ids ids.u64");
    dir.write(
        "b.jsonl",
        LINES
            .replace("\"year\":-3", "\"n\":5")
            .replace("\"year\":null", "\"n\":6")
            .replace("\"year\":", "\"n\":"),
    );
    dir.ok("build-index -i b.jsonl -o o.hnsw --id-column n");
    let pipeline = "version = 1\n[source]\npath = \"a.jsonl\"\n[[stage]]\ntype = \"ids\"\n[sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n";
    let run = dir.run_with("run -", pipeline.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(dir.info("o.hnsw")["ids"], "row_numbers");
}

#[test]
fn stages_keep_texts_with_their_rows() {
    let dir = Dir::new();
    let line = |row: usize| format!("{{\"t\":{row},\"id\":\"k{}\",\"v\":[{row},1]}}\n", row % 7);
    dir.write("a.jsonl", (0..50).map(line).collect::<String>());
    let run = |stage: &str| {
        let pipeline = format!(
            "version = 1\n[source]\npath = \"a.jsonl\"\nrows = \"3..50\"\n[[stage]]\n{stage}\n[sink]\ntype = \"jsonl\"\npath = \"-\"\n"
        );
        let run = dir.run_with("run -", pipeline.as_bytes());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let rows =
            run.text().lines().map(|line| -> serde_json::Value { serde_json::from_str(line).unwrap() });
        rows.map(|row| (row["id"].clone(), row["t"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let kept = run("type = \"dedup\"\nby = \"id\"");
    assert_eq!(kept, (3..10).map(|row| (format!("k{}", row % 7).into(), row)).collect::<Vec<_>>());
    let kept = run("type = \"sample\"\nfraction = 0.5");
    assert!((10..40).contains(&kept.len()));
    assert!(kept.iter().all(|(id, row)| *id == format!("k{}", row % 7)), "{kept:?}");
    let kept = run("type = \"ids\"\noffset = 100");
    assert_eq!(kept, (3..50).map(|row| ((row + 100).into(), row)).collect::<Vec<_>>());
}

/// Further columns are chosen by one option in all formats.
#[test]
fn further_columns_by_name() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    dir.ok("convert -i a.jsonl -o a.parquet");
    dir.ok("convert -i a.jsonl -o a.arrow");
    dir.ok("convert -i a.jsonl -o a.csv");
    for source in ["a.jsonl", "a.parquet", "a.arrow", "a.csv"] {
        for (option, keys) in [
            ("", 7),
            ("payload = \"all\"\n", 7),
            ("payload = \"none\"\n", 2),
            ("payload = [\"year\", \"title\"]\n", 4),
        ] {
            let pipeline = format!(
                "version = 1\n[source]\npath = \"{source}\"\n{option}[sink]\ntype = \"jsonl\"\npath = \"-\"\n"
            );
            let run = dir.run_with("run -", pipeline.as_bytes());
            assert_eq!(run.code, Some(0), "{source} {option}: {}", run.stderr);
            let line: serde_json::Value = serde_json::from_str(run.text().lines().nth(1).unwrap()).unwrap();
            assert_eq!(line.as_object().unwrap().len(), keys, "{source} {option}: {line}");
        }
    }
}

#[test]
fn words_as_ids() {
    let dir = Dir::new();
    dir.write("a.glove", "the 1 2\nof 3 4\n");
    dir.ok("convert -i a.glove -o a.csv --id-column word");
    assert_eq!(dir.read("a.csv"), b"id,dim_0,dim_1\nthe,1.0,2.0\nof,3.0,4.0\n");
    dir.ok("convert -i a.glove -o a.csv");
    assert_eq!(dir.read("a.csv"), b"id,dim_0,dim_1,word\n0,1.0,2.0,the\n1,3.0,4.0,of\n");
}
