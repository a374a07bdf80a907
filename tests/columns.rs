//! Ids that are texts, and further columns: through every format that has a place for them and back.

use crate::util::{Dir, difference, npy, npy_f32, values};

/// Ids that are texts, and a value of each kind, missing in some rows.
const LINES: &str = r#"{"id":"a-1","vector":[0.5,-1.25],"title":"one, \"two\"\n","year":-3,"score":0.1,"seen":true,"more":{"tags":["x",1],"n":null}}
{"id":"ä","vector":[3e-5,4.0],"title":"","year":null,"score":2.0,"seen":null,"more":[1.5]}
{"id":"0007","vector":[1.0,2.0],"title":null,"year":9223372036854775807,"score":null,"seen":false,"more":null}
"#;

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
fn an_index_keeps_texts() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    dir.ok("convert -i a.jsonl -o a.parquet");
    dir.ok("convert -i a.jsonl -o a.csv");
    dir.write("names.txt", "a-1\r\n\u{e4}\n0007");
    let vectors: Vec<f32> = vec![0.5, -1.25, 3e-5, 4.0, 1.0, 2.0];
    dir.write("v.npy", npy_f32(2, &vectors));
    let utf32 = |texts: &[&str], width: usize| {
        let padded = texts.iter().flat_map(|text| text.chars().chain(std::iter::repeat('\0')).take(width));
        padded.flat_map(|char| u32::from(char).to_le_bytes()).collect::<Vec<u8>>()
    };
    let names = ["a-1", "\u{e4}", "0007"];
    dir.write("u.npy", npy("<U5", false, "(3,)", &utf32(&names, 5)));
    dir.write("s.npy", npy("|S4", false, "(3, 1)", b"a-1\0\xc3\xa4\0\x000007"));
    for source in
        ["a.jsonl", "a.parquet", "a.csv", "v.npy --ids names.txt", "v.npy --ids u.npy", "v.npy --ids s.npy"]
    {
        dir.ok(&format!("build-index -i {source} -o o.hnsw --metric l2"));
        assert_eq!(dir.info("o.hnsw")["ids"], "text", "{source}");
        let query = "query -i o.hnsw -q v.npy -k 2 -f";
        let lines: Vec<serde_json::Value> = (dir.ok(&format!("{query} json")).text().lines())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["ids"], serde_json::json!(["a-1", "0007"]), "{source}");
        assert_eq!(lines[1]["ids"], serde_json::json!(["\u{e4}", "0007"]), "{source}");
        assert!(dir.ok(&format!("{query} tsv")).text().contains("\n2\t1\t0007\t0\n"));
        assert!(
            dir.ok(&format!("{query} table"))
                .text()
                .contains("    1     1                     \u{e4}  0.000000\n")
        );
        let found = dir.ok(&format!("{query} npy")).stdout;
        let header = String::from_utf8_lossy(&found[..128]).into_owned();
        assert!(
            header.contains("[('id', '<U4'), ('distance', '<f4')], 'fortran_order': False, 'shape': (3, 2)"),
            "{header}"
        );
        assert_eq!(&found[found.len() - 6 * 20..][..16], utf32(&["a-1"], 4));
    }
    let checked = dir.ok("check o.hnsw --deep --json").json();
    assert!(checked.to_string().contains("3 texts, each once"), "{checked}");
    assert!(dir.ok("info -i o.hnsw").text().contains("stored, texts"));
    dir.ok("eval -i o.hnsw -q v.npy -k 1 --ef 10");
    // The same rows, ids and recipe give the same bytes, however many threads there are.
    for threads in [1, 2, 4] {
        dir.ok(&format!("build-index -i a.jsonl -o t{threads}.hnsw -t {threads} --batch-size 1"));
    }
    assert_eq!(difference(&dir.read("t1.hnsw"), &dir.read("t2.hnsw")), None);
    assert_eq!(difference(&dir.read("t1.hnsw"), &dir.read("t4.hnsw")), None);
    // Or rows are numbered.
    let pipeline = "version = 1\n[source]\npath = \"a.jsonl\"\n[[stage]]\ntype = \"ids\"\n[sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n";
    let run = dir.run_with("run -", pipeline.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(dir.info("o.hnsw")["ids"], "row_numbers");
}

