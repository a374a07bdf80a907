//! Files of row ids that are texts: a line each, or an .npy array of strings.

use std::ops::Range;
use std::path::Path;

use arrow_array::StringArray;
use arrow_array::builder::StringBuilder;
use memchr::memchr_iter;

use super::dense::NATIVE;
use super::npy_header::{MAGIC, MAX_HEAD_BYTES, parse_npy_header};
use super::row_ids::push_text;
use super::{number, quoted};
use crate::{ByteOrder, Error, Input, Position, Source, Topic};

/// Of the lines of a file every so manieth is known by its place.
const BLOCK_LINES: u64 = 256;

const CHUNK_BYTES: usize = 256 * 1024;

/// A character of numpy's strings: UTF-32.
const CHAR_BYTES: u64 = 4;

/// Ids that are texts, in a file of their own, one a row: UTF-8 lines (`.txt`), or an .npy array of strings (`<U36`, `|S36`) of
/// shape `(n,)` or `(n, 1)`. They stay in the file until they are read.
#[derive(Debug)]
pub struct TextIdFile {
    source: Source,
    rows: u64,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// Where the lines with the numbers 0, 256, 512 and so on begin; and the end of the file.
    Lines(Vec<u64>),
    /// Strings of one size from a byte on, filled up with zeros.
    Strings { offset: u64, size_bytes: u64, coding: Coding },
}

#[derive(Debug, Clone, Copy)]
enum Coding {
    Utf32(ByteOrder),
    Utf8,
}

