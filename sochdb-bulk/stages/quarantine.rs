//! Rows that are put aside, as JSON Lines.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use readers::Batch;

use crate::Failure;
use crate::output::pieces::PORTION_BYTES;
use crate::pipeline::is_stdio;
use crate::sinks::{Finished, Stream};

/// The bits of the NaN that computations give.
const NAN: u32 = 0x7fc0_0000;

/// A file of rows that are put aside. Before it is begun nothing is written.
pub(super) struct Quarantine {
    path: PathBuf,
    /// The file, and text that waits to be written.
    file: Mutex<Option<(Stream, Vec<u8>)>>,
}

impl Quarantine {
    /// The file that will be at `path`.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        if is_stdio(path) {
            return Err(Failure::refused("rows that are put aside cannot go to standard output")
                .with_help("name a file: quarantine = \"bad.jsonl\""));
        }
        Ok(Self { path: path.to_path_buf(), file: Mutex::new(None) })
    }

    pub(super) fn begin(&self) -> Result<(), Failure> {
        let stream = Stream::create(&self.path, None)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some((stream, Vec::new()));
        Ok(())
    }

    /// Puts the row at `position` of the batch aside.
    pub(super) fn put(&self, batch: &Batch, position: usize, reason: &str) -> Result<(), Failure> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((stream, text)) = file.as_mut() else { return Ok(()) };
        let row = batch.origin_row(position);
        let id = match batch.ids().texts() {
            Some(texts) => texts.value(position).into(),
            None => serde_json::Value::from(batch.ids().get(position)),
        };
        let name = serde_json::Value::from(batch.origin().file.to_string_lossy());
        let head =
            format!("{{\"row\":{row},\"id\":{id},\"reason\":\"{reason}\",\"file\":{name},\"vector\":[");
        text.extend_from_slice(head.as_bytes());
        let vector = &batch.values()[position * batch.dim()..][..batch.dim()];
        for (at, &value) in vector.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            push_value(text, value);
        }
        text.extend_from_slice(b"]}\n");
        if text.len() >= PORTION_BYTES {
            stream.put(text)?;
            text.clear();
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<Option<Finished>, Failure> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut stream, text)) = file else { return Ok(None) };
        stream.put(&text)?;
        stream.finish("quarantine").map(Some)
    }
}

/// A value as JSON from which the same bits can be read again: a number where there is one, else a string.
fn push_value(text: &mut Vec<u8>, value: f32) {
    let word = match value {
        value if value.is_finite() => zmij::Buffer::new().format_finite(value).to_owned(),
        f32::INFINITY => "\"Infinity\"".to_owned(),
        f32::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        value if value.to_bits() == NAN => "\"NaN\"".to_owned(),
        value => format!("\"{:#010x}\"", value.to_bits()),
    };
    text.extend_from_slice(word.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_kept() {
        let mut text = Vec::new();
        for bits in [0x3dcc_cccd, 0x8000_0000, 0x7f80_0000, 0xff80_0000, NAN, 0xffc0_0001, 0x0000_0001] {
            push_value(&mut text, f32::from_bits(bits));
            text.push(b' ');
        }
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "0.1 -0.0 \"Infinity\" \"-Infinity\" \"NaN\" \"0xffc00001\" 1e-45 ");
    }
}
