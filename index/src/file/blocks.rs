//! Sections that are checked block by block, each when it is first used.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;
use twox_hash::XxHash3_64;

use super::section::SectionKind;
use super::{Corrupt, Cut, corrupt};
use crate::check::BlockCheck;
use crate::distance::prefetch_all;

/// So far ahead of what is checked bytes are asked for, in blocks that are not larger: the machine's own prefetcher begins anew with
/// each page of 4 KiB, and keeps too few lines on their way. Checking codes takes two thirds of the time.
const AHEAD_BYTES: usize = 4096;

/// What blocks and their checksums are in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maps<'m> {
    pub(super) blocks: &'m [u8],
    pub(super) index: &'m [u8],
    /// The file of the blocks, where that is another.
    pub(super) source: Option<&'m Path>,
}

/// A section that is checked block by block, each when it is first used.
#[derive(Debug)]
pub(super) struct Blocks {
    kind: SectionKind,
    cut: Cut,
    /// In the index file, unless the map of another goes with it.
    bytes: Range<usize>,
    pub(super) checksums: Range<usize>,
    /// One bit a block: it was compared with its checksum.
    checked: Vec<AtomicU64>,
    /// Blocks that were not: searches that have come everywhere ask no more.
    unchecked: AtomicUsize,
}

impl Blocks {
    pub(super) fn new(kind: SectionKind, cut: Cut, bytes: Range<usize>, checksums: Range<usize>) -> Self {
        let blocks = bytes.len().div_ceil(cut.block_bytes());
        let checked = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { kind, cut, bytes, checksums, checked, unchecked: AtomicUsize::new(blocks) }
    }

    pub(super) fn get<'m>(&self, map: &'m [u8]) -> &'m [u8] {
        &map[self.bytes.clone()]
    }

    /// The same blocks in another file.
    pub(super) fn elsewhere(&self, bytes: Range<usize>) -> Self {
        Self::new(self.kind, self.cut, bytes, self.checksums.clone())
    }

    fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.cut.block_bytes())
    }

    /// Compares the blocks that hold `rows`, at least one, with their checksums, unless that was done.
    #[inline]
    pub(super) fn check(&self, maps: Maps<'_>, rows: Range<usize>) -> Result<(), Corrupt> {
        // Relaxed: numbers and bits guard no other memory, and a block that two threads check is checked twice.
        if self.unchecked.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        for block in self.cut.blocks_of(rows) {
            if self.checked[block / 64].load(Ordering::Relaxed) & 1 << (block % 64) == 0 {
                self.check_first(maps, block)?;
            }
        }
        Ok(())
    }

    /// Compares a block that was not compared before.
    #[cold]
    fn check_first(&self, maps: Maps<'_>, block: usize) -> Result<(), Corrupt> {
        /// Searches that come to nearly all rows would ask for ever because of the few that are left: one in so many, and so
        /// few bytes that nobody waits for them. Those are checked at once.
        const ONE_IN: usize = 64;
        const FEW_BYTES: usize = 1 << 20;
        let left = self.check_one(maps, block)?;
        if (1..self.count() / ONE_IN).contains(&left) && left * self.cut.block_bytes() <= FEW_BYTES {
            (0..self.count()).try_for_each(|block| self.check_one(maps, block).map(|_| ()))?;
        }
        Ok(())
    }

    /// Compares a block, unless that was done, and says how many are left.
    fn check_one(&self, maps: Maps<'_>, block: usize) -> Result<usize, Corrupt> {
        let (word, bit) = (&self.checked[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check_block(maps, block)?;
            if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                return Ok(self.unchecked.fetch_sub(1, Ordering::Relaxed) - 1);
            }
        }
        Ok(self.unchecked.load(Ordering::Relaxed))
    }

    /// Whether there are blocks that were not compared, and so many uses of rows would come to nearly all of them.
    pub(super) fn wants_check_ahead(&self, uses: u64) -> bool {
        /// As many leave about one block of 3,000 out, if they come to all rows alike.
        const USES_A_BLOCK: u64 = 8;
        self.unchecked.load(Ordering::Relaxed) > 0 && uses / USES_A_BLOCK >= self.count() as u64
    }

    /// Compares all blocks that were not, in the current rayon pool, if [`Blocks::wants_check_ahead`]. In order that takes half
    /// as long as where uses happen to come.
    pub(super) fn check_ahead(&self, maps: Maps<'_>, uses: u64) -> Result<(), Corrupt> {
        if !self.wants_check_ahead(uses) {
            return Ok(());
        }
        let blocks = self.count();
        let ahead = AHEAD_BYTES.div_ceil(self.cut.block_bytes());
        let check = |block: usize| {
            self.prefetch(maps, block + ahead);
            self.check_one(maps, block).err()
        };
        let first = (0..blocks).into_par_iter().with_min_len(self.blocks_a_task()).find_map_first(check);
        first.map_or(Ok(()), Err)
    }

    /// Compares all blocks, also those that were compared before, in the current rayon pool.
    pub(super) fn check_all(&self, maps: Maps<'_>) -> BlockCheck {
        let blocks = self.count();
        let mut damaged: Vec<(usize, Corrupt)> = (0..blocks)
            .into_par_iter()
            .with_min_len(self.blocks_a_task())
            .filter_map(|block| Some((block, self.check_block(maps, block).err()?)))
            .collect();
        damaged.sort_by_key(|(block, _)| *block);
        BlockCheck {
            section: self.kind,
            blocks: blocks as u64,
            damaged_blocks: damaged.len() as u64,
            first: damaged.into_iter().next().map(|(_, corrupt)| corrupt),
        }
    }

    /// Asks for the bytes of a block, if it is small enough to be still near when its turn comes.
    fn prefetch(&self, maps: Maps<'_>, block: usize) {
        let start = self.bytes.start + block * self.cut.block_bytes();
        let end = start + self.cut.block_bytes();
        if self.cut.block_bytes() <= AHEAD_BYTES && end <= self.bytes.end {
            prefetch_all(&maps.blocks[start..end]);
        }
    }

    fn blocks_a_task(&self) -> usize {
        const BYTES_A_TASK: usize = 1 << 20;
        (BYTES_A_TASK / self.cut.block_bytes()).max(1)
    }

    fn check_block(&self, maps: Maps<'_>, block: usize) -> Result<(), Corrupt> {
        let checksums: &[u64] = bytemuck::cast_slice(&maps.index[self.checksums.clone()]);
        let start = self.bytes.start + block * self.cut.block_bytes();
        let end = (start + self.cut.block_bytes()).min(self.bytes.end);
        let (stored, computed) = (checksums[block], XxHash3_64::oneshot(&maps.blocks[start..end]));
        if stored == computed {
            return Ok(());
        }
        let (expected, found) = (format!("checksum {stored:016x}"), format!("{computed:016x}"));
        let (kind, name) = (self.kind.name(), self.cut.name(block, self.bytes.len()));
        let part = match maps.source {
            Some(path) => format!("{kind} in {}, {name}", path.display()),
            None => format!("{kind}, {name}"),
        };
        Err(corrupt(part, start as u64, expected, found))
    }
}