impl TextIdFile {
    /// Opens a file of texts; nothing if it is an .npy file of something else than strings, or another file whose name does not
    /// end in `.txt`: those have numbers.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(input: &Input) -> Result<Option<Self>, Error> {
        Self::open_inner(input).map_err(|error| error.in_file(&input.path))
    }

    fn open_inner(input: &Input) -> Result<Option<Self>, Error> {
        let source = input.source()?;
        if source.head(MAGIC.len())? == MAGIC {
            return Self::of_npy(source);
        }
        if !has_lines(&input.path) {
            return Ok(None);
        }
        let mut places = Vec::new();
        let (mut at, end) = (0, source.len_bytes());
        if source.head(3)? == "\u{feff}".as_bytes() {
            at = 3;
        }
        let mut rows = 0;
        let mut ends_open = at < end;
        if ends_open {
            places.push(at);
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            source.read_at(at, &mut chunk[..len])?;
            for newline in memchr_iter(b'\n', &chunk[..len]) {
                rows += 1;
                let next = at + newline as u64 + 1;
                ends_open = next < end;
                if rows % BLOCK_LINES == 0 && ends_open {
                    places.push(next);
                }
            }
            at += len as u64;
        }
        // The last line may lack its end.
        rows += u64::from(ends_open);
        places.push(end);
        Ok(Some(Self { source, rows, layout: Layout::Lines(places) }))
    }

    fn of_npy(source: Source) -> Result<Option<Self>, Error> {
        let header = parse_npy_header(&source.head(MAX_HEAD_BYTES)?)?;
        let order = |mark| match mark {
            b'<' => ByteOrder::Little,
            b'>' => ByteOrder::Big,
            _ => NATIVE,
        };
        let (coding, unit, size) = match header.descr.as_bytes() {
            &[mark @ (b'<' | b'>' | b'=' | b'|'), b'U', ref size @ ..] => {
                (Coding::Utf32(order(mark)), CHAR_BYTES, size)
            }
            [b'<' | b'>' | b'=' | b'|', b'S' | b'a', size @ ..] => (Coding::Utf8, 1, size),
            _ => return Ok(None),
        };
        let descr = || Position::Part("descr".to_owned());
        let size = std::str::from_utf8(size).ok().and_then(|size| size.parse::<u32>().ok());
        let Some(size) = size.filter(|&size| size > 0) else {
            let found = quoted(&header.descr);
            return Err(Error::expected("strings of at least one character, such as <U36", found).at(descr()));
        };
        let size_bytes = u64::from(size) * unit;
        let (&[rows] | &[rows, 1]) = header.shape.as_slice() else {
            let found = header.shape_text();
            return Err(Error::unsupported(format!("expected one id a row, shape (n,), found {found}"))
                .at(Position::Part("shape".to_owned()))
                .with_help("save one column: np.save(\"ids.npy\", ids.reshape(-1))"));
        };
        let found = source.len_bytes().saturating_sub(header.data_offset);
        let bytes = rows.checked_mul(size_bytes).filter(|&bytes| bytes <= found);
        if bytes.is_none() {
            let expected = format!("{rows} strings of {size_bytes} bytes");
            return Err(Error::expected(expected, format!("{found} bytes of data"))
                .at(Position::Byte(header.data_offset))
                .with_help("the file was cut short: copy or save it again"));
        }
        let layout = Layout::Strings { offset: header.data_offset, size_bytes, coding };
        Ok(Some(Self { source, rows, layout }))
    }

    /// How many ids there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The ids of these rows.
    ///
    /// # Errors
    /// The first row whose id is empty or no UTF-8, or if the file ends before it; I/O errors.
    pub fn read(&self, rows: Range<u64>) -> Result<StringArray, Error> {
        self.read_inner(rows).map_err(|error| error.about(Topic::Ids).in_file(self.source.path()))
    }

    fn read_inner(&self, rows: Range<u64>) -> Result<StringArray, Error> {
        if rows.end > self.rows {
            let found = format!("{} ids, too few for row {}", self.rows, rows.end.saturating_sub(1));
            return Err(Error::expected("one id for each row", found));
        }
        let mut texts = StringBuilder::new();
        if rows.is_empty() {
            return Ok(texts.finish());
        }
        let too_many = || Error::unsupported("a batch of ids is more than memory has addresses");
        let bytes_of = |start: u64, end: u64| {
            let mut bytes = vec![0; usize::try_from(end - start).map_err(|_| too_many())?];
            self.source.read_at(start, &mut bytes)?;
            Ok::<_, Error>(bytes)
        };
        match &self.layout {
            Layout::Lines(places) => {
                let place = |block: u64| {
                    let block = usize::try_from(block).unwrap_or(usize::MAX).min(places.len() - 1);
                    places[block]
                };
                let first = rows.start / BLOCK_LINES;
                let bytes = bytes_of(place(first), place(rows.end.div_ceil(BLOCK_LINES)))?;
                let skipped = usize::try_from(rows.start - first * BLOCK_LINES).unwrap_or_default();
                let mut lines = bytes.split(|&byte| byte == b'\n').skip(skipped);
                for row in rows {
                    let line = lines.next().unwrap_or_default();
                    push(&mut texts, line.strip_suffix(b"\r").unwrap_or(line), row)?;
                }
            }
            Layout::Strings { offset, size_bytes, coding } => {
                let bytes = bytes_of(offset + rows.start * size_bytes, offset + rows.end * size_bytes)?;
                let size = usize::try_from(*size_bytes).unwrap_or(usize::MAX);
                let mut text = Vec::new();
                for (row, string) in rows.zip(bytes.chunks_exact(size)) {
                    let end = string.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                    match coding {
                        Coding::Utf8 => push(&mut texts, &string[..end], row)?,
                        Coding::Utf32(order) => {
                            utf8(string, *order, &mut text).map_err(|error| error.at(Position::Row(row)))?;
                            push(&mut texts, &text, row)?;
                        }
                    }
                }
            }
        }
        Ok(texts.finish())
    }

    /// Fails if the file was written to since it was opened.
    ///
    /// # Errors
    /// What changed.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}

fn has_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"))
}

fn push(texts: &mut StringBuilder, text: &[u8], row: u64) -> Result<(), Error> {
    let text = match std::str::from_utf8(text) {
        Ok("") => Err(Error::expected("an id", "an empty text")),
        Ok(text) => push_text(texts, text),
        Err(_) => Err(Error::expected("an id in UTF-8", number::shown(text))),
    };
    text.map_err(|error| error.at(Position::Row(row)))
}

/// A string of UTF-32 without the zeros behind it.
fn utf8(string: &[u8], order: ByteOrder, out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    let chars = string.as_chunks::<4>().0;
    let len = chars.iter().rposition(|&code| code != [0; 4]).map_or(0, |last| last + 1);
    for &code in &chars[..len] {
        let code = match order {
            ByteOrder::Little => u32::from_le_bytes(code),
            ByteOrder::Big => u32::from_be_bytes(code),
        };
        let character = char::from_u32(code)
            .ok_or_else(|| Error::expected("characters of Unicode", format!("the number {code}")))?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(())
}
