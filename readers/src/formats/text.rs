//! What the formats of text have in common.

use crate::{Error, Input, MAX_DIM, Position, Source, Topic};

/// The mark that some programs put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Names that vectors have where people leave the choice to a program; `*_embedding` besides.
const WELL_KNOWN: [&[u8]; 6] = [b"vector", b"emb", b"embedding", b"embeddings", b"values", b"openai"];

/// `text` without a byte order mark.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Where the text begins: behind the mark, if there is one.
pub(super) fn start(source: &Source) -> Result<u64, Error> {
    let head = source.head(MARK.len())?;
    Ok(if head == MARK { MARK.len() as u64 } else { 0 })
}

/// Whether a column of this name is a vector.
pub(super) fn is_well_known(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    WELL_KNOWN.contains(&name.as_slice()) || name.ends_with(b"_embedding")
}

/// Compares the dimension of the first row with the one that was asked for.
pub(super) fn check_dim(input: &Input, dim: usize) -> Result<usize, Error> {
    if let Some(asked) = input.dim.filter(|&asked| asked != dim) {
        return Err(Error::request(format!("expected dimension {asked}, as asked for, found {dim}"))
            .about(Topic::Dimension)
            .at(Position::Row(0))
            .with_help("leave --dimension away: the file says it"));
    }
    if (1..=MAX_DIM).contains(&dim) {
        return Ok(dim);
    }
    Err(Error::expected(format!("from 1 to {MAX_DIM} values a row"), dim).at(Position::Row(0)))
}

/// The dimension of a file without rows.
pub(super) fn dim_of_empty(input: &Input) -> Result<usize, Error> {
    match input.dim {
        Some(dim) => check_dim(input, dim),
        None => Err(Error::malformed("expected at least one row, found none")
            .with_help("if a file without rows is meant, give --dimension N")),
    }
}

/// Fails unless a row has as many values as the first one.
pub(super) fn check_count(row: u64, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::expected(format!("{expected} values, as the first row has"), found)
        .at(Position::Row(row))
        .with_help("vectors of one file have one dimension: look at what wrote this row"))
}

/// What is to say of a text whose last line has no end: nobody can tell whether its last value was cut.
pub(super) fn note_of_end(source: &Source) -> Result<Vec<String>, Error> {
    let mut last = [b'\n'];
    if source.len_bytes() > 0 {
        source.read_at(source.len_bytes() - 1, &mut last)?;
    }
    let note = "the last line has no line end: if the file was cut short, its last value may be, too";
    Ok(if last == *b"\n" { Vec::new() } else { vec![note.to_owned()] })
}
