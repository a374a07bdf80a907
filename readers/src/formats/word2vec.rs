//! word2vec's files: a header `ROWS DIM`, then words and values, as text or binary.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{FoundRows, Lines, Split};
use super::words::{self, WordParser, Words, trailing_numbers};
use super::{number, text};
use crate::{
    Batches, BufferPool, DType, Dataset, DatasetInfo, Error, Format, Input, MAX_DIM, Piece, Position, Probe,
    Rows, Scan, Score,
};

/// How much of a file is looked at for its header and its kind.
const HEAD_BYTES: usize = 64 * 1024;

/// No word is longer: what is, is a misread file.
const MAX_WORD_BYTES: usize = 4096;

/// Word vectors with a header `ROWS DIM`: the text of word2vec, fastText (.vec) and gensim, or word2vec's binary form,
/// f32 little-endian. Which of the two it is, the first row tells.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Word2vec {
    /// "keep" (the default): the words are the further column `word`, and one that is no UTF-8 is an error. "ignore": only
    /// the vectors are read.
    pub words: Words,
    /// "word": the words are the ids, and no further column. Without it, rows have their row numbers.
    pub id_column: Option<String>,
}

crate::register_format!(Word2vec);

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    rows: u64,
    dim: u64,
    len_bytes: usize,
}

/// The header of a file that begins with `head`: a line of two whole numbers.
pub(super) fn header(head: &[u8]) -> Option<Header> {
    let newline = memchr::memchr(b'\n', &head[..head.len().min(64)])?;
    let mut words = head[..newline].trim_ascii().split(|&byte| byte == b' ' || byte == b'\t');
    let (rows, dim) = (number::id(words.next()?)?, number::id(words.next()?)?);
    words.next().is_none().then_some(Header { rows, dim, len_bytes: newline + 1 })
}

/// Whether the row behind the header is text: a word and numbers.
fn is_text(rest: &[u8], dim: u64) -> bool {
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    if line.len() < rest.len() || rest.len() < HEAD_BYTES / 2 {
        return rest.is_empty() || trailing_numbers(line) as u64 >= dim.min(2);
    }
    // The first row is longer than what is seen of it, and its last number may be cut.
    let cut = memchr::memrchr(b' ', line).unwrap_or_default();
    trailing_numbers(&line[..cut]) > 2
}

impl Format for Word2vec {
    const NAME: &'static str = "word2vec";
    const ALIASES: &'static [&'static str] = &["w2v"];
    const EXTENSIONS: &'static [&'static str] = &["w2v", "vec"];
    const SUMMARY: &'static str = "word2vec text or binary: a header ROWS DIM, then words and values";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"word2vec\"\npath = \"vectors.bin\"\nwords = \"ignore\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if words::other(probe.head).is_some() {
            return Score::Yes(Score::MAGIC, "its first bytes are those of word vectors".into());
        }
        let Some(header) = header(probe.head).filter(|header| (1..=MAX_DIM as u64).contains(&header.dim))
        else {
            return probe.by_extension(Self::EXTENSIONS);
        };
        let rest = &probe.head[header.len_bytes..];
        let least =
            header.dim.checked_mul(4).and_then(|bytes| bytes.checked_add(2)?.checked_mul(header.rows));
        let fits = is_text(rest, header.dim) || least.is_some_and(|least| least <= probe.len_bytes);
        let points = if fits { Score::MAGIC } else { Score::EXTENSION };
        Score::Yes(points, "its first line is the header of word2vec".into())
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let ids = words::ids(self.id_column.as_deref(), input)?;
        let source = input.source()?;
        let head = source.head(HEAD_BYTES)?;
        words::refuse_others(&head)?;
        let Some(header) = header(&head) else {
            let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
            return Err(Error::expected("a header of rows and dimension", number::shown(line))
                .at(Position::Byte(0))
                .with_help("text without a header is --format glove"));
        };
        let dim =
            usize::try_from(header.dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim)).ok_or_else(|| {
                Error::expected(format!("a dimension from 1 to {MAX_DIM}"), header.dim).at(Position::Byte(0))
            })?;
        let dim = text::check_dim(input, dim)?;
        let binary = !is_text(&head[header.len_bytes..], header.dim);
        let mut notes = Vec::new();
        let start = header.len_bytes as u64;
        let found = if binary {
            Found::Binary(FoundRows::find(source, start, BinaryRows { dim })?)
        } else {
            notes = text::note_of_end(&source)?;
            Found::Text(FoundRows::find(source, start, Lines)?)
        };
        if found.count() != header.rows {
            return Err(Error::expected(format!("{} rows, as the header says", header.rows), found.count())
                .at(Position::Byte(0))
                .with_help(
                    "the file was cut short, or put together without a new header: correct the header",
                ));
        }
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            ids,
            payload: self.words.schema(ids),
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            chosen: Vec::new(),
            notes,
        };
        Ok(Box::new(Word2vecDataset { info, found }))
    }
}

/// Rows of a word, a space and bytes, some with a line end before the word.
#[derive(Debug, Clone, Copy)]
struct BinaryRows {
    dim: usize,
}

impl Split for BinaryRows {
    fn row_len(&self, bytes: &[u8], last: bool) -> Result<Option<usize>, Error> {
        let begin = bytes.iter().take_while(|&&byte| byte == b'\n').count();
        let word = &bytes[begin..];
        if word.is_empty() {
            return Ok(last.then_some(bytes.len()));
        }
        let seen = &word[..word.len().min(MAX_WORD_BYTES)];
        let Some(space) = memchr::memchr(b' ', seen) else {
            let expected = format!("a word of up to {MAX_WORD_BYTES} bytes and a space behind it");
            return match last || seen.len() == MAX_WORD_BYTES {
                true => Err(Error::expected(expected, number::shown(seen))),
                false => Ok(None),
            };
        };
        let values_bytes = self.dim * size_of::<f32>();
        let len = begin + space + 1 + values_bytes;
        match (len <= bytes.len(), last) {
            (true, _) => Ok(Some(len)),
            (false, false) => Ok(None),
            (false, true) => {
                let found = bytes.len() - begin - space - 1;
                Err(Error::expected(format!("{values_bytes} bytes of values"), found)
                    .with_help("the file was cut short: copy or save it again"))
            }
        }
    }

    fn is_blank(&self, row: &[u8]) -> bool {
        row.iter().all(|&byte| byte == b'\n')
    }
}

#[derive(Debug)]
enum Found {
    Text(FoundRows<Lines>),
    Binary(FoundRows<BinaryRows>),
}

impl Found {
    fn count(&self) -> u64 {
        match self {
            Self::Text(found) => found.count(),
            Self::Binary(found) => found.count(),
        }
    }

    fn len_bytes(&self) -> u64 {
        match self {
            Self::Text(found) => found.len_bytes(),
            Self::Binary(found) => found.len_bytes(),
        }
    }
}

#[derive(Debug)]
struct Word2vecDataset {
    info: DatasetInfo,
    found: Found,
}

impl Dataset for Word2vecDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        match &self.found {
            Found::Text(found) => found.pieces(scan),
            Found::Binary(found) => found.pieces(scan),
        }
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let dim = self.info.dim;
        let parser = WordParser::new(&self.info, matches!(self.found, Found::Binary(_)));
        match &self.found {
            Found::Text(found) => found.batches(scan, piece, pool, dim, parser),
            Found::Binary(found) => found.batches(scan, piece, pool, dim, parser),
        }
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        match &self.found {
            Found::Text(found) => found.check_unchanged(),
            Found::Binary(found) => found.check_unchanged(),
        }
    }
}
