//! `inspect` and `preview`: what is in files, and what is wrong with them.

use serde_json::{Value, json};

use crate::util::{Dir, npy, npy_f32, values};

/// Of 40 rows of 4 values some are bad: 3 is NaN, 5 holds an infinity and a NaN, 7 and 8 are zeros, 10 equals 2.
fn bad_rows() -> Vec<f32> {
    let mut rows = values(1, 40, 4);
    rows[3 * 4 + 1] = f32::NAN;
    rows[5 * 4] = f32::NEG_INFINITY;
    rows[5 * 4 + 3] = f32::NAN;
    rows[7 * 4..9 * 4].fill(0.0);
    rows.copy_within(2 * 4..3 * 4, 10 * 4);
    rows
}

fn unit(mut rows: Vec<f32>, dim: usize) -> Vec<f32> {
    for row in rows.chunks_mut(dim) {
        let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= norm);
    }
    rows
}

fn inspect(dir: &Dir, words: &str) -> Value {
    dir.ok(&format!("inspect --json {words}")).json()
}

/// The first finding whose text has these words.
fn finding<'a>(report: &'a Value, words: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["what"].as_str().unwrap().contains(words));
    found.unwrap_or_else(|| panic!("{words}: {all:#?}"))
}

#[test]
fn bad_rows_are_counted_and_named() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &bad_rows()));
    let report = inspect(&dir, "a.npy");
    assert_eq!((&report["schema"], &report["rows"], &report["dim"]), (&json!(1), &json!(40), &json!(4)));
    assert_eq!((&report["formats"], &report["dtype"]), (&json!(["npy"]), &json!("f32")));
    assert_eq!((&report["files"], &report["ids"]), (&json!(["a.npy"]), &json!("row_numbers")));
    assert_eq!(report["nan"], json!({"rows": 2, "first": [3, 5]}));
    assert_eq!(report["infinite"], json!({"rows": 1, "first": [5]}));
    assert_eq!(report["zero"], json!({"rows": 2, "first": [7, 8]}));
    let copies = json!({"rows": 2, "first": [{"row": 8, "same_as": 7}, {"row": 10, "same_as": 2}]});
    assert_eq!(report["copies"], copies);
    assert_eq!((&report["id_copies"], &report["metric"]), (&Value::Null, &Value::Null));
    assert_eq!((&report["norms"]["min"], &report["unit_rows"]), (&json!(0.0), &json!(0)));
    let counts = report["norms"]["histogram"]["counts"].as_array().unwrap();
    assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 38);
    for (words, severity) in [
        ("2 rows hold NaN", "error"),
        ("1 row holds infinity", "error"),
        ("2 rows are all zeros", "warning"),
        ("2 rows equal an earlier row", "warning"),
        ("would be cosine", "note"),
    ] {
        assert_eq!(finding(&report, words)["severity"], severity, "{words}");
    }
    let help = finding(&report, "NaN")["help"].as_str().unwrap();
    assert!(help.contains("type = \"filter\""), "{help}");

    let text = dir.ok("inspect -i a.npy").stdout;
    let text = String::from_utf8(text).unwrap();
    for line in [
        "vectors      40 x 4 f32\n",
        "NaN          2 rows: 3, 5\n",
        "copies       2 rows: 8 as 7, 10 as 2\n",
        "error:       2 rows hold NaN",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn the_report_is_the_same_whatever_the_threads_and_the_way() {
    let dir = Dir::new();
    let mut rows = values(7, 20_000, 24);
    rows[24 * 777] = f32::NAN;
    rows.copy_within(0..24, 24 * 19_000);
    dir.write("a.npy", npy_f32(24, &rows));
    for sample in ["", "--sample 5000"] {
        let expected = inspect(&dir, &format!("a.npy --threads 1 {sample}"));
        for ways in ["--threads 3", "--threads 2 --io read", "-t 8"] {
            assert_eq!(inspect(&dir, &format!("a.npy {ways} {sample}")), expected, "{ways} {sample}");
        }
    }
    let sample = inspect(&dir, "a.npy --sample 5000");
    assert_eq!((&sample["rows"], &sample["rows_inspected"]), (&json!(20_000), &json!(5000)));
    // Other batches: the same rows in another format.
    let clean = unit(values(7, 20_000, 24), 24);
    dir.write("b.npy", npy_f32(24, &clean));
    dir.ok("convert -i b.npy -o b.fvecs");
    dir.ok("convert -i b.npy -o b.parquet");
    let of_npy = inspect(&dir, "b.npy");
    for name in ["b.fvecs", "b.parquet"] {
        let other = inspect(&dir, name);
        for key in ["norms", "unit_rows", "copies", "values", "spread", "findings"] {
            assert_eq!(other[key], of_npy[key], "{name} {key}");
        }
    }
}

#[test]
fn lengths_and_what_they_mean() {
    let dir = Dir::new();
    dir.write("unit.npy", npy_f32(8, &unit(values(1, 500, 8), 8)));
    let report = inspect(&dir, "unit.npy");
    assert_eq!(report["unit_rows"], 500);
    assert_eq!(finding(&report, "rows have unit length")["severity"], "ok");
    assert_eq!(finding(&report, "nothing else")["severity"], "ok");

    let mut rows = unit(values(1, 500, 8), 8);
    rows[..8].iter_mut().for_each(|value| *value *= 1000.0);
    dir.write("one.npy", npy_f32(8, &rows));
    let report = inspect(&dir, "one.npy");
    assert_eq!(finding(&report, "1 row without unit length")["severity"], "warning");
    assert_eq!(finding(&report, "1000 times the length of the median")["severity"], "warning");
    let norms = &report["norms"];
    assert!((norms["max"].as_f64().unwrap() - 1000.0).abs() < 0.1, "{norms}");
    assert!((norms["median"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{norms}");

    // The metric that is recorded counts.
    dir.ok("convert -i one.npy -o ip.f32");
    dir.write("ip.f32.json", r#"{"n": 500, "dim": 8, "metric": "ip"}"#);
    assert_eq!(inspect(&dir, "ip.f32")["metric"], "ip");
}

#[test]
fn values_tell_the_byte_order_bytes_and_odd_dimensions() {
    let dir = Dir::new();
    let rows = values(3, 200, 16);
    let turned: Vec<u8> = rows.iter().flat_map(|value| value.to_be_bytes()).collect();
    dir.write("turned.npy", npy("<f4", false, "(200, 16)", &turned));
    let report = inspect(&dir, "turned.npy");
    assert_eq!(finding(&report, "byte order is likely wrong")["severity"], "error");
    dir.write("right.npy", npy(">f4", false, "(200, 16)", &turned));
    let report = inspect(&dir, "right.npy");
    assert_eq!(report["values"]["implausible"], 0);
    assert_eq!(finding(&report, "nothing else")["severity"], "ok");

    let bytes: Vec<f32> = rows.iter().map(|value| (value.abs() * 255.0).round()).collect();
    dir.write("bytes.npy", npy_f32(16, &bytes));
    assert_eq!(finding(&inspect(&dir, "bytes.npy"), "from 0 to 255")["severity"], "note");

    let mut odd = rows;
    for row in odd.chunks_mut(16) {
        row[3] = 0.25;
        row[5] *= 100.0;
    }
    dir.write("odd.npy", npy_f32(16, &odd));
    let report = inspect(&dir, "odd.npy");
    assert_eq!((&report["spread"]["constant_dims"], &report["spread"]["top_dim"]), (&json!([3]), &json!(5)));
    assert_eq!(finding(&report, "1 of 16 dimensions")["severity"], "note");
    assert_eq!(finding(&report, "dimension 5 has")["severity"], "warning");
}

#[test]
fn inputs_without_rows_or_with_one() {
    let dir = Dir::new();
    dir.write("none.npy", npy_f32(4, &[]));
    let report = inspect(&dir, "none.npy --plot none.svg");
    assert_eq!((&report["rows"], &report["norms"]), (&json!(0), &Value::Null));
    assert_eq!(finding(&report, "no rows")["severity"], "note");
    assert!(String::from_utf8(dir.read("none.svg")).unwrap().contains("no row is finite"));
    dir.write("one.npy", npy_f32(2, &[3.0, 4.0]));
    let report = inspect(&dir, "one.npy --plot one.svg");
    assert_eq!((&report["norms"]["p01"], &report["norms"]["p99"]), (&json!(5.0), &json!(5.0)));
    assert_eq!(report["norms"]["histogram"], json!({"from": 5.0, "to": 5.0, "counts": [1]}));
    let svg = String::from_utf8(dir.read("one.svg")).unwrap();
    assert_eq!(svg.matches("class=\"bar\"").count(), 1);
    assert!(dir.ok("inspect none.npy").text().contains("there are no rows"));
}

#[test]
fn the_picture_has_a_bar_for_each_bin() {
    let dir = Dir::new();
    dir.write("a&b.npy", npy_f32(4, &bad_rows()));
    let report = inspect(&dir, "a&b.npy --plot lengths.svg");
    let counts = report["norms"]["histogram"]["counts"].as_array().unwrap();
    let bins = counts.iter().filter(|count| count.as_u64() > Some(0)).count();
    let svg = String::from_utf8(dir.read("lengths.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains("a&amp;b.npy"));
    assert_eq!(svg.matches("class=\"bar\"").count(), bins);

    // Neither over another kind of file nor over the input, whatever that is called.
    let before = dir.read("a&b.npy");
    dir.write("b.svg", &before);
    for (words, expected) in [
        ("a&b.npy --plot ./a&b.npy", "ends in .svg"),
        ("b.svg -f npy --plot ./b.svg", "the output is an input"),
    ] {
        let output = dir.run(&format!("inspect {words}"));
        assert!(output.code == Some(2) && output.stderr.contains(expected), "{}", output.stderr);
    }
    assert!(dir.read("a&b.npy") == before && dir.read("b.svg") == before);
    assert_eq!(dir.names(), ["a&b.npy", "b.svg", "lengths.svg"]);
}

const LINES: &str = r#"{"id":"a","vector":[1.0,0.0,0.0],"title":"one\ntwo","year":1999}
{"id":"b","vector":[0.0,2.5,-0.00001],"title":null,"year":2001}
{"id":"a","vector":[0.5,0.25,1e7],"title":"A title that is so long that nobody wants to see all of it","year":7}
"#;

#[test]
fn ids_and_columns_are_described() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    let report = inspect(&dir, "a.jsonl");
    assert_eq!(report["ids"], "text");
    assert_eq!(report["id_copies"], json!({"rows": 1, "first": [{"row": 2, "same_as": 0}]}));
    assert_eq!(finding(&report, "the id of an earlier row")["severity"], "error");
    let columns = report["columns"].as_array().unwrap();
    let columns: Vec<_> = columns.iter().map(|column| (&column["name"], &column["nulls"])).collect();
    assert_eq!(columns, [(&json!("title"), &json!(1)), (&json!("year"), &json!(0))]);
    dir.write("ids.u64", crate::util::ids_bytes(&[5, 6, 5]));
    let report = inspect(&dir, "a.jsonl --ids ids.u64");
    assert_eq!(report["ids"], "u64");
    assert_eq!(report["id_copies"]["rows"], 1);
    // Several files are one input, and a pattern finds them.
    dir.write("b.jsonl", LINES.replace("\"a\"", "\"c\""));
    let report = inspect(&dir, "?.jsonl");
    assert_eq!((&report["rows"], &report["id_copies"]["rows"]), (&json!(6), &json!(3)));
}

#[test]
fn files_that_cannot_be_read_fail() {
    let dir = Dir::new();
    let mut bytes = npy_f32(4, &values(1, 40, 4));
    bytes.truncate(bytes.len() - 7);
    dir.write("cut.npy", bytes);
    for command in ["inspect", "preview"] {
        let output = dir.run(&format!("{command} cut.npy"));
        assert_eq!((output.code, output.stdout.len()), (Some(1), 0), "{}", output.stderr);
        assert_eq!(dir.run(command).code, Some(2));
    }
    dir.write("a.f32", [0u8; 48]);
    let output = dir.run("inspect a.f32");
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert_eq!(inspect(&dir, "a.f32 -d 4")["rows"], 3);
}

#[test]
fn the_first_rows_are_shown() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(16, &values(1, 300, 16)));
    let text = dir.ok("preview a.npy").stdout;
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 11, "{text}");
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    let expected = "row id [0] [1] [2] ... [13] [14] [15] length";
    assert_eq!(head, expected.split(' ').collect::<Vec<_>>());
    // Lines end where a person stops reading.
    let wide = dir.ok("preview a.npy --columns 100").stdout;
    let wide = String::from_utf8(wide).unwrap();
    assert!(wide.lines().all(|line| line.chars().count() == 100 && line.ends_with('…')), "{wide}");
    let narrow = dir.ok("preview a.npy --columns 0").stdout;
    assert!(String::from_utf8(narrow).unwrap().starts_with("row  id  ...  length\n"));

    let rows: Vec<Value> = dir
        .ok("preview a.npy --rows 100..200 --limit 2 --json")
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[1]["row"], &rows[1]["id"], &rows[1]["columns"]),
        (&json!(101), &json!(101), &json!({}))
    );
    let vector = rows[1]["vector"].as_array().unwrap();
    let expected = &values(1, 300, 16)[101 * 16..102 * 16];
    assert!(vector.iter().map(|value| value.as_f64().unwrap() as f32).eq(expected.iter().copied()));

    dir.write("nan.npy", npy_f32(4, &bad_rows()));
    assert!(dir.ok("preview nan.npy").text().contains("NaN"));
    assert!(dir.ok("preview nan.npy --json").text().contains("null"));
    assert_eq!(dir.ok("preview nan.npy --limit 0 --json").text(), "");
}

#[test]
fn texts_are_shown_in_their_line() {
    let dir = Dir::new();
    dir.write("a.jsonl", LINES);
    let text = dir.ok("preview a.jsonl").stdout;
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[1].contains("one two") && lines[3].contains('…'), "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    let json = dir.ok("preview a.jsonl --json").stdout;
    let first: Value = serde_json::from_slice(json.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
    let expected = json!({"row": 0, "id": "a", "vector": [1.0, 0.0, 0.0], "columns": {"title": "one\ntwo", "year": 1999}});
    assert_eq!(first, expected);
}

const PIPELINE: &str = "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"filter\"\non_error = \"quarantine\"\n\
                        quarantine = \"bad.jsonl\"\n[[stage]]\ntype = \"slice\"\nto = 3\n[[stage]]\ntype = \"shuffle\"\n\
                        [[stage]]\ntype = \"center\"\nsave = \"mean.safetensors\"\n\
                        [sink]\ntype = \"jsonl\"\npath = \"o.jsonl\"\n[run]\nif_exists = \"error\"\n";

#[test]
fn a_pipeline_is_shown_and_writes_nothing() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &bad_rows()));
    dir.write("p.toml", PIPELINE);
    dir.write("o.jsonl", "old");
    let names = dir.names();
    let shown = dir.ok("preview p.toml --json --limit 1000").stdout;
    assert_eq!((dir.names(), dir.read("o.jsonl")), (names, b"old".to_vec()));
    // What is shown is what is written then.
    dir.ok("run p.toml --if-exists replace");
    let of = |bytes: Vec<u8>| -> Vec<(Value, Value)> {
        let text = String::from_utf8(bytes).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["id"].clone(), row["vector"].clone())).collect()
    };
    let shown = of(shown);
    assert_eq!(shown.len(), 36);
    assert_eq!(shown, of(dir.read("o.jsonl")));

    let first = of(dir.ok("preview p.toml --json --set stage.1.to=2 --limit 3").stdout);
    assert_eq!((first.len(), first[0].1.as_array().unwrap().len()), (3, 2));
    for (words, said) in [
        ("preview p.toml --dimension 4", "--set source.dim"),
        ("preview p.toml a.npy", "one pipeline and nothing else"),
        ("preview a.npy --set sink.m=3", "there is none"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(2), "{words}");
        assert!(output.stderr.contains(said), "{words}: {}", output.stderr);
    }
    // A stage that computes wants no NaN, and says so as it would in a run.
    dir.write(
        "p.toml",
        PIPELINE.replace("on_error = \"quarantine\"\nquarantine = \"bad.jsonl\"\n", "on_error = \"fail\"\n"),
    );
    assert_eq!(dir.run("preview p.toml").code, Some(1));
}

#[cfg(unix)]
#[test]
fn nobody_has_to_see_all_rows() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let dir = Dir::new();
    dir.write("a.npy", npy_f32(64, &values(1, 20_000, 64)));
    let mut command = dir.command("preview a.npy --json --limit 20000");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"row\":0,"), "{line}");
    let status = crate::util::wait(&mut child).unwrap();
    assert_eq!(status.code(), Some(0));
}
