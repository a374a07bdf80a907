//! Which columns of a table are the vectors, the ids and the payload: what Parquet and Arrow files have in common.

use arrow_schema::{DataType, Field, FieldRef, Schema};
use schemars::JsonSchema;
use serde::Deserialize;

use super::column_others::{choose_id, choose_payload, chosen_id};
use super::column_text::{described, plain};
use super::column_vectors::{VectorColumn, choose_vector};
use super::payload::{PayloadColumns, Wanted};
use super::quoted;
use crate::{Chosen, DType, Error, IdType, Input};

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

/// The column of that name, or of that dotted path.
pub(super) fn find<'s>(
    schema: &'s Schema,
    name: &str,
    option: &str,
) -> Result<(ColumnPath, &'s Field), Error> {
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
