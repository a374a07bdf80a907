//! A ground truth in a column of lists, as vector benchmarks keep it in Parquet and Arrow.

use std::path::Path;

use readers::arrow_array::cast::AsArray;
use readers::arrow_array::types::Int64Type;
use readers::arrow_array::{Array, ArrayRef};
use readers::arrow_schema::DataType;
use readers::{BufferPool, Error, Input, Position, Scan, detect};

use super::truth::Table;

/// The names that the column has: that of `exact` and of ann-benchmarks, and that of VectorDBBench.
const COLUMNS: [&str; 3] = ["neighbors", "neighbors_id", "neighbours"];

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 4096;

pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let input = Input { payload: true, ..Input::new(path) }.unpacked()?;
    let dataset = detect(&input)?.format.with_defaults()?.open_columns(&input)?;
    let schema = dataset.info().payload.clone();
    let column = COLUMNS.iter().find_map(|name| schema.as_ref()?.index_of(name).ok());
    let Some(column) = column else {
        let found = schema
            .iter()
            .flat_map(|schema| schema.fields().iter())
            .map(|field| format!("`{}`", field.name()));
        let found = found.collect::<Vec<_>>().join(", ");
        return Err(Error::request(format!(
            "expected a column `neighbors` of lists of row numbers, found {found}"
        )));
    };
    let rows = dataset.info().rows.exact().unwrap_or_default();
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..rows, batch_rows: BATCH_ROWS });
    let mut table: Option<Table> = None;
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            let Some(payload) = batch.payload() else { continue };
            let lists = numbers(payload.column(column))?;
            for (row, list) in (batch.first_row()..).zip(lists) {
                let at = || Position::Row(row);
                let table = table.get_or_insert_with(|| Table::of(list.len()));
                if list.len() != table.width {
                    return Err(Error::expected(
                        format!("{} neighbours, as in the first row", table.width),
                        list.len(),
                    )
                    .at(at()));
                }
                list.into_iter().try_for_each(|number| table.push_at(number, at))?;
            }
        }
    }
    Ok(table.unwrap_or_default())
}

/// The lists of a column, whatever whole numbers they hold.
fn numbers(column: &ArrayRef) -> Result<Vec<Vec<i64>>, Error> {
    let wrong = || {
        let found = column.data_type();
        Error::request(format!("expected a column of lists of whole numbers, found {found}"))
    };
    let wide = |list: ArrayRef| -> Result<Vec<i64>, Error> {
        if !list.data_type().is_integer() {
            return Err(wrong());
        }
        let cast = arrow_cast::cast(&list, &DataType::Int64).map_err(|_| wrong())?;
        if cast.null_count() > 0 {
            return Err(Error::request("expected a number in every place, found none"));
        }
        Ok(cast.as_primitive::<Int64Type>().values().to_vec())
    };
    (0..column.len())
        .map(|row| match column.data_type() {
            DataType::List(_) => wide(column.as_list::<i32>().value(row)),
            DataType::LargeList(_) => wide(column.as_list::<i64>().value(row)),
            DataType::FixedSizeList(..) => wide(column.as_fixed_size_list().value(row)),
            _ => Err(wrong()),
        })
        .collect()
}
