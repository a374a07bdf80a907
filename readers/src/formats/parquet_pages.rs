//! A column of vectors, read page by page: several times as fast as the ordinary reader, which keeps two levels for every
//! value.
//!
//! Where all lists have one length and nothing is null, all definition levels are the highest and the repetition levels
//! are a 0 and then ones. That can be seen from a few runs, and the values of a page then are rows one behind the other.
//! Whatever is otherwise is [`Unlike`], and the ordinary reader reads those rows: it gives the rows, or the error.
//!
//! Pages that begin within a row, as the first version of them may, do not say which row that is. It follows from the
//! number of values before, as long as all rows have the same length. So the rows of a part of a row group are right if
//! all of the group before it is read as well, or if pages of the second version told their rows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::Result as Decoded;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::columns::{Layout, VectorColumn};
use super::contained::{contained, one_line};
use super::parquet_chunks::PageChunks;
use super::parquet_runs::Runs;
use super::parquet_values::{Unlike, Values, plain};
use crate::{BufferPool, DType, Error, Source};

/// The place of a page is kept for each so many values.
const MARK_VALUES: u64 = 1 << 18;

/// About so many values make a part of a row group that one thread reads: a page at either end of it is read for its
/// neighbour as well.
const PART_VALUES: u64 = 1 << 21;

/// Pages are so much smaller than a part.
const PART_PAGES: u64 = 8;

/// Pages that are looked at to know how large they are.
const SAMPLED_PAGES: usize = 32;

/// A column of vectors that can be read page by page.
#[derive(Debug)]
pub(super) struct Pages {
    source: Arc<Source>,
    metadata: ArrowReaderMetadata,
    leaf: usize,
    max_level: u32,
    dtype: DType,
    dim: usize,
    part: Part,
    groups: Vec<Group>,
    /// The dictionary that was used last, and of which group it is.
    dictionary: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
}

/// How large a part of a row group is that one thread reads: so many values, and at least so many pages.
#[derive(Debug, Clone, Copy)]
struct Part {
    values: u64,
    pages: u64,
}

/// A row group whose pages may be read so.
#[derive(Debug)]
struct Group {
    rows: u64,
    /// Where its pages are.
    start: u64,
    end: u64,
    marks: Mutex<Vec<Mark>>,
}

/// How much of a page is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its header.
    Headers,
    /// Its levels as well, where its values can be read to where they belong.
    Levels,
    /// All of it.
    Whole,
}

/// The place of a page.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Of its header in the file.
    offset: u64,
    /// Values before it.
    values: u64,
    /// Whether the pages before it say that these are whole rows.
    is_told: bool,
}

impl Pages {
    /// The column as pages, if its type allows that. `leaves` are the leaves of the schema below it.
    pub(super) fn of(
        source: &Arc<Source>,
        metadata: &ArrowReaderMetadata,
        column: &VectorColumn,
        leaves: &[usize],
        dim: usize,
    ) -> Option<Self> {
        let &[leaf] = leaves else { return None };
        let descriptor = metadata.parquet_schema().column(leaf);
        let kind = match column.dtype {
            DType::F32 => descriptor.physical_type() == Type::FLOAT,
            DType::F64 => descriptor.physical_type() == Type::DOUBLE,
            DType::F16 => {
                descriptor.physical_type() == Type::FIXED_LEN_BYTE_ARRAY && descriptor.type_length() == 2
            }
            _ => false,
        };
        let is_list = column.layout != Layout::Bytes && descriptor.max_rep_level() == 1;
        let max_level = u32::try_from(descriptor.max_def_level()).ok().filter(|&level| level > 0)?;
        if !kind || !is_list {
            return None;
        }
        let groups = metadata.metadata().row_groups().iter();
        let groups = groups.map(|group| Group::of(group.column(leaf), group.num_rows(), dim, source));
        Some(Self {
            source: Arc::clone(source),
            metadata: metadata.clone(),
            leaf,
            max_level,
            dtype: column.dtype,
            dim,
            part: Part { values: PART_VALUES, pages: PART_PAGES },
            groups: groups.collect(),
            dictionary: Mutex::default(),
        })
    }

    /// For tests: parts of about so many values.
    pub(super) fn set_part_values(&mut self, values: u64) {
        self.part = Part { values, pages: 0 };
    }

    fn chunk(&self, group: usize) -> &ColumnChunkMetaData {
        self.metadata.metadata().row_group(group).column(self.leaf)
    }

    /// How many rows of a group one thread should read at a time; nothing if the group cannot be read in parts.
    /// `is_whole` says that all rows before any part are read as well.
    pub(super) fn part_rows(&self, group: usize, is_whole: bool) -> Option<u64> {
        self.groups.get(group).filter(|group| group.rows > 0)?;
        let sample = self.sampled(group)?;
        let values = self.part.values.max(sample.values.saturating_mul(self.part.pages));
        (is_whole || sample.is_told).then_some((values / self.dim as u64).max(1))
    }

    fn sampled(&self, group: usize) -> Option<Sample> {
        Sample::of(&self.source, self.chunk(group), self.groups[group].rows)
    }

