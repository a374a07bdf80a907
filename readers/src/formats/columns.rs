//! Which columns of a table are the vectors, the ids and the payload: what Parquet and Arrow files have in common.

use arrow_schema::{DataType, Field, FieldRef, Schema};
use schemars::JsonSchema;
use serde::Deserialize;

use super::column_text::{described, listed, plain, type_name};
use super::payload::{PayloadColumns, Wanted};
use super::quoted;
use crate::{Chosen, DType, Error, IdType, Input, MAX_DIM};

/// Columns that are vectors by their name, where several could be. A name that ends in `_embedding` is one, too.
const VECTOR_NAMES: [&str; 6] = ["vector", "emb", "embedding", "embeddings", "values", "openai"];
const VECTOR_SUFFIX: &str = "_embedding";

/// Columns that are ids by their name.
const ID_NAMES: [&str; 6] = ["id", "_id", "ids", "uuid", "docid", "key"];

/// How Arrow marks a column of UUIDs in the metadata of its field.
pub(super) const UUID_MARK: (&str, &str) = ("ARROW:extension:name", "arrow.uuid");

/// How deep structs are searched for columns.
const MAX_DEPTH: usize = 16;

/// Which columns to read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct ColumnOptions {
    /// The column of vectors, as a dotted path where it is inside a struct. Without it: the only column of lists of
    /// numbers; of several the one called vector, emb, embedding, embeddings, values, openai or something that ends in
    /// _embedding.
    pub vector_column: Option<String>,
    /// The column of ids: integers from 0 on, strings (also in a dictionary), UUIDs, or bytes that are UTF-8. Without it:
    /// the only column of integers called id, _id, ids, uuid, docid or key, else the only one of strings or UUIDs; without
    /// such a column rows are numbered.
    pub id_column: Option<String>,
    /// What the values are in a column of bytes: "f32", "f16", "bf16", "f64", "i8" or "u8", little-endian. Without it,
    /// columns of bytes are no vectors.
    pub dtype: Option<BytesType>,
    /// Further columns to carry along: "all", "none" or a list of names. Without it: all, if the output has columns.
    pub payload: Option<PayloadColumns>,
}

/// The type of values in columns of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the names are the types")]
pub enum BytesType {
    F32,
    F16,
    Bf16,
    F64,
    I8,
    U8,
}

impl From<BytesType> for DType {
    fn from(word: BytesType) -> Self {
        match word {
            BytesType::F32 => Self::F32,
            BytesType::F16 => Self::F16,
            BytesType::Bf16 => Self::Bf16,
            BytesType::F64 => Self::F64,
            BytesType::I8 => Self::I8,
            BytesType::U8 => Self::U8,
        }
    }
}

/// A column at the top or inside structs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPath {
    /// The number of the top-level column.
    pub(super) root: usize,
    /// Its name, and those of the struct members on the way.
    pub(super) names: Vec<String>,
}

impl ColumnPath {
    pub(super) fn name(&self) -> String {
        self.names.join(".")
    }
}

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

/// The columns to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Nothing where the vectors are in another file.
    pub(super) vector: Option<VectorColumn>,
    pub(super) id: Option<ColumnPath>,
    /// What ids are, where there are any.
    id_type: IdType,
    /// Numbers of top-level columns, ascending.
    pub(super) payload: Vec<usize>,
    /// What a person should hear.
    pub(super) notes: Vec<String>,
    /// The columns of vectors and ids, with those that could be.
    pub(super) chosen: Vec<Chosen>,
}

/// How columns are chosen: with vectors, or without.
pub(super) type Choose = fn(&Schema, &ColumnOptions, &Input) -> Result<Columns, Error>;

