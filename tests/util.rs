//! Folders with files of vectors, and the program run in them.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program that has not ended by then never will.
const HANGS_AFTER: Duration = Duration::from_secs(100);

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sochdb-bulk");

/// A folder of its own for one test, in which the program runs.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// What is in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program in this folder, with words separated by spaces.
    pub(crate) fn command(&self, words: &str) -> Command {
        self.command_of(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn command_of(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, words: &str) -> Output {
        output(self.command(words), b"")
    }

    pub(crate) fn run_of(&self, words: &[&str]) -> Output {
        output(self.command_of(words), b"")
    }

    pub(crate) fn run_with(&self, words: &str, stdin: &[u8]) -> Output {
        output(self.command(words), stdin)
    }

    /// Runs what must succeed.
    pub(crate) fn ok(&self, words: &str) -> Output {
        let output = self.run(words);
        assert_eq!(output.code, Some(0), "{words}: {}", output.stderr);
        output
    }

    /// What `info` says of an index.
    pub(crate) fn info(&self, index: &str) -> serde_json::Value {
        serde_json::from_slice(&self.ok(&format!("info --json -i {index}")).stdout).unwrap()
    }

    /// The hits of `query`, one list a query: ids and distances.
    pub(crate) fn hits(&self, words: &str) -> Vec<Vec<(u64, f64)>> {
        let output = self.ok(&format!("query --format json {words}"));
        let lines =
            output.text().lines().map(|line| -> serde_json::Value { serde_json::from_str(line).unwrap() });
        lines
            .enumerate()
            .map(|(at, line)| {
                assert_eq!(line["query"], at as u64);
                let ids = line["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap());
                let distances = line["distances"].as_array().unwrap().iter();
                ids.zip(distances.map(|distance| distance.as_f64().expect("a finite distance"))).collect()
            })
            .collect()
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// Runs a command to its end, and fails if that does not come.
pub(crate) fn output(command: Command, stdin: &[u8]) -> Output {
    output_within(command, stdin, HANGS_AFTER)
}

/// As [`output`], for a command that may take longer.
pub(crate) fn output_within(mut command: Command, stdin: &[u8], limit: Duration) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut pipe = child.stdin.take().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    std::thread::scope(|scope| {
        // A program that does not read its input has closed the pipe, and that is its right.
        scope.spawn(move || pipe.write_all(stdin));
        let stdout = scope.spawn(move || {
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).map(|_| bytes)
        });
        let stderr = scope.spawn(move || {
            let mut bytes = Vec::new();
            err.read_to_end(&mut bytes).map(|_| bytes)
        });
        let status = wait_within(&mut child, limit).unwrap_or_else(|| panic!("it hangs: {command:?}"));
        let stderr = String::from_utf8(stderr.join().unwrap().unwrap()).unwrap();
        Output { code: status.code(), stdout: stdout.join().unwrap().unwrap(), stderr }
    })
}

/// Waits for the end; kills what has none.
pub(crate) fn wait(child: &mut Child) -> Option<ExitStatus> {
    wait_within(child, HANGS_AFTER)
}

fn wait_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A stream of numbers that is the same everywhere and for ever (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between -1 and 1.
    pub(crate) fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// `rows * dim` values between -1 and 1.
pub(crate) fn values(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut numbers = Numbers(seed);
    (0..rows * dim).map(|_| numbers.value()).collect()
}

pub(crate) fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn ids_bytes(ids: &[u64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// A .npy file, put together here so that the program is not tested by itself.
pub(crate) fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    npy_of(&format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"), data)
}

/// A .npy file with any text for a header.
pub(crate) fn npy_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header.to_owned();
    while !(11 + header.len()).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// A .npy file of f32 vectors.
pub(crate) fn npy_f32(dim: usize, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, &format!("({}, {dim})", values.len() / dim), &le_bytes(values))
}

/// What differs between two files, shortly: their bytes would fill the screen.
pub(crate) fn difference(a: &[u8], b: &[u8]) -> Option<String> {
    if a == b {
        return None;
    }
    let mut text = format!("{} and {} bytes", a.len(), b.len());
    if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
        write!(text, ", first difference at byte {at}").unwrap();
    }
    Some(text)
}
