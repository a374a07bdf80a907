//! Which column of a table is the vectors, and how many values a row of it has.

use arrow_schema::{DataType, Field, Schema};

use super::column_text::{described, listed, type_name};
use super::columns::{ColumnOptions, ColumnPath, find};
use super::quoted;
use crate::{Chosen, DType, Error, MAX_DIM};

/// Columns that are vectors by their name, where several could be. A name that ends in `_embedding` is one, too.
const VECTOR_NAMES: [&str; 6] = ["vector", "emb", "embedding", "embeddings", "values", "openai"];
const VECTOR_SUFFIX: &str = "_embedding";

/// How deep structs are searched for columns.
const MAX_DEPTH: usize = 16;

/// How the vectors of a column lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Lists that know their lengths; 32 or 64 bits of offsets.
    List,
    /// Lists of one length.
    FixedList,
    /// Bytes.
    Bytes,
}

/// A column that can be the vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VectorColumn {
    pub(super) path: ColumnPath,
    pub(super) layout: Layout,
    pub(super) dtype: DType,
    /// Values a row, where the type says it.
    pub(super) dim: Option<usize>,
}

impl VectorColumn {
    /// The column among all that could be.
    pub(super) fn chosen(&self, schema: &Schema, options: &ColumnOptions) -> Chosen {
        let all = candidates(schema, options.dtype.map(DType::from)).unwrap_or_default();
        let others = all.iter().filter(|other| other.path != self.path).map(|other| other.path.name());
        Chosen { option: "vector_column", value: self.path.name(), others: others.collect() }
    }
}

/// The column that was named, or the only one that could be meant.
pub(super) fn choose_vector(schema: &Schema, options: &ColumnOptions) -> Result<VectorColumn, Error> {
    let dtype = options.dtype.map(DType::from);
    if let Some(name) = &options.vector_column {
        let (path, field) = find(schema, name, "vector_column")?;
        return as_vector(path, field, dtype)?.ok_or_else(|| {
            let found = format!("{} is {}", quoted(name), type_name(field.data_type()));
            let bytes = is_bytes(field.data_type());
            let help = match (bytes, dtype) {
                (true, None) => "say what the bytes are: dtype = \"f32\" in [source]".to_owned(),
                (false, Some(_)) => "dtype is for columns of bytes: leave it away".to_owned(),
                _ => candidates(schema, dtype)
                    .map_or_else(|_| None, |all| listed(&all))
                    .unwrap_or_else(|| "name a column of lists of numbers".to_owned()),
            };
            let expected = if dtype.is_some() { "a column of bytes" } else { "lists of numbers" };
            Error::request(format!("expected {expected}, found that {found}")).with_help(help)
        });
    }
    let all = candidates(schema, dtype)?;
    let mut top: Vec<_> = all.iter().filter(|column| column.path.names.len() == 1).collect();
    if top.len() > 1 {
        let named: Vec<_> =
            top.iter().copied().filter(|column| is_vector_name(&column.path.names[0])).collect();
        if named.len() == 1 {
            top = named;
        }
    }
    if let &[only] = top.as_slice() {
        return Ok(only.clone());
    }
    if let Some(listed) = listed(&all) {
        let message = match top.len() {
            0 => "expected a column of vectors at the top, found them inside structs only".to_owned(),
            count => format!("expected one column of vectors, found {count} columns that could be"),
        };
        return Err(Error::request(message).with_help(format!("name one with --vector-column: {listed}")));
    }
    let found = described(schema.fields());
    let expected = match dtype {
        Some(dtype) => format!("a column of bytes that are {dtype} values"),
        None => "a column of lists of numbers".to_owned(),
    };
    let has_bytes = dtype.is_none() && schema.fields().iter().any(|field| is_bytes(field.data_type()));
    let error = Error::unsupported(format!("expected {expected}, found {found}"));
    Err(if has_bytes {
        error.with_help(
            "if a column of bytes holds the vectors, say what they are: dtype = \"f32\" in [source]",
        )
    } else {
        error.with_help("vectors are columns of type list or fixed_size_list, of floats or integers")
    })
}

fn is_vector_name(name: &str) -> bool {
    VECTOR_NAMES.contains(&name) || name.ends_with(VECTOR_SUFFIX)
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_))
}

/// All columns that could be vectors, also inside structs.
fn candidates(schema: &Schema, dtype: Option<DType>) -> Result<Vec<VectorColumn>, Error> {
    let mut found = Vec::new();
    for (root, field) in schema.fields().iter().enumerate() {
        let path = ColumnPath { root, names: vec![field.name().clone()] };
        add_candidates(path, field, dtype, &mut found)?;
    }
    Ok(found)
}

