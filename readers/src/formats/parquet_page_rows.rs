//! Rows of vectors out of the pages of a row group.
//!
//! Where all lists have one length and nothing is null, all definition levels are the highest and the repetition levels
//! are a 0 and then ones. That can be seen from a few runs, and the values of a page then are rows one behind the other.
//! Whatever is otherwise is [`Unlike`].

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::file::serialized_reader::SerializedPageReader;

use super::parquet_chunks::PageChunks;
use super::parquet_pages::{Extent, Pages, decoded, next_header, whole};
use super::parquet_runs::Runs;
use super::parquet_values::{Unlike, Values};
use crate::BufferPool;

/// Rows of a row group, one behind the other.
pub(super) struct PageRows<'a> {
    pages: &'a Pages,
    group: usize,
    reader: SerializedPageReader<PageChunks>,
    chunks: Arc<PageChunks>,
    /// Whether the next page is the first of the group, which may be a dictionary.
    is_first: bool,
    dictionary: Option<Arc<Vec<f32>>>,
    page: Option<OpenPage>,
    /// Values of the current row that were read.
    position: usize,
}

/// A page of which values are left.
struct OpenPage {
    repetition: Runs,
    definition: Runs,
    values: Values,
    left: usize,
}

/// Where in a page its parts are.
struct Parts {
    repetition: Bytes,
    definition: Bytes,
    /// Where the values begin.
    values: usize,
}

impl<'a> PageRows<'a> {
    /// What a reader reads of a group. Its first value is the one at `position` of its row; `is_first` says that its first
    /// page is the group's.
    pub(super) fn new(
        pages: &'a Pages,
        group: usize,
        (reader, chunks): (SerializedPageReader<PageChunks>, Arc<PageChunks>),
        is_first: bool,
        position: usize,
    ) -> Self {
        Self { pages, group, reader, chunks, is_first, dictionary: None, page: None, position }
    }

    /// The next `count` rows. `is_last` says that no more will be asked for: whether the last of them is over is then
    /// looked up.
    pub(super) fn take(
        &mut self,
        count: usize,
        is_last: bool,
        pool: &BufferPool,
    ) -> Result<ScalarBuffer<f32>, Unlike> {
        let mut out = pool.take(count * self.pages.dim);
        let filled = self.fill(&mut out).and_then(|()| if is_last { self.check_end() } else { Ok(()) });
        match filled {
            Ok(()) => Ok(ScalarBuffer::from(out)),
            Err(unlike) => {
                pool.put(ScalarBuffer::from(out));
                Err(unlike)
            }
        }
    }

    fn fill(&mut self, mut out: &mut [f32]) -> Result<(), Unlike> {
        while !out.is_empty() {
            let count = self.left()?.min(out.len());
            self.check_levels(count)?;
            let (part, rest) = out.split_at_mut(count);
            let dtype = self.pages.dtype;
            self.page().values.take(dtype, part)?;
            out = rest;
        }
        Ok(())
    }

