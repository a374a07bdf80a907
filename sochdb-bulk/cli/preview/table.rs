//! Rows as a table.

use readers::Batch;
use readers::arrow_schema::FieldRef;

use super::super::looking::norm;
use crate::Failure;
use crate::output::units;
use crate::pipeline::StreamInfo;
use crate::sinks::{JsonColumns, payload_columns, payload_fields};

/// A text of more characters is cut, so that others have room.
const MOST_CHARS: usize = 32;

/// What stands for what was cut.
const CUT: char = '…';

/// Between two columns.
const GAP: &str = "  ";

/// A table whose columns are as wide as what is in them.
pub(super) struct Table {
    heads: Vec<String>,
    /// Whether a column has numbers, which stand at its right.
    is_right: Vec<bool>,
    rows: Vec<Vec<String>>,
    /// How many values of the vector are shown before and behind what is left out.
    values: (usize, usize),
}

impl Table {
    /// Of the rows of such a stream, with so many values of each vector.
    pub(super) fn new(stream: &StreamInfo, values: usize) -> Self {
        let shown = values.min(stream.dim);
        let first = if shown == stream.dim { shown } else { shown.div_ceil(2) };
        let values = (first, shown - first);
        let mut table = Self { heads: Vec::new(), is_right: Vec::new(), rows: Vec::new(), values };
        table.column("row", true);
        table.column("id", stream.ids != crate::pipeline::IdSource::Text);
        for dim in 0..first {
            table.column(&format!("[{dim}]"), true);
        }
        if shown < stream.dim {
            table.column("...", true);
        }
        for dim in stream.dim - (shown - first)..stream.dim {
            table.column(&format!("[{dim}]"), true);
        }
        table.column("length", true);
        for field in payload_fields(stream) {
            table.column(&plain(field.name()), field.data_type().is_numeric());
        }
        table
    }

    fn column(&mut self, head: &str, is_right: bool) {
        self.heads.push(cut(head, MOST_CHARS));
        self.is_right.push(is_right);
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &Batch, fields: &[FieldRef]) -> Result<(), Failure> {
        let mut columns = JsonColumns::new(fields, payload_columns(batch, fields.len())?)?;
        let value = |&value: &f32| units::value(f64::from(value));
        for (at, vector) in batch.vectors().enumerate() {
            let id = match batch.ids().texts() {
                Some(ids) => plain(ids.value(at)),
                None => batch.ids().get(at).to_string(),
            };
            let mut cells = vec![batch.row_number(at).to_string(), cut(&id, MOST_CHARS)];
            let (first, last) = self.values;
            cells.extend(vector[..first].iter().map(value));
            if first + last < vector.len() {
                cells.push("...".to_owned());
            }
            cells.extend(vector[vector.len() - last..].iter().map(value));
            cells.push(units::value(norm(vector)));
            for column in 0..columns.count() {
                let mut json = Vec::new();
                columns.put_value(column, at, &mut json);
                cells.push(cut(&plain(&unquoted(&json)), MOST_CHARS));
            }
            self.rows.push(cells);
        }
        Ok(())
    }

    /// The table, in lines of so many characters at most.
    pub(super) fn text(&self, width_chars: usize) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| &row[column]);
            cells.chain([&self.heads[column]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).zip(&self.is_right).map(|((cell, &width), is_right)| {
                if *is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            cut(line.trim_end(), width_chars) + "\n"
        };
        std::iter::once(&self.heads).chain(&self.rows).map(line).collect()
    }
}

/// The text in a JSON string; other JSON as it is.
fn unquoted(json: &[u8]) -> String {
    serde_json::from_slice::<String>(json).unwrap_or_else(|_| String::from_utf8_lossy(json).into_owned())
}

/// A text for one line: what would move the cursor is a space.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// At most so many characters of a text.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain([CUT]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_stay_in_their_line() {
        assert_eq!([cut("", 3), cut("äbc", 3), cut("äbcd", 3)], ["", "äbc", "äb…"]);
        assert_eq!(plain("a\n\u{1b}[31mb"), "a  [31mb");
        assert_eq!(unquoted(b"\"a\\n\""), "a\n");
        assert_eq!(unquoted(b"{\"a\":1}"), "{\"a\":1}");
    }
}
