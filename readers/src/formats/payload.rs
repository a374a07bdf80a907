//! Further columns: which are wanted, and in files of text what types their values have.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::Deserialize;

use super::json::Cursor;
use super::row_ids::push_text;
use super::{number, quoted};
use crate::{Error, Input};

/// More columns than that are keys that are data themselves.
const MAX_COLUMNS: usize = 4096;

/// Further columns to carry along.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"all\", \"none\" or a list of column names")]
#[schemars(inline)]
pub enum PayloadColumns {
    /// All that are neither vectors nor ids, or none.
    Word(PayloadWord),
    /// These.
    Named(Vec<String>),
}

/// The words `all` and `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the type says it")]
pub enum PayloadWord {
    All,
    None,
}

/// Which further columns to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'o> {
    All,
    Named(&'o [String]),
    /// None, and whether a person should hear what is left out.
    None {
        note: bool,
    },
}

impl<'o> Wanted<'o> {
    /// What the option says, or else what is of use behind the source.
    pub(super) fn of(option: Option<&'o PayloadColumns>, input: &Input) -> Self {
        match option {
            Some(PayloadColumns::Named(names)) => Self::Named(names),
            Some(PayloadColumns::Word(PayloadWord::All)) => Self::All,
            Some(PayloadColumns::Word(PayloadWord::None)) => Self::None { note: false },
            None if input.payload => Self::All,
            None => Self::None { note: true },
        }
    }

    pub(super) fn is_none(self) -> bool {
        matches!(self, Self::None { .. })
    }

    /// Says once which columns are left out, if any of `names` is.
    pub(super) fn note_left_out<'n>(self, names: impl Iterator<Item = &'n [u8]>, notes: &mut Vec<String>) {
        const NAMED: usize = 8;
        let all: Vec<_> = names.map(|name| quoted(&String::from_utf8_lossy(name))).collect();
        if self != (Self::None { note: true }) || all.is_empty() {
            return;
        }
        let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if all.len() > NAMED {
            text += &format!(" and {} more", all.len() - NAMED);
        }
        notes.push(format!("further columns are left out: {text}"));
    }
}

/// The type of a column of text: the narrowest that holds every value of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    I64,
    U64,
    F64,
    Bool,
    Text,
    /// Values of several kinds, arrays and objects: the JSON of each.
    Json,
}

impl Kind {
    fn field(self, name: String) -> Field {
        let kind = match self {
            Self::I64 => DataType::Int64,
            Self::U64 => DataType::UInt64,
            Self::F64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Text | Self::Json => DataType::Utf8,
        };
        let field = Field::new(name, kind, true);
        if self != Self::Json {
            return field;
        }
        // Arrow's own mark of texts that are JSON.
        let marks = [("ARROW:extension:name", "arrow.json"), ("ARROW:extension:metadata", "")];
        field.with_metadata(marks.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }
}

/// Which kinds of values a column has.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    integers: bool,
    negative: bool,
    /// Integers beyond i64 that a u64 holds.
    large: bool,
    floats: bool,
    /// Integers that an f64 may not hold.
    precise: bool,
    truths: bool,
    texts: bool,
    others: bool,
}

impl Seen {
    /// Takes note of a number; whether it is one.
    fn number(&mut self, word: &[u8]) -> bool {
        let Some(text) = std::str::from_utf8(word).ok().filter(|text| is_number(text)) else { return false };
        let is_whole = !text.contains(['.', 'e', 'E']) && text != "-0";
        if is_whole && let Ok(value) = text.parse::<i64>() {
            self.integers = true;
            self.negative |= value < 0;
            self.precise |= value.unsigned_abs() > 1 << 53;
        } else if is_whole && text.parse::<u64>().is_ok() {
            (self.large, self.precise) = (true, true);
        } else if !is_whole && text.parse().is_ok_and(f64::is_finite) {
            self.floats = true;
        } else {
            return false;
        }
        true
    }

    fn json(&mut self, value: &[u8]) {
        match value {
            b"null" => {}
            [b'"', ..] => self.texts = true,
            b"true" | b"false" => self.truths = true,
            b"NaN" | b"Infinity" | b"-Infinity" => self.floats = true,
            word => self.others |= !self.number(word),
        }
    }

    fn field(&mut self, field: &[u8], in_quotes: bool) {
        match field {
            [] if !in_quotes => {}
            b"true" | b"false" => self.truths = true,
            word => self.texts |= !self.number(word),
        }
    }

    fn kind(self) -> Kind {
        let whole = self.integers || self.large;
        match (self.others, whole || self.floats, self.truths, self.texts) {
            (true, ..) => Kind::Json,
            (_, true, false, false) if self.floats && self.precise => Kind::Json,
            (_, true, false, false) if self.floats => Kind::F64,
            (_, true, false, false) if self.large && self.negative => Kind::Json,
            (_, true, false, false) if self.large => Kind::U64,
            (_, true, false, false) => Kind::I64,
            (_, false, true, false) => Kind::Bool,
            (_, false, false, _) => Kind::Text,
            _ => Kind::Json,
        }
    }
}

