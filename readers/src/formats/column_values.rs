//! Arrow arrays as vectors and ids, checked row by row.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::{DataType, SchemaRef};

use super::column_vectors::VectorColumn;
use super::columns::Columns;
use super::dense::NATIVE;
use super::number;
use super::row_ids::push_text;
use crate::{Batch, BufferPool, ByteOrder, DType, Error, IdType, Ids, Origin, Position, widen};

/// What turns record batches into batches of vectors.
#[derive(Debug)]
pub(super) struct Converter {
    pub(super) file: Arc<Path>,
    pub(super) columns: Columns,
    pub(super) dim: usize,
    pub(super) payload: Option<SchemaRef>,
}

impl Converter {
    /// The vectors of `table`, whose first row is the row `first` of the file and whose columns are those of
    /// [`Columns::roots`].
    pub(super) fn batch(&self, table: &RecordBatch, first: u64, pool: &BufferPool) -> Result<Batch, Error> {
        self.batch_inner(table, first, pool).map_err(|error| error.in_file(&self.file))
    }

    fn batch_inner(&self, table: &RecordBatch, first: u64, pool: &BufferPool) -> Result<Batch, Error> {
        let roots = self.columns.roots();
        let Some(vector) = &self.columns.vector else {
            let origin = Origin { file: Arc::clone(&self.file), row: first };
            return self.with_columns(
                Batch::of_columns(first, table.num_rows(), origin),
                table,
                &roots,
                first,
            );
        };
        let array = column(table, &roots, vector.path.root)?;
        let values = vector_values(&array, vector, self.dim, first, pool)?;
        self.with_others(values, Some((table, &roots)), first)
    }

    /// Vectors that are known already, with the ids and the payload out of a table. Its columns are those of the file at
    /// `roots`, ascending. Without ids and payload it is not needed.
    pub(super) fn with_others(
        &self,
        values: ScalarBuffer<f32>,
        table: Option<(&RecordBatch, &[usize])>,
        first: u64,
    ) -> Result<Batch, Error> {
        let origin = Origin { file: Arc::clone(&self.file), row: first };
        let batch = Batch::new(first, self.dim, values, origin);
        match table {
            Some((table, roots)) => self.with_columns(batch, table, roots, first),
            None => Ok(batch),
        }
    }

    fn with_columns(
        &self,
        mut batch: Batch,
        table: &RecordBatch,
        roots: &[usize],
        first: u64,
    ) -> Result<Batch, Error> {
        if let Some(path) = &self.columns.id {
            let array = column(table, roots, path.root)?;
            let ids = match self.columns.id_type() {
                Some(IdType::Text) => text_ids(&array, &path.names[1..], first)?,
                _ => ids(&array, &path.names[1..], first)?,
            };
            batch = batch.with_ids(ids);
        }
        if let Some(schema) = &self.payload {
            let payload: Result<Vec<_>, _> =
                self.columns.payload.iter().map(|&root| column(table, roots, root)).collect();
            let payload = RecordBatch::try_new(Arc::clone(schema), payload?);
            batch = batch.with_payload(payload.map_err(|error| Error::malformed(error.to_string()))?);
        }
        Ok(batch)
    }
}

/// The column of the file at `root`, in a table of those at `roots`.
fn column(table: &RecordBatch, roots: &[usize], root: usize) -> Result<ArrayRef, Error> {
    let found = roots.binary_search(&root).ok().and_then(|at| table.columns().get(at));
    found.cloned().ok_or_else(|| Error::expected(format!("column {root}"), "a table without it"))
}

/// The first error of a batch in row order, whatever looked first.
#[derive(Debug, Default)]
struct First(Option<(usize, Error)>);

impl First {
    fn offer(&mut self, row: Option<usize>, error: impl FnOnce() -> Error) {
        if let Some(row) = row
            && self.0.as_ref().is_none_or(|(first, _)| row < *first)
        {
            self.0 = Some((row, error()));
        }
    }

    /// The rows before it.
    fn rows(&self, all: usize) -> usize {
        self.0.as_ref().map_or(all, |(row, _)| *row)
    }
}

