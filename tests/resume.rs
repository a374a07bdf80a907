//! Going on where a run was stopped.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::util::{Dir, difference, npy, values, wait};

/// Vectors that take some time to convert: rows of halves, one a batch.
fn dir() -> Dir {
    let dir = Dir::new();
    let half: Vec<u8> =
        values(3, 400_000, 8).iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    dir.write("a.npy", npy("<f2", false, "(400000, 8)", &half));
    dir
}

/// Runs until something was kept, and stops it then.
fn stopped(dir: &Dir, words: &str, signal: Signal) -> bool {
    let mut child = dir.command(words).spawn().unwrap();
    let journal = dir.path(".o.npy.resume.json");
    while !journal.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = kill_process(Pid::from_child(&child), signal);
    !wait(&mut child).expect("it ends").success()
}

#[test]
fn a_run_goes_on_where_it_was_stopped() {
    let dir = dir();
    let words = "convert -i a.npy -o o.npy --batch-size 1";
    dir.ok(&format!("{words} -t 2"));
    let whole = dir.read("o.npy");
    std::fs::remove_file(dir.path("o.npy")).unwrap();
    let mut went_on = 0;
    for signal in [Signal::INT, Signal::KILL] {
        if !stopped(&dir, &format!("{words} -t 1 --resume"), signal) {
            continue;
        }
        assert!(!dir.exists("o.npy"));
        // Other threads and batches, the same bytes.
        let stats = dir.ok("convert -i a.npy -o o.npy --batch-size 1000 -t 3 --resume --stats json").json();
        let (rows, resumed) = (stats["rows"].as_u64().unwrap(), stats["resumed_rows"].as_u64().unwrap());
        assert!(rows == 400_000 && resumed > 0 && resumed <= rows, "{stats}");
        assert_eq!(difference(&dir.read("o.npy"), &whole), None);
        assert_eq!(dir.names(), ["a.npy", "o.npy"]);
        std::fs::remove_file(dir.path("o.npy")).unwrap();
        went_on += 1;
    }
    if went_on == 0 {
        eprintln!("this machine is too fast: nothing could be stopped");
    }
}

#[test]
fn what_is_left_of_another_run_is_not_gone_on_with() {
    let dir = dir();
    let words = "convert -i a.npy -o o.npy --batch-size 1 -t 1 --resume";
    if !stopped(&dir, words, Signal::TERM) {
        eprintln!("this machine is too fast: nothing could be stopped");
        return;
    }
    for other in ["--rows 0..399999", "--to-option dtype=f16"] {
        let output = dir.run(&format!("{words} {other}"));
        assert_eq!(output.code, Some(2), "{other}: {}", output.stderr);
        assert!(
            output.stderr.contains("it was begun from other inputs, or with other settings"),
            "{}",
            output.stderr
        );
    }
    // Nor with a file that somebody has cut.
    let kept = dir.read(".o.npy.resume");
    dir.write(".o.npy.resume", &kept[..1000]);
    let output = dir.run(words);
    assert!(output.code == Some(1) && output.stderr.contains("expected at least"), "{}", output.stderr);
    dir.write(".o.npy.resume", kept);
    let mut bytes = dir.read("a.npy");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    dir.write("a.npy", bytes);
    assert_eq!(dir.run(words).code, Some(2));
    // Without the flag nothing of it is used.
    let output = dir.ok("convert -i a.npy -o o.npy");
    assert!(dir.exists(".o.npy.resume"));
    let line = "note: .o.npy.resume is what a run that was stopped has kept of o.npy";
    assert!(output.stderr.contains(line), "{}", output.stderr);
}

#[test]
fn what_cannot_be_resumed_says_so() {
    let dir = Dir::new();
    dir.write("a.npy", crate::util::npy_f32(4, &values(1, 50, 4)));
    let plan = |words: &str| {
        let pipeline = dir.ok(&format!("{words} --print-pipeline"));
        dir.write("p.toml", pipeline.stdout);
        dir.ok("plan p.toml --no-probe --format json").json()["can_resume"].as_bool().unwrap()
    };
    for (words, expected) in [
        ("convert -i a.npy -o o.npy", true),
        ("convert -i a.npy -o o.f32", true),
        ("convert -i a.npy -o o.fvecs", true),
        ("convert -i a.npy -o o.jsonl", false),
        ("convert -i a.npy -o o.npy.zst --to-format npy", false),
        ("build-index -i a.npy -o o.hnsw", false),
    ] {
        assert_eq!(plan(words), expected, "{words}");
        let output = dir.run(&format!("{words} --resume"));
        assert_eq!(output.code, Some(if expected { 0 } else { 2 }), "{words}: {}", output.stderr);
    }
}
