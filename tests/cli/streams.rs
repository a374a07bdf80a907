//! What goes to standard output, what to standard error, and what the exit code says.

use super::dir;
use crate::util::Dir;

#[test]
fn results_go_to_stdout_and_everything_else_to_stderr() {
    let dir = dir();
    let build = dir.ok("build-index -i a.npy -o o.hnsw");
    assert_eq!(build.text(), "");
    assert_eq!(build.stderr.lines().count(), 1, "{}", build.stderr);
    assert!(build.stderr.contains("wrote o.hnsw: 300 rows x 8"), "{}", build.stderr);
    let verbose = dir.ok("-v build-index -i a.npy -o o.hnsw");
    assert!(verbose.stderr.lines().count() > 1 && verbose.text().is_empty(), "{}", verbose.stderr);
    for words in [
        "build-index -i a.npy -o o.hnsw --quiet",
        "--quiet build-index -i a.npy -o o.hnsw",
        "build-index --quiet -i a.npy -o o.hnsw --print-pipeline",
        "convert --quiet -i a.npy -o o.f32 --to-format raw_f32",
        "query --quiet -i o.hnsw -q a.npy -k 1",
        "info --quiet -i o.hnsw",
    ] {
        assert_eq!(dir.ok(words).stderr, "", "{words}");
    }
    for words in ["build-index -i a.npy -o o.hnsw --quiet", "convert --quiet -i a.npy -o o.npy"] {
        assert_eq!(dir.ok(words).text(), "", "{words}");
    }
    assert_eq!(dir.ok("query -i o.hnsw -q a.npy -k 1").stderr, "");
    // Quiet is not deaf: failures are told.
    assert!(dir.run("build-index --quiet -i no.npy -o o.hnsw").stderr.contains("no.npy"));
}

#[test]
fn versions_and_help_are_results() {
    let dir = Dir::new();
    let version = env!("CARGO_PKG_VERSION");
    for word in ["-V", "--version"] {
        assert_eq!(dir.ok(word).text(), format!("sochdb-bulk {version}\n"));
    }
    assert_eq!(dir.ok("build-index -V").text(), format!("sochdb-bulk-build-index {version}\n"));
    for command in ["build-index", "convert", "run", "query", "info"] {
        let help = dir.ok(&format!("{command} --help"));
        assert!(help.text().contains("Usage: sochdb-bulk "), "{}", help.text());
        assert_eq!(help.stderr, "");
    }
    let help = dir.ok("help build-index");
    for shown in [
        "--input <FILE>",
        "--output <FILE>",
        "--dimension <DIM>",
        "--format <FORMAT>",
        "--ids <FILE>",
        "--max-connections <N>",
        "--ef-construction <N>",
        "--batch-size <N>",
        "--threads <N>",
        "--quiet",
        "--verbose",
        "[default: 16,",
        "[default: 100,",
        "[default: 1000]",
    ] {
        assert!(help.text().contains(shown), "{shown} in {}", help.text());
    }
}

#[test]
fn exit_codes_tell_who_has_to_act() {
    let dir = dir();
    for (code, words) in [
        (0, "build-index -i a.npy -o o.hnsw"),
        (1, "build-index -i missing.npy -o o.hnsw"),
        (1, "info -i a.npy"),
        (2, "build-index -i a.npy"),
        (2, "build-index -i a.npy -o o.hnsw --no-such-flag"),
        (2, "build-index -i a.npy -o o.hnsw --metric manhattan"),
        (2, "build-index -i a.npy -o o.hnsw --format parquetto"),
        (2, "build-index -i a.npy -o o.hnsw -d 9"),
        (2, "convert -i a.npy -o o.f32 --to-format hnsw"),
        (2, "convert -i a.npy -o o.f32 --from-format nonsense"),
        (2, "convert -i a.npy -o o.unknown"),
        (2, "query -i o.hnsw -q a.npy --format xml"),
        (2, "query -i o.hnsw -q a.npy -k 0"),
        (2, "no-such-command"),
        (2, ""),
        (2, "build-index --in a.npy -o o.hnsw"),
        (2, "--quiet -v info -i o.hnsw"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(code), "{words}: {}", output.stderr);
        assert_eq!(output.stderr.is_empty() || code == 0, code == 0, "{words}");
        assert!(code == 0 || output.text().is_empty(), "{words}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_nobody_listens_the_work_is_done_all_the_same() {
    use std::process::{Command, Stdio};
    let dir = dir();
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let code = |mut command: Command| command.status().unwrap().code();
    for (words, expected) in [
        ("build-index -i a.npy -o o.hnsw", 0),
        ("-v convert -i a.npy -o o.npy", 0),
        ("build-index -i no.npy -o p.hnsw", 1),
        ("build-index -i a.npy -o a.npy", 2),
    ] {
        let mut command = dir.command(words);
        command.stderr(full());
        assert_eq!(code(command), Some(expected), "{words} on a full disk");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = dir.command(words);
        command.stderr(writer);
        assert_eq!(code(command), Some(expected), "{words} into a closed pipe");
    }
    // A result that cannot be written is a failure, of course.
    for words in
        ["query -i o.hnsw -q a.npy", "info -i o.hnsw", "convert --quiet -i a.npy -o - --to-format npy"]
    {
        let mut command = dir.command(words);
        command.stdout(full()).stderr(Stdio::null());
        assert_eq!(code(command), Some(1), "{words}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let dir = dir();
    let mut child = dir
        .command("convert --quiet -i a.npy -o - --to-format npy --batch-size 1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
