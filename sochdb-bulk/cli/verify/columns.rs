//! Further columns of two sources that are compared with each other.

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use readers::Batch;
use readers::arrow_array::{Array, ArrayRef};
use readers::arrow_schema::DataType;

use super::Pair;
use crate::Failure;
use crate::pipeline::plain;

/// A column that both have.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its number on each side.
    at: [usize; 2],
    /// The type that holds the values of both.
    kind: DataType,
}

impl Column {
    /// The columns of the same name on both sides, and what to say of those that cannot be compared.
    pub(super) fn shared(pair: &Pair<'_>) -> (Vec<Self>, Vec<String>) {
        let [left, right] = pair.datasets.map(|dataset| dataset.info().payload.clone());
        let (mut columns, mut notes) = (Vec::new(), Vec::new());
        let (Some(left), Some(right)) = (left, right) else { return (columns, notes) };
        for (at, field) in left.fields().iter().enumerate() {
            let Some((other, found)) = right.fields().find(field.name()) else { continue };
            match common(field.data_type(), found.data_type()) {
                Some(kind) => columns.push(Self { name: field.name().clone(), at: [at, other], kind }),
                None => notes.push(format!(
                    "column {} is {} in {}, {} in {}: it is not compared",
                    field.name().escape_debug(),
                    field.data_type(),
                    pair.names[0],
                    found.data_type(),
                    pair.names[1]
                )),
            }
        }
        (columns, notes)
    }

    /// Its values in a batch of one side, in the type of both.
    pub(super) fn of(&self, batch: &Batch, side: usize) -> Result<ArrayRef, Failure> {
        let missing =
            || Failure::failed(format!("column {} is missing in a batch", self.name.escape_debug()));
        let array =
            batch.payload().and_then(|payload| payload.columns().get(self.at[side])).ok_or_else(missing)?;
        if *array.data_type() == self.kind {
            return Ok(array.clone());
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(array, &self.kind, &options)
            .map_err(|e| Failure::failed(format!("cannot compare column {}: {e}", self.name.escape_debug())))
    }
}

/// The type that holds all values of both.
fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    let (a, b) = (plain(a), plain(b));
    let both = |is: fn(&DataType) -> bool| is(&a) && is(&b);
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8);
    let is_bytes = |kind: &DataType| matches!(kind, DataType::Binary | DataType::LargeBinary);
    if a == b {
        Some(a)
    } else if both(DataType::is_integer) {
        let is_large = a == DataType::UInt64 || b == DataType::UInt64;
        Some(if is_large { DataType::Decimal128(20, 0) } else { DataType::Int64 })
    } else if both(DataType::is_floating) {
        Some(DataType::Float64)
    } else if both(is_text) {
        Some(DataType::LargeUtf8)
    } else {
        both(is_bytes).then_some(DataType::LargeBinary)
    }
}

/// A value for people.
pub(super) fn shown(array: &dyn Array, at: usize) -> String {
    const SHOWN: usize = 60;
    if array.is_null(at) {
        return "null".to_owned();
    }
    let text = ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|_| "a value".to_owned(), |formatter| formatter.value(at).to_string());
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown += "...";
    }
    shown
}
