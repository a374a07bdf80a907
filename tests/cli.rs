//! Every command, flag and default as it is documented.

mod build;
mod convert;
mod ids;
mod part;
mod pipelines;
mod query;
mod statistics;
mod streams;

use serde_json::json;

use crate::util::{Dir, difference, le_bytes, npy_f32, values};

/// `a.npy` with 300 vectors of 8 values, and `a.f32` with the same.
fn dir() -> Dir {
    let dir = Dir::new();
    let values = values(1, 300, 8);
    dir.write("a.npy", npy_f32(8, &values));
    dir.write("a.f32", le_bytes(&values));
    dir
}

#[test]
fn the_commands_of_the_reference_work_as_written() {
    let dir = Dir::new();
    let values = values(2, 64, 768);
    for name in ["embeddings.bin", "data.f32"] {
        dir.write(name, le_bytes(&values));
    }
    dir.write("embeddings.npy", npy_f32(768, &values));
    dir.write("query.f32", le_bytes(&values[768 * 5..768 * 6]));
    dir.ok("build-index --input embeddings.bin --output index.hnsw --dimension 768");
    let first = dir.read("index.hnsw");
    dir.ok("build-index --input embeddings.npy --output index.hnsw");
    assert_eq!(dir.info("index.hnsw")["rows"], 64);
    assert_ne!(first, b"");
    dir.ok("build-index --input data.f32 --output index.hnsw --dimension 768 \
         --max-connections 32 --ef-construction 200 --threads 8");
    let info = dir.info("index.hnsw");
    assert_eq!((&info["m"], &info["ef_construction"]), (&json!(32), &json!(200)));
    let output = dir.ok("query --index index.hnsw --query query.f32 --k 10");
    let rows: Vec<Vec<&str>> = output.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["query", "rank", "id", "distance"]);
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[1], ["0", "1", "5", "0.000000"]);
    let output = dir.ok("info --index index.hnsw");
    assert!(output.text().contains("64 x 768"), "{}", output.text());
    dir.ok("convert --input embeddings.npy --output c.f32 --to-format raw_f32");
    assert_eq!(difference(&dir.read("c.f32"), &dir.read("data.f32")), None);
}

#[test]
fn an_existing_output_is_replaced_refused_or_left() {
    let dir = dir();
    for words in ["build-index -i a.npy -o out", "convert -i a.npy --to-format npy -o out"] {
        dir.write("out", "old");
        let refused = dir.run(&format!("{words} --if-exists error"));
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains("out: exists already") && refused.stderr.contains("help:"));
        let skipped = dir.ok(&format!("{words} --if-exists skip"));
        assert!(skipped.stderr.contains("nothing was done"), "{}", skipped.stderr);
        assert_eq!(dir.read("out"), b"old");
        dir.ok(&format!("{words} --if-exists replace"));
        let replaced = dir.read("out");
        assert!(replaced.len() > 9000);
        dir.write("out", "old");
        dir.ok(words);
        assert_eq!(difference(&dir.read("out"), &replaced), None, "replacing is the default");
        // Nothing there: all three write.
        for what in ["error", "skip"] {
            std::fs::remove_file(dir.path("out")).unwrap();
            dir.ok(&format!("{words} --if-exists {what}"));
            assert_eq!(difference(&dir.read("out"), &replaced), None);
        }
    }
    assert_eq!(dir.run("build-index -i a.npy -o out --if-exists perhaps").code, Some(2));
}
