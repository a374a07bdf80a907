//! One matrix behind a header, as a dataset: all that many formats are, and what a reader outside this crate is made of.

use super::dense::{Dense, Layout, size_bytes};
use crate::{
    Batches, BufferPool, ByteOrder, DType, Dataset, DatasetInfo, Error, Ids, Input, MAX_DIM, Matrix, Piece,
    Rows, Scan, Source, Topic,
};

/// Where the values of a matrix lie in a file: rows of one size, one behind the other, from a byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixLayout {
    /// The byte of the first value.
    pub offset_bytes: u64,
    /// How many rows, as the header says.
    pub rows: u64,
    /// Values a row, as the header says.
    pub dim: u64,
    /// What a value is.
    pub dtype: DType,
    /// The order of its bytes.
    pub order: ByteOrder,
}

/// A file that is one matrix. Rows are numbered; f32 values of the machine's byte order are used where they are mapped.
#[derive(Debug)]
pub struct MatrixFile {
    info: DatasetInfo,
    dense: Dense,
}

impl MatrixFile {
    /// The matrix in `source`, which is `input`'s file, read by the format called `format`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] if the file is shorter than the layout says, [`crate::ErrorKind::Unsupported`] if a
    /// row has no values or more than [`MAX_DIM`], [`crate::ErrorKind::Request`] if [`Input::dim`] is another dimension.
    pub fn open(
        format: &'static str,
        input: &Input,
        source: Source,
        layout: MatrixLayout,
    ) -> Result<Self, Error> {
        let MatrixLayout { offset_bytes, rows, dim, dtype, order } = layout;
        let Some(dim) = usize::try_from(dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim)) else {
            let message = format!("expected from 1 to {MAX_DIM} values a row, found {dim}");
            return Err(Error::unsupported(message).with_help("a file of vectors has one vector in each row"));
        };
        if let Some(asked) = input.dim.filter(|&asked| asked != dim) {
            return Err(Error::request(format!("expected dimension {asked}, as asked for, found {dim}"))
                .about(Topic::Dimension)
                .with_help("leave --dimension away: the file says it"));
        }
        let end = size_bytes(rows, dim as u64, dtype).and_then(|bytes| bytes.checked_add(offset_bytes));
        let len = source.len_bytes();
        let Some(spare) = end.and_then(|end| len.checked_sub(end)) else {
            let bytes = end.map_or("more than 2^64".to_owned(), |end| end.to_string());
            return Err(Error::expected(
                format!(
                    "{bytes} bytes, for a header of {offset_bytes} and {rows} rows of {dim} {dtype} values"
                ),
                len,
            )
            .with_help("the file was cut short, or its header is damaged: write it again"));
        };
        let mut notes = Vec::new();
        if spare > 0 {
            notes.push(format!("{spare} bytes after the rows are ignored"));
        }
        if dtype == DType::F64 {
            notes.push("f64 values are rounded to f32".to_owned());
        }
        let info = DatasetInfo {
            format,
            rows: Rows::Exact(rows),
            dim,
            dtype,
            metric: None,
            ids: None,
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: len,
            chosen: Vec::new(),
            notes,
        };
        let layout = Layout { offset: offset_bytes, rows, dim, dtype, order, by_column: false };
        Ok(Self { info, dense: Dense::new(source, layout) })
    }
}

impl Dataset for MatrixFile {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        self.dense.batches(scan, piece, pool, |rows| Ok(Ids::From(rows.start)))
    }

    fn matrix(&self) -> Option<Matrix> {
        self.dense.matrix()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.dense.check_unchanged()
    }
}
