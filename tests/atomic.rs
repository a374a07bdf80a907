//! An output path holds the old file or the new one, whatever happens; and nothing is left behind.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::util::{Dir, PROGRAM, difference, npy, npy_f32, values, wait};

/// A job that is disturbed: a folder with its input, and what it writes.
struct Job {
    dir: Dir,
    words: String,
    /// The outputs: name, content before, content afterwards.
    files: Vec<(&'static str, Vec<u8>, Vec<u8>)>,
    inputs: Vec<String>,
    takes: Duration,
}

impl Job {
    /// `words` write `outputs`. Their old versions come from a run with `old_words`.
    fn new(dir: Dir, words: &str, old_words: &str, outputs: &[&'static str]) -> Self {
        let inputs = dir.names();
        dir.ok(old_words);
        let old: Vec<_> = outputs.iter().map(|name| dir.read(name)).collect();
        let start = Instant::now();
        dir.ok(words);
        let takes = start.elapsed();
        let files = outputs.iter().zip(old).map(|(name, old)| (*name, old, dir.read(name))).collect();
        Self { dir, words: words.to_owned(), files, inputs, takes }
    }

    /// A build of a bit less than a second in the dev profile, over an older and smaller index.
    fn build(options: &str) -> Self {
        let dir = Dir::new();
        dir.write("a.npy", npy_f32(32, &values(1, 6000, 32)));
        dir.write("q.npy", npy_f32(32, &values(1, 3, 32)));
        let words = format!("build-index -i a.npy -o o.hnsw -t 2 {options}");
        let job = Self::new(dir, &words, &format!("{words} --rows 0..500"), &["o.hnsw"]);
        // What "whole" means below is equal to one of these two.
        for content in [&job.files[0].1, &job.files[0].2] {
            job.dir.write("o.hnsw", content);
            assert!(job.dir.info("o.hnsw")["rows"].as_u64() >= Some(500));
            assert_eq!(job.dir.hits("-i o.hnsw -q q.npy -k 1")[2][0].0, 2);
        }
        job
    }

    fn restore(&self) {
        for (name, old, _) in &self.files {
            self.dir.write(name, old);
        }
    }

    fn start(&self) -> Child {
        let mut command = self.dir.command(&self.words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The outputs that are new; fails if one is neither old nor new.
    fn new_files(&self, when: &str) -> usize {
        let mut new = 0;
        for (name, old, whole) in &self.files {
            let found = self.dir.read(name);
            if found == *whole {
                new += 1;
            } else {
                assert_eq!(difference(old, &found), None, "{when}: {name} is neither old nor new");
            }
        }
        new
    }

    /// What is in the folder besides inputs and outputs.
    fn others(&self) -> Vec<String> {
        let is_output = |name: &String| self.files.iter().any(|(output, ..)| output == name);
        let names = self.dir.names().into_iter();
        names.filter(|name| !self.inputs.contains(name) && !is_output(name)).collect()
    }
}

fn send(child: &Child, signal: Signal) {
    // It may have ended: then there is nobody to tell, and that is one of the moments to try.
    let _ = kill_process(Pid::from_child(child), signal);
}

/// Sends a signal at moments all over the run, more of them towards its end, and looks at what is there afterwards.
fn signals(job: &Job, signal: Signal, moments: u32) {
    let mut interrupted = 0;
    for moment in 0..moments {
        job.restore();
        let part = f64::from(moment) / f64::from(moments - 1);
        // 0 to 1.05, and as many in the last third as in the first two.
        let part = 1.05 * (1.0 - (1.0 - part).powf(1.5));
        let mut child = job.start();
        std::thread::sleep(job.takes.mul_f64(part));
        send(&child, signal);
        let status = wait(&mut child).expect("it ends");
        let when = format!("{}, {signal:?} after {part:.2} of the time, {status}", job.words);
        let new = job.new_files(&when);
        match (status.code(), status.signal()) {
            (Some(0), _) => assert_eq!(new, job.files.len(), "{when}: it said that it is done"),
            // Before the program watches for signals, they do what they always do.
            (Some(130), _) | (_, Some(2)) if signal == Signal::INT => assert_eq!(new, 0, "{when}"),
            (Some(143), _) | (_, Some(15)) if signal == Signal::TERM => assert_eq!(new, 0, "{when}"),
            (_, Some(9)) if signal == Signal::KILL => {}
            _ => panic!("{when}"),
        }
        interrupted += u32::from(!status.success());
        let others = job.others();
        if !others.is_empty() {
            // Only a kill may leave something: between naming a file and renaming it there is a moment even on Linux,
            // and elsewhere the file has a name all the time. The next run removes it.
            assert_eq!(signal, Signal::KILL, "{when}: {others:?}");
            assert!(
                others.iter().all(|name| name.starts_with('.') && name.ends_with(".tmp")),
                "{when}: {others:?}"
            );
            job.dir.ok(&job.words);
            assert_eq!(job.others(), [""; 0], "{when}");
        }
    }
    assert!(interrupted > 0, "{}: {signal:?} never came in time", job.words);
}

#[test]
fn a_build_that_is_killed_leaves_the_old_index() {
    signals(&Job::build(""), Signal::KILL, 14);
}

#[test]
fn a_build_that_is_interrupted_cleans_up() {
    let job = Job::build("--io read --batch-size 10");
    signals(&job, Signal::INT, 25);
    signals(&job, Signal::TERM, 25);
}

#[test]
fn a_conversion_that_is_stopped_leaves_the_old_files() {
    for (output, outputs) in [
        ("o.f32", &["o.f32", "o.json"][..]),
        ("o.npy", &["o.npy"]),
        ("o.parquet", &["o.parquet"]),
        ("o.csv.zst", &["o.csv.zst"]),
    ] {
        let dir = Dir::new();
        // Many small batches, so that there is something to interrupt.
        let half: Vec<u8> =
            values(3, 60_000, 32).iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
        dir.write("a.npy", npy("<f2", false, "(60000, 32)", &half));
        let words = format!("convert -i a.npy -o {output} --batch-size 1 -t 2");
        let job = Job::new(dir, &words, &format!("{words} --rows 0..100"), outputs);
        for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
            signals(&job, signal, 10);
        }
    }
}

#[test]
fn two_signals_end_it_at_once() {
    let job = Job::build("");
    job.restore();
    let mut child = job.start();
    std::thread::sleep(job.takes / 3);
    send(&child, Signal::INT);
    send(&child, Signal::INT);
    let status = wait(&mut child).expect("it ends");
    assert!(status.code() == Some(130) || status.signal() == Some(2), "{status}");
    assert_eq!(job.new_files("after two signals"), 0);
    assert_eq!(job.others(), [""; 0]);
}

/// The program in a shell that may write files of so many blocks of 512 bytes only.
fn limited(dir: &Dir, blocks: u64, words: &str) -> crate::util::Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -f {blocks}; exec \"$0\" {words}")).arg(PROGRAM);
    command.current_dir(dir.path(""));
    crate::util::output(command, b"")
}

