//! A dataset that is closed while nobody reads it: of thousands of files, each needs a handle and a map.

use std::fs::Metadata;
use std::path::PathBuf;
use std::time::SystemTime;

use self_cell::self_cell;

use crate::concat::Opener;
use crate::rows_of::rows_of;
use crate::{Batch, Batches, BufferPool, Dataset, DatasetInfo, Error, Piece, Rows, Scan};

self_cell!(
    /// The rows of a dataset that nobody else holds.
    struct Opened<'p> {
        owner: (Box<dyn Dataset>, &'p BufferPool),
        #[covariant]
        dependent: Batches,
    }
);

/// What is known of a file, without the file. It is opened again for each piece, and a piece is all of it.
pub(crate) struct Parked {
    info: DatasetInfo,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    open: Opener,
}

/// What changes when somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len_bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Nothing for what is no file: standard input.
    fn of(path: &PathBuf) -> Option<Self> {
        let stamp =
            |metadata: Metadata| Self { len_bytes: metadata.len(), modified: metadata.modified().ok() };
        std::fs::metadata(path).ok().map(stamp)
    }
}

impl Parked {
    /// Closes `dataset`, which `open` can open again.
    ///
    /// # Errors
    /// If its files changed since it was opened.
    pub(crate) fn new(dataset: &dyn Dataset, open: Opener) -> Result<Self, Error> {
        let info = dataset.info().clone();
        let stamps = info.files.iter().map(|file| (file.clone(), Stamp::of(file))).collect();
        // So the stamps are those of the files that were opened.
        dataset.check_unchanged()?;
        Ok(Self { info, stamps, open })
    }
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Dataset for Parked {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let rows = scan.rows.clone();
        if rows.is_empty() && self.info.rows != Rows::Unknown { Vec::new() } else { vec![Piece { rows }] }
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        self.check_unchanged()?;
        let dataset = (self.open)()?;
        let scan = Scan { rows: piece.rows.clone(), batch_rows: scan.batch_rows };
        let mut opened = Opened::new((dataset, pool), |(dataset, pool)| rows_of(&**dataset, scan, pool));
        Ok(Box::new(std::iter::from_fn(move || -> Option<Result<Batch, Error>> {
            opened.with_dependent_mut(|_, batches| batches.next())
        })))
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        let changed = self.stamps.iter().find(|(path, stamp)| Stamp::of(path) != *stamp);
        changed.map_or(Ok(()), |(path, _)| {
            Err(Error::malformed("it was written to while it was read")
                .in_file(path)
                .with_help("run again when nobody writes to the file"))
        })
    }
}
