//! `export`, and indexes of other libraries as inputs of every command that takes an index or vectors.

use crate::util::{Dir, ids_bytes, npy_f32, values};

const DIM: usize = 6;
const LIBRARIES: [&str; 4] = ["faiss", "hnswlib", "sochdb", "usearch"];

/// Rows with ids and copies, and an index of them without codes: what other libraries walk by.
fn dir() -> Dir {
    let dir = Dir::new();
    let mut rows = values(1, 500, DIM);
    rows.copy_within(0..DIM, 499 * DIM);
    rows.copy_within(0..DIM, 40 * DIM);
    dir.write("a.npy", npy_f32(DIM, &rows));
    dir.write("q.npy", npy_f32(DIM, &values(2, 30, DIM)));
    let ids: Vec<u64> = (0..500).map(|row| row * 3 + 7).collect();
    dir.write("ids.u64", ids_bytes(&ids));
    dir.ok("build-index -i a.npy -o a.hnsw --ids ids.u64 --metric l2 --codes none");
    dir
}

#[test]
fn an_exported_index_is_searched_described_and_checked_as_the_original() {
    let dir = dir();
    let expected = dir.hits("-i a.hnsw -q q.npy --ef 500");
    for library in LIBRARIES {
        let file = format!("a.{library}");
        dir.ok(&format!("export a.hnsw --to {library} -o {file}"));
        let metric = if library == "hnswlib" { "--metric l2" } else { "" };
        assert_eq!(dir.hits(&format!("-i {file} -q q.npy --ef 500 {metric}")), expected, "{library}");
        let info = dir.info(&file);
        assert_eq!((&info["library"], &info["rows"], &info["m"]), (&library.into(), &500.into(), &16.into()));
        assert_eq!((&info["reachable_share"], &info["dropped_links"]), (&1.0.into(), &0.into()), "{library}");
        let text = dir.ok(&format!("info -i {file}"));
        assert!(text.text().contains("100.00 %"), "{}", text.text());
        dir.ok(&format!("check {file}"));
        dir.ok(&format!("check {file} --deep {metric}"));
        dir.ok(&format!("eval --index {file} --queries q.npy {metric}"));
    }
}

#[test]
fn building_for_a_library_is_building_and_exporting() {
    let dir = dir();
    for library in LIBRARIES {
        dir.ok(&format!("export a.hnsw --to {library} -o exported"));
        dir.ok(&format!("build-index -i a.npy -o built --ids ids.u64 --metric l2 --index-format {library}"));
        assert!(dir.read("exported") == dir.read("built"), "{library}");
        dir.write(
            "p.toml",
            format!(
                "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"ids\"\npath = \"ids.u64\"\n\
                 [sink]\ntype = \"hnsw\"\npath = \"run\"\nmetric = \"l2\"\nformat = \"{library}\"\n"
            ),
        );
        dir.ok("run p.toml");
        assert!(dir.read("exported") == dir.read("run"), "{library}");
    }
    assert!(dir.names().iter().all(|name| !name.starts_with('.')), "{:?}", dir.names());
}

#[test]
fn vectors_and_ids_come_out_of_every_index() {
    let dir = dir();
    dir.ok("convert -i a.npy -o expected.jsonl --ids ids.u64");
    dir.ok("convert -i a.hnsw -o own.jsonl");
    assert_eq!(dir.read("own.jsonl"), dir.read("expected.jsonl"));
    for library in LIBRARIES {
        dir.ok(&format!("export a.hnsw --to {library} -o a.{library}"));
        dir.ok(&format!("convert -i a.{library} -o {library}.jsonl"));
        assert_eq!(dir.read(&format!("{library}.jsonl")), dir.read("expected.jsonl"), "{library}");
        // And an index is built of it as of any source, with the metric that it says.
        let metric = if library == "hnswlib" { "--metric l2" } else { "" };
        dir.ok(&format!("build-index -i a.{library} -o again.hnsw --codes none {metric}"));
        assert_eq!(dir.info("again.hnsw")["metric"], "l2");
        assert_eq!(dir.hits("-i again.hnsw -q q.npy"), dir.hits("-i a.hnsw -q q.npy"), "{library}");
    }
}

#[test]
fn an_index_of_a_library_becomes_one_of_this_program() {
    let dir = dir();
    let expected = dir.hits("-i a.hnsw -q q.npy --ef 500");
    for library in LIBRARIES {
        dir.ok(&format!("export a.hnsw --to {library} -o a.{library}"));
        let metric = if library == "hnswlib" { "--metric l2" } else { "" };
        dir.ok(&format!("export a.{library} --to native -o taken.hnsw {metric}"));
        assert_eq!(dir.info("taken.hnsw")["builder"], library);
        assert_eq!(dir.hits("-i taken.hnsw -q q.npy --ef 500"), expected, "{library}");
        dir.ok("check taken.hnsw --deep");
        // From one library to another.
        dir.ok(&format!("export a.{library} --to faiss -o other.faiss {metric}"));
        assert_eq!(dir.hits("-i other.faiss -q q.npy --ef 500"), expected, "{library}");
    }
}

#[test]
fn rows_are_of_length_one_where_a_library_has_no_cosine() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o c.hnsw --metric cosine --codes none");
    let expected = dir.hits("-i c.hnsw -q q.npy --ef 500 -k 5");
    for library in LIBRARIES {
        dir.ok(&format!("export c.hnsw --to {library} -o c.{library}"));
        let metric = if ["hnswlib", "faiss"].contains(&library) { "--metric cosine" } else { "" };
        let found = dir.hits(&format!("-i c.{library} -q q.npy --ef 500 -k 5 {metric}"));
        for (expected, found) in expected.iter().zip(&found) {
            for (expected, found) in expected.iter().zip(found) {
                assert!((expected.1 - found.1).abs() < 1e-5, "{library}: {expected:?}, {found:?}");
            }
        }
    }
    // Those of usearch are as they were given.
    dir.ok("convert -i c.usearch -o back.npy");
    dir.ok("verify a.npy back.npy");
}

