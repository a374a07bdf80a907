//! What files of plain f32 rows have in common.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use readers::Batch;

use crate::Failure;
use crate::output::atomic::AtomicFile;

/// Bytes of `rows` rows of `dim` f32 values.
pub(super) fn size_bytes(rows: u64, dim: usize) -> Result<u64, Failure> {
    let bytes = rows.checked_mul(dim as u64).and_then(|values| values.checked_mul(4));
    bytes.ok_or_else(|| {
        Failure::refused(format!("{rows} rows of {dim} values are more than any file can hold"))
    })
}

/// Writes a batch's values to their place behind a header of `header_bytes`.
pub(super) fn write_values(
    file: &AtomicFile,
    header_bytes: u64,
    position: u64,
    batch: &Batch,
) -> Result<(), Failure> {
    let offset = size_bytes(position, batch.dim())?.saturating_add(header_bytes);
    file.write_all_at(bytemuck::cast_slice(batch.values()), offset)
}

/// Collects ids that come in any order.
#[derive(Debug, Default)]
pub(super) struct IdCollector {
    ids: Mutex<Vec<u64>>,
}

impl IdCollector {
    /// Takes the ids of a batch whose first row is at `position` of the stream.
    pub(super) fn put(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        if batch.ids().texts().is_some() {
            return Err(Failure::failed(format!(
                "{}: expected ids that are numbers, found texts",
                batch.origin().file.display()
            )));
        }
        let too_many = |_| Failure::failed("there are more rows than memory has addresses");
        let start = usize::try_from(position).map_err(too_many)?;
        let end = start.saturating_add(batch.rows());
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() < end {
            ids.resize(end, 0);
        }
        for (at, id) in ids[start..end].iter_mut().enumerate() {
            *id = batch.ids().get(at);
        }
        Ok(())
    }

    /// All ids, in the order of the rows.
    pub(super) fn into_ids(self) -> Vec<u64> {
        self.ids.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids as a file of u64, little-endian.
pub(super) fn write_ids(file: &AtomicFile, ids: &[u64]) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(file.file());
    ids.iter()
        .try_for_each(|id| out.write_all(&id.to_le_bytes()))
        .and_then(|()| out.flush())
        .map_err(|e| file.failure(&e))
}
