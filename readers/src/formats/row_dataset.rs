//! A dataset whose rows one pass has found.

use std::fmt;

use super::rows::{FoundRows, Parse, Split};
use crate::{Batches, BufferPool, Dataset, DatasetInfo, Error, Piece, Scan};

/// Rows of a text, and what makes a parser for each piece of them.
pub(super) struct RowDataset<S, F> {
    pub(super) info: DatasetInfo,
    pub(super) found: FoundRows<S>,
    pub(super) parser: F,
}

impl<S: fmt::Debug, F> fmt::Debug for RowDataset<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, found, parser: _ } = self;
        f.debug_struct("RowDataset").field("info", info).field("found", found).finish_non_exhaustive()
    }
}

impl<S: Split, P: Parse + 'static, F: Fn() -> P + Send + Sync> Dataset for RowDataset<S, F> {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        self.found.pieces(scan)
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        self.found.batches(scan, piece, pool, self.info.dim, (self.parser)())
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.found.check_unchanged()
    }
}
