//! Tables that the tests of Parquet and Arrow files write.

use std::sync::Arc;

use readers::arrow_array::builder::{FixedSizeListBuilder, ListBuilder, PrimitiveBuilder};
use readers::arrow_array::types::{ArrowPrimitiveType, Float32Type};
use readers::arrow_array::{ArrayRef, RecordBatch};
use readers::arrow_schema::{DataType, Field, Schema};

/// Small numbers, different in each place, exact in every type of at least 8 bits.
pub(crate) fn number(row: usize, column: usize) -> i8 {
    i8::try_from((row * 37 + column * 5) % 101).unwrap_or_default() - 50
}

pub(crate) fn expected(rows: usize, dim: usize) -> Vec<u32> {
    (0..rows * dim).map(|i| f32::from(number(i / dim, i % dim)).to_bits()).collect()
}

/// `rows` lists of `dim` numbers.
pub(crate) fn lists_of<T: ArrowPrimitiveType>(
    rows: usize,
    dim: usize,
    cast: impl Fn(i8) -> T::Native,
) -> ArrayRef {
    let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new());
    for row in 0..rows {
        for column in 0..dim {
            builder.values().append_value(cast(number(row, column)));
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Lists of these values; no list is null, no value but `None`.
pub(crate) fn lists(rows: &[Option<&[Option<f32>]>]) -> ArrayRef {
    let mut builder = ListBuilder::new(PrimitiveBuilder::<Float32Type>::new());
    for row in rows {
        for &value in row.unwrap_or_default() {
            builder.values().append_option(value);
        }
        builder.append(row.is_some());
    }
    Arc::new(builder.finish())
}

pub(crate) fn fixed(rows: usize, dim: usize) -> ArrayRef {
    let size = i32::try_from(dim).unwrap();
    let mut builder = FixedSizeListBuilder::new(PrimitiveBuilder::<Float32Type>::new(), size)
        .with_field(Field::new("item", DataType::Float32, false));
    for row in 0..rows {
        for column in 0..dim {
            builder.values().append_value(f32::from(number(row, column)));
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

pub(crate) fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}
