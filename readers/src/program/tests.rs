#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::io::{Read as _, Seek as _};

use super::*;
use crate::{ErrorKind as Kind, Input};

fn sh(script: &str) -> Program {
    Program::new(["sh", "-c", script].map(str::to_owned).to_vec(), BTreeMap::new())
}

/// What it wrote or why not, and what it said.
fn run(program: &Program, path: &Path, limit: u64) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let hear = |line: &str| said.borrow_mut().push(line.to_owned());
    let around = Surroundings { folder: Path::new(""), stop: &|| false, hear: &hear };
    let output = program.run_within(path, limit, &around, Duration::from_millis(300));
    let bytes = output.map(|output| {
        let (mut file, mut bytes) = (output.content().unwrap(), Vec::new());
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    });
    (bytes, said.into_inner())
}

#[track_caller]
fn refused(script: &str) -> Error {
    let start = Instant::now();
    let error = run(&sh(script), Path::new(""), 1 << 20).0.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "it waited for {script}");
    error
}

#[test]
fn output_is_kept_whatever_its_size() {
    for bytes in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5] {
        let (output, said) = run(&sh(&format!("head -c {bytes} /dev/zero")), Path::new(""), 1 << 20);
        assert_eq!(output.unwrap(), vec![0; bytes]);
        assert_eq!(said, [""; 0]);
    }
    let program = Program::new(
        ["sh", "-c", "printf %s \"$A\""].map(str::to_owned).to_vec(),
        BTreeMap::from([("A".to_owned(), "x y".to_owned())]),
    );
    assert_eq!(run(&program, Path::new(""), 9).0.unwrap(), b"x y");
}

#[test]
fn arguments_are_handed_over_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a b\"$(touch c)");
    std::fs::write(&path, "content").unwrap();
    let words = ["printf", "%s|", "{path}", "<{path}{path}>", "$HOME", "*"].map(str::to_owned).to_vec();
    let (output, _) = run(&Program::new(words, BTreeMap::new()), &path, 1 << 20);
    let path = path.display();
    assert_eq!(output.unwrap(), format!("{path}|<{path}{path}>|$HOME|*|").as_bytes());
}

#[test]
fn what_it_says_is_heard_line_by_line() {
    let script = "printf 'one\\ntwo\\r\\n\\n\\033[2Jthree\\tfour' >&2";
    let (output, said) = run(&sh(script), Path::new(""), 9);
    assert_eq!(output.unwrap(), b"");
    assert_eq!(said, ["sh: one", "sh: two", "sh: [2Jthree four"]);
    let (_, said) = run(&sh("head -c 5000 /dev/zero | tr '\\0' x >&2"), Path::new(""), 9);
    assert_eq!(said.iter().map(String::len).collect::<Vec<_>>(), [2004, 2004, 1004]);
}

#[test]
fn a_program_that_fails_gives_nothing() {
    let error = refused("printf data; for i in 1 2 3 4 5 6 7; do echo $i >&2; done; exit 3");
    let line = "expected exit status 0, found 3; it said last: 3 | 4 | 5 | 6 | 7";
    let name = "output of `sh -c printf data; for i in 1 2 3 4 5 6 7; do echo $i >&2; d...`";
    assert_eq!(error.to_string(), format!("{name}: {line}"));
    let error = refused("kill -9 $$");
    let line = "output of `sh -c kill -9 $$`: expected exit status 0, found signal 9; it said nothing on standard error";
    assert_eq!(error.to_string(), line);
    assert!(error.help().unwrap().ends_with("run it by hand: `sh -c kill -9 $$`"));
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let error = refused("printf data; exec >&-; trap '' TERM; sleep 100");
    let line = "expected the program to have ended 0 s after it closed its standard output, found it running";
    assert!(error.to_string().ends_with(line), "{error}");
    let error = refused("sleep 100 & exit 0");
    let line = "the program has ended, but another that it started keeps its standard output open";
    assert!(error.to_string().ends_with(line), "{error}");
    // What it started and left behind without its standard output is no obstacle, and ended as well.
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("sleep 100 >&- 2>&- & echo $! > {}; printf data", pid.display());
    assert_eq!(run(&sh(&script), Path::new(""), 9).0.unwrap(), b"data");
    let pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(is_gone(pid));
}

/// Whether a process ends within seconds: to be asked to end is not yet to be gone.
fn is_gone(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if rustix::process::test_kill_process(pid).is_err() || stat.contains(") Z ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn more_than_the_limit_is_refused_at_once() {
    let (output, _) = run(&sh("cat /dev/zero"), Path::new(""), 1000);
    let error = output.unwrap_err();
    assert_eq!(error.kind(), Kind::Request);
    let line = "output of `sh -c cat /dev/zero`: byte ";
    assert!(error.to_string().starts_with(line), "{error}");
    assert!(error.to_string().ends_with("expected up to 1000 unpacked bytes, found more"), "{error}");
}

#[test]
fn commands_that_are_none() {
    let of = |words: &[&str], path: &str| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let error = run(&Program::new(words, BTreeMap::new()), Path::new(path), 9).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Request, "{error}");
        error.to_string()
    };
    assert_eq!(of(&[], ""), "command: expected a program and its arguments, found none");
    assert_eq!(of(&[""], ""), "command: expected a program and its arguments, found none");
    let found = of(&["/nowhere/program"], "");
    assert!(found.starts_with("command: cannot start `/nowhere/program`: No such file"), "{found}");
    let found = of(&["cat", "{path}"], "");
    assert_eq!(found, "command: expected the path that `{path}` stands for, found none");
    let found = of(&["cat", "a"], "a");
    assert_eq!(found, "command: expected `{path}` in an argument, as a path is given, found none");
}

#[test]
fn a_file_that_changes_meanwhile_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "content").unwrap();
    let program = Program::new(["cat", "{path}"].map(str::to_owned).to_vec(), BTreeMap::new());
    let around = Surroundings { folder: dir.path(), stop: &|| false, hear: &|_| () };
    let input = Input::new(&path).written_by(&program, &around).unwrap();
    assert_eq!(input.path, Path::new("output of `cat {path}`"));
    let source = input.source().unwrap();
    assert_eq!(source.head(99).unwrap(), b"content");
    source.check_unchanged().unwrap();
    std::fs::write(&path, "other content").unwrap();
    let error = source.check_unchanged().unwrap_err();
    assert!(error.to_string().contains("a: its size went from 7 to 13 bytes"), "{error}");

    let missing = Input::new(dir.path().join("b")).written_by(&program, &around).unwrap_err();
    assert_eq!(missing.kind(), Kind::Io);
    let stdin = Input::new("-").written_by(&program, &around).unwrap_err();
    assert_eq!(stdin.to_string(), "expected a file or a folder for the program, found `-`");
}
