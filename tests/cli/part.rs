//! Bare values inside a file, and a program that is started by another.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::dir;
use crate::util::{Dir, difference, le_bytes, npy_f32, values, wait};

#[test]
fn a_part_of_a_file_is_what_the_same_rows_are_alone() {
    let dir = dir();
    let all = values(1, 300, 8);
    dir.write("rows.f32", le_bytes(&all[8 * 40..8 * 140]));
    dir.ok("convert -i rows.f32 -d 8 -o expected.npy");
    // Behind the header of a .npy, in the middle of it, and where the name says nothing.
    let header = npy_f32(8, &all).len() - 300 * 8 * 4;
    let offset = header + 40 * 8 * 4;
    for io in ["auto", "mmap", "read"] {
        dir.ok(&format!(
            "convert -i a.npy -f raw_f32 -d 8 --offset {offset} --count 100 -o part.npy --io {io}"
        ));
        assert_eq!(difference(&dir.read("part.npy"), &dir.read("expected.npy")), None);
    }
    dir.ok("build-index -i rows.f32 -d 8 -o alone.hnsw");
    let stats = dir.ok(&format!(
        "build-index -i a.npy -f raw_f32 -d 8 --offset {offset} --count 100 -o part.hnsw --stats json"
    ));
    assert_eq!(stats.json()["vectors_in_place"], json!(cfg!(target_endian = "little")));
    // The recipe says that it was a part; all else is the same.
    assert_eq!(dir.hits("-i part.hnsw -q rows.f32 -k 5"), dir.hits("-i alone.hnsw -q rows.f32 -k 5"));
    // What the file begins with is not what is asked for: not even a packed file is unpacked.
    let mut packed_by_chance = vec![0x1f, 0x8b, 8, 0];
    packed_by_chance.extend(le_bytes(&all[8 * 40 + 1..8 * 140]));
    dir.write("chance.f32", &packed_by_chance);
    dir.ok("convert -i chance.f32 -f raw_f32 -d 8 --count 100 -o chance.npy");
    assert_eq!(dir.read("chance.npy")[header..], packed_by_chance);
    // To the end, and no rows at all.
    dir.ok(&format!("convert -i a.npy -f raw_f32 -d 8 --offset {header} -o all.npy"));
    assert_eq!(difference(&dir.read("all.npy"), &dir.read("a.npy")), None);
    dir.ok("convert -i a.f32 -f raw_f32 -d 8 --count 0 -o none.f32");
    assert_eq!(dir.read("none.f32"), b"");
}

#[test]
fn a_part_has_no_sidecar_and_no_ids() {
    let dir = dir();
    dir.write("a.json", "{\"n\": 7, \"dim\": 3, \"metric\": \"l2\"}");
    dir.write("ids.u64", "others");
    dir.ok("build-index -i a.f32 -d 8 --count 50 -o part.hnsw");
    let info = dir.info("part.hnsw");
    assert_eq!((&info["metric"], &info["ids"]), (&json!("cosine"), &json!("row_numbers")));
}

#[test]
fn parts_that_are_not_there_are_refused() {
    let dir = dir();
    for (words, says) in [
        ("-d 8 --offset 9601", "a.f32: expected offset_bytes up to 9600, the size of the file, found 9601"),
        (
            "-d 8 --offset 32 --count 300",
            "a.f32: expected 9600 bytes from byte 32 on, 300 rows of 8 f32 values, found 9568",
        ),
        ("-d 8 --count 9223372036854775807", "rows of 8 f32 values, found 9600"),
        ("-d 8 --offset 4", "a.f32: expected 9568 bytes, whole rows of 8 f32 values, found 9596, 28 more"),
        ("--offset 0", "expected a dimension, found none"),
    ] {
        let refused = dir.run(&format!("build-index -i a.f32 -f raw_f32 -o o.hnsw {words}"));
        assert!(refused.code == Some(2) || refused.code == Some(1), "{words}: {}", refused.stderr);
        assert!(refused.stderr.contains(says), "{words}: {}", refused.stderr);
    }
    // Other formats say themselves where their values are.
    assert_eq!(dir.run("build-index -i a.npy -o o.hnsw --offset 128").code, Some(2));
    assert!(!dir.exists("o.hnsw"));
}

#[test]
fn failures_name_their_file_for_programs() {
    let dir = dir();
    for (words, path) in [
        ("build-index -i no.npy -o o.hnsw", "no.npy"),
        ("build-index -i a.npy -d 9 -o o.hnsw", "a.npy"),
        ("info -i a.npy", "a.npy"),
        ("build-index -i a.npy -o none/o.hnsw", "none/o.hnsw"),
        ("build-index -i a.npy -o a.npy", "a.npy"),
        ("build-index -i a.npy -o a.f32 --if-exists error", "a.f32"),
    ] {
        let failed = dir.run(&format!("{words} --error-format json"));
        let error: serde_json::Value = serde_json::from_str(failed.stderr.trim()).unwrap();
        assert_eq!(error["path"], path, "{error}");
    }
}

#[test]
fn the_program_says_which_one_it_is() {
    let said = Dir::new().ok("--capabilities").json();
    assert_eq!((&said["program"], &said["schema"]), (&json!("sochdb-tools"), &json!(1)));
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    let has = |list: &str, name: &str| said[list].as_array().unwrap().contains(&json!(name));
    assert!(has("commands", "build-index") && has("formats", "raw_f32"), "{said}");
}

/// The end of whoever holds the pipe is the end of the program, and the index that was there stays.
#[cfg(unix)]
#[test]
fn a_program_ends_with_its_standard_input_where_that_is_asked() {
    use std::os::unix::process::ExitStatusExt;

    let dir = Dir::new();
    dir.write("large.npy", npy_f32(256, &values(3, 30_000, 256)));
    dir.write("o.hnsw", "old");
    let words =
        "build-index -i large.npy -o o.hnsw -e 400 --builder insert -t 1 --progress json --end-with-stdin";
    let mut child =
        dir.command(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the build is too short for this test");
    let start = Instant::now();
    drop(child.stdin.take());
    let status = wait(&mut child).unwrap();
    assert!(status.code() == Some(143) || status.signal() == Some(15), "{status}");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(dir.names(), ["large.npy", "o.hnsw"]);
    assert_eq!(dir.read("o.hnsw"), b"old");
    // Without the flag the end of standard input is nobody's.
    let output = dir.run("build-index -i large.npy -o o.hnsw --limit 100");
    assert_eq!(output.code, Some(0));
}

#[test]
fn the_folder_of_a_pipeline_may_be_another() {
    let dir = dir();
    std::fs::create_dir(dir.path("elsewhere")).unwrap();
    std::fs::create_dir(dir.path("data")).unwrap();
    std::fs::rename(dir.path("a.npy"), dir.path("data/a.npy")).unwrap();
    let text = "version = 1\n[source]\npath = \"a.npy\"\n[sink]\ntype = \"npy\"\npath = \"o.npy\"\n";
    dir.write("elsewhere/p.toml", text);
    dir.ok("run elsewhere/p.toml --folder data");
    assert!(dir.exists("data/o.npy"));
    assert_eq!(dir.run_with("run - --folder data", text.as_bytes()).code, Some(0));
    let plan = dir.ok("plan elsewhere/p.toml --folder data --format json --no-probe").json();
    assert_eq!(plan["outputs"][0]["path"], "data/o.npy");
    assert_eq!(dir.run("run elsewhere/p.toml").code, Some(1));
}
