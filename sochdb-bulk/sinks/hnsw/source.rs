//! The input as the place where an index has its vectors.

use std::fs;
use std::path::{Component, Path, PathBuf};

use index::file::VectorSource;

use super::super::SinkJob;
use crate::output::atomic::folder;
use crate::{Code, Failure};

/// A file that holds all rows of a stream in place.
#[derive(Debug)]
pub(super) struct SourceFile {
    path: String,
    offset_bytes: u64,
    length_bytes: u64,
}

impl SourceFile {
    /// The one file of a stream whose rows are all in it, as f32, one behind the other, for an index at `target`.
    pub(super) fn of(job: &SinkJob, target: &Path) -> Result<Self, Failure> {
        let name = job.input.source.shared();
        let refuse = |why: &str| {
            let message =
                format!("{}: an index without vectors needs them in one file: {why}", name.display());
            Err(Failure::refused(message).with_code(Code::Request).with_help(
                "leave --no-vectors away, or write the vectors to a .npy of f32 first with `convert`",
            ))
        };
        if job.input.source.place(0).is_some() {
            return refuse("the source is several files");
        }
        if job.input.drops_rows || job.input.is_reordered {
            return refuse("rows are left out or in another order");
        }
        let Some(matrix) = &job.matrix else {
            return refuse(
                "it does not hold them as little-endian f32 that can be mapped, or a stage changes them",
            );
        };
        let bytes: &[u8] = bytemuck::cast_slice(&matrix.values);
        let offset = matrix.values.inner().ptr_offset() as u64;
        let length_bytes = fs::metadata(&name).map_err(|e| Failure::io("open", &name, &e))?.len();
        // A packed file is unpacked to another.
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > length_bytes)
            || !offset.is_multiple_of(4)
            || !holds(&name, offset, bytes).map_err(|e| Failure::io("read", &name, &e))?
        {
            return refuse("it is packed, or standard input");
        }
        let Some(path) = path_from(folder(target), &name).and_then(|path| path.to_str().map(str::to_owned))
        else {
            return refuse("its name is no UTF-8");
        };
        Ok(Self { path, offset_bytes: offset, length_bytes })
    }

    pub(super) fn for_index(&self) -> VectorSource<'_> {
        VectorSource {
            path: &self.path,
            offset_bytes: self.offset_bytes,
            file_length_bytes: self.length_bytes,
        }
    }
}

/// Whether a file has these bytes at that place, by those at both ends.
fn holds(path: &Path, offset: u64, bytes: &[u8]) -> std::io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    const COMPARED: usize = 4096;
    let mut file = fs::File::open(path)?;
    let len = bytes.len().min(COMPARED);
    let mut found = vec![0; len];
    for at in [0, bytes.len() - len] {
        file.seek(SeekFrom::Start(offset + at as u64))?;
        file.read_exact(&mut found)?;
        if found != bytes[at..at + len] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file seen from a folder: by a way down, or up and down if the file was named by a relative path, else as it was named.
fn path_from(folder: &Path, file: &Path) -> Option<PathBuf> {
    let (from, to) = (fs::canonicalize(folder).ok()?, fs::canonicalize(file).ok()?);
    if let Ok(below) = to.strip_prefix(&from) {
        return Some(below.to_path_buf());
    }
    if file.is_absolute() {
        return Some(file.to_path_buf());
    }
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    Some(up.chain(to.components().skip(common)).collect())
}
