//! The ef that reaches a recall, written into the index.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::super::info::open_failure;
use crate::Failure;
use crate::output::atomic::AtomicFile;

/// Writes a copy of the index with that ef, and puts it in the index's place.
pub(super) fn store(path: &Path, ef: usize) -> Result<(), Failure> {
    // A link stays one: the file that it names is replaced.
    let target = fs::canonicalize(path).map_err(|e| Failure::io("open", path, &e))?;
    let mut from = File::open(&target).map_err(|e| Failure::io("open", path, &e))?;
    let mut file = AtomicFile::create(&target)?;
    let copied = io::copy(&mut from, &mut file.file());
    copied
        .and_then(|_| file.file().set_permissions(from.metadata()?.permissions()))
        .map_err(|e| file.failure(&e))?;
    let mut out = file.file().try_clone().map_err(|e| file.failure(&e))?;
    // No index has more rows than that.
    let ef = u32::try_from(ef).unwrap_or(u32::MAX);
    index::file::store_default_ef(&mut out, ef).map_err(|e| open_failure(path, &e))?;
    file.prepare()?;
    file.publish()
}
