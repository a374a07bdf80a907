//! The JSON file beside a file of raw values, which says what the values cannot.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::quoted;
use crate::{Error, MAX_DIM, Metric, Position};

/// A sidecar is a few words; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

/// The sidecar of every raw file in a folder that has none of its own.
const OF_FOLDER: &str = "meta.json";

/// What a sidecar says of the vectors in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sidecar {
    /// How many vectors.
    pub n: Option<u64>,
    /// Values a vector, 1 to [`MAX_DIM`].
    pub dim: Option<usize>,
    /// How far two of them are apart.
    pub metric: Option<Metric>,
}

impl Sidecar {
    /// Parses a sidecar. It may hold `n`, `dim`, `metric`, `file` and `dtype`, each of them or null; other keys are
    /// other tools' business. Gives nothing if its `file` is another than `file_name`.
    ///
    /// # Errors
    /// Malformed JSON, or the key whose value has a wrong type or is out of range.
    pub fn parse(json: &[u8], file_name: &str) -> Result<Option<Self>, Error> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|e| Error::expected("a JSON object", format!("malformed JSON: {e}")))?;
        let Value::Object(entries) = value else {
            return Err(Error::expected("a JSON object", json_text(&value)));
        };
        let file = read(&entries, "file", "the name of a file", |value| value.as_str().map(str::to_owned))?;
        if file.is_some_and(|file| file != file_name) {
            return Ok(None);
        }
        if let Some(dtype) = read(&entries, "dtype", "`f32`", |value| value.as_str().map(str::to_owned))?
            && dtype != "f32"
        {
            return Err(Error::unsupported(format!("expected `f32`, found {}", quoted(&dtype)))
                .at(Position::Part("dtype".to_owned()))
                .with_help("convert the values to float32, or read the .npy they came from"));
        }
        let dim = |value: &Value| {
            value.as_u64().and_then(|dim| usize::try_from(dim).ok()).filter(|dim| (1..=MAX_DIM).contains(dim))
        };
        let metric = |value: &Value| value.as_str().and_then(|word| word.parse().ok());
        Ok(Some(Self {
            n: read(&entries, "n", "a number of rows", Value::as_u64)?,
            dim: read(&entries, "dim", &format!("a whole number from 1 to {MAX_DIM}"), dim)?,
            metric: read(&entries, "metric", "a metric (l2, cosine or ip)", metric)?,
        }))
    }

    /// The sidecar of the f32 file `file_name`, as text to write.
    pub fn to_json(&self, file_name: &str) -> String {
        #[derive(Serialize)]
        struct Text<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            n: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            dim: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            metric: Option<Metric>,
            file: &'a str,
            dtype: &'a str,
        }
        let text = Text { n: self.n, dim: self.dim, metric: self.metric, file: file_name, dtype: "f32" };
        let mut json = serde_json::to_string_pretty(&text).expect("numbers and strings are JSON");
        json.push('\n');
        json
    }
}

fn read<T>(
    entries: &Map<String, Value>,
    key: &str,
    expected: &str,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Error> {
    match entries.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => parse(value)
            .map(Some)
            .ok_or_else(|| Error::expected(expected, json_text(value)).at(Position::Part(key.to_owned()))),
    }
}

fn json_text(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        _ => quoted(&value.to_string()),
    }
}

/// The sidecar of `file` and where it is: `X.f32.json` or `X.json` or `meta.json`, whichever is there first and does
/// not name another file.
pub(super) fn find(file: &Path) -> Result<Option<(PathBuf, Sidecar)>, Error> {
    for path in [own_path(file), stem_path(file), file.with_file_name(OF_FOLDER)] {
        // The vectors may themselves be called `X.json`.
        if path == file {
            continue;
        }
        let sidecar = load(&path)
            .and_then(|json| json.map_or(Ok(None), |json| Sidecar::parse(&json, &name(file))))
            .map_err(|error| error.in_file(&path))?;
        if let Some(sidecar) = sidecar {
            return Ok(Some((path, sidecar)));
        }
    }
    Ok(None)
}

/// Where the sidecar of `output` is to be written: `X.json`, where the original tool looks too, unless that belongs to
/// another file or may do so; `X.f32.json` then. Reading finds either.
pub fn sidecar_path_for_writing(output: &Path) -> PathBuf {
    let (own, stem) = (own_path(output), stem_path(output));
    // An old `X.f32.json` would be found first and contradict the new one.
    if own.exists() || stem == output {
        return own;
    }
    match load(&stem) {
        Ok(None) if !stem.exists() => stem,
        Ok(Some(json)) if names_file(&json, &name(output)) => stem,
        _ => own,
    }
}

fn names_file(json: &[u8], file_name: &str) -> bool {
    let value: Option<Value> = serde_json::from_slice(json).ok();
    value.is_some_and(|value| value.get("file").and_then(Value::as_str) == Some(file_name))
}

fn own_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    file.with_file_name(name)
}

fn stem_path(file: &Path) -> PathBuf {
    file.with_extension("json")
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The bytes of the file, or nothing if there is no such file.
fn load(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read the size", e)),
        // Opening a FIFO would wait for somebody to write to it.
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Ok(_) => {}
    }
    let file = File::open(path).map_err(|e| Error::io("open", e))?;
    let mut json = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut json).map_err(|e| Error::io("read", e))?;
    if json.len() as u64 > MAX_BYTES {
        return Err(Error::expected(format!("a sidecar of at most {MAX_BYTES} bytes"), "a larger file"));
    }
    Ok(Some(json))
}
