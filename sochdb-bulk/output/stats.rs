//! `--stats`: what a command did, for programs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{atomic, stdout};
use crate::{Code, Failure};

/// The document. Fields are only ever added; `schema` counts changes that are not additions.
#[derive(Debug, Serialize)]
struct Document<'a, R> {
    schema: u32,
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// All that is wrong, where there are several places: each as `--error-format json` has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<serde_json::Value>,
    #[serde(flatten)]
    report: Option<&'a R>,
    peak_rss_bytes: Option<u64>,
}

/// Where statistics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To standard output.
    Stdout,
    /// Into a file.
    File(PathBuf),
}

impl From<&str> for Destination {
    fn from(word: &str) -> Self {
        if word == "json" { Self::Stdout } else { Self::File(PathBuf::from(word)) }
    }
}

/// The first bytes of every document.
const START: &[u8] = b"{\"schema\":";

impl Destination {
    /// Fails if statistics cannot or must not be put there: whatever the run may turn out to read or write, an existing
    /// file is replaced only if it holds statistics.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        atomic::check_target(path)?;
        let mut start = Vec::new();
        let other = match File::open(path) {
            Ok(file) => {
                file.take(START.len() as u64).read_to_end(&mut start).is_err()
                    || !(start.is_empty() || start == START)
            }
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        if other {
            let message = format!("{}: the statistics would replace a file that holds none", path.display());
            let refused = Failure::refused(message).with_code(Code::Target);
            return Err(refused.with_help("write them to another file, or remove that one"));
        }
        Ok(())
    }
}

/// Writes the statistics of a command that ended like this.
pub(crate) fn write<R: Serialize>(
    destination: &Destination,
    outcome: Result<&R, &Failure>,
) -> Result<(), Failure> {
    // Once more: the run itself may have put a file there by another name.
    destination.check()?;
    let document = Document {
        schema: 1,
        status: if outcome.is_ok() { "ok" } else { "failed" },
        version: env!("CARGO_PKG_VERSION"),
        error: outcome.err().map(Failure::line),
        errors: outcome.err().into_iter().flat_map(Failure::each).map(Failure::as_json).collect(),
        report: outcome.ok(),
        peak_rss_bytes: peak_rss_bytes(),
    };
    let text = serde_json::to_string(&document)
        .map_err(|e| Failure::failed(format!("cannot write the statistics: {e}")))?;
    match destination {
        Destination::Stdout => stdout::line(&text),
        Destination::File(path) => atomic::write_file(path, format!("{text}\n").as_bytes()),
    }
}

/// The XXH3 of a file's bytes, of 128 bits in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> Result<String, Failure> {
    let read = || -> std::io::Result<u128> {
        let (mut file, mut state) = (File::open(path)?, twox_hash::XxHash3_128::new());
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(state.finish_128()),
                read => state.write(&buffer[..read]),
            }
        }
    };
    read().map(|digest| format!("{digest:032x}")).map_err(|e| Failure::io("read", path, &e))
}

/// The most memory that this process had in use at a time, where the system tells.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
