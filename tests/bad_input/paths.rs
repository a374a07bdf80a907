//! Inputs that cannot be read, outputs that cannot be written, and paths that are both.

use super::Refusals;
use crate::util::{Dir, ids_bytes, npy_f32, values};

#[test]
fn inputs_that_are_no_files() {
    let mut t = Refusals::new();
    std::fs::create_dir(t.dir.path("folder.npy")).unwrap();
    t.case("build-index -i missing.npy -o o.hnsw", 1, &["missing.npy: cannot open: "]);
    t.case("build-index -i folder.npy -o o.hnsw", 2, &["folder.npy: expected a file, found a directory"]);
    t.case("build-index -i a.npy/x.npy -o o.hnsw", 1, &["a.npy/x.npy: cannot open: "]);
    t.case("build-index --input= -o o.hnsw", 2, &["--input"]);
    t.case("build-index -i - -o o.hnsw", 2, &["standard input: the format cannot be told"]);
    t.case("run missing.toml", 1, &["missing.toml: cannot "]);
    t.case("run folder.npy", 1, &["folder.npy: cannot "]);
    #[cfg(unix)]
    {
        make_fifo(&t.dir, "fifo.npy");
        t.case(
            "build-index -i fifo.npy -o o.hnsw",
            2,
            &["fifo.npy: expected a file, found not a regular file"],
        );
        t.case("build-index -i a.npy --ids fifo.npy -o o.hnsw", 2, &["fifo.npy: expected a file"]);
        t.case("build-index -i /dev/zero -o o.hnsw -f raw_f32 -d 4", 2, &["/dev/zero: expected a file"]);
        std::os::unix::fs::symlink("loop.npy", t.dir.path("loop.npy")).unwrap();
        t.case("build-index -i loop.npy -o o.hnsw", 1, &["loop.npy: cannot open: "]);
    }
    t.finish();
}

#[cfg(unix)]
fn make_fifo(dir: &Dir, name: &str) {
    let status = std::process::Command::new("mkfifo").arg(dir.path(name)).status().unwrap();
    assert!(status.success());
}

#[test]
fn outputs_that_cannot_be_written() {
    let mut t = Refusals::new();
    std::fs::create_dir(t.dir.path("folder")).unwrap();
    let missing = "no/such/o.hnsw: cannot write: the folder no/such does not exist";
    t.case("build-index -i a.npy -o no/such/o.hnsw", 2, &[missing]);
    t.case("convert -i a.npy -o no/such/o.hnsw --to-format npy", 2, &[missing]);
    t.case("build-index -i a.npy -o a.f32/o.hnsw", 2, &["a.f32/o.hnsw: cannot write: "]);
    for folder in ["folder", "folder/", ".", "..", "/"] {
        let says = format!("{folder}: expected ");
        t.case(&format!("build-index -i a.npy -o {folder}"), 2, &[&says]);
    }
    t.case("build-index -i a.npy --output=", 2, &["output"]);
    t.case("build-index -i a.npy -o -", 2, &["standard output"]);
    t.case(
        "convert -i a.npy -o noextension",
        2,
        &["noextension: the name does not tell the format", "--to-format"],
    );
    #[cfg(unix)]
    {
        make_fifo(&t.dir, "fifo");
        for name in ["fifo", "/dev/null", "/dev/full"] {
            let says = format!("{name}: expected a file to replace, found something else");
            t.case(&format!("build-index -i a.npy -o {name}"), 2, &[&says]);
            t.case(&format!("convert -i a.npy -o {name} --to-format npy"), 2, &[&says]);
        }
    }
    t.finish();
}

#[test]
fn names_that_no_file_can_have_are_found_out_before_the_work() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o new/", 2, &["new/"]);
    let long = "n".repeat(256);
    t.case(&format!("build-index -i a.npy -o {long}"), 2, &[&long]);
    t.finish();
}

#[test]
fn a_name_as_long_as_names_may_be_is_written() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &values(1, 10, 4)));
    let long = "n".repeat(255);
    let output = dir.run(&format!("build-index -i a.npy -o {long}"));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(dir.info(&long)["rows"], 10);
}

