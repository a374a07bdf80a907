//! Vectors from one dataset, ids and further columns of the same rows from another.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};

use crate::concat::name_of;
use crate::formats::quoted;
use crate::{
    Batch, Batches, BufferPool, Dataset, DatasetInfo, Error, Matrix, Piece, Portions, Position, Rows, Scan,
    Topic,
};

/// The vectors of one dataset with the ids and further columns of another, row by row: the first row of the one belongs to
/// the first of the other.
///
/// Where both have ids, those of the columns count.
#[derive(Debug)]
pub struct Zip {
    vectors: Box<dyn Dataset>,
    columns: Box<dyn Dataset>,
    info: DatasetInfo,
    /// Whether the pieces are those of the columns: the side with fewer, so that the other is seldom cut within its own.
    by_columns: bool,
}

impl Zip {
    /// Joins `vectors` with `columns`, which was opened by [`crate::Format::open_columns`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] for another number of rows, with the names of both; for columns of one name on both
    /// sides; where the columns are none.
    pub fn new(vectors: Box<dyn Dataset>, columns: Box<dyn Dataset>) -> Result<Self, Error> {
        let (left, right) = (vectors.info(), columns.info());
        if let (Some(expected), Some(found)) = (left.rows.exact(), right.rows.exact())
            && expected != found
        {
            let message = format!("expected {expected} rows, as in {}, found {found}", together(&*vectors));
            return Err(Error::request(message)
                .about(Topic::Rows)
                .in_file(together(&*columns))
                .with_help("vectors and columns must be of the same rows in the same order: name all files of one run on both sides"));
        }
        if right.ids.is_none() && right.payload.is_none() {
            return Err(Error::request("expected ids or further columns, found none that are read")
                .in_file(name_of(right))
                .with_help(
                    "name the ids with --id-column NAME; further columns need an output that keeps them",
                ));
        }
        let mut info = left.clone();
        if info.rows.exact().is_none() {
            info.rows = right.rows;
        }
        info.ids = right.ids.or(info.ids);
        info.payload = both(left.payload.as_ref(), right)?;
        info.files.extend(right.files.iter().cloned());
        info.size_bytes = info.size_bytes.saturating_add(right.size_bytes);
        info.notes.clear();
        // Those of the columns are options of another table.
        info.chosen.retain(|one| right.ids.is_none() || one.option != "id_column");
        let rows = info.rows.exact().unwrap_or_default();
        let all = Scan { rows: 0..rows, batch_rows: 1000 };
        let by_columns = columns.pieces(&all).len() <= vectors.pieces(&all).len();
        Ok(Self { vectors, columns, info, by_columns })
    }

    /// The two sides, for what is known of each: vectors and columns.
    pub fn sides(&self) -> [&dyn Dataset; 2] {
        [&*self.vectors, &*self.columns]
    }

    /// A batch of both sides, whose rows are the same.
    fn joined(&self, vectors: Batch, columns: &Batch) -> Result<Batch, Error> {
        let mut batch = vectors;
        if self.columns.info().ids.is_some() {
            batch = batch.with_ids(columns.ids().clone());
        }
        let Some(schema) = &self.info.payload else { return Ok(batch) };
        let sides = [batch.payload(), columns.payload()];
        let all = sides.into_iter().flatten().flat_map(RecordBatch::columns).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
        let payload = RecordBatch::try_new_with_options(Arc::clone(schema), all, &options)
            .map_err(|error| Error::malformed(error.to_string()).in_file(&*columns.origin().file))?;
        Ok(batch.with_payload(payload))
    }
}

/// What the files of one side are called.
fn together(side: &dyn Dataset) -> String {
    let first = name_of(side.info()).display();
    match side.parts().len() {
        0 | 1 => first.to_string(),
        files => format!("{first} and {} more", files - 1),
    }
}

/// The further columns of both sides.
fn both(left: Option<&SchemaRef>, right: &DatasetInfo) -> Result<Option<SchemaRef>, Error> {
    let (Some(one), Some(other)) = (left, &right.payload) else {
        return Ok(left.or(right.payload.as_ref()).cloned());
    };
    if let Some(twice) = other.fields().iter().find(|field| one.fields().find(field.name()).is_some()) {
        let message = format!(
            "expected another name than {}, which a column beside the vectors has",
            quoted(twice.name())
        );
        return Err(Error::request(message)
            .in_file(name_of(right))
            .with_help("name the columns to take: payload = [\"NAME\"] in [source.columns]"));
    }
    let fields: Vec<_> = one.fields().iter().chain(other.fields()).cloned().collect();
    Ok(Some(Arc::new(Schema::new(fields))))
}

impl Dataset for Zip {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let [vectors, columns] = self.sides();
        match (vectors.info().rows, columns.info().rows) {
            (Rows::Exact(_), Rows::Exact(_)) => {
                (if self.by_columns { columns } else { vectors }).pieces(scan)
            }
            _ => vec![Piece { rows: scan.rows.clone() }],
        }
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let all = self.info.rows.exact().unwrap_or(u64::MAX);
        if piece.rows.start > piece.rows.end || piece.rows.end > all {
            let message =
                format!("expected rows within 0..{all}, found {}..{}", piece.rows.start, piece.rows.end);
            return Err(Error::request(message).in_file(name_of(&self.info)));
        }
        let scan = Scan { rows: piece.rows.clone(), batch_rows: scan.batch_rows };
        let side = |dataset: &'a dyn Dataset| Portions::of(dataset, scan.clone(), pool);
        let [mut vectors, mut columns] = self.sides().map(side);
        let mut next = piece.rows.start;
        let mut failed = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let batch = (|| {
                let rows = match (vectors.waiting()?, columns.waiting()?) {
                    (0, 0) => return Ok(None),
                    (0, _) => return Err(self.ends(0, next)),
                    (_, 0) => return Err(self.ends(1, next)),
                    (one, other) => one.min(other),
                };
                let (Some(vectors), Some(columns)) = (vectors.take(rows), columns.take(rows)) else {
                    return Ok(None);
                };
                self.joined(vectors, &columns).map(Some)
            })();
            match &batch {
                Ok(Some(batch)) => next = batch.row_range().end,
                Ok(None) => {}
                Err(_) => failed = true,
            }
            batch.transpose()
        })))
    }

    fn matrix(&self) -> Option<Matrix> {
        self.vectors.matrix()
    }

    fn parts(&self) -> Vec<(PathBuf, u64)> {
        self.vectors.parts()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.sides().into_iter().try_for_each(Dataset::check_unchanged)
    }
}

impl Zip {
    /// One of the sides has fewer rows than the other: where that was not known before.
    fn ends(&self, side: usize, row: u64) -> Error {
        let (short, long) = (self.sides()[side], self.sides()[1 - side]);
        let expected = format!("another row, as in {}", together(long));
        Error::expected(expected, "the end")
            .in_file(together(short))
            .at(Position::Row(row))
            .with_help("vectors and columns must be of the same rows in the same order")
    }
}
