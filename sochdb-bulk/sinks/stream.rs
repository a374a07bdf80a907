//! Output that is written from front to back: into a file or to standard output, as it is or through zstd.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Finished, SinkPlan};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::pieces::PORTION_BYTES;
use crate::output::stdout;
use crate::pipeline::{OutputReport, is_stdio};

/// The extension of what is compressed with zstd.
const ZST: &str = "zst";

/// zstd's own default. Values of embeddings hardly compress, and higher levels only take longer to find that out.
const LEVEL: i32 = 3;

/// What zstd holds at this level: its window, its tables and its output.
const ZSTD_BYTES: u64 = 8 << 20;

/// The name that a path has without `.zst`, if it has that: what is inside the compression.
pub(crate) fn inside_zst(path: &Path) -> Option<PathBuf> {
    let is_zst = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ZST));
    is_zst.then(|| path.with_extension(""))
}

/// Fails if `path` asks for compression around `what`, which has to be read from any place.
pub(super) fn refuse_zst(path: &Path, what: &str, help: &str) -> Result<(), Failure> {
    match inside_zst(path) {
        None => Ok(()),
        Some(_) => Err(Failure::refused(format!(
            "{}: {what} is read from any place, and a compressed one would have to be unpacked first",
            path.display()
        ))
        .with_help(help)),
    }
}

/// What any sink for `path` says before it begins, if it may write from front to back. `binary` is what standard output
/// gets, where that is nothing for a terminal.
pub(super) fn plan(path: &Path, binary: Option<&str>) -> Result<SinkPlan, Failure> {
    let mut plan = SinkPlan { uses_stdout: is_stdio(path), ..SinkPlan::default() };
    if plan.uses_stdout
        && let Some(what) = binary
    {
        stdout::refuse_terminal(what)?;
    }
    if inside_zst(path).is_some() {
        plan.memory.push(("compression", ZSTD_BYTES));
    }
    Ok(plan)
}

/// The file of such a path, if it is one.
pub(super) fn outputs(path: &Path) -> Vec<PathBuf> {
    if is_stdio(path) { Vec::new() } else { vec![path.to_path_buf()] }
}

/// Output from front to back.
pub(crate) struct Stream {
    file: Option<AtomicFile>,
    out: Out,
    failed: Option<Failure>,
}

enum Out {
    Plain(BufWriter<Place>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<Place>>>),
}

/// Where the bytes end up, and how many did.
struct Place {
    /// None for standard output.
    file: Option<File>,
    bytes: u64,
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.file {
            Some(file) => file.write(bytes),
            None => io::stdout().write(bytes),
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.flush(),
            None => io::stdout().flush(),
        }
    }
}

impl Stream {
    /// Begins. `path` may be `-` for standard output, or end in `.zst`; then zstd records `size_bytes`, the size of what
    /// will be written, where that is known, so that readers can check it against a header before they read on.
    ///
    /// The compression is zstd's with one thread: the same bytes on every machine, and a checksum at the end.
    pub(crate) fn create(path: &Path, size_bytes: Option<u64>) -> Result<Self, Failure> {
        let file = if is_stdio(path) { None } else { Some(AtomicFile::create(path)?) };
        let failed = |e: &io::Error| failure(file.as_ref(), e);
        let handle = file.as_ref().map(|file| file.file().try_clone()).transpose().map_err(|e| failed(&e))?;
        let place = BufWriter::with_capacity(PORTION_BYTES, Place { file: handle, bytes: 0 });
        let out = if inside_zst(path).is_some() {
            let encoder = || {
                let mut encoder = zstd::Encoder::new(place, LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.set_pledged_src_size(size_bytes)?;
                Ok(encoder)
            };
            Out::Zstd(Box::new(encoder().map_err(|e| failed(&e))?))
        } else {
            if let (Some(file), Some(bytes)) = (&file, size_bytes) {
                file.reserve(bytes)?;
            }
            Out::Plain(place)
        };
        Ok(Self { file, out, failed: None })
    }

    /// Writes the next bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes)
            .map_err(|e| self.failed.take().unwrap_or_else(|| failure(self.file.as_ref(), &e)))
    }

    /// Nothing more comes: completes the file, and reports it as a `name`.
    pub(crate) fn finish(self, name: &'static str) -> Result<Finished, Failure> {
        let Self { file, out, failed: _ } = self;
        let failed = |e: &io::Error| failure(file.as_ref(), e);
        let mut place = match out {
            Out::Plain(place) => place,
            Out::Zstd(encoder) => encoder.finish().map_err(|e| failed(&e))?,
        };
        place.flush().map_err(|e| failed(&e))?;
        let bytes = place.get_ref().bytes;
        let outputs = file.iter().map(|file| OutputReport::new(file.target(), name, bytes)).collect();
        Ok(Finished { files: file.into_iter().collect(), outputs })
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.out {
            Out::Plain(out) => out.write(bytes),
            Out::Zstd(out) => out.write(bytes),
        };
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(failure(self.file.as_ref(), error));
        }
        written
    }

    /// Does nothing: the foreign writers flush after every batch, and a compressed block should be full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output for a foreign writer, which gets a clone: it may keep that to itself, and tells of errors in its own words.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Stream>>);

impl Shared {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What stopped the foreign writer: the failure of this output, or what the writer itself says.
    pub(super) fn failure(&self, error: &impl std::fmt::Display) -> Failure {
        self.with(|stream| {
            stream.failed.take().unwrap_or_else(|| match &stream.file {
                Some(file) => Failure::failed(format!("{}: cannot write: {error}", file.target().display())),
                None => Failure::failed(format!("cannot write to standard output: {error}")),
            })
        })
    }

    /// As [`Stream::finish`], when the foreign writer is gone.
    pub(super) fn finish(self, name: &'static str) -> Result<Finished, Failure> {
        let stream = Arc::into_inner(self.0).and_then(|stream| stream.into_inner().ok());
        stream.ok_or_else(|| Failure::failed("the output is still being written"))?.finish(name)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(file: Option<&AtomicFile>, error: &io::Error) -> Failure {
    match file {
        Some(file) => file.failure(error),
        None => stdout::failure(error),
    }
}
