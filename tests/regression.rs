//! Mistakes that were made once.

use crate::util::{Dir, ids_bytes, le_bytes, npy_f32, values};

fn dir_with_vectors() -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &values(1, 10, 4)));
    dir
}

#[test]
fn statistics_never_replace_the_output_by_another_of_its_names() {
    let dir = dir_with_vectors();
    let refused = dir.run("build-index -i a.npy -o o.hnsw --stats ./o.hnsw");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("output and statistics would have one name"), "{}", refused.stderr);
    assert_eq!(dir.names(), ["a.npy"]);
}

#[test]
fn hits_never_replace_what_lies_beside_the_queries() {
    let dir = dir_with_vectors();
    dir.ok("build-index -i a.npy -o i.hnsw");
    dir.write("q.f32", le_bytes(&values(2, 1, 4)));
    dir.write("q.json", "{\"dim\": 4}");
    let refused = dir.run("query -i i.hnsw -q q.f32 -f json -o q.json");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert_eq!(dir.read("q.json"), b"{\"dim\": 4}");
}

#[test]
fn ids_of_other_vectors_are_not_left_beside_new_ones() {
    let dir = dir_with_vectors();
    dir.write("ids.u64", ids_bytes(&(1000..1010).collect::<Vec<_>>()));
    let refused = dir.run("convert -i a.npy -o x.f32");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("would be taken for the ids of these vectors"), "{}", refused.stderr);
    assert_eq!(dir.names(), ["a.npy", "ids.u64"]);
}

#[test]
fn distances_that_would_overflow_are_refused_in_rows_and_in_queries() {
    let dir = dir_with_vectors();
    dir.write("far.npy", npy_f32(1, &[1.8e19, -1.8e19]));
    let refused = dir.run("build-index -i far.npy -o o.hnsw --metric l2");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("far.npy: row 0: expected values whose squares"), "{}", refused.stderr);
    dir.write("near.npy", npy_f32(1, &[1.0, 2.0]));
    dir.ok("build-index -i near.npy -o o.hnsw --metric l2");
    let refused = dir.run("query -i o.hnsw -q far.npy");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("far.npy: row 0: expected values whose squares"), "{}", refused.stderr);
}

#[test]
fn an_existing_sidecar_counts_as_an_existing_output() {
    let dir = dir_with_vectors();
    dir.write("b.json", "{}");
    dir.write("b.f32.json", "{}");
    let refused = dir.run("convert -i a.npy -o b.f32 --if-exists error");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(!dir.exists("b.f32"));
}

#[test]
fn absurd_batch_sizes_are_bounded_and_do_not_overflow() {
    let dir = dir_with_vectors();
    let pipeline = "version = 1\nrun = { batch_rows = 9223372036854775807 }\n\
                    source = { path = \"a.npy\" }\nsink = { type = \"hnsw\", path = \"o.hnsw\" }\n";
    dir.write("p.toml", pipeline);
    let stats = dir.ok("run p.toml --stats json").json();
    assert!(stats["planned_memory_bytes"].as_u64().unwrap() < 64 << 20, "{stats}");
}

/// Whoever reads a pipe may stop when it has enough: the work ends then, without a word.
#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_work() {
    use std::io::Read;
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(64, &values(1, 20_000, 64)));
    let mut command = dir.command("convert -i a.npy -o - --to-format raw_f32");
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 256];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
