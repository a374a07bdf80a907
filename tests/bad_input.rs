//! What cannot be right is refused: one line that says where, what was expected, what was found, and a line that says
//! what to do; and nothing in the folder is changed.

mod ids;
mod indexes;
mod npy;
mod numbers;
mod options;
mod paths;
mod pipelines;
mod raw;

use std::collections::BTreeMap;

use crate::util::{Dir, Output, le_bytes, npy_f32, values};

const OLD: &[u8] = b"an older file";

/// A folder in which things must not work.
struct Refusals {
    dir: Dir,
    failures: Vec<String>,
}

impl Refusals {
    /// With `a.npy` and `a.f32`, 10 vectors of 4 values.
    fn new() -> Self {
        let dir = Dir::new();
        let values = values(1, 10, 4);
        dir.write("a.npy", npy_f32(4, &values));
        dir.write("a.f32", le_bytes(&values));
        Self { dir, failures: Vec::new() }
    }

    /// Runs `words`, once with an older `o.hnsw` in the folder and once without. `says` is what must be on stderr.
    fn case(&mut self, words: &str, code: i32, says: &[&str]) {
        self.case_of(&words.split(' ').collect::<Vec<_>>(), b"", code, says);
    }

    fn case_of(&mut self, words: &[&str], stdin: &[u8], code: i32, says: &[&str]) {
        let has_own = self.dir.exists("o.hnsw");
        for old in [true, false] {
            if old && !has_own {
                self.dir.write("o.hnsw", OLD);
            }
            let before = contents(&self.dir);
            let mut command = self.dir.command_of(words);
            command.env("RUST_BACKTRACE", "0");
            let output = crate::util::output(command, stdin);
            let after = contents(&self.dir);
            self.judge(words, &output, code, says, after == before);
            // One case that goes wrong shall not spoil the next.
            for name in after.keys().filter(|name| !before.contains_key(*name)) {
                std::fs::remove_file(self.dir.path(name)).unwrap();
            }
            for (name, bytes) in before.iter().filter(|(name, bytes)| after.get(*name) != Some(bytes)) {
                self.dir.write(name, bytes);
            }
            if !has_own {
                // What was made in its place is gone, too, before the next case.
                let _ = std::fs::remove_file(self.dir.path("o.hnsw"));
            }
        }
    }

    fn judge(&mut self, words: &[&str], output: &Output, code: i32, says: &[&str], unchanged: bool) {
        let mut wrong = Vec::new();
        if output.code != Some(code) {
            wrong.push(format!("exit code {:?} instead of {code}", output.code));
        }
        if !unchanged {
            wrong.push(format!("the folder was changed: {:?}", self.dir.names()));
        }
        if !output.stdout.is_empty() {
            wrong.push("something on stdout".to_owned());
        }
        for part in says.iter().filter(|part| !output.stderr.contains(**part)) {
            wrong.push(format!("no `{part}`"));
        }
        // A pipeline's own line, with the place underlined, shows what to change; the system's own words are known.
        let helps = ["\n  help: ", "try '--help'", " | ", "(os error "];
        if !helps.iter().any(|help| output.stderr.contains(help)) {
            wrong.push("no help".to_owned());
        }
        // Nobody reads on: neither a long line nor a large file may flood the terminal.
        if output.stderr.len() > 2000 {
            wrong.push(format!("{} bytes of message", output.stderr.len()));
        }
        if !wrong.is_empty() {
            let text =
                format!("{}\n    {}\n    stderr: {:.500}", words.join(" "), wrong.join("; "), output.stderr);
            if !self.failures.contains(&text) {
                self.failures.push(text);
            }
        }
    }

    /// A case with a file of its own, which is gone afterwards.
    fn with(&mut self, name: &str, bytes: &[u8], words: &str, code: i32, says: &[&str]) {
        self.dir.write(name, bytes);
        self.case(words, code, says);
        std::fs::remove_file(self.dir.path(name)).unwrap();
    }

    /// `build-index` of a .npy file that is wrong.
    fn npy(&mut self, bytes: &[u8], code: i32, says: &[&str]) {
        let says: Vec<&str> = std::iter::once("x.npy: ").chain(says.iter().copied()).collect();
        self.with("x.npy", bytes, "build-index -i x.npy -o o.hnsw", code, &says);
    }

    fn finish(self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }
}

/// Every file of a folder. Pipes and links are there by name.
fn contents(dir: &Dir) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &String| {
        let path = dir.path(name);
        if path.symlink_metadata().unwrap().is_file() { std::fs::read(path).unwrap() } else { Vec::new() }
    };
    dir.names().into_iter().map(|name| (name.clone(), read(&name))).collect()
}
