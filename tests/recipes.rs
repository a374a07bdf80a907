//! An index is built again from the pipeline that it holds, to the same bytes; and what that needs is asked for.

use crate::util::{Dir, difference, npy_f32, values};

const DIM: usize = 8;
const ROWS: usize = 300;

/// Vectors in several formats, and ids under a name that nothing would guess.
fn dir() -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &values(1, ROWS, DIM)));
    dir.write("b.npy", npy_f32(DIM, &values(2, ROWS, DIM)));
    let ids: String = (0..ROWS)
        .map(|row| format!("{{\"id\":{},\"vector\":[1.0],\"n\":{row}}}\n", 7 * row + 1000))
        .collect();
    dir.write("ids.jsonl", ids);
    dir.ok("convert -i ids.jsonl -o ids.parquet --to-option id_column=key");
    dir
}

/// Runs the recipe of an index: without paths, where it is refused with `help`, and then with them.
fn again(dir: &Dir, index: &str, help: &str, set: &[&str], more: &[&str]) {
    let output = dir.run_of(&["run", "--from", index]);
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.starts_with("error[E0105]: recipe of "), "{}", output.stderr);
    assert!(output.stderr.trim_end().ends_with(help), "{}", output.stderr);
    let mut words = vec!["run", "--from", index, "--set", "sink.path=again.hnsw"];
    words.extend(set.iter().flat_map(|set| ["--set", *set]));
    words.extend(more);
    let output = dir.run_of(&words);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(difference(&dir.read(index), &dir.read("again.hnsw")), None, "{index}");
    std::fs::remove_file(dir.path("again.hnsw")).unwrap();
}

#[test]
fn columns_of_other_files_are_found_again() {
    let dir = dir();
    dir.ok("build-index -i a.npy --columns-from ids.parquet --id-column key -o i.hnsw");
    let help = "add --set source.path=FILE --set source.columns.path=FILE --set sink.path=FILE";
    again(&dir, "i.hnsw", help, &["source.path=a.npy", "source.columns.path=ids.parquet"], &[]);
}

#[test]
fn a_program_is_named_again() {
    let dir = dir();
    dir.ok("convert -i a.npy -o a.arrows");
    dir.ok("build-index -i a.arrows --allow-exec -o i.hnsw -- cat {path}");
    let help = "add --set 'source.command=[\"PROGRAM\", \"ARGUMENT\"]' --set sink.path=FILE --allow-exec";
    let set = ["source.path=a.arrows", "source.command=[\"cat\", \"{path}\"]"];
    again(&dir, "i.hnsw", help, &set, &["--allow-exec"]);
}

#[test]
fn several_sources_are_named_again() {
    let dir = dir();
    dir.ok("convert -i b.npy -o b.fvecs");
    let source = "[[source]]\npath = \"a.npy\"\n[[source]]\npath = \"b.fvecs\"\n";
    let sink = "[sink]\ntype = \"hnsw\"\npath = \"i.hnsw\"\n";
    dir.write("p.toml", format!("version = 1\n{source}{sink}"));
    dir.ok("run p.toml");
    let help = "add --set 'source.paths=[\"FILE\", \"FILE\"]' --set sink.path=FILE";
    again(&dir, "i.hnsw", help, &["source.paths=[\"a.npy\", \"b.fvecs\"]"], &[]);
    // Of one format they are any number of files.
    dir.ok("build-index -i a.npy -i b.npy -o j.hnsw");
    let help = "add --set source.path=FILE --set sink.path=FILE";
    again(&dir, "j.hnsw", help, &["source.paths=[\"a.npy\", \"b.npy\"]"], &[]);

    // What is printed is a pipeline as well.
    let printed = dir.ok("info -i i.hnsw --pipeline").text().to_owned();
    assert!(printed.starts_with("# It has no paths: add them, or "), "{printed}");
    let printed = printed.replace("[source]\n", "[source]\npaths = [\"a.npy\", \"b.fvecs\"]\n");
    dir.write("q.toml", printed.replace("[sink]\n", "[sink]\npath = \"again.hnsw\"\n"));
    dir.ok("run q.toml");
    assert_eq!(difference(&dir.read("i.hnsw"), &dir.read("again.hnsw")), None);
}

#[test]
fn stages_that_write_files_ask_for_them() {
    let dir = dir();
    let stages = "[[stage]]\ntype = \"filter\"\non_error = \"quarantine\"\nquarantine = \"bad.jsonl\"\n\
                  [[stage]]\ntype = \"pca\"\ndim = 4\nsave = \"pca.safetensors\"\n";
    let (source, sink) = ("[source]\npath = \"a.npy\"\n", "[sink]\ntype = \"hnsw\"\npath = \"i.hnsw\"\n");
    dir.write("p.toml", format!("version = 1\n{source}{stages}{sink}"));
    dir.ok("run p.toml");
    let help = "add --set source.path=FILE --set stage.0.quarantine=FILE --set sink.path=FILE";
    again(&dir, "i.hnsw", help, &["source.path=a.npy", "stage.0.quarantine=bad2.jsonl"], &[]);
}

#[test]
fn a_file_of_another_format_has_to_be_meant() {
    let dir = dir();
    dir.ok("convert -i a.npy -o a.parquet");
    dir.ok("build-index -i a.parquet -o i.hnsw");
    let words = "run --from i.hnsw --set source.path=a.npy --set sink.path=j.hnsw";
    let output = dir.run(words);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("a.npy: expected parquet, found npy"), "{}", output.stderr);
    assert!(output.stderr.contains("--set source.type=FORMAT"), "{}", output.stderr);
    dir.ok(&format!("{words} --set source.type=npy"));
    // The same graph; the recipe differs.
    assert!(dir.info("j.hnsw")["recipe"].as_str().unwrap().contains("type = \"npy\"\ndim = 8\n\n"));
    dir.write("q.npy", npy_f32(DIM, &values(3, 20, DIM)));
    assert_eq!(dir.hits("-i i.hnsw -q q.npy"), dir.hits("-i j.hnsw -q q.npy"));
}

/// In a pipeline keys are named, and on a command line flags.
#[test]
fn remedies_are_in_the_words_of_who_reads_them() {
    let dir = dir();
    dir.write(
        "p.toml",
        "version = 1\n[source]\ntype = \"parquet\"\npath = \"a.npy\"\n[sink]\ntype = \"null\"\n",
    );
    let output = dir.run("run p.toml");
    assert!(output.stderr.contains("leave `type` away, or say type = \"npy\""), "{}", output.stderr);
    let output = dir.run("convert -i a.npy --from-format parquet -o b.f32");
    assert!(
        output.stderr.contains("leave --from-format away, or say --from-format npy"),
        "{}",
        output.stderr
    );
}
