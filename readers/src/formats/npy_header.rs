//! The header of .npy files, read and written.

use super::npy_literal;
use crate::{Error, Position};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// As numpy: a longer header is either damaged or an attack on whoever parses it.
const MAX_HEADER_BYTES: usize = 10_000;

/// As much of a file as a header can take.
pub(super) const MAX_HEAD_BYTES: usize = 12 + MAX_HEADER_BYTES;

/// What the header of an .npy file says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NpyHeader {
    /// The type: `<f4`. Of a structured type, the text of its list of fields.
    pub descr: String,
    /// Whether the array lies column after column.
    pub fortran_order: bool,
    /// The sizes of the array.
    pub shape: Vec<u64>,
    /// The byte of the file at which the data starts.
    pub data_offset: u64,
}

impl NpyHeader {
    /// The shape as Python writes it: `(1000, 32)`, `(4,)`.
    pub(super) fn shape_text(&self) -> String {
        const SHOWN: usize = 8;
        shape_text(&self.shape[..self.shape.len().min(SHOWN)], self.shape.len() > SHOWN)
    }
}

fn shape_text(shape: &[u64], shortened: bool) -> String {
    let sizes: Vec<_> = shape.iter().map(u64::to_string).collect();
    let end = match (shortened, shape.len()) {
        (true, _) => ", ...",
        (false, 1) => ",",
        (false, _) => "",
    };
    format!("({}{end})", sizes.join(", "))
}

/// Parses the header of an .npy file, version 1, 2 or 3, of which `head` is the start: all of it, or its first 10,012
/// bytes or more.
///
/// # Errors
/// What is wrong with it, and at which byte. Neither the type nor the shape is judged.
pub fn parse_npy_header(head: &[u8]) -> Result<NpyHeader, Error> {
    check_magic(head)?;
    let at = |byte| Position::Byte(byte);
    let Some(&[major, minor]) = head.get(6..8) else {
        return Err(Error::expected("a version number", "the end of the file").at(at(6)));
    };
    let length_bytes = match (major, minor) {
        (1, 0) => head.get(8..10),
        (2 | 3, 0) => head.get(8..12),
        _ => {
            let found = format!("{major}.{minor}");
            return Err(Error::expected("version 1.0, 2.0 or 3.0", found).at(at(6)));
        }
    };
    let Some(length_bytes) = length_bytes else {
        return Err(Error::expected("the length of the header", "the end of the file").at(at(8)));
    };
    let length = length_bytes.iter().rev().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
    let start = 8 + length_bytes.len();
    let Some(length) = usize::try_from(length).ok().filter(|&length| length <= MAX_HEADER_BYTES) else {
        let expected = format!("a header of at most {MAX_HEADER_BYTES} bytes");
        return Err(Error::expected(expected, format!("a length of {length}")).at(at(8)));
    };
    let Some(text) = head.get(start..start + length) else {
        let found = format!("{} before the end of the file", head.len() - start);
        return Err(Error::expected(format!("a header of {length} bytes"), found)
            .at(at(start as u64))
            .with_help("the file was cut short: copy or save it again"));
    };
    if major == 3
        && let Err(error) = std::str::from_utf8(text)
    {
        let position = start + error.valid_up_to();
        let found = format!("byte 0x{:02x}", head[position]);
        return Err(Error::expected("a header in UTF-8", found).at(at(position as u64)));
    }
    let entries = npy_literal::parse(text, start as u64, major < 3)?;
    Ok(NpyHeader {
        descr: entries.descr,
        fortran_order: entries.fortran_order,
        shape: entries.shape,
        data_offset: (start + length) as u64,
    })
}

fn check_magic(head: &[u8]) -> Result<(), Error> {
    if head.starts_with(MAGIC) {
        return Ok(());
    }
    let (found, help) = match head {
        [] => ("an empty file".to_owned(), None),
        [b'P', b'K', 3, 4, ..] => {
            ("a zip archive (.npz?)".to_owned(), Some("if it is one, say --format npz"))
        }
        _ => (format!("`{}`", head[..head.len().min(MAGIC.len())].escape_ascii()), None),
    };
    let error = Error::expected("the magic number `\\x93NUMPY`", found).at(Position::Byte(0));
    Err(match help {
        Some(help) => error.with_help(help),
        None => error,
    })
}

/// The start of an .npy file, version 1.0, whose data follows in C order: everything up to the data, which starts at a
/// multiple of 64. For every type of up to ten characters and every shape of up to two sizes it is 128 bytes, so that
/// the number of rows can be filled in when it is known.
///
/// `descr` is a simple type such as `<f4`, or a list of fields as Python writes it: `[('id', '<u8'), ('x', '<f4')]`.
///
/// # Panics
/// If a simple type holds a quote or a backslash, or the header is longer than a version 1.0 header can be (65,535 bytes,
/// thousands of sizes).
pub fn npy_header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let descr = if descr.starts_with('[') {
        descr.to_owned()
    } else {
        assert!(!descr.contains(['\'', '\\', '\n']), "`{descr}` is no simple type");
        format!("'{descr}'")
    };
    let shape = shape_text(shape, false);
    let entries = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 4;
    let end = (before + entries.len() + 1).next_multiple_of(64);
    let length = u16::try_from(end - before).expect("few enough sizes");
    let mut header = Vec::with_capacity(end);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[1, 0]);
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(entries.as_bytes());
    header.resize(end - 1, b' ');
    header.push(b'\n');
    header
}
