//! What the formats of word vectors have in common: a word and its values, one behind the other.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::StringBuilder;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::Deserialize;

use super::row_ids::{RowIds, push_text};
use super::rows::Parse;
use super::{number, quoted};
use crate::{DType, DatasetInfo, Error, IdType, Ids, Input, Position};

/// What becomes of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Words {
    /// They are the further column `word`. A word that is no UTF-8 is an error.
    #[default]
    Keep,
    /// Only the vectors are read, whatever bytes the words are.
    Ignore,
}

impl Words {
    /// The further columns, where words are not the ids.
    pub(super) fn schema(self, ids: Option<IdType>) -> Option<SchemaRef> {
        let word = || Field::new("word", DataType::Utf8, false);
        (self == Self::Keep && ids.is_none()).then(|| Arc::new(Schema::new(vec![word()])))
    }
}

/// The type of ids that such a file brings, by the option `id_column`.
pub(super) fn ids(id_column: Option<&str>, input: &Input) -> Result<Option<IdType>, Error> {
    match id_column {
        None => Ok(None),
        Some("word") => Ok(input.own_ids.then_some(IdType::Text)),
        Some(other) => {
            Err(Error::request(format!("expected the column `word` of id_column, found {}", quoted(other)))
                .with_help("word vectors have one column besides the values: --id-column word"))
        }
    }
}

/// Refuses files of other programs by their magic numbers.
pub(super) fn refuse_others(head: &[u8]) -> Result<(), Error> {
    let (found, help) = match other(head) {
        None => return Ok(()),
        Some(Other::FastText) => (
            "a model of fastText",
            "write its vectors as text: model.get_words() and model.get_word_vector(word), or use the .vec file",
        ),
        Some(Other::Finalfusion) => {
            ("a file of finalfusion", "turn it into word2vec: finalfusion convert -f finalfusion -t word2vec")
        }
    };
    Err(Error::unsupported(format!("expected vectors of word2vec or GloVe, found {found}"))
        .at(Position::Byte(0))
        .with_help(help))
}

/// A kind of word vectors that is not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Other {
    FastText,
    Finalfusion,
}

pub(super) fn other(head: &[u8]) -> Option<Other> {
    match head {
        [0xba, 0x16, 0x4f, 0x2f, ..] => Some(Other::FastText),
        [b'F', b'i', b'F', b'u', ..] => Some(Other::Finalfusion),
        _ => None,
    }
}

/// The fields of a line.
fn fields(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|field| !field.is_empty())
}

/// How many numbers a line ends with, the first of its fields not counted: that is a word.
pub(super) fn trailing_numbers(line: &[u8]) -> usize {
    let numbers = fields(line).rev().take_while(|field| number::whole(field).is_ok()).count();
    numbers.min(fields(line).count().saturating_sub(1))
}

/// How many values the rows of a sample have, if there are any rows. A word is one field, some are more: the shortest row
/// tells, unless most rows agree on another number, and it is a row that lost values.
pub(super) fn dim_of_sample(rows: &[Vec<u8>]) -> Result<Option<usize>, Error> {
    let counts: Vec<usize> = rows.iter().map(|row| fields(row).count().saturating_sub(1)).collect();
    let Some((row, &least)) = counts.iter().enumerate().min_by_key(|&(_, count)| *count) else {
        return Ok(None);
    };
    let mut sorted = counts.clone();
    sorted.sort_unstable();
    let middle = sorted[sorted.len() / 2];
    if middle != least && sorted.iter().filter(|&&count| count == middle).count() * 2 > sorted.len() {
        return Err(Error::expected(format!("a word and {middle} values, as most rows have"), least)
            .at(Position::Row(row as u64))
            .with_help("if the words of most rows hold spaces, give --dimension N"));
    }
    Ok(Some(least))
}

/// Reads a word and its values.
#[derive(Debug)]
pub(super) struct WordParser {
    schema: Option<SchemaRef>,
    /// Whether values are bytes and not text.
    binary: bool,
    words: StringBuilder,
    ids: Option<RowIds>,
}

impl WordParser {
    pub(super) fn new(info: &DatasetInfo, binary: bool) -> Self {
        let ids = info.ids.map(RowIds::new);
        Self { schema: info.payload.clone(), binary, words: StringBuilder::new(), ids }
    }

    /// The word of a line of text, its values in `out`. A word may hold spaces, so the values are counted from the end.
    fn text<'r>(row: u64, line: &'r [u8], out: &mut [f32]) -> Result<&'r [u8], Error> {
        let dim = out.len();
        let mut rest = line.trim_ascii_end();
        for (column, out) in out.iter_mut().enumerate().rev() {
            let Some(space) = memchr::memrchr2(b' ', b'\t', rest) else {
                let found = format!("{}", trailing_numbers(line));
                return Err(Error::expected(format!("a word and {dim} values"), found).at(Position::Row(row)));
            };
            let text = &rest[space + 1..];
            *out = number::whole(text).map_err(|why| number::refuse(why, text, row, column))?;
            rest = rest[..space].trim_ascii_end();
        }
        // A number with a point at the end of a word is a value too many, rather than a word.
        let last = rest.rsplit(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
        if last.len() < rest.len() && last.contains(&b'.') && number::whole(last).is_ok() {
            let found = format!("{}", trailing_numbers(line));
            return Err(Error::expected(format!("a word and {dim} values"), found).at(Position::Row(row)));
        }
        Ok(rest)
    }

    /// The word of a binary row, its values in `out`.
    fn binary<'r>(row: &'r [u8], out: &mut [f32]) -> Result<&'r [u8], Error> {
        let values_bytes = size_of_val(out);
        let (word, values) = row.split_at(row.len().saturating_sub(values_bytes));
        if values.len() != values_bytes {
            return Err(Error::expected(format!("{values_bytes} bytes of values"), values.len()));
        }
        crate::widen(DType::F32, crate::ByteOrder::Little, values, out)
            .map_err(|bad| Error::malformed(bad.to_string()))?;
        let word = word.strip_suffix(b" ").unwrap_or(word);
        Ok(&word[word.iter().take_while(|&&byte| byte == b'\n').count()..])
    }
}

impl Parse for WordParser {
    fn row(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let word = if self.binary { Self::binary(row, out) } else { Self::text(number, row, out) }?;
        if let Some(ids) = &mut self.ids {
            ids.push(word)?;
        } else if self.schema.is_some() {
            let word = std::str::from_utf8(word).map_err(|_| {
                Error::expected("a word in UTF-8", number::shown(word))
                    .with_help("say `words = \"ignore\"` in [source] to read the vectors only")
            })?;
            push_text(&mut self.words, word)?;
        }
        Ok(())
    }

    fn take_ids(&mut self) -> Option<Ids> {
        self.ids.as_mut().map(RowIds::take)
    }

    fn take_payload(&mut self) -> Result<Option<RecordBatch>, Error> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let words = Arc::new(self.words.finish());
        let payload = RecordBatch::try_new(Arc::clone(schema), vec![words]);
        payload.map(Some).map_err(|e| Error::malformed(format!("the words make no column: {e}")))
    }
}
