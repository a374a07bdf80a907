//! Rows as JSON, one object a line.

use readers::Batch;
use readers::arrow_schema::FieldRef;

use crate::Failure;
use crate::sinks::{JsonColumns, payload_columns, push_string};

/// The rows of a batch.
pub(super) fn lines(batch: &Batch, fields: &[FieldRef]) -> Result<Vec<u8>, Failure> {
    let columns = payload_columns(batch, fields.len())?;
    let mut columns = JsonColumns::new(fields, columns)?;
    let mut number = zmij::Buffer::new();
    let mut out = Vec::new();
    for (at, vector) in batch.vectors().enumerate() {
        out.extend_from_slice(format!("{{\"row\":{},\"id\":", batch.row_number(at)).as_bytes());
        match batch.ids().texts() {
            Some(ids) => push_string(&mut out, ids.value(at)),
            None => out.extend_from_slice(batch.ids().get(at).to_string().as_bytes()),
        }
        out.extend_from_slice(b",\"vector\":[");
        for (place, &value) in vector.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            // JSON has no word for the others.
            let word = if value.is_finite() { number.format_finite(value) } else { "null" };
            out.extend_from_slice(word.as_bytes());
        }
        out.extend_from_slice(b"],\"columns\":{");
        for column in 0..columns.count() {
            if column > 0 {
                out.push(b',');
            }
            columns.put(column, at, &mut out);
        }
        out.extend_from_slice(b"}}\n");
    }
    Ok(out)
}
