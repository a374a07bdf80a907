//! `shuffle`: rows in another order, with all that is theirs.

use super::columns::{lines, with_columns};
use super::{DIM, SKIP, dir, kept, pipeline, refused, through};
use crate::util::{ids_bytes, le_bytes, npy_f32};

fn shuffle(seed: u64) -> String {
    format!("[[stage]]\ntype = \"shuffle\"\nseed = {seed}\n")
}

/// Rows by their numbers.
fn of(rows: &[Vec<f32>], numbers: &[u64]) -> Vec<f32> {
    numbers.iter().flat_map(|&row| rows[row as usize].clone()).collect()
}

#[test]
fn a_shuffle_gives_every_row_once_with_its_id() {
    let (dir, mut rows) = dir();
    // As it is in the map, and set aside: behind another stage, and read.
    for stages in [format!("{}{SKIP}", shuffle(42)), format!("{SKIP}{}", shuffle(42))] {
        let (values, ids, stats) = through(&dir, &stages);
        assert_eq!(values, of(&rows, &ids));
        assert_eq!(stats["rows"], 997);
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, kept(&rows).iter().map(|(row, _)| *row).collect::<Vec<_>>());
        assert!(!ids.is_sorted());
    }
    rows.drain(..501);
    dir.write("a.npy", npy_f32(DIM, &rows.concat()));
    let (values, ids, _) = through(&dir, &shuffle(42));
    assert_eq!(values, of(&rows, &ids));
    let read = |stages: &str| {
        let text = pipeline(2, 60, stages, "type = \"raw_f32\"\npath = \"o.f32\"");
        let text = text.replace("[source]\n", "[source]\nio = \"read\"\n");
        assert_eq!(dir.run_with("run -", text.as_bytes()).code, Some(0));
        dir.read("o.f32")
    };
    // The same order whether rows are set aside or not; another seed, another order.
    assert!(read(&shuffle(42)) == le_bytes(&values));
    assert!(read(&shuffle(43)) != le_bytes(&values));
    let (_, twice, _) = through(&dir, &format!("{}{}", shuffle(42), shuffle(42)));
    assert!(twice != ids && twice.len() == 499);
    for count in [0, 1, 2] {
        dir.write("a.npy", npy_f32(DIM, &rows[..count].concat()));
        assert_eq!(through(&dir, &shuffle(1)).1.len(), count);
    }
}

#[test]
fn rows_keep_their_numbers_for_the_stages_behind() {
    let (dir, rows) = dir();
    let given: Vec<u64> = (0..1000).map(|row| 5000 - row * 3).collect();
    dir.write("given.u64", ids_bytes(&given));
    let file = "[[stage]]\ntype = \"ids\"\npath = \"given.u64\"\n";
    let before = through(&dir, &format!("{file}{SKIP}{}", shuffle(5)));
    let behind = through(&dir, &format!("{SKIP}{}{file}", shuffle(5)));
    assert!(before.0 == behind.0 && before.1 == behind.1);
    let counted = "[[stage]]\ntype = \"ids\"\noffset = 7\n";
    let (values, ids, _) = through(&dir, &format!("{SKIP}{}{counted}", shuffle(5)));
    assert_eq!(values, of(&rows, &ids.iter().map(|id| id - 7).collect::<Vec<_>>()));
    // The same rows are drawn on both sides, and the first of the shuffled ones are a sample.
    let sample = "[[stage]]\ntype = \"sample\"\nfraction = 0.2\n";
    let (_, mut behind, _) = through(&dir, &format!("{SKIP}{}{sample}", shuffle(5)));
    behind.sort_unstable();
    assert_eq!(behind, through(&dir, &format!("{SKIP}{sample}")).1);
    let limit = "[[stage]]\ntype = \"limit\"\nrows = 50\n";
    let (values, ids, _) = through(&dir, &format!("{SKIP}{}{limit}", shuffle(5)));
    assert_eq!((ids.len(), values), (50, of(&rows, &ids)));
    assert!(ids.iter().any(|&id| id > 900));
    // What is left out is named by its number in the source, and so is what is refused.
    let (_, _, stats) = through(&dir, &format!("{}{SKIP}", shuffle(5)));
    assert_eq!(stats["dropped"][2][0]["first_rows"], serde_json::json!([30, 31]));
    let zeros = format!("{SKIP}what = [\"non-finite\"]\n{}[[stage]]\ntype = \"normalize\"\n", shuffle(5));
    refused(&dir, &zeros, 1, &["a.npy: row 500: expected a vector that can be normalized"]);
    refused(&dir, &shuffle(5), 1, &["a.npy: row 3", "expected a finite value"]);
    let dedup = "[[stage]]\ntype = \"dedup\"\n";
    assert_eq!(through(&dir, &format!("{SKIP}{}{dedup}", shuffle(5))).1.len(), 897);
}

#[test]
fn an_index_of_shuffled_rows_finds_them_by_their_numbers() {
    let (dir, rows) = dir();
    let text = pipeline(
        2,
        50,
        &format!("{SKIP}{}", shuffle(5)),
        "type = \"hnsw\"\npath = \"o.hnsw\"\nmetric = \"l2\"",
    );
    assert_eq!(dir.run_with("run -", text.as_bytes()).code, Some(0));
    dir.write("q.f32", le_bytes(&rows[777]));
    assert_eq!(dir.hits("-i o.hnsw -q q.f32 -k 1")[0][0].0, 777);
}

#[test]
fn further_columns_go_with_their_rows() {
    let dir = with_columns(3000);
    let rows = lines(&dir, &shuffle(9));
    assert_eq!(rows.len(), 3000);
    let mut seen = vec![false; 3000];
    for line in &rows {
        let id = line["id"].as_u64().unwrap();
        assert!(!std::mem::replace(&mut seen[id as usize], true));
        assert_eq!(line["vector"][0].as_f64(), Some(id as f64));
        assert_eq!(line["name"], format!("row {id}"));
        assert_eq!(line["kind"], ["even", "odd"][id as usize % 2]);
        assert_eq!(line["number"].as_u64(), (id % 7 != 0).then_some(id * 10));
    }
    assert!(rows[0]["id"] != 0 || rows[1]["id"] != 1);
}

#[test]
fn where_there_is_no_room_the_folder_is_named() {
    let (dir, _) = dir();
    let text = pipeline(2, 50, &format!("{SKIP}{}", shuffle(1)), "type = \"raw_f32\"\npath = \"o.f32\"");
    let mut command = dir.command("run -");
    command.env("TMPDIR", dir.path("nowhere"));
    let output = crate::util::output(command, text.as_bytes());
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("cannot make a temporary file in") && output.stderr.contains("TMPDIR"));
    assert!(output.stderr.contains("nowhere") && !dir.exists("o.f32"), "{}", output.stderr);
}