/// The rows of `array` as one matrix, without a copy where they are one already.
///
/// # Errors
/// The first row that is null, has a null in it, has another length than `dim`, or a value that is no f32. Rows are
/// counted from `first`.
pub(super) fn vector_values(
    array: &ArrayRef,
    column: &VectorColumn,
    dim: usize,
    first: u64,
    pool: &BufferPool,
) -> Result<ScalarBuffer<f32>, Error> {
    let mut bad = First::default();
    let array = descend(array, &column.path.names[1..], "a vector", first, &mut bad)?;
    offer_null(&array, "a vector", first, &mut bad);
    let rows = Rows::of(&array, dim, column.dtype)?;
    rows.offer_ragged(array.len(), dim, first, &mut bad);
    rows.offer_null_items(bad.rows(array.len()), dim, first, &mut bad);
    let good = bad.rows(array.len());
    let values = rows.matrix(good, dim, column.dtype, pool).map_err(|(position, message)| {
        Error::malformed(message)
            .at(Position::Value { row: first + (position / dim) as u64, column: (position % dim) as u64 })
            .with_help("scale or convert the values to float32 in the program that writes them")
    })?;
    match bad.0 {
        Some((_, error)) => Err(error),
        None => Ok(values),
    }
}

/// The length of the first row of `array`, or nothing if it has no rows.
pub(super) fn first_dim(array: &ArrayRef, column: &VectorColumn, row: u64) -> Result<Option<usize>, Error> {
    let mut bad = First::default();
    let array = descend(array, &column.path.names[1..], "a vector", row, &mut bad)?;
    if array.is_empty() {
        return Ok(None);
    }
    let array = array.slice(0, 1);
    offer_null(&array, "a vector", row, &mut bad);
    if let Some((_, error)) = bad.0 {
        return Err(error);
    }
    match Rows::of(&array, 1, column.dtype)? {
        Rows::Bytes(offsets, _, size) => {
            let len =
                offsets.last().copied().unwrap_or_default() - offsets.first().copied().unwrap_or_default();
            if !len.is_multiple_of(size) {
                let expected = format!("vectors that are whole {} values", column.dtype);
                return Err(Error::expected(expected, format!("{len} bytes")).at(Position::Row(row)));
            }
            Ok(Some(len / size))
        }
        rows => Ok(Some(rows.range(0).len())),
    }
}

/// Goes down into structs.
fn descend(
    array: &ArrayRef,
    names: &[String],
    what: &str,
    first: u64,
    bad: &mut First,
) -> Result<ArrayRef, Error> {
    let mut array = Arc::clone(array);
    for name in names {
        offer_null(&array, what, first, bad);
        let member = array.as_struct_opt().and_then(|inner| inner.column_by_name(name)).cloned();
        array = member.ok_or_else(|| Error::expected(format!("a struct with {name}"), array.data_type()))?;
    }
    Ok(array)
}

fn first_null(array: &dyn Array) -> Option<usize> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0)?;
    (0..array.len()).find(|&row| nulls.is_null(row))
}

fn offer_null(array: &ArrayRef, what: &str, first: u64, bad: &mut First) {
    let row = first_null(array);
    bad.offer(row, || {
        Error::expected(what, "null")
            .at(Position::Row(first + row.unwrap_or_default() as u64))
            .with_help("leave such rows out in the program that writes the file")
    });
}