impl Columns {
    /// Chooses, as far as ids and further columns are wanted from `input`.
    pub(super) fn choose(schema: &Schema, options: &ColumnOptions, input: &Input) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let vector = choose_vector(schema, options)?;
        if options.vector_column.is_none() {
            notes.push(format!("vectors from column {}", plain(&vector.path.name())));
        }
        if vector.dtype == DType::F64 {
            notes.push("f64 values are rounded to f32".to_owned());
        }
        Self::with(Some(vector), schema, options, input, notes)
    }

    /// Chooses where the vectors are in another file.
    pub(super) fn without_vectors(
        schema: &Schema,
        options: &ColumnOptions,
        input: &Input,
    ) -> Result<Self, Error> {
        if options.vector_column.is_some() || options.dtype.is_some() {
            let option = if options.vector_column.is_some() { "vector_column" } else { "dtype" };
            return Err(Error::request(format!("expected ids and further columns alone, found {option}"))
                .with_help(
                    "the vectors are in another file: leave it away, or say it where that file is named",
                ));
        }
        Self::with(None, schema, options, input, Vec::new())
    }

    /// Chooses ids and further columns beside the column of vectors.
    fn with(
        vector: Option<VectorColumn>,
        schema: &Schema,
        options: &ColumnOptions,
        input: &Input,
        mut notes: Vec<String>,
    ) -> Result<Self, Error> {
        let root = vector.as_ref().map(|vector| vector.path.root);
        let id = if input.own_ids {
            choose_id(schema, options, root, &mut notes)?
        } else {
            // Others take their place.
            choose_id(schema, options, root, &mut Vec::new()).unwrap_or_default()
        };
        let wanted = Wanted::of(options.payload.as_ref(), input);
        let taken = [root, id.as_ref().map(|(id, _)| id.root)];
        let payload = choose_payload(schema, wanted, taken, &mut notes)?;
        let mut chosen = Vec::new();
        chosen.extend(vector.as_ref().map(|vector| vector.chosen(schema, options)));
        let read_ids = id.as_ref().filter(|_| input.own_ids);
        chosen.extend(read_ids.map(|(id, _)| chosen_id(schema, id, root)));
        let id_type = id.as_ref().map_or(IdType::U64, |(_, kind)| *kind);
        let id = id.filter(|_| input.own_ids).map(|(path, _)| path);
        Ok(Self { vector, id, id_type, payload, notes, chosen })
    }

    /// What the ids are, if there are any.
    pub(super) fn id_type(&self) -> Option<IdType> {
        self.id.as_ref().map(|_| self.id_type)
    }

    /// What the values of the vectors are.
    pub(super) fn dtype(&self) -> DType {
        self.vector.as_ref().map_or(DType::F32, |vector| vector.dtype)
    }

    /// The numbers of the top-level columns that are read, ascending.
    pub(super) fn roots(&self) -> Vec<usize> {
        let mut roots = self.payload.clone();
        roots.extend(self.vector.as_ref().map(|vector| vector.path.root));
        roots.extend(self.id.as_ref().map(|id| id.root));
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// As [`Columns::roots`], without the vectors.
    #[cfg(feature = "parquet")]
    pub(super) fn other_roots(&self) -> Vec<usize> {
        let mut roots = self.payload.clone();
        roots.extend(self.id.as_ref().map(|id| id.root));
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// The schema of the payload, if there is one.
    pub(super) fn payload_schema(&self, schema: &Schema) -> Option<Schema> {
        let fields: Vec<FieldRef> =
            self.payload.iter().filter_map(|&root| schema.fields().get(root).cloned()).collect();
        (!fields.is_empty()).then(|| Schema::new(fields))
    }
}

fn choose_vector(schema: &Schema, options: &ColumnOptions) -> Result<VectorColumn, Error> {
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

impl VectorColumn {
    /// The column among all that could be.
    fn chosen(&self, schema: &Schema, options: &ColumnOptions) -> Chosen {
        let all = candidates(schema, options.dtype.map(DType::from)).unwrap_or_default();
        let others = all.iter().filter(|other| other.path != self.path).map(|other| other.path.name());
        Chosen { option: "vector_column", value: self.path.name(), others: others.collect() }
    }
}

/// The column of ids among all that could be by their names.
fn chosen_id(schema: &Schema, id: &ColumnPath, vector: Option<usize>) -> Chosen {
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

/// The column of that name, or of that dotted path.
fn find<'s>(schema: &'s Schema, name: &str, option: &str) -> Result<(ColumnPath, &'s Field), Error> {
    let fields = schema.fields();
    let mut roots = fields.iter().enumerate().filter(|(_, field)| field.name() == name);
    if let Some((root, field)) = roots.next() {
        if roots.next().is_some() {
            return Err(Error::request(format!("expected one column {}, found several", quoted(name)))
                .with_help("rename one of them in the program that writes the file"));
        }
        return Ok((ColumnPath { root, names: vec![name.to_owned()] }, field));
    }
    let missing = || {
        Error::request(format!(
            "expected the column {} of {option}, found {}",
            quoted(name),
            described(fields)
        ))
        .with_help(format!("name one of these columns, or leave {option} away"))
    };
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let (root, mut field) = fields.find(first).ok_or_else(missing)?;
    let mut names = vec![first.to_owned()];
    for part in parts {
        let DataType::Struct(members) = field.data_type() else { return Err(missing()) };
        field = members.find(part).ok_or_else(missing)?.1;
        names.push(part.to_owned());
    }
    Ok((ColumnPath { root, names }, field))
}

/// `vector` is the top-level column of the vectors.
fn choose_id(
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

/// `taken` are the columns of the vectors and of the ids.
fn choose_payload(
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