#[test]
fn an_output_is_never_an_input() {
    let mut t = Refusals::new();
    let both = "the output is an input";
    t.dir.write("meta.json", r#"{"dim": 4}"#);
    for input in ["a.npy", "a.f32"] {
        t.case(&format!("build-index -i {input} -o {input}"), 2, &[input, both]);
        t.case(&format!("build-index -i {input} -o ./{input}"), 2, &[input, both]);
    }
    t.case("convert -i a.npy -o a.npy --to-format npy", 2, &["a.npy", both]);
    t.case("convert -i a.f32 -o a.f32 --to-format raw_f32", 2, &["a.f32", both]);
    std::fs::hard_link(t.dir.path("a.npy"), t.dir.path("hard.npy")).unwrap();
    t.case("build-index -i a.npy -o hard.npy", 2, &["hard.npy", both, "a.npy"]);
    t.case("build-index -i hard.npy -o a.npy", 2, &["a.npy", both]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a.npy", t.dir.path("soft.npy")).unwrap();
        t.case("build-index -i a.npy -o soft.npy", 2, &["soft.npy", both, "a.npy"]);
        t.case("build-index -i soft.npy -o a.npy", 2, &["a.npy", both]);
        t.case("convert -i a.npy -o soft.npy", 2, &["soft.npy", both]);
    }
    t.finish();
}

#[test]
fn an_output_is_never_a_file_that_was_read_beside_the_input() {
    let mut t = Refusals::new();
    // The sidecar and the ids belong to the vectors.
    t.with(
        "a.json",
        br#"{"dim": 4}"#,
        "build-index -i a.f32 -o a.json",
        2,
        &["a.json", "the output is an input"],
    );
    let ids = ids_bytes(&(0..10).collect::<Vec<_>>());
    t.with(
        "ids.u64",
        &ids,
        "build-index -i a.f32 -d 4 -o ids.u64",
        2,
        &["ids.u64", "the output is an input"],
    );
    // A second raw file here would need an ids.u64 of its own.
    t.dir.write("ids.u64", &ids);
    t.dir.write("b.f32", "older");
    t.case("convert -i a.f32 -d 4 -o b.f32 --rows 0..5", 2, &["ids.u64"]);
    std::fs::remove_file(t.dir.path("ids.u64")).unwrap();
    // One path for two outputs.
    t.dir.write("keys.bin", &ids);
    let pipeline =
        b"version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"ids\"\npath = \"keys.bin\"\n\
                     [sink]\ntype = \"raw_f32\"\npath = \"ids.u64\"\n";
    t.case_of(&["run", "-"], pipeline, 2, &["ids.u64"]);
    // The pipeline itself.
    let pipeline =
        b"version = 1\nsource = { path = \"a.npy\" }\nsink = { type = \"npy\", path = \"p.toml\" }\n";
    t.with("p.toml", pipeline, "run p.toml", 2, &["p.toml", "the output is an input"]);
    t.finish();
}

#[test]
fn statistics_and_hits_never_replace_what_was_read_or_written() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o o.hnsw --stats a.npy", 2, &["a.npy"]);
    t.case("build-index -i a.npy -o o.hnsw --stats o.hnsw", 2, &["o.hnsw"]);
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    t.case("query -i i.hnsw -q a.npy -o a.npy", 2, &["a.npy", "the output is an input"]);
    t.case("query -i i.hnsw -q a.npy -o i.hnsw", 2, &["i.hnsw", "the output is an input"]);
    t.case("query -i i.hnsw -q a.npy --stats a.npy", 2, &["a.npy"]);
    t.case("query -i i.hnsw -q a.npy --stats i.hnsw", 2, &["i.hnsw"]);
    t.case("query -i i.hnsw -q a.npy -o hits --stats ./hits", 2, &["./hits", "one name"]);
    t.case("query -i i.hnsw -q a.npy --stats json", 2, &["hits and statistics", "--stats FILE"]);
    t.finish();
}

#[test]
fn statistics_that_cannot_be_written_are_found_out_before_the_work() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o o.hnsw --stats no/such/s.json", 2, &["no/such/s.json"]);
    std::fs::create_dir(t.dir.path("folder")).unwrap();
    t.case("build-index -i a.npy -o o.hnsw --stats folder", 2, &["folder"]);
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    t.case("query -i i.hnsw -q a.npy -o no/such/hits", 2, &["no/such/hits"]);
    t.case("query -i i.hnsw -q a.npy --stats no/such/s.json", 2, &["no/such/s.json"]);
    t.finish();
}