/// Whether `text` is a number as JSON writes them.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, part) = mantissa.split_once('.').map_or((mantissa, None), |(w, p)| (w, Some(p)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && part.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

/// Looks at all values of a file before its first batch, so that types do not depend on where a value stands.
#[derive(Debug)]
pub(super) struct Survey<'o> {
    wanted: Wanted<'o>,
    names: Names,
    seen: Vec<Seen>,
}

impl<'o> Survey<'o> {
    pub(super) fn new(wanted: Wanted<'o>) -> Self {
        Self { wanted, names: Names::default(), seen: Vec::new() }
    }

    /// Takes note of a value of JSON.
    pub(super) fn json(&mut self, name: &[u8], value: &[u8]) {
        if let Some(column) = self.column(name) {
            self.seen[column].json(value);
        }
    }

    /// Adds a column. Columns of CSV are known by their header.
    pub(super) fn add(&mut self, name: &[u8]) {
        self.names.add(name);
        self.seen.push(Seen::default());
    }

    /// Takes note of a field of CSV.
    pub(super) fn field(&mut self, column: usize, field: &[u8], in_quotes: bool) {
        self.seen[column].field(field, in_quotes);
    }

    fn column(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(column) = self.names.find(name) {
            return Some(column);
        }
        let is_wanted = match self.wanted {
            Wanted::All => self.names.list.len() <= MAX_COLUMNS,
            Wanted::Named(names) => names.iter().any(|wanted| wanted.as_bytes() == name),
            Wanted::None { .. } => false,
        };
        if is_wanted {
            self.add(name);
        }
        is_wanted.then(|| self.names.list.len() - 1)
    }

    /// The columns with their types; nothing if there are none. `mixed` says whether JSON is kept as such, or is text.
    pub(super) fn finish(self, mixed_is_json: bool) -> Result<Option<Payload>, Error> {
        if let Wanted::Named(wanted) = self.wanted
            && let Some(missing) =
                wanted.iter().find(|name| !self.names.list.iter().any(|n| n == name.as_bytes()))
        {
            let message =
                format!("expected the column {} of payload, found none of that name", quoted(missing));
            return Err(Error::request(message).with_help("name keys or columns that the file has"));
        }
        if self.names.list.len() > MAX_COLUMNS {
            let message = format!("expected up to {MAX_COLUMNS} further columns, found more");
            return Err(Error::unsupported(message)
                .with_help("say which are wanted: payload = [\"NAME\"] or payload = \"none\" in [source]"));
        }
        if self.names.list.is_empty() {
            return Ok(None);
        }
        let (mut kinds, mut fields) = (Vec::new(), Vec::new());
        for (name, seen) in self.names.list.iter().zip(self.seen) {
            let kind = match seen.kind() {
                Kind::Json if !mixed_is_json => Kind::Text,
                kind => kind,
            };
            let text = String::from_utf8(name.clone()).map_err(|_| {
                Error::expected("names of further columns in UTF-8", number::shown(name)).with_help(
                    "say which columns are wanted: payload = [\"NAME\"] or payload = \"none\" in [source]",
                )
            })?;
            kinds.push(kind);
            fields.push(kind.field(text));
        }
        Ok(Some(Payload { names: self.names, kinds, schema: Arc::new(Schema::new(fields)) }))
    }
}

/// Names, each with its position.
#[derive(Debug, Clone, Default)]
struct Names {
    list: Vec<Vec<u8>>,
    positions: HashMap<Vec<u8>, usize>,
    /// The position behind the last that was found: rows mostly have their keys in one order.
    next: usize,
}

impl Names {
    fn add(&mut self, name: &[u8]) {
        self.positions.insert(name.to_vec(), self.list.len());
        self.list.push(name.to_vec());
    }

    fn find(&mut self, name: &[u8]) -> Option<usize> {
        let found = match self.list.get(self.next) {
            Some(next) if next == name => self.next,
            _ => *self.positions.get(name)?,
        };
        self.next = if found + 1 == self.list.len() { 0 } else { found + 1 };
        Some(found)
    }
}

/// The further columns of a file of text.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    names: Names,
    kinds: Vec<Kind>,
    schema: SchemaRef,
}

impl Payload {
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What takes the values of rows.
    pub(super) fn builder(&self) -> PayloadBuilder {
        let column = |kind: &Kind| match kind {
            Kind::I64 => Values::I64(Int64Builder::new()),
            Kind::U64 => Values::U64(UInt64Builder::new()),
            Kind::F64 => Values::F64(Float64Builder::new()),
            Kind::Bool => Values::Bool(BooleanBuilder::new()),
            Kind::Text => Values::Text(StringBuilder::new()),
            Kind::Json => Values::Json(StringBuilder::new()),
        };
        let columns = self.kinds.iter().map(column).collect();
        PayloadBuilder { names: self.names.clone(), schema: self.schema(), columns, rows: 0 }
    }
}

