//! Vectors that an index keeps rounded, or not at all; and the ef that it keeps.

use crate::util::{Dir, difference, npy_f32, values};

const ROWS: usize = 2000;
const DIM: usize = 24;

fn dir() -> Dir {
    let dir = Dir::new();
    dir.write("v.npy", npy_f32(DIM, &values(5, ROWS, DIM)));
    dir.write("q.npy", npy_f32(DIM, &values(6, 40, DIM)));
    dir
}

fn size(dir: &Dir, name: &str) -> u64 {
    dir.path(name).metadata().unwrap().len()
}

#[test]
fn vectors_are_kept_rounded() {
    let dir = dir();
    dir.ok("build-index -i v.npy -o f32.hnsw --metric l2 --codes none");
    dir.ok("convert -i v.npy -o v.jsonl");
    for (storage, bytes, most) in [("f16", 2, 0.01), ("i8", 1, 0.5)] {
        let made = format!("--metric l2 --codes none --storage {storage}");
        dir.ok(&format!("build-index -i v.npy -o {storage}.hnsw {made}"));
        let saved = size(&dir, "f32.hnsw") - size(&dir, &format!("{storage}.hnsw"));
        let expected = (ROWS * DIM * (4 - bytes)) as u64;
        assert!(saved.abs_diff(expected) < 10_000, "{storage}: {saved}");
        let info = dir.info(&format!("{storage}.hnsw"));
        assert_eq!((&info["storage"], &info["ids"]), (&storage.into(), &"row_numbers".into()));
        assert!(info["recipe"].as_str().unwrap().contains(&format!("storage = \"{storage}\"")), "{info}");
        // Rows that come one after the other, not in place, give the same index; threads do not matter.
        dir.ok(&format!("build-index -i v.jsonl -o other.hnsw {made} -t 3"));
        let recipe = |name: &str| dir.info(name)["recipe"].clone();
        assert_ne!(recipe("other.hnsw"), recipe(&format!("{storage}.hnsw")), "their formats differ");
        let hits = dir.hits(&format!("-i {storage}.hnsw -q q.npy -k 5 -e 2000"));
        assert_eq!(dir.hits("-i other.hnsw -q q.npy -k 5 -e 2000"), hits);
        let exact = dir.hits("-i f32.hnsw -q q.npy -k 5 -e 2000");
        for (found, exact) in hits.iter().flatten().zip(exact.iter().flatten()) {
            assert!((found.1 - exact.1).abs() < most, "{storage}: {found:?} {exact:?}");
        }
        assert!(dir.ok(&format!("check {storage}.hnsw --deep")).text().contains("recall     ok"));
        let found = dir.ok(&format!("eval -i {storage}.hnsw -q q.npy -k 5 --ef 2000 --json")).json();
        assert_eq!(found["points"][0]["recall"], 1.0, "by its own vectors: {found}");
        // Against the rows that it was built from.
        dir.ok("exact --base v.npy -q q.npy -k 5 --metric l2 -o t.ivecs");
        let found =
            dir.ok(&format!("eval -i {storage}.hnsw -q q.npy -k 5 --ef 2000 -g t.ivecs --json")).json();
        let recall = found["points"][0]["recall"].as_f64().unwrap();
        assert!(recall > if storage == "f16" { 0.98 } else { 0.85 }, "{storage}: {recall}");
        // What the index says of its own vectors is what it finds.
        dir.ok(&format!("exact --index {storage}.hnsw -q q.npy -k 5 -o t.npy"));
        dir.ok(&format!("eval -i {storage}.hnsw -q q.npy -k 5 --ef 2000 -g t.npy"));
    }
}

#[test]
fn a_check_of_recall_is_against_the_rows_as_given() {
    let dir = dir();
    let pipeline = |storage: &str, min: f64| {
        format!(
            "version = 1\n[source]\npath = \"v.npy\"\n[sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\nmetric = \"l2\"\n\
             storage = \"{storage}\"\n[check]\nrecall = {{ min = {min}, k = 10, sample = 200, ef = 2000 }}\n"
        )
    };
    let run = dir.run_with("run --stats json -", pipeline("i8", 0.5).as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let recall = run.json()["outputs"][0]["recall"]["value"].as_f64().unwrap();
    assert!((0.8..1.0).contains(&recall), "an exact search of rounded rows errs: {recall}");
    let run = dir.run_with("run -", pipeline("i8", 1.0).as_bytes());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(dir.run_with("run -", pipeline("f32", 1.0).as_bytes()).code, Some(0));
}

#[test]
fn values_past_half_precision_are_refused() {
    let dir = Dir::new();
    dir.write("v.npy", npy_f32(2, &[1.0, 2.0, 3.0, 70_000.0]));
    let run = dir.run("build-index -i v.npy -o o.hnsw --storage f16");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("v.npy: row 1: expected values up to 65504"), "{}", run.stderr);
    assert_eq!(dir.names(), ["v.npy"]);
    dir.ok("build-index -i v.npy -o o.hnsw --storage i8");
}

