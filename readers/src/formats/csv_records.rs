//! Records of CSV (RFC 4180): fields between delimiters, quoted where they hold delimiters, quotes or line ends.

use std::borrow::Cow;

use super::number;
use super::rows::Split;
use crate::Error;

/// How a file of CSV falls into records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    pub(super) delimiter: u8,
}

impl Split for Records {
    fn row_len(&self, bytes: &[u8], last: bool) -> Result<Option<usize>, Error> {
        let newline = memchr::memchr(b'\n', bytes).map(|newline| newline + 1);
        let line = newline.unwrap_or(bytes.len());
        if memchr::memchr(b'"', &bytes[..line]).is_none() {
            return Ok(newline.or(last.then_some(line)));
        }
        let mut at = 0;
        loop {
            at += spaces(&bytes[at..]);
            if bytes.get(at) == Some(&b'"') {
                let Some(len) = quoted_len(&bytes[at..]).filter(|&len| last || at + len < bytes.len()) else {
                    return if last { Err(open_quote(&bytes[at..])) } else { Ok(None) };
                };
                at += len;
            }
            match memchr::memchr2(self.delimiter, b'\n', &bytes[at..]) {
                None => return Ok(last.then_some(bytes.len())),
                Some(end) if bytes[at + end] == b'\n' => return Ok(Some(at + end + 1)),
                Some(delimiter) => at += delimiter + 1,
            }
        }
    }

    fn is_blank(&self, row: &[u8]) -> bool {
        matches!(row, [b'\n' | b'\r', ..] | [])
    }
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte == b' ').count()
}

/// The length of a field that begins with a quote, up to the quote that ends it.
fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

#[cold]
fn open_quote(field: &[u8]) -> Error {
    Error::expected(format!("`\"` at the end of the field {}", number::shown(field)), "the end of the file")
        .with_help("a quote inside of a field is doubled, and the field is in quotes")
}

/// The fields of a record, without their quotes and the spaces around them.
pub(super) struct Fields<'r> {
    rest: Option<&'r [u8]>,
    delimiter: u8,
    /// Whether the last field was in quotes.
    pub(super) in_quotes: bool,
}

impl<'r> Fields<'r> {
    pub(super) fn of(record: &'r [u8], delimiter: u8) -> Self {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        Self { rest: Some(record.strip_suffix(b"\r").unwrap_or(record)), delimiter, in_quotes: false }
    }

    fn quoted(&mut self, rest: &'r [u8]) -> Result<Cow<'r, [u8]>, Error> {
        let len = quoted_len(rest).ok_or_else(|| open_quote(rest))?;
        let (inside, behind) = (&rest[1..len - 1], &rest[len..]);
        let behind = &behind[spaces(behind)..];
        self.rest = match behind.split_first() {
            None => None,
            Some((&delimiter, next)) if delimiter == self.delimiter => Some(next),
            Some(_) => {
                return Err(Error::expected("a delimiter behind a field in quotes", number::shown(behind)));
            }
        };
        if memchr::memchr(b'"', inside).is_none() {
            return Ok(Cow::Borrowed(inside));
        }
        let mut text = Vec::with_capacity(inside.len());
        let mut after_quote = false;
        for &byte in inside {
            after_quote = byte == b'"' && !after_quote;
            if byte != b'"' || after_quote {
                text.push(byte);
            }
        }
        Ok(Cow::Owned(text))
    }
}

impl<'r> Iterator for Fields<'r> {
    type Item = Result<Cow<'r, [u8]>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let begin = &rest[spaces(rest)..];
        self.in_quotes = begin.first() == Some(&b'"');
        if self.in_quotes {
            return Some(self.quoted(begin));
        }
        let field = match memchr::memchr(self.delimiter, rest) {
            None => rest,
            Some(end) => {
                self.rest = Some(&rest[end + 1..]);
                &rest[..end]
            }
        };
        Some(Ok(Cow::Borrowed(field.trim_ascii())))
    }
}

/// The delimiter that the first line has most of.
pub(super) fn guess_delimiter(head: &[u8], extension: &str) -> u8 {
    if ["tsv", "tab"].contains(&extension) {
        return b'\t';
    }
    let line = &head[..memchr::memchr(b'\n', head).unwrap_or(head.len())];
    let (mut counts, mut in_quotes) = ([0u32; 4], false);
    const KNOWN: [u8; 4] = *b"|;\t,";
    for byte in line {
        in_quotes ^= *byte == b'"';
        if let Some(known) = KNOWN.iter().position(|known| known == byte)
            && !in_quotes
        {
            counts[known] += 1;
        }
    }
    // The last of the greatest: a comma where there is none at all.
    let most = (0..KNOWN.len()).max_by_key(|&known| counts[known]);
    most.map_or(b',', |known| KNOWN[known])
}

/// Whether a field is a list of numbers in brackets.
pub(super) fn is_list(field: &[u8]) -> bool {
    matches!(field, [b'[', .., b']'] | [b'{', .., b'}'])
        && list_values(field, 0, &mut []).is_ok_and(|count| count > 0)
}

/// The values of a list in brackets, with commas or white space between them: how many there are.
pub(super) fn list_values(field: &[u8], row: u64, out: &mut [f32]) -> Result<usize, Error> {
    let ([b'[', inside @ .., b']'] | [b'{', inside @ .., b'}']) = field else {
        return Err(Error::expected("a list of numbers in brackets", number::shown(field)));
    };
    let inside = inside.trim_ascii();
    if inside.is_empty() {
        return Ok(0);
    }
    let commas = memchr::memchr(b',', inside).is_some();
    let mut count = 0;
    for item in inside.split(|&byte| if commas { byte == b',' } else { byte.is_ascii_whitespace() }) {
        let item = item.trim_ascii();
        if item.is_empty() && !commas {
            continue;
        }
        let value = number::whole(item).map_err(|why| number::refuse(why, item, row, count))?;
        if let Some(out) = out.get_mut(count) {
            *out = value;
        }
        count += 1;
    }
    Ok(count)
}
