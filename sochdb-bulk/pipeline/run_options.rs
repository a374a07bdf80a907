//! The `[run]` table of a pipeline: how to run. By contract none of this changes the result, but for `rows`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use super::Text;
use super::spec::{check_keys, deserialize};
use crate::output::units;
use crate::{Code, Failure};

/// Keys of `[run]`.
const KEYS: [&str; 6] = ["threads", "memory_limit", "batch_rows", "rows", "if_exists", "resume"];

/// The most threads that one may ask for: more is a slip of the finger.
pub(crate) const MAX_THREADS: usize = 1024;

/// What to do about an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// Replace it when the new one is whole.
    #[default]
    Replace,
    /// Refuse to run.
    Error,
    /// Leave it and be content.
    Skip,
}

/// A bound of memory: a number of bytes, or a text such as `512MiB`, `4GiB` or `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryLimit(pub u64);

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let bytes = units::parse_bytes(word).filter(|&bytes| bytes > 0);
        bytes.map(Self).ok_or_else(|| format!("expected bytes such as \"512MiB\" or \"4GB\", found `{word}`"))
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::bytes(self.0))
    }
}

impl<'de> Deserialize<'de> for MemoryLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = MemoryLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes such as \"512MiB\" or \"4GB\", or a number of bytes above 0")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<MemoryLimit, E> {
                word.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(word), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<MemoryLimit, E> {
                let fits = u64::try_from(bytes).ok().filter(|&bytes| bytes > 0);
                fits.map(MemoryLimit)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(bytes), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunOptions {
    /// The most threads that run at a time; 0 for one a core.
    pub threads: usize,
    /// The most memory that the run may plan for, mapped files not counted. Batches become smaller to keep it; if that is not
    /// enough the run is refused before it begins.
    pub memory_limit: Option<MemoryLimit>,
    /// Rows of one batch; what makes about 1.5 MiB where it is not given.
    pub batch_rows: Option<usize>,
    /// Only these rows of all sources together, such as `0..1000`. The one option here that decides the result.
    pub rows: Option<Spanned<String>>,
    /// What to do about an output that exists.
    pub if_exists: IfExists,
    /// Whether what was written is kept when the run is stopped, and an earlier run that was stopped is gone on with.
    pub resume: bool,
}

/// Reads `[run]`.
pub(super) fn parse(text: &Text, value: Spanned<DeValue<'_>>) -> Result<RunOptions, Failure> {
    check_keys(text, &value, &KEYS)?;
    let places: Vec<(String, Range<usize>)> = (value.get_ref().as_table().into_iter().flatten())
        .map(|(key, value)| (key.get_ref().to_string(), value.span()))
        .collect();
    let refuse = |name: &str, message: &str, help: &str| {
        let span = places.iter().find(|(key, _)| key == name).map_or(0..0, |(_, span)| span.clone());
        Err(text.refuse(span, message).with_code(Code::WrongValue).with_help(help))
    };
    let run: RunOptions = deserialize(text, value)?;
    if let Some(rows) = &run.rows {
        super::source::parse_rows(text, rows)?;
    }
    if run.threads > MAX_THREADS {
        let message = format!("expected up to {MAX_THREADS} threads, found {}", run.threads);
        return refuse("threads", &message, "0 is one for each core");
    }
    if run.batch_rows == Some(0) {
        let help = "leave it away: a size that suits the rows is taken";
        return refuse("batch_rows", "expected batches of at least 1 row, found 0", help);
    }
    Ok(run)
}