#[test]
fn many_texts_in_any_order() {
    const ROWS: usize = 3000;
    let dir = Dir::new();
    let name = |row: usize| format!("{row:x}-{}", "z".repeat(row % 40));
    dir.write("v.npy", npy_f32(4, &values(3, ROWS, 4)));
    dir.write("n.txt", (0..ROWS).map(|row| name(row) + "\n").collect::<String>());
    let found = |index: &str| -> Vec<String> {
        let run = dir.ok(&format!("query -i {index} -q v.npy -k 1 -e 3000 -f tsv"));
        run.text().lines().skip(1).map(|line| line.split('\t').nth(2).unwrap().to_owned()).collect()
    };
    let all: Vec<String> = (0..ROWS).map(name).collect();
    dir.ok("build-index -i v.npy --ids n.txt -o a.hnsw -t 4 --batch-size 7");
    assert_eq!(found("a.hnsw"), all);
    dir.ok("build-index -i v.npy --ids n.txt -o b.hnsw -t 1");
    assert_eq!(difference(&dir.read("a.hnsw"), &dir.read("b.hnsw")), None);
    // Rows that are left out, or in another order, keep theirs.
    for stage in ["type = \"sample\"\nfraction = 0.9", "type = \"shuffle\""] {
        for first in [true, false] {
            let ids = "[[stage]]\ntype = \"ids\"\npath = \"n.txt\"\n";
            let stage = format!("[[stage]]\n{stage}\n");
            let stages = if first { [ids, &stage].concat() } else { [&stage, ids].concat() };
            let pipeline = format!(
                "version = 1\n[source]\npath = \"v.npy\"\n{stages}[sink]\ntype = \"hnsw\"\npath = \"c.hnsw\"\n"
            );
            let run = dir.run_with("run -", pipeline.as_bytes());
            assert_eq!(run.code, Some(0), "{stages}: {}", run.stderr);
            let rows = dir.info("c.hnsw")["rows"].as_u64().unwrap() as usize;
            let same = found("c.hnsw").iter().zip(&all).filter(|(found, name)| found == name).count();
            assert_eq!(same, rows, "{stages}");
        }
    }
}

#[test]
fn texts_that_cannot_be_ids_are_refused() {
    let dir = Dir::new();
    dir.write("v.npy", npy_f32(2, &[0.5, 1.0, 2.0, 3.0, 5.0, 7.0]));
    for (file, bytes, message) in [
        (
            "a.txt",
            &b"x\ny\nx\n"[..],
            "a.txt: expected another id for each row, found id \"x\" at rows 0 and 2",
        ),
        ("a.txt", b"x\n\ny\n", "a.txt: row 1: expected an id, found an empty text"),
        ("a.txt", b"x\ny\n", "a.txt: expected 3 ids, one for each row, found 2"),
        ("a.txt", b"x\ny\n\xff\n", "a.txt: row 2: expected an id in UTF-8, found"),
        ("a.npy", &npy("<U1", false, "(3,)", &[0xff; 12]), "a.npy: row 0: expected characters of Unicode"),
        ("a.npy", &npy("<U1", false, "(3,)", &[65; 11]), "expected 3 strings of 4 bytes, found 11 bytes"),
        ("a.npy", &npy("|S0", false, "(3,)", &[]), "expected strings of at least one character"),
        ("a.npy", &npy("|S1", false, "(3, 2)", b"abcdef"), "expected one id a row, shape (n,), found (3, 2)"),
    ] {
        dir.write(file, bytes);
        let run = dir.run(&format!("build-index -i v.npy --ids {file} -o o.hnsw"));
        assert!(matches!(run.code, Some(1 | 2)), "{}", run.stderr);
        assert!(run.stderr.contains(message), "{message}: {}", run.stderr);
        assert!(!dir.exists("o.hnsw"));
    }
    assert_eq!(dir.names(), ["a.npy", "a.txt", "v.npy"]);
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