    /// A bound of the memory of one thread that reads a group in which pages are as those of `sample`.
    pub(super) fn memory_bytes(&self, group: usize, sample: &Sample) -> u64 {
        let page = if self.chunk(group).compression() == Compression::UNCOMPRESSED {
            sample.page_bytes.min(sample.unpacked_bytes)
        } else {
            sample.page_bytes
        };
        let narrow = self.dtype.size_bytes().min(4) as u64;
        // The dictionary as it is in the file, and as f32.
        page.saturating_add(sample.dictionary_bytes.saturating_mul(1 + 4 / narrow))
    }

    /// Whether all rows can be read page by page, as far as the footer knows.
    pub(super) fn has_all(&self) -> bool {
        let groups = self.metadata.metadata().row_groups().iter().zip(&self.groups);
        groups.into_iter().all(|(group, of)| of.rows > 0 || group.num_rows() == 0)
    }

    /// A reader of the pages of a group from the byte `offset` on.
    fn reader(
        &self,
        group: usize,
        offset: u64,
        extent: Extent,
    ) -> Result<(SerializedPageReader<PageChunks>, Arc<PageChunks>), Unlike> {
        const TOO_FAR: Unlike = Unlike("a page at no place");
        let Group { start, end, rows, .. } = self.groups[group];
        let chunk = self.chunk(group);
        let is_packed = chunk.compression() != Compression::UNCOMPRESSED;
        let mut chunk = chunk.clone().into_builder();
        if offset != start {
            chunk = chunk
                .set_dictionary_page_offset(None)
                .set_data_page_offset(i64::try_from(offset).map_err(|_| TOO_FAR)?)
                .set_total_compressed_size(i64::try_from(end - offset).map_err(|_| TOO_FAR)?);
        }
        if extent == Extent::Headers {
            chunk = chunk.set_compression(Compression::UNCOMPRESSED);
        }
        // Values that are f32 in the file go where they belong without another copy.
        let is_f32 = self.dtype == DType::F32 && cfg!(target_endian = "little");
        let levels_only = extent == Extent::Levels && !is_packed && is_f32;
        let chunks = Arc::new(PageChunks::new(&self.source, levels_only));
        let rows = usize::try_from(rows).map_err(|_| TOO_FAR)?;
        let reader = decoded(|| SerializedPageReader::new(Arc::clone(&chunks), &chunk.build()?, rows, None))?;
        Ok((reader, chunks))
    }

    /// The page that holds the value of this number in a group.
    fn page_of(&self, group: usize, value: u64) -> Result<Mark, Unlike> {
        let mut marks = self.groups[group].marks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = marks.partition_point(|mark| mark.values <= value).saturating_sub(1);
        let mut mark = marks[known];
        let (mut reader, chunks) = self.reader(group, mark.offset, Extent::Headers)?;
        loop {
            let page = next_header(&mut reader)?.ok_or(Unlike("fewer pages than rows"))?;
            if !page.is_dict {
                let values = page.num_levels.and_then(|values| i32::try_from(values).ok()).unwrap_or(0);
                let values = u64::try_from(values).ok().filter(|&values| values > 0);
                let values = values.ok_or(Unlike("a page without values"))?;
                mark.offset = chunks.header();
                if marks.last().is_some_and(|last| last.values + MARK_VALUES <= mark.values) {
                    marks.push(mark);
                }
                if value < mark.values + values {
                    return Ok(mark);
                }
                let told = page.num_rows.and_then(|rows| (rows as u64).checked_mul(self.dim as u64));
                mark.is_told &= told == Some(values);
                mark.values += values;
            }
            decoded(|| reader.skip_next_page())?;
        }
    }

    /// The dictionary of a group, which is its first page.
    fn dictionary(&self, group: usize) -> Result<Arc<Vec<f32>>, Unlike> {
        if let Some((of, dictionary)) = &*self.last_dictionary()
            && *of == group
        {
            return Ok(Arc::clone(dictionary));
        }
        let (mut reader, chunks) = self.reader(group, self.groups[group].start, Extent::Whole)?;
        match decoded(|| reader.get_next_page())? {
            Some(Page::DictionaryPage { buf, num_values, encoding, .. }) => {
                self.keep_dictionary(group, &chunks, buf, num_values, encoding)
            }
            _ => Err(Unlike("indexes without a dictionary")),
        }
    }

