//! Columns and their types in the words of errors and notes.

use arrow_schema::{DataType, Fields};

use super::column_vectors::{Layout, VectorColumn, number};
use super::quoted;

/// `emb (list of f32), v.values (list of f64)`, if there are any.
pub(super) fn listed(columns: &[VectorColumn]) -> Option<String> {
    let each = columns.iter().map(|column| {
        let kind = match column.layout {
            Layout::Bytes => "bytes",
            _ => "list",
        };
        let dim = column.dim.map_or_else(String::new, |dim| format!(", dimension {dim}"));
        format!("{} ({kind} of {}{dim})", plain(&column.path.name()), column.dtype)
    });
    shortened(each)
}

/// All columns with their types.
pub(super) fn described(fields: &Fields) -> String {
    let each =
        fields.iter().map(|field| format!("{} ({})", plain(field.name()), type_name(field.data_type())));
    shortened(each).unwrap_or_else(|| "no columns".to_owned())
}

/// A name out of a file, without what a terminal would obey.
pub(super) fn plain(name: &str) -> String {
    quoted(name).trim_matches('`').to_owned()
}

fn shortened(each: impl Iterator<Item = String>) -> Option<String> {
    const SHOWN: usize = 8;
    let all: Vec<_> = each.collect();
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text += &format!(" and {} more", all.len() - SHOWN);
    }
    (!all.is_empty()).then_some(text)
}

/// A type in the words of this program.
pub(super) fn type_name(kind: &DataType) -> String {
    if let Some(dtype) = number(kind) {
        return dtype.to_string();
    }
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "strings".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes".to_owned(),
        DataType::FixedSizeBinary(size) => format!("{size} bytes"),
        DataType::Boolean => "truth values".to_owned(),
        DataType::Null => "nulls".to_owned(),
        DataType::Struct(_) => "a struct".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("lists of {}", type_name(item.data_type()))
        }
        DataType::FixedSizeList(item, size) => format!("lists of {size} {}", type_name(item.data_type())),
        DataType::ListView(_) | DataType::LargeListView(_) => "list views".to_owned(),
        DataType::Dictionary(_, value) => format!("a dictionary of {}", type_name(value)),
        DataType::Map(..) => "maps".to_owned(),
        DataType::Union(..) => "a union".to_owned(),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "decimals".to_owned(),
        _ => "dates, times or another type".to_owned(),
    }
}
