//! Examples of pipelines by the names of their steps.

use sochdb_bulk::pipeline::{Pipeline, Text};

use crate::util::Dir;

fn names(dir: &Dir, kind: &str) -> Vec<String> {
    let plugins = dir.ok("plugins --json").json();
    let all = plugins[kind].as_array().unwrap().iter();
    all.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect()
}

/// An example must be one that `validate` takes.
fn check(dir: &Dir, steps: &str) -> String {
    let output = dir.ok(&format!("new {steps}"));
    let text = output.text().to_owned();
    if let Err(failure) = Pipeline::parse(Text::new(steps, text.as_str(), "")) {
        panic!("{steps}: {failure}\n{text}");
    }
    text
}

#[test]
fn every_format_goes_with_every_sink() {
    let dir = Dir::new();
    for format in names(&dir, "formats") {
        for sink in names(&dir, "sinks") {
            check(&dir, &format!("{format}/{sink}"));
        }
    }
}

#[test]
fn every_stage_is_shown_with_its_options() {
    let dir = Dir::new();
    for stage in names(&dir, "stages") {
        let text = check(&dir, &format!("npy/{stage}/{stage}/hnsw"));
        assert_eq!(text.matches(&format!("type = \"{stage}\"")).count(), 2, "{text}");
    }
    let all = names(&dir, "stages").join("/");
    check(&dir, &format!("parquet/{all}/arrow"));
}

#[test]
fn options_that_the_example_lacks_are_in_its_comments() {
    let dir = Dir::new();
    let text = check(&dir, "Parquet/slice/hnsw");
    for line in [
        "type = \"parquet\"",
        "#   dtype (",
        "# Further options of every source: paths, dim, rows, limit, io, columns",
        "#   from (integer, default 0): ",
        "#   m (integer, default 16): ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
    assert!(!text.contains("#   metric"), "the example has it\n{text}");
    // A sink does not write what the source reads.
    let text = check(&dir, "npy/npy");
    assert!(text.contains("\"vectors.npy\"") && text.contains("\"new-vectors.npy\""), "{text}");
}

#[test]
fn unknown_steps_are_refused() {
    let dir = Dir::new();
    for (steps, expected) in [
        ("npy", "expected a source and a sink"),
        (
            "parqet/hnsw",
            "no source is called `parqet`: first comes a source\n  help: did you mean `parquet`?",
        ),
        ("npy/normalise/hnsw", "did you mean `normalize`?"),
        ("npy/hnws", "no sink is called `hnws`: last comes a sink\n  help: did you mean `hnsw`?"),
        ("npy//hnsw", "no stage is called ``"),
        ("null/npy", "no source is called `null`"),
    ] {
        let output = dir.run(&format!("new {steps}"));
        assert_eq!((output.code, output.stdout.len()), (Some(2), 0), "{steps}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{steps}: {}", output.stderr);
    }
}

#[test]
fn a_file_that_is_there_stays() {
    let dir = Dir::new();
    dir.write("p.toml", "mine");
    let output = dir.run("new npy/hnsw -o p.toml");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("p.toml: exists already"), "{}", output.stderr);
    dir.ok("new npy/hnsw -o p.toml --if-exists skip");
    assert_eq!(dir.read("p.toml"), b"mine");
    dir.ok("new npy/hnsw -o p.toml --if-exists replace");
    assert_eq!(dir.ok("validate p.toml").text(), "p.toml: npy -> hnsw\n");
}