    fn last_dictionary(&self) -> MutexGuard<'_, Option<(usize, Arc<Vec<f32>>)>> {
        self.dictionary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_dictionary(
        &self,
        group: usize,
        chunks: &PageChunks,
        bytes: Bytes,
        count: u32,
        encoding: Encoding,
    ) -> Result<Arc<Vec<f32>>, Unlike> {
        if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY) {
            return Err(Unlike("a dictionary in another encoding"));
        }
        let bytes = whole(bytes, chunks)?;
        let size = (count as usize).saturating_mul(self.dtype.size_bytes());
        let bytes = bytes.get(..size).ok_or(Unlike("a dictionary that was cut"))?;
        let mut values = vec![0.0; count as usize];
        plain(self.dtype, bytes, &mut values)?;
        let dictionary = Arc::new(values);
        *self.last_dictionary() = Some((group, Arc::clone(&dictionary)));
        Ok(dictionary)
    }

    /// A reader of rows of a group from `row` on, counted within it. `is_read_before` says that all rows before it are
    /// read in this way as well.
    pub(super) fn rows(&self, group: usize, row: u64, is_read_before: bool) -> Result<PageRows<'_>, Unlike> {
        let of = self.groups.get(group).filter(|of| row < of.rows).ok_or(Unlike("a row group as a whole"))?;
        let start = Mark { offset: of.start, values: 0, is_told: true };
        let value = row * self.dim as u64;
        let mark = if row == 0 { start } else { self.page_of(group, value)? };
        let mark = if is_read_before || mark.is_told { mark } else { start };
        let (reader, chunks) = self.reader(group, mark.offset, Extent::Levels)?;
        let position = usize::try_from(mark.values % self.dim as u64).map_err(|_| Unlike("a huge row"))?;
        let is_first = mark.offset == of.start;
        let mut rows =
            PageRows { pages: self, group, reader, chunks, is_first, dictionary: None, page: None, position };
        rows.skip(value - mark.values)?;
        Ok(rows)
    }
}

impl Group {
    fn of(chunk: &ColumnChunkMetaData, rows: i64, dim: usize, source: &Source) -> Self {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let start = u64::try_from(start).ok();
        let end = start.and_then(|start| start.checked_add(u64::try_from(chunk.compressed_size()).ok()?));
        let end = end.filter(|&end| end <= source.len_bytes());
        let is_known = |encoding| {
            matches!(
                encoding,
                Encoding::PLAIN
                    | Encoding::RLE
                    | Encoding::PLAIN_DICTIONARY
                    | Encoding::RLE_DICTIONARY
                    | Encoding::BYTE_STREAM_SPLIT
            )
        };
        // Otherwise some rows are null or of another length, and all of it is left to the ordinary reader.
        let rows = u64::try_from(rows).ok().filter(|rows| {
            let values = rows.checked_mul(dim as u64);
            values.is_some_and(|values| u64::try_from(chunk.num_values()) == Ok(values))
        });
        let rows = rows.filter(|_| end.is_some() && chunk.encodings().all(is_known));
        let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
        let first = Mark { offset: start, values: 0, is_told: true };
        Self { rows: rows.unwrap_or_default(), start, end, marks: Mutex::new(vec![first]) }
    }
}

/// What the first pages of a column in a row group are like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Values of the largest.
    values: u64,
    /// Whether they tell their rows.
    is_told: bool,
    /// The largest, packed and unpacked together.
    pub(super) page_bytes: u64,
    /// The largest, unpacked.
    unpacked_bytes: u64,
    /// The dictionary, unpacked.
    dictionary_bytes: u64,
}

impl Sample {
    /// Looks at the headers only. Nothing if there are none.
    pub(super) fn of(source: &Arc<Source>, chunk: &ColumnChunkMetaData, rows: u64) -> Option<Self> {
        let chunks = Arc::new(PageChunks::new(source, false));
        let chunk = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let rows = usize::try_from(rows).ok()?;
        let reader = decoded(|| SerializedPageReader::new(Arc::clone(&chunks), &chunk.build()?, rows, None));
        let mut reader = reader.ok()?;
        let mut sample = Self { is_told: true, ..Self::default() };
        for _ in 0..SAMPLED_PAGES {
            let Ok(Some(page)) = next_header(&mut reader) else { break };
            let (unpacked, packed) = chunks.sizes();
            sample.values = sample.values.max(page.num_levels.map_or(0, |values| values as u64));
            sample.page_bytes = sample.page_bytes.max(unpacked.saturating_add(packed));
            sample.unpacked_bytes = sample.unpacked_bytes.max(unpacked);
            if page.is_dict {
                sample.dictionary_bytes = unpacked;
            } else {
                sample.is_told &= page.num_rows.is_some();
            }
            decoded(|| reader.skip_next_page()).ok()?;
        }
        (sample.values > 0).then_some(sample)
    }
}

/// What the decoder of the pages gives. What it cannot read, the ordinary reader cannot, and says why.
fn decoded<T>(decode: impl FnOnce() -> Decoded<T>) -> Result<T, Unlike> {
    let outcome = contained("a page", || decode().map_err(|e| Error::malformed(one_line(&e.to_string()))));
    outcome.map_err(|_| Unlike("a page that cannot be decoded"))
}

fn next_header(reader: &mut SerializedPageReader<PageChunks>) -> Result<Option<PageMetadata>, Unlike> {
    decoded(|| reader.peek_next_page())
}

/// The page that was read last, where so far only its beginning was.
fn whole(bytes: Bytes, chunks: &PageChunks) -> Result<Bytes, Unlike> {
    let (start, len) = chunks.body();
    if !chunks.levels_only() || bytes.len() == len {
        return Ok(bytes);
    }
    drop(bytes);
    chunks.read(start, len).map_err(|_| Unlike("the file cannot be read"))
}

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

impl PageRows<'_> {
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

    fn skip(&mut self, mut count: u64) -> Result<(), Unlike> {
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
