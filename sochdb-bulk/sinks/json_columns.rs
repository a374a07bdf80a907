//! Values of further columns as JSON.

use std::sync::LazyLock;

use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use readers::arrow_array::cast::AsArray as _;
use readers::arrow_array::{Array as _, ArrayRef, StringArray};
use readers::arrow_schema::FieldRef;

use crate::Failure;

static OPTIONS: LazyLock<EncoderOptions> =
    LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true));

/// Appends a text as JSON.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    // A string is always JSON.
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// What writes the values of further columns of one batch as JSON. Columns that are marked as JSON (arrow.json) are objects and
/// arrays again.
pub(crate) struct JsonColumns<'a>(Vec<(Vec<u8>, Encoder<'a>)>);

impl<'a> JsonColumns<'a> {
    /// Of columns with these names and types.
    pub(crate) fn new(fields: &'a [FieldRef], columns: &'a [ArrayRef]) -> Result<Self, Failure> {
        let encoders = fields.iter().zip(columns).map(|(field, column)| {
            let mut key = Vec::new();
            push_string(&mut key, field.name());
            key.push(b':');
            Ok((key, Encoder::new(field, column)?))
        });
        encoders.collect::<Result<_, Failure>>().map(Self)
    }

    /// How many columns there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Appends `"name":value` of a row.
    pub(crate) fn put(&mut self, column: usize, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0[column].0);
        self.put_value(column, row, out);
    }

    /// Appends the value of a row.
    pub(crate) fn put_value(&mut self, column: usize, row: usize, out: &mut Vec<u8>) {
        self.0[column].1.put(row, out);
    }
}

/// Whether a column is marked as texts that are JSON.
fn is_json(field: &FieldRef) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json")
}

/// What writes the values of a column.
enum Encoder<'a> {
    Json(&'a StringArray),
    Other(NullableEncoder<'a>),
}

impl<'a> Encoder<'a> {
    fn new(field: &'a FieldRef, column: &'a ArrayRef) -> Result<Self, Failure> {
        if is_json(field)
            && let Some(texts) = column.as_string_opt::<i32>()
        {
            return Ok(Self::Json(texts));
        }
        make_encoder(field, column, &OPTIONS).map(Self::Other).map_err(|e| {
            Failure::failed(format!("column `{}` cannot be written as JSON: {e}", field.name()))
                .with_help("write it to a .parquet or .arrow file, which keep every type")
        })
    }

    fn put(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Json(texts) if texts.is_null(row) => out.extend_from_slice(b"null"),
            Self::Json(texts) => push_json(out, texts.value(row)),
            Self::Other(encoder) if encoder.is_null(row) => out.extend_from_slice(b"null"),
            Self::Other(encoder) => encoder.encode(row, out),
        }
    }
}

/// Appends JSON as it is, in one line; as a string if it is none.
fn push_json(out: &mut Vec<u8>, text: &str) {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        // Line ends are white space there: in strings they are escaped.
        Ok(_) => out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte })),
        Err(_) => push_string(out, text),
    }
}
