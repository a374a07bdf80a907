//! A matrix that lies in a file as it is: values of one type, one after another, from an offset on.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use crate::{
    Batch, Batches, BufferPool, ByteOrder, DType, Dataset, DatasetInfo, Error, Ids, Matrix, Origin, Piece,
    Position, Scan, Source, Topic, Unrepresentable, widen,
};

/// The byte order of this machine.
pub(super) const NATIVE: ByteOrder =
    if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

/// How many bytes are read at a time where they are converted on the way: small enough to stay in the cache and to
/// come from the allocator's own memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// The blocks of a transpose: one cache line of the output, and columns long enough to be worth a read each.
const BLOCK_COLUMNS: usize = 16;
const BLOCK_ROWS: usize = 1024;

/// Where the values lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The byte of the first value.
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) dim: usize,
    pub(super) dtype: DType,
    pub(super) order: ByteOrder,
    /// Column after column (Fortran's order) instead of row after row.
    pub(super) by_column: bool,
}

/// The bytes of `rows` vectors of `dim` values, where 64 bits can count them.
pub(super) fn size_bytes(rows: u64, dim: u64, dtype: DType) -> Option<u64> {
    rows.checked_mul(dim)?.checked_mul(dtype.size_bytes() as u64)
}

/// The matrix and its file.
#[derive(Debug)]
pub(super) struct Dense {
    source: Source,
    file: Arc<Path>,
    layout: Layout,
    /// All of it, where the mapped bytes already are the f32 values of this machine.
    in_place: Option<ScalarBuffer<f32>>,
}

impl Dense {
    /// The caller has checked that the file is long enough for `layout`.
    pub(super) fn new(source: Source, mut layout: Layout) -> Self {
        // A single row or column is the same bytes in both orders.
        layout.by_column &= layout.rows > 1 && layout.dim > 1;
        let file = Arc::from(source.path());
        let mut dense = Self { source, file, layout, in_place: None };
        dense.in_place = dense.map_in_place();
        dense
    }

    fn map_in_place(&self) -> Option<ScalarBuffer<f32>> {
        let Layout { offset, rows, dim, dtype, by_column, .. } = self.layout;
        let map = self.source.map().filter(|_| self.is_native_f32() && !by_column)?;
        let offset = usize::try_from(offset).ok()?;
        let len = usize::try_from(size_bytes(rows, dim as u64, dtype)?).ok()?;
        let bytes = map.slice_with_length(offset, len);
        let aligned = bytes.as_ptr().align_offset(align_of::<f32>()) == 0;
        aligned.then(|| ScalarBuffer::from(bytes))
    }

    fn is_native_f32(&self) -> bool {
        self.layout.dtype == DType::F32 && self.layout.order == NATIVE
    }

    pub(super) fn matrix(&self) -> Option<Matrix> {
        self.in_place.clone().map(|values| Matrix { values, dim: self.layout.dim })
    }

