//! `filter` with `on_error = "quarantine"`.

use super::{DIM, SKIP, dir, pipeline, refused, through};
use crate::util::{Dir, npy_f32};

const QUARANTINE: &str =
    "[[stage]]\ntype = \"filter\"\non_error = \"quarantine\"\nquarantine = \"bad.jsonl\"\n";

fn bad(dir: &Dir) -> Vec<serde_json::Value> {
    let text = String::from_utf8(dir.read("bad.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn bad_rows_are_put_aside_in_their_order() {
    let (dir, mut rows) = dir();
    rows[700][0] = f32::from_bits(0xffc0_0001);
    rows[700][2] = f32::INFINITY;
    dir.write("a.npy", npy_f32(DIM, &rows.concat()));
    let skipped = through(&dir, SKIP);
    let found = through(&dir, QUARANTINE);
    assert_eq!((&found.0, &found.1, &found.2["dropped"]), (&skipped.0, &skipped.1, &skipped.2["dropped"]));
    let mut first: Option<Vec<u8>> = None;
    for (threads, batch_rows) in [(1, 1000), (2, 1), (3, 7), (8, 64)] {
        let sink = "type = \"raw_f32\"\npath = \"o.f32\"";
        let text = pipeline(threads, batch_rows, QUARANTINE, sink);
        let output = dir.run_with("run - --stats json", text.as_bytes());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let outputs = output.json()["outputs"].clone();
        let last = &outputs[outputs.as_array().unwrap().len() - 1];
        assert_eq!(
            (&last["path"], &last["type"], &last["stage"]),
            (&"bad.jsonl".into(), &"quarantine".into(), &"filter".into())
        );
        assert_eq!(last["size_bytes"], dir.read("bad.jsonl").len());
        assert_eq!(outputs[0]["path"], "o.f32");
        assert!(output.stderr.contains("wrote o.f32: 996 rows x 4") && output.stderr.contains("; bad.jsonl"));
        assert_eq!(*first.get_or_insert_with(|| dir.read("bad.jsonl")), dir.read("bad.jsonl"));
    }
    let bad = bad(&dir);
    let numbers: Vec<_> = bad.iter().map(|line| line["row"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [30, 31, 500, 700]);
    let reasons: Vec<_> = bad.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["non-finite", "non-finite", "zero", "non-finite"]);
    assert_eq!((&bad[0]["id"], &bad[0]["file"]), (&30.into(), &"a.npy".into()));
    assert_eq!(bad[0]["vector"][1], "NaN");
    assert_eq!(bad[0]["vector"][0].as_f64().unwrap() as f32, rows[30][0]);
    assert_eq!(bad[1]["vector"][3], "-Infinity");
    assert_eq!(bad[2]["vector"], serde_json::json!([0.0, 0.0, 0.0, 0.0]));
    assert_eq!((&bad[3]["vector"][0], &bad[3]["vector"][2]), (&"0xffc00001".into(), &"Infinity".into()));
}

#[test]
fn the_file_is_an_output_like_any_other() {
    let (dir, rows) = dir();
    let sink = "type = \"raw_f32\"\npath = \"o.f32\"";
    // A run that fails leaves the older file.
    dir.write("bad.jsonl", "old");
    let only = QUARANTINE.to_owned() + "what = [\"zero\"]\n";
    refused(&dir, &only, 1, &["a.npy: row 30, column 1"]);
    assert_eq!(dir.read("bad.jsonl"), b"old");
    let exists = pipeline(2, 50, QUARANTINE, sink).replace("[run]\n", "[run]\nif_exists = \"error\"\n");
    let output = dir.run_with("run -", exists.as_bytes());
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("bad.jsonl: exists already"), "{}", output.stderr);
    // Never over an input or another output, nor without a name.
    for (name, says) in [
        ("a.npy", "a.npy: the output is an input"),
        ("./o.f32", "./o.f32: two outputs would have this name"),
        ("-", "rows that are put aside cannot go to standard output"),
        ("no/bad.jsonl", "the folder no does not exist"),
    ] {
        refused(&dir, &QUARANTINE.replace("bad.jsonl", name), 2, &[says]);
    }
    let without = "[[stage]]\ntype = \"filter\"\non_error = \"quarantine\"\n";
    refused(&dir, without, 2, &["expected a file for the rows that are put aside, found none"]);
    refused(&dir, &format!("{SKIP}quarantine = \"b\"\n"), 2, &["is for on_error = \"quarantine\" only"]);
    // It is there, empty, when no row is bad; compressed on request.
    dir.write("a.npy", npy_f32(DIM, &rows[..30].concat()));
    assert_eq!(dir.run_with("run -", pipeline(2, 7, QUARANTINE, sink).as_bytes()).code, Some(0));
    assert_eq!(dir.read("bad.jsonl"), b"");
    dir.write("a.npy", npy_f32(DIM, &rows[..40].concat()));
    let packed = pipeline(2, 7, &QUARANTINE.replace(".jsonl", ".jsonl.zst"), "type = \"null\"");
    let output = dir.run_with("run -", packed.as_bytes());
    assert!(
        output.stderr.contains("read 38 rows x 4") && output.stderr.contains("; bad.jsonl.zst"),
        "{}",
        output.stderr
    );
    assert!(dir.read("bad.jsonl.zst").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn a_row_is_put_aside_once_though_the_rows_are_read_twice() {
    let (dir, _) = dir();
    let stages = format!("{QUARANTINE}[[stage]]\ntype = \"dedup\"\n[[stage]]\ntype = \"center\"\n");
    let (_, ids, stats) = through(&dir, &stages);
    assert_eq!((ids.len(), bad(&dir).len()), (897, 3));
    assert_eq!((&stats["dropped"][1][0]["rows"], &stats["dropped"][2][0]["rows"]), (&2.into(), &100.into()));
    let shuffled = format!("{QUARANTINE}[[stage]]\ntype = \"shuffle\"\n[[stage]]\ntype = \"pca\"\ndim = 2\n");
    assert_eq!(through(&dir, &shuffled).1.len(), 997);
    assert_eq!(bad(&dir).len(), 3);
}
