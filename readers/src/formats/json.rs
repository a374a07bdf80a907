//! Just enough of JSON to find one vector in a line and to pass over all else.

use std::borrow::Cow;

use super::{number, quoted};
use crate::{Error, Position};

/// Arrays and objects in each other; a line of vectors has a few.
const MAX_DEPTH: usize = 64;

/// A place in a line.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte behind white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes `byte` if it is the next.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What is there, for a message.
    pub(super) fn found(&mut self) -> String {
        match self.peek() {
            None => "the end of the line".to_owned(),
            Some(b'[') => "an array".to_owned(),
            Some(b'{') => "an object".to_owned(),
            Some(b'"') => number::shown(self.bytes[self.at..].trim_ascii_end()),
            Some(_) => number::shown(self.word()),
        }
    }

    /// The bytes up to what ends a number or a name.
    fn word(&self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n');
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        &rest[..len.max(1).min(rest.len())]
    }

    pub(super) fn refuse(&mut self, expected: &str) -> Error {
        Error::expected(expected, self.found())
    }

    /// A string as it stands between its quotes.
    fn raw_string(&mut self) -> Result<&'a [u8], Error> {
        if !self.pass(b'"') {
            return Err(self.refuse("a string"));
        }
        let start = self.at;
        while let Some(offset) = memchr::memchr2(b'"', b'\\', &self.bytes[self.at..]) {
            let at = self.at + offset;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.bytes[start..at]);
            }
            self.at = (at + 2).min(self.bytes.len());
        }
        self.at = self.bytes.len();
        Err(Error::expected("`\"` at the end of a string", "the end of the line"))
    }

    /// A string, its escapes resolved.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        let raw = self.raw_string()?;
        if memchr::memchr(b'\\', raw).is_none() {
            return Ok(Cow::Borrowed(raw));
        }
        let text = [b"\"", raw, b"\""].concat();
        let text: String = serde_json::from_slice(&text)
            .map_err(|_| Error::expected("a string of JSON", number::shown(raw)))?;
        Ok(Cow::Owned(text.into_bytes()))
    }

    /// Passes a value of any kind. Numbers and names are not looked at closely: Python writes `NaN`, too.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        self.skip_within(0)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::unsupported(format!(
                "expected up to {MAX_DEPTH} arrays and objects in each other"
            )));
        }
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'[') => self.elements(|cursor, _| cursor.skip_within(depth + 1)),
            Some(b'{') => self.entries(|cursor, _| cursor.skip_within(depth + 1)),
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => {
                self.at += self.word().len();
                Ok(())
            }
            _ => Err(self.refuse("a value")),
        }
    }

    /// Passes a value of any kind, and gives its bytes.
    pub(super) fn raw_value(&mut self) -> Result<&'a [u8], Error> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Passes an array of numbers or a string without a look at what is in it: whoever reads it does that.
    pub(super) fn skip_vector(&mut self) -> Result<(), Error> {
        if self.peek() != Some(b'[') {
            return self.skip();
        }
        let end = memchr::memchr(b']', &self.bytes[self.at..]).map(|end| self.at + end + 1);
        self.at = end.unwrap_or(self.bytes.len());
        Ok(())
    }

    /// The key of the next entry of an object, of which `first` is the first; nothing behind the last.
    pub(super) fn key(&mut self, first: bool) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let opened = !first || self.pass(b'{');
        if !opened {
            return Err(self.refuse("an object"));
        }
        if self.pass(b'}') {
            return Ok(None);
        }
        if !first && !self.pass(b',') {
            return Err(self.refuse("`,` or `}`"));
        }
        let key = self.string()?;
        if !self.pass(b':') {
            return Err(self.refuse("`:`"));
        }
        Ok(Some(key))
    }

    /// Calls `each` at every element of an array, which it must pass.
    pub(super) fn elements(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.pass(b'[') {
            return Err(self.refuse("an array"));
        }
        if self.pass(b']') {
            return Ok(());
        }
        let mut number = 0;
        loop {
            each(self, number)?;
            number += 1;
            if self.pass(b']') {
                return Ok(());
            }
            if !self.pass(b',') {
                return Err(self.refuse("`,` or `]`"));
            }
        }
    }

    /// Calls `each` at every value of an object, which it must pass.
    pub(super) fn entries(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut first = true;
        while let Some(key) = self.key(first)? {
            each(self, &key)?;
            first = false;
        }
        Ok(())
    }

    /// An array of numbers into `out`: how many there are, which may be more than `out` holds.
    pub(super) fn numbers(&mut self, row: u64, out: &mut [f32]) -> Result<usize, Error> {
        if !self.pass(b'[') {
            return Err(self.refuse("an array of numbers"));
        }
        if self.pass(b']') {
            return Ok(0);
        }
        let mut count = 0;
        loop {
            let value = self.number(row, count)?;
            if let Some(out) = out.get_mut(count) {
                *out = value;
            }
            count += 1;
            if self.pass(b',') {
                continue;
            }
            if self.pass(b']') {
                return Ok(count);
            }
            return Err(self.refuse("`,` or `]`").at(Position::Value { row, column: count as u64 }));
        }
    }

    #[inline]
    fn number(&mut self, row: u64, column: usize) -> Result<f32, Error> {
        self.peek();
        let text = &self.bytes[self.at..];
        match number::leading(text) {
            // JSON's numbers begin with a digit that is no superfluous 0, and end with a digit.
            Ok((value, len)) if is_json_number(&text[..len]) => {
                self.at += len;
                Ok(value)
            }
            Ok(_) => Err(self.no_number(number::NoValue::NoNumber, row, column)),
            Err(why) => Err(self.no_number(why, row, column)),
        }
    }

    #[cold]
    fn no_number(&mut self, why: number::NoValue, row: u64, column: usize) -> Error {
        let at = Position::Value { row, column: column as u64 };
        match self.peek() {
            None | Some(b'[' | b'{' | b'"' | b']' | b'}' | b',') => self.refuse("a number").at(at),
            Some(_) => number::refuse(why, self.word(), row, column),
        }
    }

    /// The text of a whole number, if one is there.
    pub(super) fn whole_number(&mut self) -> Option<&'a [u8]> {
        self.peek();
        let word = self.word();
        let digits = word.strip_prefix(b"-").unwrap_or(word);
        let is_whole = digits.iter().all(u8::is_ascii_digit) && matches!(digits, [b'0'] | [b'1'..=b'9', ..]);
        self.at += if is_whole { word.len() } else { 0 };
        is_whole.then_some(word)
    }

    /// A whole number of at least 0 that fits, if one is there.
    pub(super) fn id(&mut self) -> Option<u64> {
        number::id(self.clone().whole_number()?)
    }
}

