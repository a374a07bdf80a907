//! The dictionary of an .npy header: the few Python literals that may stand in it, and nothing else of Python.

use super::quoted;
use crate::{Error, Position};

/// The values of the three keys, as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entries {
    /// The string's content, or the source text of a list or tuple.
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Parses the header text `bytes`, whose first byte is byte `base` of the file. `longs` allows the `3L` of Python 2.
/// Bytes beyond ASCII may stand in strings only; whether they are UTF-8 is the caller's to check.
pub(super) fn parse(bytes: &[u8], base: u64, longs: bool) -> Result<Entries, Error> {
    Cursor { bytes, at: 0, base, longs }.dictionary()
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    base: u64,
    longs: bool,
}

impl<'a> Cursor<'a> {
    fn dictionary(mut self) -> Result<Entries, Error> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{', "`{` and the keys descr, fortran_order and shape")?;
        while !self.found(b'}') {
            let start = self.at;
            let key = self.string("a key in quotes or `}`")?;
            self.expect(b':', "`:`")?;
            let repeated = match key {
                b"descr" => descr.replace(self.descr()?).is_some(),
                b"fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                b"shape" => shape.replace(self.shape()?).is_some(),
                other => {
                    let found = format!("the key {}", quoted(&String::from_utf8_lossy(other)));
                    return Err(self.error_at(start, "descr, fortran_order or shape", found));
                }
            };
            if repeated {
                let key = String::from_utf8_lossy(key);
                return Err(self.error_at(start, "each key once", format!("a second `{key}`")));
            }
            if !self.found(b',') {
                self.expect(b'}', "`,` or `}`")?;
                break;
            }
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(self.error("nothing but spaces after the dictionary"));
        }
        let missing = |key: &str| {
            Error::expected("the keys descr, fortran_order and shape", format!("no `{key}`"))
                .at(Position::Part("header".to_owned()))
        };
        Ok(Entries {
            descr: descr.ok_or_else(|| missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    fn descr(&mut self) -> Result<String, Error> {
        self.skip_space();
        let text = match self.bytes.get(self.at) {
            Some(b'[' | b'(') => self.nested()?,
            _ => self.string("a type in quotes, or a list of fields")?,
        };
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The source text up to the bracket that closes the one at the cursor.
    fn nested(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        let mut closing = Vec::new();
        loop {
            match self.bytes.get(self.at) {
                Some(b'[') => closing.push(b']'),
                Some(b'(') => closing.push(b')'),
                Some(&byte @ (b']' | b')')) => {
                    if closing.pop() != Some(byte) {
                        return Err(self.error("the bracket that was opened last"));
                    }
                }
                Some(b'\'' | b'"') => {
                    self.string("a string")?;
                    continue;
                }
                Some(_) => {}
                None => return Err(self.error("a closing bracket")),
            }
            self.at += 1;
            if closing.is_empty() {
                return Ok(&self.bytes[start..self.at]);
            }
        }
    }

    fn boolean(&mut self) -> Result<bool, Error> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("True or False"))
    }

    fn shape(&mut self) -> Result<Vec<u64>, Error> {
        self.expect(b'(', "sizes in round brackets")?;
        let mut sizes = Vec::new();
        while !self.found(b')') {
            sizes.push(self.size()?);
            if self.found(b',') {
                continue;
            }
            // In Python `(3)` is a number and `(3,)` is the tuple.
            let expected = if sizes.len() == 1 { "`,`" } else { "`,` or `)`" };
            if sizes.len() == 1 || !self.found(b')') {
                return Err(self.error(expected));
            }
            break;
        }
        Ok(sizes)
    }

    fn size(&mut self) -> Result<u64, Error> {
        self.skip_space();
        let start = self.at;
        let digits = self.bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = &self.bytes[start..start + digits];
        if digits == 0 || (digits > 1 && text[0] == b'0') {
            return Err(self.error("a size of the shape"));
        }
        let size = text
            .iter()
            .try_fold(0u64, |size, digit| size.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
            .ok_or_else(|| {
                self.error_at(start, "a size below 2^64", quoted(&String::from_utf8_lossy(text)))
            })?;
        self.at += digits;
        if self.longs && matches!(self.bytes.get(self.at), Some(b'L' | b'l')) {
            self.at += 1;
        }
        Ok(size)
    }

    /// The content of a string in either kind of quotes. Escapes are left as they are: no name that numpy gives a key
    /// or a type needs one.
    fn string(&mut self, expected: &str) -> Result<&'a [u8], Error> {
        self.skip_space();
        let Some(&quote @ (b'\'' | b'"')) = self.bytes.get(self.at) else { return Err(self.error(expected)) };
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.bytes.get(self.at) {
                Some(&byte) if byte == quote => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n' | b'\r') | None => {
                    self.at = self.at.min(self.bytes.len());
                    return Err(self.error("a closing quote"));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(&self.bytes[start..self.at - 1])
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it is the next one after spaces.
    fn found(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &str) -> Result<(), Error> {
        if self.found(byte) { Ok(()) } else { Err(self.error(expected)) }
    }

    fn error(&self, expected: &str) -> Error {
        let found = match self.bytes.get(self.at..).unwrap_or_default() {
            [] => "the end of the header".to_owned(),
            rest => quoted(&String::from_utf8_lossy(&rest[..rest.len().min(12)])),
        };
        self.error_at(self.at, expected, found)
    }

    fn error_at(&self, at: usize, expected: &str, found: String) -> Error {
        Error::expected(expected, found).at(Position::Byte(self.base + at as u64))
    }
}