#[derive(Debug)]
enum Values {
    I64(Int64Builder),
    U64(UInt64Builder),
    F64(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Json(StringBuilder),
}

impl Values {
    fn builder(&mut self) -> &mut dyn ArrayBuilder {
        match self {
            Self::I64(values) => values,
            Self::U64(values) => values,
            Self::F64(values) => values,
            Self::Bool(values) => values,
            Self::Text(values) | Self::Json(values) => values,
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::I64(values) => values.append_null(),
            Self::U64(values) => values.append_null(),
            Self::F64(values) => values.append_null(),
            Self::Bool(values) => values.append_null(),
            Self::Text(values) | Self::Json(values) => values.append_null(),
        }
    }

    /// Appends a number or a truth value. What was seen before was one: another was written meanwhile.
    fn push_word(&mut self, word: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(word).unwrap_or_default();
        let pushed = match self {
            Self::I64(values) => text.parse().map(|value| values.append_value(value)).ok(),
            Self::U64(values) => text.parse().map(|value| values.append_value(value)).ok(),
            Self::F64(values) => text.parse().map(|value| values.append_value(value)).ok(),
            Self::Bool(values) => text.parse().map(|value| values.append_value(value)).ok(),
            Self::Text(_) | Self::Json(_) => None,
        };
        pushed.ok_or_else(|| Error::expected("a value of the same kind as before", number::shown(word)))
    }
}

/// Takes the values of rows.
#[derive(Debug)]
pub(super) struct PayloadBuilder {
    names: Names,
    schema: SchemaRef,
    columns: Vec<Values>,
    /// Rows that have all their values.
    rows: usize,
}

impl PayloadBuilder {
    /// Takes the value at `cursor`, if its name is that of a column, and passes it anyway.
    pub(super) fn json(&mut self, name: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let Some(column) = self.names.find(name) else { return cursor.skip() };
        let column = &mut self.columns[column];
        if column.builder().len() > self.rows {
            let name = quoted(&String::from_utf8_lossy(name));
            return Err(Error::expected(format!("the key {name} once"), "it twice"));
        }
        if matches!(column, Values::Text(_)) && cursor.peek() == Some(b'"') {
            let text = cursor.string()?;
            return push(column, &text, name);
        }
        match (cursor.raw_value()?, &mut *column) {
            (b"null", column) => {
                column.push_null();
                Ok(())
            }
            (value, Values::Json(_)) => push(column, value, name),
            (value, column) => column.push_word(value),
        }
    }

    /// Takes a field of CSV.
    pub(super) fn field(&mut self, column: usize, field: &[u8], in_quotes: bool) -> Result<(), Error> {
        let name = &self.names.list[column];
        match &mut self.columns[column] {
            values if field.is_empty() && !in_quotes => {
                values.push_null();
                Ok(())
            }
            values @ (Values::Text(_) | Values::Json(_)) => push(values, field, name),
            values => values.push_word(field),
        }
    }

    /// The row is over: what it has no value for is null.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        for column in &mut self.columns {
            if column.builder().len() < self.rows {
                column.push_null();
            }
        }
    }

    /// The rows since the last call.
    pub(super) fn take(&mut self) -> Result<RecordBatch, Error> {
        self.rows = 0;
        let columns: Vec<ArrayRef> =
            self.columns.iter_mut().map(|column| column.builder().finish()).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::malformed(format!("the further columns are none: {e}")))
    }
}

fn push(values: &mut Values, text: &[u8], name: &[u8]) -> Result<(), Error> {
    let (Values::Text(builder) | Values::Json(builder)) = values else {
        return Err(Error::expected("a value of the same kind as before", number::shown(text)));
    };
    let text = std::str::from_utf8(text).map_err(|_| {
        let name = quoted(&String::from_utf8_lossy(name));
        Error::expected(format!("UTF-8 in {name}"), number::shown(text))
            .with_help("leave the column out: payload = [\"NAME\"] or payload = \"none\" in [source]")
    })?;
    push_text(builder, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_that_holds_all() {
        let kind = |values: &[&str]| {
            let mut seen = Seen::default();
            values.iter().for_each(|value| seen.json(value.as_bytes()));
            seen.kind()
        };
        for (values, expected) in [
            (vec!["1", "-5", "null"], Kind::I64),
            (vec!["9223372036854775807", "9223372036854775808"], Kind::U64),
            (vec!["-1", "9223372036854775808"], Kind::Json),
            (vec!["18446744073709551616"], Kind::Json),
            (vec!["1", "0.5"], Kind::F64),
            (vec!["-0"], Kind::F64),
            (vec!["1e5", "NaN"], Kind::F64),
            (vec!["1e999"], Kind::Json),
            (vec!["9007199254740993", "0.5"], Kind::Json),
            (vec!["true", "null", "false"], Kind::Bool),
            (vec!["\"a\"", "null"], Kind::Text),
            (vec!["null"], Kind::Text),
            (vec!["\"a\"", "1"], Kind::Json),
            (vec!["true", "1"], Kind::Json),
            (vec!["[1]"], Kind::Json),
            (vec!["01"], Kind::Json),
        ] {
            assert_eq!(kind(&values), expected, "{values:?}");
        }
    }
}