    pub(super) fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }

    /// The batches of `piece`; `ids` gives the ids of a row range.
    pub(super) fn batches<'a>(
        &'a self,
        scan: &Scan,
        piece: &Piece,
        pool: &'a BufferPool,
        ids: impl Fn(Range<u64>) -> Result<Ids, Error> + Send + 'a,
    ) -> Result<Batches<'a>, Error> {
        let Layout { rows, dim, .. } = self.layout;
        let part = check_piece(rows, piece, &self.file)?;
        Ok(row_batches(part, scan, dim, &self.file, move |rows| {
            Ok((self.values(rows.clone(), pool)?, ids(rows)?))
        }))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a batch is in memory, so a usize counts its values")]
    fn values(&self, rows: Range<u64>, pool: &BufferPool) -> Result<ScalarBuffer<f32>, Error> {
        let dim = self.layout.dim;
        let len = (rows.end - rows.start) as usize * dim;
        if let Some(all) = &self.in_place {
            return Ok(all.slice(rows.start as usize * dim, len));
        }
        let mut values = pool.take(len);
        if self.layout.by_column {
            for (block, out) in values.chunks_mut(BLOCK_ROWS * dim).enumerate() {
                self.transpose(rows.start + (block * BLOCK_ROWS) as u64, out)?;
            }
        } else if let Some(bad) = self.convert(rows.start * dim as u64, &mut values)? {
            let (row, column) = (bad.position / dim, bad.position % dim);
            return Err(self.unrepresentable(&bad, rows.start + row as u64, column));
        }
        Ok(ScalarBuffer::from(values))
    }

    /// Fills `out` with the rows from `first` on, out of the columns of the file.
    fn transpose(&self, first: u64, out: &mut [f32]) -> Result<(), Error> {
        let dim = self.layout.dim;
        let rows = out.len() / dim;
        let mut columns = vec![0.0; rows * BLOCK_COLUMNS.min(dim)];
        // The first in row order, so that the error is the same whatever the size of the batches.
        let mut worst: Option<(usize, usize, Unrepresentable)> = None;
        for start in (0..dim).step_by(BLOCK_COLUMNS) {
            let width = BLOCK_COLUMNS.min(dim - start);
            for (column, values) in (start..).zip(columns.chunks_exact_mut(rows).take(width)) {
                let bad = self.convert(column as u64 * self.layout.rows + first, values)?;
                if let Some(bad) = bad
                    && worst.as_ref().is_none_or(|&(row, ..)| bad.position < row)
                {
                    worst = Some((bad.position, column, bad));
                }
            }
            for (row, out) in out.chunks_exact_mut(dim).enumerate() {
                for (offset, value) in out[start..start + width].iter_mut().enumerate() {
                    *value = columns[offset * rows + row];
                }
            }
        }
        match worst {
            Some((row, column, bad)) => Err(self.unrepresentable(&bad, first + row as u64, column)),
            None => Ok(()),
        }
    }

    /// Fills `out` with the values from number `first` of the file on, in the file's order. Gives the first value that
    /// is no f32; the rest of `out` is arbitrary then.
    fn convert(&self, first: u64, out: &mut [f32]) -> Result<Option<Unrepresentable>, Error> {
        let Layout { offset, dtype, order, .. } = self.layout;
        let size = dtype.size_bytes();
        let start = offset + first * size as u64;
        if self.is_native_f32() {
            self.source.read_at(start, bytemuck::cast_slice_mut(out))?;
            return Ok(None);
        }
        if let Some(map) = self.source.map() {
            #[expect(clippy::cast_possible_truncation, reason = "within the map, whose length is a usize")]
            let start = start as usize;
            return Ok(widen(dtype, order, &map[start..start + out.len() * size], out).err());
        }
        let mut chunk = vec![0; CHUNK_BYTES.min(out.len() * size)];
        let mut done = 0;
        for out in out.chunks_mut(CHUNK_BYTES / size) {
            let bytes = &mut chunk[..out.len() * size];
            self.source.read_at(start + (done * size) as u64, bytes)?;
            if let Err(mut bad) = widen(dtype, order, bytes, out) {
                bad.position += done;
                return Ok(Some(bad));
            }
            done += out.len();
        }
        Ok(None)
    }

    fn unrepresentable(&self, bad: &Unrepresentable, row: u64, column: usize) -> Error {
        unrepresentable(bad, row, column).in_file(&self.file)
    }
}

/// The error for a value that is no f32, without its file.
pub(super) fn unrepresentable(bad: &Unrepresentable, row: u64, column: usize) -> Error {
    Error::malformed(bad.to_string())
        .at(Position::Value { row, column: column as u64 })
        .with_help("scale or convert the values to float32 in the program that writes them")
}

/// The rows of `piece`, if the `file` of so many `rows` has them.
pub(super) fn check_piece(rows: u64, piece: &Piece, file: &Path) -> Result<Range<u64>, Error> {
    let Range { start, end } = piece.rows;
    if start > end || end > rows {
        let message = format!("expected rows within 0..{rows}, found {start}..{end}");
        return Err(Error::request(message).in_file(file));
    }
    Ok(start..end)
}

/// The batches of `part`; `read` gives the values and ids of a row range. The first error is the last item.
pub(super) fn row_batches<'a>(
    part: Range<u64>,
    scan: &Scan,
    dim: usize,
    file: &'a Arc<Path>,
    read: impl Fn(Range<u64>) -> Result<(ScalarBuffer<f32>, Ids), Error> + Send + 'a,
) -> Batches<'a> {
    let step = scan.batch_rows.max(1) as u64;
    let Range { start: mut next, end } = part;
    Box::new(std::iter::from_fn(move || {
        let rows = next..end.min(next.saturating_add(step));
        if rows.is_empty() {
            return None;
        }
        next = rows.end;
        let batch = read(rows.clone()).map(|(values, ids)| {
            let origin = Origin { file: Arc::clone(file), row: rows.start };
            Batch::new(rows.start, dim, values, origin).with_ids(ids)
        });
        if batch.is_err() {
            next = end;
        }
        Some(batch)
    }))
}

/// The dataset of a format that is one matrix and nothing else.
#[derive(Debug)]
pub(super) struct DenseDataset {
    pub(super) info: DatasetInfo,
    pub(super) dense: Dense,
}

impl Dataset for DenseDataset {
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

/// Refuses the dimension that was asked for where the file says another one.
///
/// # Errors
/// [`crate::ErrorKind::Request`] with both.
pub fn check_asked_dim(asked: Option<usize>, dim: usize) -> Result<(), Error> {
    match asked {
        Some(asked) if asked != dim => {
            Err(Error::request(format!("expected dimension {asked}, as asked for, found {dim}"))
                .about(Topic::Dimension)
                .with_help("leave --dimension away: the file says it"))
        }
        _ => Ok(()),
    }
}