fn add_candidates(
    path: ColumnPath,
    field: &Field,
    dtype: Option<DType>,
    found: &mut Vec<VectorColumn>,
) -> Result<(), Error> {
    if let DataType::Struct(members) = field.data_type() {
        if path.names.len() < MAX_DEPTH {
            for member in members {
                let mut inner = path.clone();
                inner.names.push(member.name().clone());
                add_candidates(inner, member, dtype, found)?;
            }
        }
        return Ok(());
    }
    // A tensor that is refused when it is named is no candidate.
    found.extend(as_vector(path, field, dtype).ok().flatten());
    Ok(())
}

/// The field as a column of vectors, if its type is one.
fn as_vector(path: ColumnPath, field: &Field, bytes: Option<DType>) -> Result<Option<VectorColumn>, Error> {
    let column = |layout, dtype, dim| Ok(Some(VectorColumn { path, layout, dtype, dim }));
    match (field.data_type(), bytes) {
        (DataType::Binary | DataType::LargeBinary, Some(dtype)) => column(Layout::Bytes, dtype, None),
        (DataType::FixedSizeBinary(size), Some(dtype)) => {
            let size = usize::try_from(*size).unwrap_or_default();
            if size == 0 || !size.is_multiple_of(dtype.size_bytes()) {
                let expected = format!("bytes that are whole {dtype} values");
                return Err(Error::request(format!("expected {expected}, found {size} bytes a row"))
                    .with_help("say another dtype: what the bytes are in the program that writes them"));
            }
            column(Layout::Bytes, dtype, Some(size / dtype.size_bytes()))
        }
        (DataType::List(item) | DataType::LargeList(item), None) => match number(item.data_type()) {
            Some(dtype) => column(Layout::List, dtype, None),
            None => Ok(None),
        },
        (DataType::FixedSizeList(item, size), None) => match number(item.data_type()) {
            Some(dtype) => {
                check_tensor(field)?;
                column(Layout::FixedList, dtype, Some(usize::try_from(*size).unwrap_or_default()))
            }
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Refuses tensors of several dimensions: as rows they would be in an order that nobody asked for.
fn check_tensor(field: &Field) -> Result<(), Error> {
    let metadata = field.metadata();
    if metadata.get("ARROW:extension:name").is_none_or(|name| name != "arrow.fixed_shape_tensor") {
        return Ok(());
    }
    let text = metadata.get("ARROW:extension:metadata").map_or("{}", String::as_str);
    let parsed: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    match parsed.get("shape").and_then(|shape| shape.as_array()) {
        Some(shape) if shape.len() == 1 => Ok(()),
        _ => {
            let found = format!("expected tensors of one dimension, found {}", quoted(text));
            Err(Error::unsupported(found).with_help("write them as a fixed_size_list of one dimension"))
        }
    }
}

/// The type of a list's items, where they are numbers.
pub(super) fn number(kind: &DataType) -> Option<DType> {
    Some(match kind {
        DataType::Float16 => DType::F16,
        DataType::Float32 => DType::F32,
        DataType::Float64 => DType::F64,
        DataType::Int8 => DType::I8,
        DataType::UInt8 => DType::U8,
        DataType::Int16 => DType::I16,
        DataType::UInt16 => DType::U16,
        DataType::Int32 => DType::I32,
        DataType::UInt32 => DType::U32,
        DataType::Int64 => DType::I64,
        DataType::UInt64 => DType::U64,
        _ => return None,
    })
}

/// Values a row as the type says them, or as asked; they must agree.
pub(super) fn known_dim(vector: &VectorColumn, asked: Option<usize>) -> Result<Option<usize>, Error> {
    let Some(dim) = vector.dim else { return Ok(asked) };
    check_dim(dim)?;
    match asked.filter(|&asked| asked != dim) {
        Some(asked) => Err(wrong_dim(asked, dim)),
        None => Ok(Some(dim)),
    }
}

/// Refuses dimensions that no vector has.
pub(super) fn check_dim(dim: usize) -> Result<(), Error> {
    match dim {
        0 => Err(Error::expected("at least 1 value a row", "empty lists")
            .with_help("the column holds no values: look at what was written")),
        1..=MAX_DIM => Ok(()),
        _ => Err(Error::unsupported(format!("expected at most {MAX_DIM} values a row, found {dim}"))),
    }
}

/// The dimension that was asked for is not that of the file.
pub(super) fn wrong_dim(asked: usize, found: usize) -> Error {
    Error::request(format!("expected dimension {asked}, as asked for, found {found}"))
        .with_help("leave --dimension away: the file says it")
}

/// A file without rows whose type does not say how long they would be.
pub(super) fn no_dim() -> Error {
    Error::request("expected a dimension, found no rows that would tell it")
        .with_help("give --dimension N, or write the column as a fixed_size_list")
}