#[inline]
fn is_json_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let begins = match digits {
        [b'0', b'0'..=b'9', ..] => false,
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    begins && text.last().is_some_and(u8::is_ascii_digit)
}

/// The f32 values of base64 text (RFC 4648, padded or not), little-endian, into `out`; how many there are.
pub(super) fn base64_values(text: &[u8], out: &mut [f32]) -> Option<usize> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let len = text.len() / 4 * 3 + [0, 0, 1, 2][text.len() % 4];
    if text.len() % 4 == 1 || !len.is_multiple_of(4) {
        return None;
    }
    let mut values = 0;
    let (mut bits, mut kept) = (0u64, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u64::from(six);
        kept += 6;
        if kept >= 32 {
            kept -= 32;
            #[expect(clippy::cast_possible_truncation, reason = "the 32 bits that are complete")]
            let value = f32::from_bits(((bits >> kept) as u32).swap_bytes());
            if let Some(out) = out.get_mut(values) {
                *out = value;
            }
            values += 1;
        }
    }
    Some(values)
}

/// A path for people: `response.body.data.0.embedding`.
pub(super) fn path_text(path: &[Vec<u8>]) -> String {
    let names: Vec<_> = path.iter().map(|name| String::from_utf8_lossy(name)).collect();
    quoted(&names.join("."))
}
