//! Ids that are texts, on their way into an index: in temporary files without names, as there may be more of them than memory
//! should hold.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use index::TextIdSource;
use readers::arrow_array::Array;
use readers::arrow_buffer::Buffer;
use readers::{Batch, Io, Source};

use crate::Failure;
use crate::output::atomic::{folder, write_all_at};

/// Where a text begins in the file of texts, and how long it is.
const SPAN_BYTES: usize = 16;

/// Takes texts in any order, from any thread.
#[derive(Debug)]
pub(super) struct TextIdSpool {
    texts: File,
    /// Where the next texts go.
    end: AtomicU64,
    spans: File,
    target: PathBuf,
}

impl TextIdSpool {
    /// Beside the file that is to be written.
    pub(super) fn beside(target: &Path) -> Result<Self, Failure> {
        let file = || {
            tempfile::tempfile_in(folder(target))
                .map_err(|e| Failure::io("make a temporary file beside it", target, &e))
        };
        Ok(Self { texts: file()?, end: AtomicU64::new(0), spans: file()?, target: target.to_path_buf() })
    }

    /// Takes the ids of a batch whose first row is at `position` of the stream.
    pub(super) fn put(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        let Some(texts) = batch.ids().texts() else {
            return Err(Failure::failed(format!(
                "{}: expected ids that are texts, found numbers",
                batch.origin().file.display()
            )));
        };
        // Of a slice of an array only the texts of its own rows.
        let offsets = texts.value_offsets();
        let place = |at: usize| usize::try_from(offsets[at]).unwrap_or_default();
        let bytes = &texts.value_data()[place(0)..place(texts.len())];
        let start = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut spans = Vec::with_capacity(texts.len() * SPAN_BYTES);
        for at in 0..texts.len() {
            let begin = start + (place(at) - place(0)) as u64;
            spans.extend_from_slice(&begin.to_le_bytes());
            spans.extend_from_slice(&((place(at + 1) - place(at)) as u64).to_le_bytes());
        }
        write_all_at(&self.texts, bytes, start)
            .and_then(|()| write_all_at(&self.spans, &spans, position * SPAN_BYTES as u64))
            .map_err(|e| self.failure(&e))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::io("write ids to a temporary file beside it", &self.target, error)
    }

    /// Nothing more comes.
    pub(super) fn finish(self) -> Result<SpooledTextIds, Failure> {
        let whole = |file: File| -> Result<Buffer, Failure> {
            let source = Source::of_file(&self.target, file, Io::Auto)?;
            Ok(match source.map() {
                Some(map) => map.clone(),
                // Where files cannot be mapped they are read.
                None => source.head(usize::MAX)?.into(),
            })
        };
        Ok(SpooledTextIds { texts: whole(self.texts)?, spans: whole(self.spans)? })
    }
}

/// The ids of all rows.
#[derive(Debug)]
pub(super) struct SpooledTextIds {
    texts: Buffer,
    spans: Buffer,
}

impl TextIdSource for SpooledTextIds {
    fn rows(&self) -> usize {
        self.spans.len() / SPAN_BYTES
    }

    fn text_id(&self, row: usize) -> io::Result<&str> {
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "a temporary file was changed");
        let span = &self.spans.as_slice()[row * SPAN_BYTES..][..SPAN_BYTES];
        let number = |at: usize| {
            let bytes: Option<&[u8; 8]> = span[at..].first_chunk();
            bytes.and_then(|bytes| usize::try_from(u64::from_le_bytes(*bytes)).ok()).ok_or_else(changed)
        };
        let (start, length) = (number(0)?, number(8)?);
        let end = start.checked_add(length).ok_or_else(changed)?;
        let text = self.texts.as_slice().get(start..end).ok_or_else(changed)?;
        std::str::from_utf8(text).map_err(|_| changed())
    }
}
