//! Which columns of a table are the ids and the payload.

use arrow_schema::{DataType, Field, Schema};

use super::column_text::{plain, type_name};
use super::columns::{ColumnOptions, ColumnPath, find};
use super::payload::Wanted;
use super::quoted;
use crate::{Chosen, Error, IdType};

/// Columns that are ids by their name.
const ID_NAMES: [&str; 6] = ["id", "_id", "ids", "uuid", "docid", "key"];

/// How Arrow marks a column of UUIDs in the metadata of its field.
pub(super) const UUID_MARK: (&str, &str) = ("ARROW:extension:name", "arrow.uuid");

/// What ids a column holds. Bytes are texts only where somebody says so: they could be anything.
fn id_type(field: &Field, is_named: bool) -> Option<IdType> {
    match field.data_type() {
        kind if kind.is_integer() => Some(IdType::U64),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(IdType::Text),
        DataType::Dictionary(_, values) if is_text(values) => Some(IdType::Text),
        DataType::FixedSizeBinary(16) if is_uuid(field) => Some(IdType::Text),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView if is_named => Some(IdType::Text),
        _ => None,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a column of 16 bytes is marked as UUIDs.
fn is_uuid(field: &Field) -> bool {
    field.metadata().get(UUID_MARK.0).is_some_and(|name| name == UUID_MARK.1)
}

/// The column of ids among all that could be by their names.
pub(super) fn chosen_id(schema: &Schema, id: &ColumnPath, vector: Option<usize>) -> Chosen {
    let fields = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(root, _)| ![Some(id.root), vector].contains(&Some(*root)));
    let others = fields
        .filter(|(_, field)| ID_NAMES.contains(&field.name().as_str()) && id_type(field, false).is_some())
        .map(|(_, field)| field.name().clone());
    Chosen { option: "id_column", value: id.name(), others: others.collect() }
}

/// The column of ids that was named, or the only one that could be meant, if there is one. `vector` is the top-level column
/// of the vectors.
pub(super) fn choose_id(
    schema: &Schema,
    options: &ColumnOptions,
    vector: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<Option<(ColumnPath, IdType)>, Error> {
    if let Some(name) = &options.id_column {
        let (path, field) = find(schema, name, "id_column")?;
        if let Some(kind) = id_type(field, true) {
            return Ok(Some((path, kind)));
        }
        let found = format!("{} is {}", quoted(name), type_name(field.data_type()));
        return Err(Error::request(format!(
            "expected ids that are integers (i8 to i64, u8 to u64), strings or UUIDs, found that {found}"
        ))
        .with_help(
            "leave --id-column away: rows are numbered, and the column can be joined by row number later",
        ));
    }
    let named: Vec<_> = (schema.fields().iter().enumerate())
        .filter(|(root, field)| Some(*root) != vector && ID_NAMES.contains(&field.name().as_str()))
        .collect();
    let of_kind = |kind| named.iter().filter(move |(_, field)| id_type(field, false) == Some(kind));
    let (integers, texts): (Vec<_>, Vec<_>) =
        (of_kind(IdType::U64).collect(), of_kind(IdType::Text).collect());
    let (fitting, kind) = match integers.is_empty() {
        false => (integers, IdType::U64),
        true => (texts, IdType::Text),
    };
    match fitting.as_slice() {
        &[&(root, field)] => {
            notes.push(format!("ids from column {}", plain(field.name())));
            return Ok(Some((ColumnPath { root, names: vec![field.name().clone()] }, kind)));
        }
        [] => {
            if let Some((_, field)) = named.first() {
                let kind = type_name(field.data_type());
                notes.push(format!(
                    "ids are row numbers: column {} is {kind}, neither integers nor strings",
                    plain(field.name())
                ));
            }
        }
        several => {
            let names: Vec<_> = several.iter().map(|(_, field)| field.name().as_str()).collect();
            let names = names.join(", ");
            notes.push(format!("ids are row numbers: {names} could all be ids; --id-column says which"));
        }
    }
    Ok(None)
}

/// The top-level columns that are carried along, ascending. `taken` are the columns of the vectors and of the ids.
pub(super) fn choose_payload(
    schema: &Schema,
    wanted: Wanted<'_>,
    taken: [Option<usize>; 2],
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, Error> {
    let others: Vec<usize> =
        (0..schema.fields().len()).filter(|&root| !taken.contains(&Some(root))).collect();
    wanted.note_left_out(others.iter().map(|&root| schema.field(root).name().as_bytes()), notes);
    let names = match wanted {
        Wanted::None { .. } => return Ok(Vec::new()),
        Wanted::All => return Ok(others),
        Wanted::Named(names) => names,
    };
    let mut payload = Vec::new();
    for name in names {
        let (path, _) = find(schema, name, "payload")?;
        if path.names.len() > 1 || Some(path.root) == taken[0] {
            let found = if Some(path.root) == taken[0] { "the column of vectors" } else { "a part of one" };
            let message = format!("expected further columns as payload, found {}, {found}", quoted(name));
            return Err(Error::request(message).with_help("name columns at the top that are not the vectors"));
        }
        payload.push(path.root);
    }
    payload.sort_unstable();
    payload.dedup();
    Ok(payload)
}