/// Where the rows of a column lie among its values.
enum Rows<'a> {
    Offsets32(&'a [i32], &'a ArrayRef),
    Offsets64(&'a [i64], &'a ArrayRef),
    Fixed(usize, &'a ArrayRef),
    /// Bytes: offsets, and values of so many bytes.
    Bytes(Vec<usize>, &'a [u8], usize),
}

impl<'a> Rows<'a> {
    fn of(array: &'a ArrayRef, dim: usize, dtype: DType) -> Result<Self, Error> {
        let size = dtype.size_bytes();
        let offsets = |offsets: &[i64]| offsets.iter().map(|&at| usize::try_from(at).unwrap_or(0)).collect();
        let unlike = || Error::expected("lists of numbers", array.data_type());
        Ok(match array.data_type() {
            DataType::List(_) => {
                let list: &GenericListArray<i32> = array.as_list();
                Self::Offsets32(list.value_offsets(), list.values())
            }
            DataType::LargeList(_) => {
                let list: &GenericListArray<i64> = array.as_list();
                Self::Offsets64(list.value_offsets(), list.values())
            }
            DataType::FixedSizeList(_, len) => {
                let list = array.as_fixed_size_list();
                Self::Fixed(usize::try_from(*len).unwrap_or_default(), list.values())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                let wide: Vec<_> = bytes.value_offsets().iter().map(|&at| i64::from(at)).collect();
                Self::Bytes(offsets(&wide), bytes.value_data(), size)
            }
            DataType::LargeBinary => {
                let bytes = array.as_binary::<i64>();
                Self::Bytes(offsets(bytes.value_offsets()), bytes.value_data(), size)
            }
            DataType::FixedSizeBinary(len) => {
                let bytes = array.as_fixed_size_binary_opt().ok_or_else(unlike)?;
                let len = usize::try_from(*len).unwrap_or_default();
                Self::Bytes((0..=array.len()).map(|row| row * len).collect(), bytes.value_data(), size)
            }
            _ => return Err(unlike()),
        })
        .inspect(|_| debug_assert!(dim > 0))
    }

    /// The values of a row, or the bytes.
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        fn of<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
            offsets[row].as_usize()..offsets[row + 1].as_usize()
        }
        match self {
            Self::Offsets32(offsets, _) => of(offsets, row),
            Self::Offsets64(offsets, _) => of(offsets, row),
            Self::Fixed(len, _) => row * len..(row + 1) * len,
            Self::Bytes(offsets, _, _) => offsets[row]..offsets[row + 1],
        }
    }

    /// The first row of another length.
    fn offer_ragged(&self, rows: usize, dim: usize, first: u64, bad: &mut First) {
        let (len, unit) = match self {
            Self::Bytes(_, _, size) => (dim * size, "bytes"),
            _ => (dim, "values"),
        };
        let row = (0..bad.rows(rows)).find(|&row| self.range(row).len() != len);
        bad.offer(row, || {
            let row = row.unwrap_or_default();
            Error::expected(format!("a vector of {len} {unit}"), self.range(row).len())
                .at(Position::Row(first + row as u64))
                .with_help("all vectors must have the same length: look at what was written")
        });
    }

    fn offer_null_items(&self, rows: usize, dim: usize, first: u64, bad: &mut First) {
        let (Self::Offsets32(_, items) | Self::Offsets64(_, items) | Self::Fixed(_, items)) = self else {
            return;
        };
        let Some(nulls) = items.nulls().filter(|nulls| nulls.null_count() > 0) else { return };
        let found = (0..rows).find_map(|row| {
            let column = self.range(row).position(|at| nulls.is_null(at))?;
            Some((row, column))
        });
        let Some((row, column)) = found else { return };
        debug_assert!(column < dim);
        bad.offer(Some(row), || {
            Error::expected("a number", "null")
                .at(Position::Value { row: first + row as u64, column: column as u64 })
                .with_help("leave such rows out, or write a number, in the program that writes the file")
        });
    }

    /// The first `rows` rows, which are whole and without nulls. The error is the number of the value and what is
    /// wrong with it.
    fn matrix(
        &self,
        rows: usize,
        dim: usize,
        dtype: DType,
        pool: &BufferPool,
    ) -> Result<ScalarBuffer<f32>, (usize, String)> {
        let len = rows * dim;
        if len == 0 {
            return Ok(ScalarBuffer::from(Vec::<f32>::new()));
        }
        let size = dtype.size_bytes();
        // Only null rows can leave gaps between rows of one length, and there are none.
        let start = self.range(0).start;
        let contiguous = (1..rows).all(|row| self.range(row).start == self.range(row - 1).end);
        let bytes = match self {
            Self::Bytes(..) => None,
            Self::Offsets32(_, items) | Self::Offsets64(_, items) | Self::Fixed(_, items) => {
                Some(bytes_of(items, dtype).ok_or_else(|| (0, format!("expected lists of {dtype}")))?)
            }
        };
        if let Some(buffer) = &bytes
            && dtype == DType::F32
            && contiguous
        {
            // Owned by the decoder's array for good: a pool that took it back would grow, as nothing is taken from it.
            let owned = bytes::Bytes::from_owner(buffer.slice_with_length(start * size, len * size));
            return Ok(ScalarBuffer::from(Buffer::from(owned)));
        }
        let (bytes, order, unit): (&[u8], _, _) = match (self, &bytes) {
            (Self::Bytes(_, bytes, _), _) => (bytes, ByteOrder::Little, 1),
            (_, Some(buffer)) => (buffer, NATIVE, size),
            _ => (&[], NATIVE, size),
        };
        let mut out = pool.take(len);
        if contiguous {
            let bytes = &bytes[start * unit..start * unit + len * size];
            widen(dtype, order, bytes, &mut out).map_err(|bad| (bad.position, bad.to_string()))?;
        } else {
            for (row, out) in out.chunks_exact_mut(dim).enumerate() {
                let start = self.range(row).start * unit;
                let bytes = &bytes[start..start + dim * size];
                widen(dtype, order, bytes, out).map_err(|bad| (row * dim + bad.position, bad.to_string()))?;
            }
        }
        Ok(ScalarBuffer::from(out))
    }
}

