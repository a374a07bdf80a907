//! Packed files, standard input and what programs write: taken in once into a temporary file without a name, so that
//! every format can map it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::{Error, Io, Position, Source};

/// What standard input is called in messages.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// How much is read, decoded and written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// How often a wait for standard input looks whether it should go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes (RFC 1952, RFC 8878). Gzip's two magic bytes may well begin a file of bare values, so its method
    /// and its reserved flags have to fit as well.
    fn of(head: &[u8]) -> Option<Self> {
        match *head {
            [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The bytes of a packed file, of standard input or of a program. Clones share one temporary file, which goes with the last of them.
#[derive(Debug, Clone)]
pub struct Unpacked(Arc<Content>);

#[derive(Debug)]
struct Content {
    file: File,
    len: u64,
    /// What the content is called; nothing where it came from standard input.
    name: Option<PathBuf>,
    /// The packed file, or what a program made the content of: a file, to see whether it changed.
    packed: Option<Arc<Source>>,
    /// What a program made the content of: a file or a folder.
    made_of: Option<PathBuf>,
}

impl PartialEq for Unpacked {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Unpacked {}

impl Unpacked {
    /// Unpacks the file at `path` if it is packed. `stop` is asked now and then whether to give up.
    pub(crate) fn file(path: &Path, limit: u64, stop: &dyn Fn() -> bool) -> Result<Option<Self>, Error> {
        let source = Source::open(path, Io::Read)?;
        let Some(packing) = Packing::of(&source.head(4)?) else { return Ok(None) };
        let mut file = source.handle()?;
        // Where reading at an offset moves the file's own position, the head did.
        file.rewind().map_err(|e| Error::io("read", e))?;
        let reader = BufReader::with_capacity(CHUNK_BYTES, file);
        let (file, len) = decode(reader, Some(packing), limit, stop)?;
        let (name, packed) = (Some(inner_name(path)), Some(Arc::new(source)));
        Ok(Some(Self(Arc::new(Content { file, len, name, packed, made_of: None }))))
    }

    /// Takes all of standard input, unpacked if it is packed.
    pub(crate) fn standard_input(limit: u64, stop: &dyn Fn() -> bool) -> Result<Self, Error> {
        if io::stdin().is_terminal() {
            return Err(Error::request("expected vectors, found a terminal")
                .with_help("pipe a file in, or name one instead of `-`"));
        }
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, Watched::standard_input(stop));
        let mut head = Vec::new();
        let peeked = reader.by_ref().take(4).read_to_end(&mut head);
        peeked.map_err(|e| if stop() { stopped() } else { Error::io("read", e) })?;
        let packing = Packing::of(&head);
        let (file, len) = decode(Cursor::new(head).chain(reader), packing, limit, stop)?;
        Ok(Self(Arc::new(Content { file, len, name: None, packed: None, made_of: None })))
    }

    /// Takes all that a program writes, which makes it of `input`.
    pub(crate) fn stream(
        reader: impl BufRead,
        input: Option<PathBuf>,
        limit: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let is_file = |path: &&PathBuf| path.is_file();
        let packed = input.as_ref().filter(is_file).map(|path| Source::open(path, Io::Read)).transpose()?;
        let (file, len) = decode(reader, None, limit, stop)?;
        Ok(Self(Arc::new(Content { file, len, name: None, packed: packed.map(Arc::new), made_of: input })))
    }

    /// What the content is called: `x.npy` of `x.npy.gz`. Nothing for standard input.
    pub(crate) fn name(&self) -> Option<&Path> {
        self.0.name.as_deref()
    }

    /// What a program made the content of, if anything.
    pub(crate) fn made_of(&self) -> Option<&Path> {
        self.0.made_of.as_deref()
    }

    /// The content's length.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.0.len
    }

    /// Another handle of the temporary file.
    pub(crate) fn content(&self) -> Result<File, Error> {
        self.0.file.try_clone().map_err(|e| Error::io("open the unpacked bytes", e))
    }

    /// Fails if the packed file was written to.
    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        self.0.packed.as_ref().map_or(Ok(()), |packed| packed.check_unchanged())
    }
}

/// The name without what says that it is packed.
fn inner_name(path: &Path) -> PathBuf {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let packed = ["gz", "gzip", "zst", "zstd"].contains(&extension.as_str());
    if packed { path.with_extension("") } else { path.to_path_buf() }
}

fn stopped() -> Error {
    Error::io("unpack", io::Error::from(ErrorKind::Interrupted))
}

/// Writes what `reader` gives to a temporary file; gives that and its length.
fn decode(
    reader: impl BufRead,
    packing: Option<Packing>,
    limit: u64,
    stop: &dyn Fn() -> bool,
) -> Result<(File, u64), Error> {
    let folder = tempfile::env::temp_dir();
    let no_room = |action: &str, e: io::Error| {
        let error = Error::io(format!("{action} in {}", folder.display()), e);
        error.with_help("the bytes are unpacked there: make room, or set TMPDIR to a folder with more")
    };
    let mut file = tempfile::tempfile().map_err(|e| no_room("make a temporary file", e))?;
    let consumed = Cell::new(0);
    let counted = Counted { inner: reader, bytes: &consumed };
    let damaged = |e: &io::Error| {
        let what = packing.map_or("", Packing::name);
        let found = match e.kind() {
            ErrorKind::UnexpectedEof => "its end".to_owned(),
            _ => format!("damage: {e}"),
        };
        Error::expected(format!("more of the {what} stream"), found)
            .at(Position::Byte(consumed.get()))
            .with_help("the packed file was cut short or damaged: make it or copy it again")
    };
    let mut decoder: Box<dyn Read + '_> = match packing {
        None => Box::new(counted),
        Some(Packing::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        Some(Packing::Zstd) => {
            Box::new(zstd::stream::read::Decoder::with_buffer(counted).map_err(|e| damaged(&e))?)
        }
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut len = 0u64;
    loop {
        if stop() {
            return Err(stopped());
        }
        let read = match decoder.read(&mut chunk) {
            Ok(0) => return Ok((file, len)),
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(_) if stop() => return Err(stopped()),
            // What the system says has a number; what a decoder says has none.
            Err(e) if packing.is_none() || e.raw_os_error().is_some() => return Err(Error::io("read", e)),
            Err(e) => return Err(damaged(&e)),
        };
        len += read as u64;
        if len > limit {
            let help = "if that is meant, unpack it to a file, or save it to one, and name that";
            return Err(Error::request(format!("expected up to {limit} unpacked bytes, found more"))
                .at(Position::Byte(consumed.get()))
                .with_help(help));
        }
        file.write_all(&chunk[..read]).map_err(|e| no_room("write the unpacked bytes", e))?;
    }
}

/// Counts the bytes that a decoder took.
struct Counted<'a, R> {
    inner: R,
    bytes: &'a Cell<u64>,
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.set(self.bytes.get() + amount as u64);
        self.inner.consume(amount);
    }
}

/// Standard input, read by a thread of its own: a read that waits for a writer cannot be called off, waiting for the
/// thread can.
struct Watched<'a> {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Watched<'a> {
    fn standard_input(stop: &'a dyn Fn() -> bool) -> Self {
        let (send, chunks) = sync_channel(2);
        std::thread::spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES / 4];
                let sent = match io::stdin().lock().read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => {
                        chunk.truncate(read);
                        send.send(Ok(chunk))
                    }
                    Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                    Err(e) => {
                        // If nobody listens any more, nobody needs to know.
                        let _ = send.send(Err(e));
                        return;
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Self { chunks, current: Cursor::default(), stop }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            match self.chunks.recv_timeout(LOOK_EVERY) {
                Ok(chunk) => self.current = Cursor::new(chunk?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if (self.stop)() => return Err(io::Error::other("stopped")),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