#[test]
fn a_file_that_must_not_grow_is_a_failure_that_leaves_the_old_one() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(32, &values(1, 2000, 32)));
    let half: Vec<u8> =
        values(1, 2000, 32).iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
    dir.write("half.npy", npy("<f2", false, "(2000, 32)", &half));
    dir.ok("build-index -i a.npy -o i.hnsw");
    for (words, output) in [
        ("build-index -i a.npy -o o.hnsw", "o.hnsw"),
        ("build-index -i half.npy -o o.hnsw", "o.hnsw"),
        ("convert -i a.npy -o o.f32", "o.f32"),
        ("convert -i a.npy -o o.npy", "o.npy"),
        ("query -i i.hnsw -q a.npy -k 100 -f npy -o o.hits", "o.hits"),
    ] {
        dir.ok(words);
        let whole = dir.read(output).len() as u64;
        dir.write(output, "old");
        let names = dir.names();
        // At the first byte, at about half, and just before the end.
        for blocks in [0, whole / 1024, whole / 512 - 1] {
            let found = limited(&dir, blocks, words);
            let when = format!("{words} with {blocks} blocks: {}", found.stderr);
            assert_eq!(found.code, Some(1), "{when}");
            assert!(found.stderr.contains(output) && found.stderr.contains("help: "), "{when}");
            assert_eq!(dir.read(output), b"old", "{when}");
            assert_eq!(dir.names(), names, "{when}");
        }
        assert_eq!(limited(&dir, whole / 512 + 1, words).code, Some(0), "{words}: with room it works");
        assert_ne!(dir.read(output), b"old");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure_that_leaves_the_old_file() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(32, &values(1, 12_000, 32)));
    dir.write("old", vec![7; 5000]);
    std::fs::create_dir(dir.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=1m none disk || exit 99\n\
                  cp old disk/o && \"$0\" $1 -o disk/o 1>&2; echo $?; ls -A disk; cmp old disk/o";
    for words in
        ["build-index -i a.npy", "convert -i a.npy --to-format npy", "convert -i a.npy --to-format raw_f32"]
    {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, PROGRAM, words]).current_dir(dir.path(""));
        let can_mount = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let Ok(output) = can_mount.and_then(|output| {
            if output.status.code() == Some(99) {
                Err(std::io::ErrorKind::PermissionDenied.into())
            } else {
                Ok(output)
            }
        }) else {
            eprintln!("no small disk can be mounted here: skipped");
            return;
        };
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if stderr.contains("unshare") {
            eprintln!("no small disk can be mounted here: skipped");
            return;
        }
        assert_eq!(stdout, "1\no\n", "{words}: {stderr}");
        assert!(
            stderr.contains("disk/o: cannot write: No space left") && stderr.contains("help: "),
            "{stderr}"
        );
    }
}

