//! `run`, and the pipelines that other commands print.

use super::dir;
use crate::util::{difference, ids_bytes};

#[test]
fn a_printed_pipeline_builds_the_same_bytes() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(0..300).map(|id| id * 7 + 1).collect::<Vec<_>>()));
    dir.write("with \"quotes\" and ü.npy", dir.read("a.npy"));
    let tables: [&[&str]; 7] = [
        &["-i", "a.npy"],
        &["-i", "a.npy", "--metric", "l2", "-m", "7", "-e", "33", "--seed", "5", "-t", "3"],
        &["-i", "a.npy", "--ids", "ids.bin", "--rows", "17..250", "--io", "read"],
        &["-i", "a.f32", "-d", "8", "-f", "raw", "--batch-size", "7", "--if-exists", "error"],
        &["-i", "a.npy", "--rows", "100..", "--seed", "9223372036854775807"],
        &["-i", "with \"quotes\" and ü.npy", "--rows", "..50"],
        &["-i", "a.npy", "--rows", "10..250", "--limit", "90"],
    ];
    for options in tables {
        let words: Vec<&str> = ["build-index", "-o", "o.hnsw"].iter().chain(options).copied().collect();
        let build = dir.run_of(&words);
        assert_eq!(build.code, Some(0), "{options:?}: {}", build.stderr);
        let expected = dir.read("o.hnsw");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        let words: Vec<&str> = words.iter().chain(&["--print-pipeline"]).copied().collect();
        let printed = dir.run_of(&words);
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{options:?}");
        assert!(!dir.exists("o.hnsw"), "printing does nothing else");
        let table: toml::Table = printed.text().parse().unwrap();
        assert_eq!(table.keys().take(3).collect::<Vec<_>>(), ["version", "run", "source"]);
        let run = dir.run_with("run -", &printed.stdout);
        assert_eq!(run.code, Some(0), "{options:?}: {}", run.stderr);
        assert_eq!(difference(&expected, &dir.read("o.hnsw")), None, "{options:?}");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
    }
}

#[test]
fn normalize_makes_unit_vectors() {
    let dir = dir();
    let pipeline = "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"normalize\"\n\
                    [sink]\ntype = \"npy\"\npath = \"n.npy\"\n";
    dir.run_with("run -", pipeline.as_bytes());
    let file = dir.read("n.npy");
    let values: Vec<f32> =
        file[128..].chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values.len(), 2400);
    for row in values.chunks_exact(8) {
        let norm: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    }
}

#[test]
fn flags_of_run_win_over_the_file() {
    let dir = dir();
    dir.write(
        "p.toml",
        "version = 1\n[run]\nthreads = 1\nif_exists = \"error\"\n[source]\npath = \"a.npy\"\n\
         [sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n",
    );
    assert_eq!(dir.ok("run p.toml --stats json").json()["threads"], 1);
    assert_eq!(dir.run("run p.toml").code, Some(2));
    assert_eq!(dir.ok("run p.toml --if-exists replace -t 2 --stats json").json()["threads"], 2);
    // Paths begin in the file's own folder.
    std::fs::create_dir(dir.path("sub")).unwrap();
    std::fs::rename(dir.path("p.toml"), dir.path("sub/p.toml")).unwrap();
    std::fs::rename(dir.path("a.npy"), dir.path("sub/a.npy")).unwrap();
    dir.ok("run sub/p.toml");
    assert!(dir.exists("sub/o.hnsw"));
}