#[test]
fn an_index_may_leave_its_vectors_where_they_are() {
    let dir = dir();
    dir.ok("build-index -i v.npy -o own.hnsw");
    dir.ok("build-index -i v.npy -o o.hnsw --no-vectors");
    assert!(size(&dir, "own.hnsw") - size(&dir, "o.hnsw") > (ROWS * DIM * 4 - 10_000) as u64);
    assert_eq!(dir.info("o.hnsw")["storage"], "source");
    let hits = |name: &str| dir.hits(&format!("-i {name} -q q.npy -k 7"));
    assert_eq!(hits("o.hnsw"), hits("own.hnsw"));
    dir.ok("check o.hnsw --deep");
    // Both may go elsewhere together.
    std::fs::create_dir(dir.path("moved")).unwrap();
    for name in ["v.npy", "o.hnsw"] {
        std::fs::rename(dir.path(name), dir.path("moved").join(name)).unwrap();
    }
    assert_eq!(hits("moved/o.hnsw"), hits("own.hnsw"));
    // In another folder, a range of rows.
    dir.ok("build-index -i moved/v.npy -o far.hnsw --no-vectors --rows 100..1100");
    assert_eq!(dir.info("far.hnsw")["rows"], 1000);
    dir.ok("check far.hnsw --deep");
    // Others under that name, or none.
    let mut changed = dir.read("moved/v.npy");
    changed[128 + 100 * DIM * 4] ^= 1;
    dir.write("moved/v.npy", &changed);
    let run = dir.run("query -i far.hnsw -q q.npy");
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("far.hnsw: its vectors are in moved/v.npy: expected the vectors that"),
        "{}",
        run.stderr
    );
    std::fs::remove_file(dir.path("moved/v.npy")).unwrap();
    let run = dir.run("query -i far.hnsw -q q.npy");
    assert!(run.stderr.contains("moved/v.npy"), "{}", run.stderr);
    assert!(run.stderr.contains("put the file back"), "{}", run.stderr);
    assert_eq!(dir.run("info -i far.hnsw").code, Some(0), "its header is there");
}

#[test]
fn vectors_that_cannot_stay_are_named() {
    let dir = dir();
    dir.write("w.npy", npy_f32(DIM, &values(5, ROWS, DIM)));
    dir.ok("convert -i v.npy -o v.parquet");
    dir.ok("convert -i v.npy -o v.npy.zst --to-format npy");
    dir.ok("convert -i v.npy -o h.npy --to-option dtype=f16 --to-option rounding=nearest");
    for (input, why) in [
        ("v.parquet", "does not hold them as little-endian f32"),
        ("h.npy", "does not hold them as little-endian f32"),
        ("v.npy.zst", "it is packed"),
        ("v.npy -i w.npy", "several files"),
    ] {
        let run = dir.run(&format!("build-index -i {input} -o o.hnsw --no-vectors"));
        assert_eq!(run.code, Some(2), "{input}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{input}: {}", run.stderr);
    }
    let run = dir.run("build-index -i v.npy -o o.hnsw --no-vectors --storage f16");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(!dir.exists("o.hnsw"));
}

#[test]
fn the_ef_that_is_enough_is_kept() {
    let dir = dir();
    dir.ok("build-index -i v.npy -o o.hnsw");
    let before = dir.read("o.hnsw");
    assert_eq!(dir.info("o.hnsw")["default_ef"], serde_json::Value::Null);
    let found = dir.ok("eval -i o.hnsw -q q.npy --target-recall 0.9 --store-ef --json").json();
    let ef = found["target_ef"].as_u64().unwrap();
    assert_eq!(found["stored_ef"], ef);
    assert_eq!(dir.info("o.hnsw")["default_ef"], ef);
    assert!(dir.ok("info -i o.hnsw").text().contains(&format!("default ef       {ef}")));
    // Only that field has changed, and the checksums with it.
    let after = dir.read("o.hnsw");
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
    let is_expected =
        |at: &usize| (848..852).contains(at) || (4088..4096).contains(at) || *at >= before.len() - 64;
    assert!(before.len() == after.len() && changed.iter().all(is_expected), "{changed:?}");
    let used = |flags: &str| {
        dir.ok(&format!("query -i o.hnsw -q q.npy --stats json -o h.tsv -f tsv {flags}")).json()
    };
    assert_eq!(used("")["ef_search"], ef);
    let stored = dir.read("h.tsv");
    assert_eq!(used(&format!("--ef {ef}"))["ef_search"], ef);
    assert_eq!(difference(&dir.read("h.tsv"), &stored), None);
    assert_eq!(used("-k 300")["ef_search"], ef.max(300));
    dir.ok("check o.hnsw");
    assert_eq!(
        dir.run("eval -i o.hnsw -q q.npy --store-ef").code,
        Some(2),
        "without a target there is no ef"
    );
    assert_eq!(dir.names(), ["h.tsv", "o.hnsw", "q.npy", "v.npy"]);
}