    /// Passes the next `count` values.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), Unlike> {
        while count > 0 {
            let left = self.left()?;
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(left);
            self.check_levels(part)?;
            let dtype = self.pages.dtype;
            self.page().values.skip(dtype, part)?;
            count -= part as u64;
        }
        Ok(())
    }

    fn page(&mut self) -> &mut OpenPage {
        self.page.as_mut().expect("a page is open where something of it is left")
    }

    /// How many values are left in the current page; at least one.
    fn left(&mut self) -> Result<usize, Unlike> {
        match &self.page {
            Some(page) if page.left > 0 => Ok(page.left),
            _ => self.next_page(),
        }
    }

    /// Passes the levels of the next `count` values of the page, if they are those of values in rows of one length.
    fn check_levels(&mut self, count: usize) -> Result<(), Unlike> {
        const BROKEN: Unlike = Unlike("levels are missing");
        let (dim, max_level) = (self.pages.dim, self.pages.max_level);
        let page = self.page.as_mut().expect("a page is open where something of it is left");
        if !page.definition.all(max_level, count).map_err(|_| BROKEN)? {
            return Err(Unlike("a null"));
        }
        let mut left = count;
        while left > 0 {
            let (level, run) = if self.position == 0 { (0, 1) } else { (1, (dim - self.position).min(left)) };
            if !page.repetition.all(level, run).map_err(|_| BROKEN)? {
                return Err(Unlike("a row of another length"));
            }
            self.position = (self.position + run) % dim;
            left -= run;
        }
        page.left -= count;
        Ok(())
    }

    /// Fails unless a row begins behind the last value, or nothing does.
    fn check_end(&mut self) -> Result<(), Unlike> {
        debug_assert_eq!(self.position, 0, "rows are taken whole");
        if self.page.as_ref().is_none_or(|page| page.left == 0) {
            match next_header(&mut self.reader)? {
                // The end of the row group; a page of the second version begins with a row.
                None | Some(PageMetadata { num_rows: Some(_), .. }) => return Ok(()),
                Some(_) => self.next_page()?,
            };
        }
        match self.page().repetition.peek() {
            Ok(0) => Ok(()),
            _ => Err(Unlike("a row of another length")),
        }
    }

    /// Opens the next page: how many values it has.
    fn next_page(&mut self) -> Result<usize, Unlike> {
        // Its memory is used for the next one.
        self.page = None;
        loop {
            let is_first = std::mem::take(&mut self.is_first);
            let page = match self.decoded_page()? {
                None => return Err(Unlike("fewer pages than rows")),
                Some(Page::DictionaryPage { buf, num_values, encoding, .. }) => {
                    if !is_first {
                        return Err(Unlike("a dictionary behind values"));
                    }
                    let (pages, chunks) = (self.pages, &self.chunks);
                    self.dictionary =
                        Some(pages.keep_dictionary(self.group, chunks, buf, num_values, encoding)?);
                    continue;
                }
                Some(page) => page,
            };
            let left = page.num_values() as usize;
            if left == 0 {
                return Err(Unlike("a page without values"));
            }
            self.page = Some(self.open(page)?);
            return Ok(left);
        }
    }

    fn decoded_page(&mut self) -> Result<Option<Page>, Unlike> {
        let page = decoded(|| self.reader.get_next_page());
        if page.is_ok() || !self.chunks.levels_only() {
            return page;
        }
        // A page with a checksum has to be read as a whole.
        let again = self.pages.reader(self.group, self.chunks.header(), Extent::Whole)?;
        (self.reader, self.chunks) = again;
        decoded(|| self.reader.get_next_page())
    }

    fn open(&mut self, page: Page) -> Result<OpenPage, Unlike> {
        let broken = |_| Unlike("levels that are none");
        let (left, encoding) = (page.num_values() as usize, page.encoding());
        let (mut bytes, parts) = self.parts(page)?;
        let chunks = &self.chunks;
        let end = if chunks.levels_only() { chunks.body().1 } else { bytes.len() };
        let size = end.checked_sub(parts.values).ok_or(Unlike("a page that was cut"))?;
        // More than there are would be an error to some decoders.
        let is_whole = left.checked_mul(self.pages.dtype.size_bytes()) == Some(size);
        if bytes.len() < end && encoding != Encoding::PLAIN {
            bytes = whole(bytes, chunks)?;
        }
        let values = match encoding {
            Encoding::PLAIN if is_whole && bytes.len() < end => {
                let offset = chunks.body().0 + parts.values as u64;
                Values::InFile { source: Arc::clone(&self.pages.source), offset }
            }
            Encoding::PLAIN if is_whole => Values::Plain { bytes, at: parts.values },
            Encoding::BYTE_STREAM_SPLIT if is_whole => {
                Values::Split { bytes: bytes.slice(parts.values..), count: left, at: 0 }
            }
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                let width = *bytes.get(parts.values).ok_or(Unlike("indexes are missing"))?;
                let runs = Runs::new(bytes.slice(parts.values + 1..), usize::from(width));
                let dictionary = match &self.dictionary {
                    Some(dictionary) => Arc::clone(dictionary),
                    None => self.pages.dictionary(self.group)?,
                };
                self.dictionary = Some(Arc::clone(&dictionary));
                Values::Indexes { runs: runs.map_err(|_| Unlike("indexes of too many bits"))?, dictionary }
            }
            _ => return Err(Unlike("another encoding, or another number of values")),
        };
        let width = u32::BITS - self.pages.max_level.leading_zeros();
        Ok(OpenPage {
            repetition: Runs::new(parts.repetition, 1).map_err(broken)?,
            definition: Runs::new(parts.definition, width as usize).map_err(broken)?,
            values,
            left,
        })
    }

    /// The bytes of a page as far as they were read, with all its levels, and where its parts are.
    fn parts(&self, page: Page) -> Result<(Bytes, Parts), Unlike> {
        const CUT: Unlike = Unlike("a page that was cut");
        match page {
            Page::DataPage { buf, def_level_encoding, rep_level_encoding, .. } => {
                if (def_level_encoding, rep_level_encoding) != (Encoding::RLE, Encoding::RLE) {
                    return Err(Unlike("levels in another encoding"));
                }
                match v1_parts(&buf) {
                    Some(parts) => Ok((buf, parts)),
                    None => {
                        let buf = whole(buf, &self.chunks)?;
                        let parts = v1_parts(&buf).ok_or(CUT)?;
                        Ok((buf, parts))
                    }
                }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                num_nulls,
                num_rows,
                rep_levels_byte_len,
                def_levels_byte_len,
                ..
            } => {
                let is_rows = (num_rows as usize).checked_mul(self.pages.dim) == Some(num_values as usize);
                if self.position != 0 || num_nulls != 0 || !is_rows {
                    return Err(Unlike("a page that is not whole rows"));
                }
                let middle = rep_levels_byte_len as usize;
                let end = middle.checked_add(def_levels_byte_len as usize).ok_or(CUT)?;
                let buf = if end > buf.len() { whole(buf, &self.chunks)? } else { buf };
                if end > buf.len() {
                    return Err(CUT);
                }
                let (repetition, definition) = (buf.slice(..middle), buf.slice(middle..end));
                Ok((buf, Parts { repetition, definition, values: end }))
            }
            Page::DictionaryPage { .. } => Err(Unlike("a dictionary behind values")),
        }
    }
}

/// The parts of a page of the first version: both kinds of levels behind their lengths, then the values. Nothing if it
/// ends before the values.
fn v1_parts(page: &Bytes) -> Option<Parts> {
    let level = |at: usize| {
        let len = u32::from_le_bytes(*page.get(at..)?.first_chunk()?) as usize;
        let end = (at + 4).checked_add(len).filter(|&end| end <= page.len())?;
        Some((page.slice(at + 4..end), end))
    };
    let (repetition, middle) = level(0)?;
    let (definition, values) = level(middle)?;
    Some(Parts { repetition, definition, values })
}