#[test]
fn texts_go_where_they_can() {
    let dir = dir();
    let uuids: String = (0..500).map(|row| format!("{row:08x}-0000-4000-8000-{row:012x}\n")).collect();
    dir.write("uuids.txt", &uuids);
    dir.ok("build-index -i a.npy -o u.hnsw --ids uuids.txt --metric l2 --codes none");
    dir.ok("export u.hnsw --to sochdb -o u.sochdb");
    let ids = |index: &str| dir.ok(&format!("query --format json -i {index} -q q.npy --ef 500")).stdout;
    assert_eq!(ids("u.sochdb"), ids("u.hnsw"));
    dir.ok("convert -i u.sochdb -o u.jsonl");
    dir.ok("convert -i u.hnsw -o own.jsonl");
    assert_eq!(dir.read("u.jsonl"), dir.read("own.jsonl"));
    for library in ["faiss", "hnswlib", "usearch"] {
        let output = dir.run(&format!("export u.hnsw --to {library} -o u.{library}"));
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert!(
            output.stderr.contains("holds no texts") && output.stderr.contains("--ids rows"),
            "{}",
            output.stderr
        );
        assert!(!dir.exists(&format!("u.{library}")));
        dir.ok(&format!("export u.hnsw --to {library} -o u.{library} --ids rows"));
        let output = dir.run(&format!("build-index -i a.npy -o no --ids uuids.txt --index-format {library}"));
        assert_eq!(output.code, Some(2), "{}", output.stderr);
    }
    dir.write("words.txt", (0..500).map(|row| format!("word {row}\n")).collect::<String>());
    dir.ok("build-index -i a.npy -o w.hnsw --ids words.txt --metric l2");
    let output = dir.run("export w.hnsw --to sochdb -o w.sochdb");
    assert!(output.stderr.contains("numbers and UUIDs"), "{}", output.stderr);
}

#[test]
fn what_cannot_be_exported_or_opened_says_why() {
    let dir = dir();
    dir.ok("export a.hnsw --to hnswlib -o a.hnswlib");
    dir.write("cut.hnswlib", &dir.read("a.hnswlib")[..20_000]);
    dir.ok("export a.hnsw --to sochdb -o a.sochdb");
    let mut damaged = dir.read("a.sochdb");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    dir.write("damaged.sochdb", damaged);
    let before = dir.read("a.hnsw");
    for (words, code, expected) in [
        ("export a.npy --to faiss -o x", 1, "expected an index file"),
        ("export a.hnsw --to nobody -o x", 2, "known are native, faiss, hnswlib, sochdb, usearch"),
        ("export a.hnsw --to native -o x", 2, "it is an index of this program already"),
        ("export a.hnsw --to faiss -o a.hnsw", 2, "the output is an input"),
        ("export a.hnsw --to faiss -o no/x", 2, "no"),
        ("export a.hnsw --to faiss -o q.npy --if-exists error", 2, "exists already"),
        ("export missing.hnsw --to faiss -o x", 1, "missing.hnsw"),
        ("query -i a.hnswlib -q q.npy", 2, "--metric l2, cosine or ip"),
        ("query -i a.hnsw -q q.npy --metric ip", 2, "expected the metric ip, as asked for, found l2"),
        ("info -i cut.hnswlib", 1, "cut.hnswlib"),
        ("query -i damaged.sochdb -q q.npy", 1, "damaged.sochdb"),
        ("info --pipeline -i a.hnswlib", 2, "does not say which pipeline built it"),
        ("build-index -i a.npy -o x --index-format faiss --codes i8", 2, "has no codes"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(code), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{words}: {}", output.stderr);
        assert!(!dir.exists("x"), "{words}");
    }
    assert!(dir.read("a.hnsw") == before);
    dir.ok("export a.hnsw --to faiss -o q.npy --if-exists skip");
    assert!(dir.read("q.npy").starts_with(b"\x93NUMPY"));
}

#[test]
fn a_graph_that_leads_nowhere_is_found_out() {
    let dir = dir();
    dir.ok("export a.hnsw --to hnswlib -o a.hnswlib");
    let mut bytes = dir.read("a.hnswlib");
    // Lists of level 0 of all rows from 250 on are emptied, and all links to them from before as well.
    let record = 4 + 4 * 32 + 4 * DIM + 8;
    for row in 0..500 {
        let at = 96 + row * record;
        let count = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let near: Vec<u32> = (0..count)
            .map(|place| u32::from_le_bytes(bytes[at + 4 + place * 4..][..4].try_into().unwrap()))
            .filter(|&neighbour| row < 250 && neighbour < 250)
            .collect();
        bytes[at..at + 2].copy_from_slice(&(near.len() as u16).to_le_bytes());
        for (place, neighbour) in near.iter().enumerate() {
            bytes[at + 4 + place * 4..][..4].copy_from_slice(&neighbour.to_le_bytes());
        }
    }
    dir.write("half.hnswlib", &bytes);
    let output = dir.run("check half.hnswlib");
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(output.text().contains("reachable  FAILED"), "{}", output.text());
    assert!(output.stderr.contains("build-index"), "{}", output.stderr);
    let output = dir.ok("query -i half.hnswlib -q q.npy --metric l2");
    assert!(output.stderr.contains("are found by no search"), "{}", output.stderr);
    assert!(dir.ok("info -i half.hnswlib").text().contains("no search finds the other"));
}