/// The values of an array of numbers as bytes of this machine.
fn bytes_of(items: &ArrayRef, dtype: DType) -> Option<Buffer> {
    macro_rules! of {
        ($kind:ty) => {
            items.as_primitive_opt::<$kind>().map(|values| values.values().inner().clone())
        };
    }
    match dtype {
        DType::F16 => of!(Float16Type),
        DType::F32 => of!(Float32Type),
        DType::F64 => of!(Float64Type),
        DType::I8 => of!(Int8Type),
        DType::U8 => of!(UInt8Type),
        DType::I16 => of!(Int16Type),
        DType::U16 => of!(UInt16Type),
        DType::I32 => of!(Int32Type),
        DType::U32 => of!(UInt32Type),
        DType::I64 => of!(Int64Type),
        DType::U64 => of!(UInt64Type),
        DType::Bf16 => None,
    }
}

/// A column of integers as ids.
///
/// # Errors
/// The first row that is null or negative.
fn ids(array: &ArrayRef, names: &[String], first: u64) -> Result<Ids, Error> {
    let mut bad = First::default();
    let array = descend(array, names, "an id", first, &mut bad)?;
    offer_null(&array, "an id", first, &mut bad);
    let good = bad.rows(array.len());
    let mut ids = Vec::with_capacity(good);
    macro_rules! push {
        ($kind:ty) => {
            for &value in &array.as_primitive::<$kind>().values()[..good] {
                let id = u64::try_from(value).map_err(|_| {
                    Error::expected("an id of at least 0", value)
                        .at(Position::Row(first + ids.len() as u64))
                        .with_help("name another column with --id-column, or write the ids as strings")
                })?;
                ids.push(id);
            }
        };
    }
    match array.data_type() {
        DataType::Int8 => push!(Int8Type),
        DataType::Int16 => push!(Int16Type),
        DataType::Int32 => push!(Int32Type),
        DataType::Int64 => push!(Int64Type),
        DataType::UInt8 => push!(UInt8Type),
        DataType::UInt16 => push!(UInt16Type),
        DataType::UInt32 => push!(UInt32Type),
        DataType::UInt64 => {
            if bad.0.is_none() {
                return Ok(Ids::U64(array.as_primitive::<UInt64Type>().values().clone()));
            }
        }
        other => return Err(Error::expected("ids that are integers", other)),
    }
    match bad.0 {
        Some((_, error)) => Err(error),
        None => Ok(Ids::U64(ids.into())),
    }
}

/// A column of strings, UUIDs or bytes as ids.
///
/// # Errors
/// The first row that is null or no UTF-8.
fn text_ids(array: &ArrayRef, names: &[String], first: u64) -> Result<Ids, Error> {
    let mut bad = First::default();
    let array = descend(array, names, "an id", first, &mut bad)?;
    offer_null(&array, "an id", first, &mut bad);
    if let (None, Some(texts)) = (&bad.0, array.as_string_opt::<i32>()) {
        return Ok(Ids::Text(texts.clone()));
    }
    let good = bad.rows(array.len());
    let mut ids = StringBuilder::new();
    // Of a dictionary, the rows are numbers of its texts.
    let dictionary = array.as_any_dictionary_opt().filter(|all| !all.values().is_empty());
    let (texts, keys) = match dictionary {
        Some(dictionary) => (dictionary.values(), Some(dictionary.normalized_keys())),
        None => (&array, None),
    };
    for row in 0..good {
        let at = |error: Error| error.at(Position::Row(first + row as u64));
        let place = keys.as_ref().map_or(row, |keys| keys[row]);
        if texts.is_null(place) {
            return Err(at(Error::expected("an id", "null")));
        }
        let text = text_at(texts, place).map_err(at)?;
        push_text(&mut ids, &text).map_err(at)?;
    }
    match bad.0 {
        Some((_, error)) => Err(error),
        None => Ok(Ids::Text(ids.finish())),
    }
}

/// The text at a row, which is not null.
fn text_at(array: &dyn Array, row: usize) -> Result<Cow<'_, str>, Error> {
    let bytes: &[u8] = match array.data_type() {
        DataType::Utf8 => return Ok(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => return Ok(array.as_string::<i64>().value(row).into()),
        DataType::Utf8View => return Ok(array.as_string_view().value(row).into()),
        DataType::FixedSizeBinary(16) => return Ok(uuid(array.as_fixed_size_binary().value(row)).into()),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        other => return Err(Error::expected("ids that are strings", other)),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Error::expected("an id in UTF-8", number::shown(bytes)).with_help(
            "leave --id-column away: rows are numbered, and the column can be joined by row number later",
        )
    });
    Ok(text?.into())
}

/// The usual spelling of a UUID (RFC 9562): 8-4-4-4-12 digits.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}
