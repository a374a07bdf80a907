//! Bytes of a file, mapped or read.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use arrow_buffer::Buffer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Topic, Unpacked, mmap};

/// How the bytes of a file come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// Map the file, and fall back to reading where it cannot be mapped.
    #[default]
    Auto,
    /// Map the file: vectors that already are f32 are used in place.
    Mmap,
    /// Read at offsets into reusable buffers: for files that others may truncate meanwhile.
    Read,
}

/// An opened regular file of known length.
///
/// The length and the modification time of the moment of opening are kept: [`Source::check_unchanged`] tells whether
/// somebody wrote to the file since.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    len: u64,
    modified: Option<SystemTime>,
    map: Option<Buffer>,
    unpacked: Option<Unpacked>,
}

impl Source {
    /// Opens `path`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`] if it cannot be opened, [`crate::ErrorKind::Request`] if it is not a regular file.
    pub fn open(path: &Path, io: Io) -> Result<Self, Error> {
        Self::open_inner(path, io).map_err(|error| error.in_file(path))
    }

    fn open_inner(path: &Path, io: Io) -> Result<Self, Error> {
        // Looked at before it is opened: opening a FIFO that nobody writes to would wait for ever.
        let kind = std::fs::metadata(path).map_err(|e| Error::io("open", e))?;
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "not a regular file" };
            return Err(Error::request(format!("expected a file, found {what}"))
                .about(Topic::NoFile)
                .with_help("name one file; a stream is read from standard input, as `-`"));
        }
        let file = File::open(path).map_err(|e| Error::io("open", e))?;
        Self::of_file(path, file, io)
    }

    /// What `path` was unpacked to.
    pub(crate) fn of_unpacked(path: &Path, unpacked: &Unpacked, io: Io) -> Result<Self, Error> {
        let opened = unpacked.content().and_then(|file| Self::of_file(path, file, io));
        let source = opened.map_err(|error| error.in_file(path))?;
        Ok(Self { unpacked: Some(unpacked.clone()), ..source })
    }

    /// An opened file, which messages call `path`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn of_file(path: &Path, file: File, io: Io) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|e| Error::io("read the size", e))?;
        let len = metadata.len();
        let map = match io {
            Io::Read => None,
            _ if len == 0 => None,
            Io::Auto => mmap::map(&file).ok(),
            Io::Mmap => Some(mmap::map(&file).map_err(|e| Error::io("map the file", e))?),
        };
        Ok(Self { path: path.to_path_buf(), file, len, modified: modified(&metadata), map, unpacked: None })
    }

    /// Another handle of the file.
    ///
    /// # Errors
    /// I/O errors.
    pub fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|e| Error::io("open", e).in_file(&self.path))
    }

    /// The path it was opened by: the name that the person gave, also where that is packed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// The map, where the file is mapped: its slices are the file's bytes without a copy.
    pub fn map(&self) -> Option<&Buffer> {
        self.map.as_ref()
    }

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] where the file ends before `out` is full; I/O errors.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let end = offset.checked_add(out.len() as u64).filter(|&end| end <= self.len);
        let Some(end) = end else {
            return Err(Error::expected(
                format!("{} bytes from byte {offset}", out.len()),
                format!("a file of {} bytes", self.len),
            )
            .in_file(&self.path));
        };
        if let Some(map) = &self.map {
            // Both ends are at most the length of the map, which is a usize.
            #[expect(clippy::cast_possible_truncation)]
            out.copy_from_slice(&map[offset as usize..end as usize]);
            return Ok(());
        }
        read_exact_at(&self.file, offset, out).map_err(|e| {
            Error::io(format!("read {} bytes from byte {offset}", out.len()), e).in_file(&self.path)
        })
    }

    /// The first `limit` bytes, or all there are.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    pub fn head(&self, limit: usize) -> Result<Vec<u8>, Error> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).min(limit);
        let mut head = vec![0; len];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// Fails if the file was written to since it was opened.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] naming what changed.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        if let Some(unpacked) = &self.unpacked {
            // Nobody else knows the temporary file.
            return unpacked.check_unchanged();
        }
        let metadata = self.file.metadata().map_err(|e| Error::io("read the size", e).in_file(&self.path))?;
        let changed = if metadata.len() != self.len {
            format!("its size went from {} to {} bytes while it was read", self.len, metadata.len())
        } else if modified(&metadata) != self.modified {
            "it was written to while it was read".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::malformed(changed)
            .about(Topic::Changed)
            .in_file(&self.path)
            .with_help("run again when nobody writes to the file"))
    }
}

fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut out: &mut [u8]) -> std::io::Result<()> {
    while !out.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, out, offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        out = &mut out[read..];
        offset += read as u64;
    }
    Ok(())
}
