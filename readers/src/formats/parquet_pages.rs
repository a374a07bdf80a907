//! A column of vectors, read page by page: several times as fast as the ordinary reader, which keeps two levels for every
//! value. Here is which pages there are and where; `parquet_page_rows.rs` makes rows of them. Whatever it does not know is
//! [`Unlike`], and the ordinary reader reads those rows: it gives the rows, or the error.
//!
//! Pages that begin within a row, as the first version of them may, do not say which row that is. It follows from the
//! number of values before, as long as all rows have the same length. So the rows of a part of a row group are right if
//! all of the group before it is read as well, or if pages of the second version told their rows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::Result as Decoded;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::column_vectors::{Layout, VectorColumn};
use super::contained::{contained, one_line};
use super::parquet_chunks::{LEVELS_BYTES, PageChunks, Spare};
use super::parquet_page_rows::PageRows;
use super::parquet_sample::Sample;
use super::parquet_values::{Unlike, plain};
use crate::{DType, Error, Source};

/// The place of a page is kept for each so many values.
const MARK_VALUES: u64 = 1 << 18;

/// About so many values make a part of a row group that one thread reads: a page at either end of it is read for its
/// neighbour as well.
const PART_VALUES: u64 = 1 << 21;

/// Pages are so much smaller than a part.
const PART_PAGES: u64 = 8;

/// A column of vectors that can be read page by page.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) source: Arc<Source>,
    metadata: ArrowReaderMetadata,
    leaf: usize,
    pub(super) max_level: u32,
    pub(super) dtype: DType,
    pub(super) dim: usize,
    part: Part,
    groups: Vec<Group>,
    /// The dictionary that was used last, and of which group it is.
    dictionary: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
    spare: Arc<Spare>,
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
pub(super) enum Extent {
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
            spare: Arc::default(),
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
        let page = if self.reads_in_place(group) {
            LEVELS_BYTES as u64
        } else if self.chunk(group).compression() == Compression::UNCOMPRESSED {
            sample.page_bytes.min(sample.unpacked_bytes)
        } else {
            sample.page_bytes
        };
        let narrow = self.dtype.size_bytes().min(4) as u64;
        // The dictionary as it is in the file, as it was unpacked, and as f32.
        page.saturating_add(sample.dictionary_bytes.saturating_mul(2 + 4 / narrow))
    }

    /// Whether of the pages of a group only levels are read, and values right to where they belong: that of the first page tells.
    fn reads_in_place(&self, group: usize) -> bool {
        let first = || -> Result<bool, Unlike> {
            let (mut reader, chunks) = self.reader(group, self.groups[group].start, Extent::Levels)?;
            let page = decoded(|| reader.get_next_page())?;
            let is_plain = page.as_ref().is_some_and(|page| {
                matches!(page, Page::DataPage { .. } | Page::DataPageV2 { .. })
                    && page.encoding() == Encoding::PLAIN
            });
            Ok(chunks.levels_only() && is_plain)
        };
        // A page with a checksum cannot be read in part.
        first().unwrap_or(false)
    }

    /// Whether all rows can be read page by page, as far as the footer knows.
    pub(super) fn has_all(&self) -> bool {
        let groups = self.metadata.metadata().row_groups().iter().zip(&self.groups);
        groups.into_iter().all(|(group, of)| of.rows > 0 || group.num_rows() == 0)
    }

    /// A reader of the pages of a group from the byte `offset` on.
    pub(super) fn reader(
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
        let chunks = Arc::new(PageChunks::new(&self.source, levels_only, &self.spare));
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
    pub(super) fn dictionary(&self, group: usize) -> Result<Arc<Vec<f32>>, Unlike> {
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

    /// Decodes a dictionary, and keeps it for the other readers of the group.
    pub(super) fn keep_dictionary(
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
        let reader = self.reader(group, mark.offset, Extent::Levels)?;
        let position = usize::try_from(mark.values % self.dim as u64).map_err(|_| Unlike("a huge row"))?;
        let mut rows = PageRows::new(self, group, reader, mark.offset == of.start, position);
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

/// What the decoder of the pages gives. What it cannot read, the ordinary reader cannot, and says why.
pub(super) fn decoded<T>(decode: impl FnOnce() -> Decoded<T>) -> Result<T, Unlike> {
    let outcome = contained("a page", || decode().map_err(|e| Error::malformed(one_line(&e.to_string()))));
    outcome.map_err(|_| Unlike("a page that cannot be decoded"))
}

/// The header of the next page, which stays the next. Nothing behind the last one.
pub(super) fn next_header(
    reader: &mut SerializedPageReader<PageChunks>,
) -> Result<Option<PageMetadata>, Unlike> {
    decoded(|| reader.peek_next_page())
}

/// The page that was read last, where so far only its beginning was.
pub(super) fn whole(bytes: Bytes, chunks: &PageChunks) -> Result<Bytes, Unlike> {
    let (start, len) = chunks.body();
    if !chunks.levels_only() || bytes.len() == len {
        return Ok(bytes);
    }
    drop(bytes);
    chunks.read(start, len).map_err(|_| Unlike("the file cannot be read"))
}
