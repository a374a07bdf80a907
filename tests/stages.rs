//! What stages do to rows: values, ids, counts, and the same at any number of threads and rows of a batch.

mod columns;
mod learning;
mod order;
mod quarantine;

use serde_json::json;

use crate::util::{Dir, Output, difference, ids_bytes, le_bytes, npy_f32, values};

const DIM: usize = 4;

/// `a.npy` with 1000 rows: each tenth is a copy of the one before it, row 30 has NaN, 31 infinity, 500 is all zeros.
fn dir() -> (Dir, Vec<Vec<f32>>) {
    let dir = Dir::new();
    let mut rows: Vec<Vec<f32>> = values(5, 1000, DIM).chunks(DIM).map(<[f32]>::to_vec).collect();
    for at in (9..1000).step_by(10) {
        rows[at] = rows[at - 1].clone();
    }
    rows[30][1] = f32::NAN;
    rows[31][3] = f32::NEG_INFINITY;
    rows[500].fill(0.0);
    dir.write("a.npy", npy_f32(DIM, &rows.concat()));
    (dir, rows)
}

fn pipeline(threads: usize, batch_rows: usize, stages: &str, sink: &str) -> String {
    format!(
        "version = 1\n[run]\nthreads = {threads}\nbatch_rows = {batch_rows}\n[source]\npath = \"a.npy\"\n{stages}\n\
         [sink]\n{sink}\n"
    )
}

/// Runs the stages into `o.f32` and `ids.u64` in several ways, and gives the rows, the ids and the statistics.
fn through(dir: &Dir, stages: &str) -> (Vec<f32>, Vec<u64>, serde_json::Value) {
    let mut first: Option<(Vec<u8>, Vec<u8>, serde_json::Value)> = None;
    for (threads, batch_rows) in [(1, 1000), (3, 7), (2, 1), (4, 64)] {
        let text = pipeline(threads, batch_rows, stages, "type = \"raw_f32\"\npath = \"o.f32\"");
        let output = dir.run_with("run - --stats json", text.as_bytes());
        assert_eq!(output.code, Some(0), "{text}{}", output.stderr);
        let ids = if dir.exists("ids.u64") { dir.read("ids.u64") } else { Vec::new() };
        let stats = output.json();
        let steps: Vec<_> =
            stats["steps"].as_array().unwrap().iter().map(|step| step["dropped"].clone()).collect();
        let now = (dir.read("o.f32"), ids, json!({ "dropped": steps, "rows": stats["rows"] }));
        let first = first.get_or_insert_with(|| now.clone());
        assert_eq!(difference(&first.0, &now.0), None, "{threads} threads, batches of {batch_rows}");
        assert_eq!(difference(&first.1, &now.1), None, "{threads} threads, batches of {batch_rows}");
        assert_eq!(first.2, now.2, "{threads} threads, batches of {batch_rows}");
        for name in ["o.f32", "ids.u64"].into_iter().filter(|name| dir.exists(name)) {
            std::fs::remove_file(dir.path(name)).unwrap();
        }
    }
    let (bytes, ids, stats) = first.unwrap();
    let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    (values, ids.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect(), stats)
}

fn refused(dir: &Dir, stages: &str, code: i32, says: &[&str]) -> Output {
    let text = pipeline(2, 50, stages, "type = \"raw_f32\"\npath = \"o.f32\"");
    let output = dir.run_with("run -", text.as_bytes());
    assert_eq!(output.code, Some(code), "{stages}: {}", output.stderr);
    for part in says {
        assert!(output.stderr.contains(part), "{part:?} is not in {}", output.stderr);
    }
    assert!(!dir.exists("o.f32"));
    output
}

const SKIP: &str = "[[stage]]\ntype = \"filter\"\non_error = \"skip\"\n";

/// The rows without those that `SKIP` leaves out, with their numbers.
fn kept(rows: &[Vec<f32>]) -> Vec<(u64, &Vec<f32>)> {
    (0..).zip(rows).filter(|(row, _)| ![30, 31, 500].contains(row)).collect()
}

