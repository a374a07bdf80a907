//! The ids of rows of text, as they are collected.

use arrow_array::builder::StringBuilder;

use super::{number, quoted};
use crate::{Error, IdType, Ids};

/// What rows are called in files of text where people leave the choice to a program, in the order of preference.
pub(super) const WELL_KNOWN: [&str; 6] = ["id", "_id", "ids", "uuid", "docid", "key"];

/// The column of ids among `names`: `id`, else `_id`, else the only one of the other names.
pub(super) fn well_known(names: impl Fn(&str) -> bool) -> Option<&'static str> {
    let mut there = WELL_KNOWN.into_iter().filter(|name| names(name));
    let first = there.next()?;
    (first == WELL_KNOWN[0] || first == WELL_KNOWN[1] || there.next().is_none()).then_some(first)
}

/// Ids of one kind.
#[derive(Debug)]
pub(super) enum RowIds {
    U64(Vec<u64>),
    Text(StringBuilder),
}

impl RowIds {
    pub(super) fn new(kind: IdType) -> Self {
        match kind {
            IdType::U64 => Self::U64(Vec::new()),
            IdType::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Takes the id that `text` is.
    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), Error> {
        match self {
            Self::U64(ids) => {
                let refusal = || {
                    Error::expected("a whole number of at least 0 as id", number::shown(text)).with_help(
                        "if ids are texts, say so: id_type = \"text\" in [source]; where rows have none, rename the \
                         column, and rows have their row numbers",
                    )
                };
                ids.push(number::id(text).ok_or_else(refusal)?);
                Ok(())
            }
            Self::Text(ids) => match std::str::from_utf8(text) {
                Ok("") => Err(Error::expected("an id", "an empty text").with_help(
                    "give every row an id, or rename the column: rows then have their row numbers",
                )),
                Ok(text) => push_text(ids, text),
                Err(_) => Err(Error::expected("an id in UTF-8", number::shown(text))),
            },
        }
    }

    /// The ids since the last call.
    pub(super) fn take(&mut self) -> Ids {
        match self {
            Self::U64(ids) => Ids::U64(std::mem::take(ids).into()),
            Self::Text(ids) => Ids::Text(ids.finish()),
        }
    }
}

/// Appends a text, unless all texts of a batch would be more than Arrow's offsets count.
pub(super) fn push_text(texts: &mut StringBuilder, text: &str) -> Result<(), Error> {
    let all = texts.values_slice().len().saturating_add(text.len());
    if i32::try_from(all).is_err() {
        return Err(Error::unsupported("expected up to 2 GiB of text in one batch, found more")
            .with_help("take smaller batches: --batch-size, or batch_rows in [run]"));
    }
    texts.append_value(text);
    Ok(())
}

/// What the ids of a file of text are: whole numbers if all of them are, else texts.
#[derive(Debug, Default)]
pub(super) struct IdSurvey {
    /// The first row with a number, and with a text.
    number: Option<u64>,
    text: Option<u64>,
}

impl IdSurvey {
    /// Whether nothing that comes can change the kind.
    pub(super) fn is_settled(&self) -> bool {
        self.number.is_some() && self.text.is_some()
    }

    pub(super) fn number(&mut self, row: u64) {
        self.number.get_or_insert(row);
    }

    pub(super) fn text(&mut self, row: u64) {
        self.text.get_or_insert(row);
    }

    /// The kind, where any text makes all of them texts.
    pub(super) fn any_text(&self) -> IdType {
        if self.text.is_some() { IdType::Text } else { IdType::U64 }
    }

    /// The kind, where numbers and texts are not mixed.
    pub(super) fn one_kind(&self, name: &str) -> Result<IdType, Error> {
        let (Some(number), Some(text)) = (self.number, self.text) else { return Ok(self.any_text()) };
        let (expected, found) =
            if number < text { ("a whole number", "a string") } else { ("a string", "a whole number") };
        let message = format!("{expected} as {}, as row {} has", quoted(name), number.min(text));
        Err(Error::expected(message, found)
            .at(crate::Position::Row(number.max(text)))
            .with_help("say what the ids are: id_type = \"text\" or id_type = \"u64\" in [source]"))
    }
}