/// What is changed before a busy machine lets the program open it is no change to the program.
fn wait_until_it_reads(child: &Child, name: &str) {
    let folder = format!("/proc/{}/fd", child.id());
    let start = Instant::now();
    while cfg!(target_os = "linux") && start.elapsed() < Duration::from_secs(5) {
        let open = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut files = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        if files.any(|file| file.file_name().is_some_and(|file| file == name)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Changes the input in the midst of a run, and looks at what comes of it.
fn disturbed(job: &Job, change: &dyn Fn(&Dir)) -> Vec<(ExitStatus, String)> {
    let input = job.dir.read("a.npy");
    let mut ends = Vec::new();
    for part in [0.15, 0.3, 0.45, 0.6] {
        job.restore();
        job.dir.write("a.npy", &input);
        let mut command = job.dir.command(&job.words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until_it_reads(&child, "a.npy");
        std::thread::sleep(job.takes.mul_f64(part));
        change(&job.dir);
        let status = wait(&mut child).expect("it ends");
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        let new = job.new_files(&format!("after {part}: {status} {stderr}"));
        assert_eq!(new == 1, status.success(), "{status} {stderr}");
        // A process that died leaves its file where files cannot be nameless; the next run removes it.
        if cfg!(target_os = "linux") || status.code().is_some() {
            assert_eq!(job.others(), [""; 0], "{status} {stderr}");
        }
        ends.push((status, stderr));
    }
    job.dir.write("a.npy", &input);
    assert!(ends.iter().any(|(status, _)| !status.success()), "it was never disturbed");
    ends
}

#[test]
fn an_input_that_is_written_to_meanwhile_is_refused() {
    let overwrite = |dir: &Dir| {
        let file = std::fs::OpenOptions::new().write(true).open(dir.path("a.npy")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &values(77, 1000, 32)[0].to_le_bytes(), 300_000)
            .unwrap();
    };
    let append = |dir: &Dir| {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).open(dir.path("a.npy")).unwrap();
        file.write_all(b"more").unwrap();
    };
    for options in ["", "--io read"] {
        let job = Job::build(options);
        let changes: [&dyn Fn(&Dir); 2] = [&overwrite, &append];
        for change in changes {
            for (status, stderr) in disturbed(&job, change) {
                if !status.success() {
                    assert_eq!(status.code(), Some(1), "{status} {stderr}");
                    assert!(stderr.contains("a.npy: ") && stderr.contains("while it was read"), "{stderr}");
                    assert!(stderr.contains("help: "), "{stderr}");
                }
            }
        }
    }
}

#[test]
fn an_input_that_is_truncated_meanwhile_leaves_nothing() {
    let truncate = |dir: &Dir| {
        let file = std::fs::OpenOptions::new().write(true).open(dir.path("a.npy")).unwrap();
        file.set_len(4096).unwrap();
    };
    // Mapped memory that is gone is a signal of the system's, unless the end of the run finds it out first.
    for (status, stderr) in disturbed(&Job::build(""), &truncate) {
        let bus = status.signal() == Some(Signal::BUS.as_raw());
        assert!(status.success() || bus || status.code() == Some(1), "{status} {stderr}");
    }
    for (status, stderr) in disturbed(&Job::build("--io read"), &truncate) {
        assert!(
            status.success() || (status.code() == Some(1) && stderr.contains("a.npy: ")),
            "{status} {stderr}"
        );
    }
}

#[test]
fn two_builds_to_one_output_leave_one_of_the_two() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(8, &values(1, 1500, 8)));
    let words = |seed: u32| format!("build-index -i a.npy -o o.hnsw --seed {seed} -t 1");
    let whole = [1, 2].map(|seed| {
        dir.ok(&words(seed));
        dir.read("o.hnsw")
    });
    assert_ne!(whole[0], whole[1]);
    for _ in 0..8 {
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        let quiet = |seed| {
            let mut command = dir.command(&words(seed));
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut children = [quiet(1), quiet(2)];
        for child in &mut children {
            assert!(wait(child).expect("it ends").success());
        }
        assert!(whole.contains(&dir.read("o.hnsw")), "neither the one nor the other");
        assert_eq!(dir.names(), ["a.npy", "o.hnsw"]);
    }
}