#[test]
fn filter_leaves_out_what_cannot_be_used_and_says_so() {
    let (dir, rows) = dir();
    let (values, ids, stats) = through(&dir, SKIP);
    let kept = kept(&rows);
    assert_eq!(values, kept.iter().flat_map(|(_, row)| row.iter().copied()).collect::<Vec<_>>());
    assert_eq!(ids, kept.iter().map(|(row, _)| *row).collect::<Vec<_>>());
    assert_eq!(stats["rows"], 997);
    assert_eq!(
        stats["dropped"][1],
        json!([
            {"reason": "non-finite", "rows": 2, "first_rows": [30, 31]},
            {"reason": "zero", "rows": 1, "first_rows": [500]}
        ])
    );
    let text = pipeline(2, 50, SKIP, "type = \"null\"");
    let output = dir.run_with("run -", text.as_bytes());
    assert!(
        output.stderr.contains("filter: left out 2 rows (non-finite): rows 30, 31\n"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("filter: left out 1 row (zero): row 500\n"), "{}", output.stderr);

    // What is not looked for is left to others: zeros may pass, NaN is an error as everywhere.
    let only = |what: &str| format!("{SKIP}what = [\"{what}\"]\n");
    assert_eq!(through(&dir, &only("non-finite")).2["rows"], 998);
    refused(&dir, &only("zero"), 1, &["a.npy: row 30, column 1: expected a finite value, found NaN"]);
    // A stage that computes wants none of them before the filter.
    refused(&dir, &format!("[[stage]]\ntype = \"normalize\"\n{SKIP}"), 1, &["row 30, column 1"]);
}

#[test]
fn filter_fails_at_the_first_row_if_it_is_to() {
    let (dir, rows) = dir();
    let fail = "[[stage]]\ntype = \"filter\"\n";
    refused(&dir, fail, 1, &["a.npy: row 30, column 1: expected a finite value, found NaN"]);
    let zeros = format!("{SKIP}what = [\"non-finite\"]\n{fail}");
    refused(&dir, &zeros, 1, &["a.npy: row 500: expected a vector with a value other than 0", "on_error"]);
    refused(&dir, "[[stage]]\ntype = \"filter\"\nwhat = []\n", 2, &["expected at least one kind of rows"]);
    dir.write("a.npy", npy_f32(DIM, &rows[..30].concat()));
    let (values, ids, _) = through(&dir, fail);
    assert_eq!((values.len(), ids.len()), (30 * DIM, 0), "nothing is left out, so ids are row numbers");
}

#[test]
fn ids_stay_with_their_rows_whatever_is_left_out() {
    let (dir, rows) = dir();
    let given: Vec<u64> = (0..1000).map(|row| 5000 - row * 3).collect();
    dir.write("given.u64", ids_bytes(&given));
    let kept = kept(&rows);
    let file = "[[stage]]\ntype = \"ids\"\npath = \"given.u64\"\n";
    for stages in [format!("{file}{SKIP}"), format!("{SKIP}{file}")] {
        let (_, ids, _) = through(&dir, &stages);
        assert_eq!(ids, kept.iter().map(|(row, _)| given[*row as usize]).collect::<Vec<_>>());
    }
    let counted = "[[stage]]\ntype = \"ids\"\noffset = 7\n";
    let (_, ids, _) = through(&dir, &format!("{SKIP}{counted}"));
    assert_eq!(ids, kept.iter().map(|(row, _)| row + 7).collect::<Vec<_>>());
    // An index of what is kept finds rows by their number in the source.
    let text = pipeline(2, 50, SKIP, "type = \"hnsw\"\npath = \"o.hnsw\"\nmetric = \"l2\"");
    assert_eq!(dir.run_with("run -", text.as_bytes()).code, Some(0));
    dir.write("q.f32", le_bytes(&rows[777]));
    assert_eq!(dir.hits("-i o.hnsw -q q.f32 -k 1")[0][0].0, 777);
    assert_eq!(dir.info("o.hnsw")["rows"], 997);
}

#[test]
fn dedup_keeps_the_first_of_equal_rows() {
    let (dir, rows) = dir();
    let by_bytes = format!("{SKIP}[[stage]]\ntype = \"dedup\"\n");
    let (values, ids, stats) = through(&dir, &by_bytes);
    let first: Vec<_> = kept(&rows).into_iter().filter(|(row, _)| row % 10 != 9).collect();
    assert_eq!(ids, first.iter().map(|(row, _)| *row).collect::<Vec<_>>());
    assert_eq!(values, first.iter().flat_map(|(_, row)| row.iter().copied()).collect::<Vec<_>>());
    let dropped = &stats["dropped"][2][0];
    assert_eq!((&dropped["rows"], &dropped["first_rows"]), (&json!(100), &json!([9, 19, 29, 39, 49])));

    let given: Vec<u64> = (0..1000).map(|row| row % 13).collect();
    dir.write("given.u64", ids_bytes(&given));
    let by_id = "[[stage]]\ntype = \"ids\"\npath = \"given.u64\"\n[[stage]]\ntype = \"dedup\"\nby = \"id\"\n";
    let (values, ids, _) = through(&dir, by_id);
    assert_eq!((values, ids), (rows[..13].concat(), (0..13).collect()));
    // The memory for what was seen is planned for.
    let text = pipeline(1, 50, &by_bytes, "type = \"null\"");
    let stats = dir.run_with("run - --stats json", text.as_bytes()).json();
    assert!(stats["planned_memory_parts"]["stages"].as_u64() >= Some(1000 * 16), "{stats}");
}

#[test]
fn sample_draws_the_same_rows_however_they_are_read() {
    let (dir, rows) = dir();
    let sample = |options: &str| format!("{SKIP}[[stage]]\ntype = \"sample\"\n{options}\n");
    let (values, tenth, _) = through(&dir, &sample("fraction = 0.1"));
    assert!((60..140).contains(&tenth.len()), "{}", tenth.len());
    assert_eq!(values, tenth.iter().flat_map(|&row| rows[row as usize].clone()).collect::<Vec<_>>());
    let (_, third, _) = through(&dir, &sample("fraction = 0.3"));
    assert!(tenth.iter().all(|row| third.contains(row)));
    assert_ne!(tenth, through(&dir, &sample("fraction = 0.1\nseed = 1")).1);
    assert_eq!(through(&dir, &sample("fraction = 1.0")).1.len(), 997);
    assert_eq!(through(&dir, &sample("fraction = 0")).1, [0u64; 0]);

    let (_, counted, stats) =
        through(&dir, &format!("[[stage]]\ntype = \"sample\"\ncount = 200\nseed = 3\n{SKIP}"));
    assert!((197..=200).contains(&counted.len()) && stats["rows"] == counted.len());
    dir.write("a.npy", npy_f32(DIM, &rows[501..].concat()));
    for (count, expected) in [(0, 0), (1, 1), (200, 200), (499, 499), (5000, 499)] {
        let (_, ids, _) = through(&dir, &format!("[[stage]]\ntype = \"sample\"\ncount = {count}\n"));
        assert_eq!(ids.len(), expected);
        assert!(ids.is_sorted());
    }
    refused(&dir, &sample("count = 10"), 2, &["rows that are counted in advance", "put this stage first"]);
    refused(&dir, &sample("fraction = 1.5"), 2, &["expected a fraction from 0 to 1, found 1.5"]);
    refused(&dir, &sample(""), 2, &["expected either `fraction` or `count`"]);
    refused(&dir, &sample("fraction = 0.5\ncount = 3"), 2, &["expected either `fraction` or `count`"]);
}

#[test]
fn limit_counts_what_comes_and_ends_the_reading() {
    let (dir, rows) = dir();
    let limit = |rows: u64| format!("[[stage]]\ntype = \"limit\"\nrows = {rows}\n");
    // NaN in row 30 is not reached by the rows that are wanted.
    let (values, ids, _) = through(&dir, &limit(29));
    assert_eq!((values, ids.len()), (rows[..29].concat(), 0));
    let (_, ids, _) = through(&dir, &format!("{SKIP}{}", limit(40)));
    assert_eq!(ids.last(), Some(&41));
    assert_eq!(through(&dir, &format!("{SKIP}{}", limit(5000))).1.len(), 997);
    assert_eq!(through(&dir, &limit(0)).2["rows"], 0);
    // A prefix of a mapped file is built in place.
    let text = pipeline(2, 7, &limit(25), "type = \"hnsw\"\npath = \"o.hnsw\"");
    let output = dir.run_with("run - --stats json", text.as_bytes());
    assert_eq!(output.json()["vectors_in_place"], true);
    dir.ok("build-index -i a.npy -o p.hnsw --rows ..25");
    let hits = |index: &str| dir.hits(&format!("-i {index} -q o.npy -k 5"));
    dir.write("o.npy", npy_f32(DIM, &rows[..25].concat()));
    assert_eq!(hits("o.hnsw"), hits("p.hnsw"));
}

#[test]
fn slice_cuts_vectors() {
    let (dir, rows) = dir();
    let slice = |options: &str| format!("{SKIP}[[stage]]\ntype = \"slice\"\n{options}\n");
    let (values, _, _) = through(&dir, &slice("from = 1\nto = 3"));
    assert_eq!(values, kept(&rows).iter().flat_map(|(_, row)| row[1..3].to_vec()).collect::<Vec<_>>());
    let (values, _, _) = through(&dir, &slice("to = 2\nrenormalize = true"));
    for (pair, (_, row)) in values.chunks(2).zip(kept(&rows)) {
        let norm = row[0].hypot(row[1]);
        assert!((pair[0] - row[0] / norm).abs() < 1e-5 && (pair[0].hypot(pair[1]) - 1.0).abs() < 1e-5);
    }
    refused(&dir, &slice("to = 5"), 2, &["expected values within 0..4, found 0..5"]);
    refused(&dir, &slice("from = 4"), 2, &["expected values within 0..4, found 4..4"]);
}

#[test]
fn cast_rounds_to_what_the_type_holds() {
    let (dir, rows) = dir();
    let cast = |options: &str| format!("{SKIP}[[stage]]\ntype = \"cast\"\n{options}\n");
    let expected = |round: fn(f32) -> f32| -> Vec<f32> {
        kept(&rows)
            .iter()
            .flat_map(|(_, row)| row.iter().map(|&value| round(value)).collect::<Vec<_>>())
            .collect()
    };
    let (values, _, _) = through(&dir, &cast("to = \"f16\""));
    assert_eq!(values, expected(|value| half::f16::from_f32(value).to_f32()));
    let (values, _, _) = through(&dir, &cast("to = \"bf16\""));
    assert_eq!(values, expected(|value| half::bf16::from_f32(value).to_f32()));
    let (values, _, _) = through(&dir, &cast("to = \"i8\"\nscale = 0.015625"));
    assert_eq!(values, expected(|value| (value * 64.0).round_ties_even() / 64.0));
    refused(
        &dir,
        &cast("to = \"i8\"\nscale = 0.001"),
        1,
        &["a.npy: row ", "expected a value up to ", "clip"],
    );
    let (values, _, _) = through(&dir, &cast("to = \"i8\"\nscale = 0.001\noverflow = \"clip\""));
    assert!(values.iter().all(|value| (-0.128..=0.127).contains(value)));
    refused(&dir, &cast("to = \"i8\""), 2, &["expected a `scale`, found none"]);
    refused(&dir, &cast("to = \"i8\"\nscale = 0"), 2, &["expected a scale above 0, found 0"]);
    refused(&dir, &cast("to = \"f16\"\nscale = 1.0"), 2, &["`scale` is for i8 only"]);
}
