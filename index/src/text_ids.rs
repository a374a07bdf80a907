//! Ids that are texts.

use std::fmt;
use std::io;

use rayon::prelude::*;
use twox_hash::XxHash3_64;

/// Texts that are the ids of rows, wherever they are: what [`crate::file::Contents::text_ids`] takes. Implemented for slices of
/// texts, and for what an index holds.
pub trait TextIdSource: fmt::Debug + Sync {
    /// How many there are.
    fn rows(&self) -> usize;

    /// The id of a row, counted from 0.
    ///
    /// # Errors
    /// If it cannot be read any more.
    ///
    /// # Panics
    /// If there is no such row.
    fn text_id(&self, row: usize) -> io::Result<&str>;
}

impl<T: AsRef<str> + fmt::Debug + Sync> TextIdSource for &[T] {
    fn rows(&self) -> usize {
        self.len()
    }

    fn text_id(&self, row: usize) -> io::Result<&str> {
        Ok(self[row].as_ref())
    }
}

impl<T: AsRef<str> + fmt::Debug + Sync> TextIdSource for Vec<T> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn text_id(&self, row: usize) -> io::Result<&str> {
        Ok(self[row].as_ref())
    }
}

/// The text ids of an index file.
#[derive(Debug, Clone, Copy)]
pub struct TextIds<'a> {
    /// Where each begins among the texts, and where the last ends.
    offsets: &'a [u64],
    texts: &'a [u8],
}

impl<'a> TextIds<'a> {
    /// The two parts of the section, which was checked when the file was opened.
    pub(crate) fn new(offsets: &'a [u64], texts: &'a [u8]) -> Self {
        Self { offsets, texts }
    }

    /// Where each begins among the texts, and where the last ends; and the texts, one behind the other, in UTF-8. In the
    /// file's map.
    pub fn parts(&self) -> (&'a [u64], &'a [u8]) {
        (self.offsets, self.texts)
    }

    /// How many there are: one a row.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether the index has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row, counted from 0; nothing if there is no such row, or if another program has written to the file since it
    /// was opened.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let start = usize::try_from(*self.offsets.get(row)?).ok()?;
        let end = usize::try_from(*self.offsets.get(row.checked_add(1)?)?).ok()?;
        std::str::from_utf8(self.texts.get(start..end)?).ok()
    }
}

impl TextIdSource for TextIds<'_> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn text_id(&self, row: usize) -> io::Result<&str> {
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "the index was written to meanwhile");
        self.get(row).ok_or_else(changed)
    }
}

/// The first two rows with the same id, of which the second is the least that has an earlier one; the lower row first.
/// It takes 16 bytes a row and runs on the current rayon pool.
///
/// # Errors
/// As [`TextIdSource::text_id`].
pub fn same_text_ids(ids: &dyn TextIdSource) -> io::Result<Option<(usize, usize)>> {
    let mut hashes: Vec<(u64, usize)> = vec![(0, 0); ids.rows()];
    hashes.par_iter_mut().with_min_len(1024).enumerate().try_for_each(|(row, hash)| {
        *hash = (XxHash3_64::oneshot(ids.text_id(row)?.as_bytes()), row);
        io::Result::Ok(())
    })?;
    hashes.par_sort_unstable();
    let mut first: Option<(usize, usize)> = None;
    for equal in hashes.chunk_by(|a, b| a.0 == b.0).filter(|equal| equal.len() > 1) {
        // Rows of one hash ascend. They nearly always have one text: then the first two are those that count.
        for (at, &(_, row)) in equal.iter().enumerate().skip(1) {
            let text = ids.text_id(row)?;
            let mut earlier = None;
            for &(_, other) in &equal[..at] {
                if ids.text_id(other)? == text {
                    earlier = Some(other);
                    break;
                }
            }
            if let Some(earlier) = earlier {
                if first.is_none_or(|(_, second)| row < second) {
                    first = Some((earlier, row));
                }
                break;
            }
        }
    }
    Ok(first)
}
