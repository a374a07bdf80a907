//! The file of the vectors, where an index has none of its own.

use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::open::open_regular;
use super::{Corrupt, OpenError, corrupt};

/// That file, mapped.
#[derive(Debug)]
pub(super) struct Source {
    map: Mmap,
    path: PathBuf,
    range: Range<usize>,
}

/// What a section says, which begins at `at`.
pub(super) fn parse(bytes: &[u8], at: u64) -> Result<(u64, u64, &str), Corrupt> {
    let short = || corrupt("source", at, "an offset, a length and a path", format!("{} bytes", bytes.len()));
    let (offset, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let (length, path) = rest.split_first_chunk().ok_or_else(short)?;
    let path = std::str::from_utf8(path).map_err(|e| corrupt("source, path", at, "UTF-8", e))?;
    if path.is_empty() || path.contains('\0') {
        return Err(corrupt("source, path", at, "a path", format!("{path:?}")));
    }
    Ok((u64::from_le_bytes(*offset), u64::from_le_bytes(*length), path))
}

impl Source {
    /// Opens the file that a section names, seen from `folder`, and compares its length.
    pub(super) fn open(
        bytes: &[u8],
        at: u64,
        values_bytes: u64,
        folder: Option<&Path>,
    ) -> Result<Self, OpenError> {
        let (offset, length, path) = parse(bytes, at)?;
        let path = folder.unwrap_or(Path::new("")).join(path);
        let problem = |problem: String| OpenError::Source { path: path.clone(), problem };
        let end = offset.checked_add(values_bytes).filter(|&end| offset % 4 == 0 && end <= length);
        if end.is_none() {
            let found = format!("{values_bytes} bytes from byte {offset} in a file of {length}");
            return Err(corrupt("source", at, "vectors inside the file", found).into());
        }
        let file = open_regular(&path).map_err(|e| problem(e.to_string()))?;
        let found = file.metadata()?.len();
        if found != length {
            return Err(problem(format!(
                "expected {length} bytes, as when the index was built, found {found}"
            )));
        }
        let map = crate::mmap::map(&file).map_err(|e| problem(e.to_string()))?;
        if map.len() as u64 != length {
            return Err(problem(format!("expected {length} bytes, found {}", map.len())));
        }
        // Both are at most the length of the map.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let range = offset as usize..(offset + values_bytes) as usize;
        Ok(Self { map, path, range })
    }

    pub(super) fn map(&self) -> &[u8] {
        &self.map
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}
