//! A reader of index files from docs/FORMAT.md alone, for looking into them and for spoiling them.

use std::ops::Range;

use twox_hash::XxHash3_64;

use crate::target::{block_bytes, seal};

pub(crate) const HEADER: usize = 4096;
pub(crate) const FILLING: u32 = u32::MAX;

/// The kinds of sections.
pub(crate) mod kind {
    pub(crate) const VECTORS: u32 = 1;
    pub(crate) const VECTOR_CHECKSUMS: u32 = 2;
    pub(crate) const IDS: u32 = 3;
    pub(crate) const LEVEL0: u32 = 4;
    pub(crate) const UPPER: u32 = 5;
    pub(crate) const INVERSE_NORMS: u32 = 6;
    pub(crate) const COPIES: u32 = 7;
    pub(crate) const RECIPE: u32 = 8;
    pub(crate) const QUANTIZER: u32 = 9;
    pub(crate) const CODE_TERMS: u32 = 10;
    pub(crate) const CODES: u32 = 11;
    pub(crate) const CODE_CHECKSUMS: u32 = 12;
    pub(crate) const TEXT_IDS: u32 = 13;
    pub(crate) const VALUE_STEPS: u32 = 14;
    pub(crate) const SOURCE: u32 = 15;
    pub(crate) const CODE_ERRORS: u32 = 16;
}

#[derive(Clone)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

/// One level: the row and the neighbours of each slot. On level 0 slots are rows, those of copies included.
pub(crate) struct Level {
    pub(crate) rows: Vec<u32>,
    pub(crate) lists: Vec<Vec<u32>>,
}

impl Raw {
    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    pub(crate) fn put_u32(&mut self, at: usize, number: u32) {
        self.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn put_u64(&mut self, at: usize, number: u64) {
        self.0[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn rows(&self) -> usize {
        self.u64(40) as usize
    }

    pub(crate) fn m(&self) -> usize {
        self.u32(56) as usize
    }

    /// Nodes of each level.
    pub(crate) fn level_nodes(&self) -> Vec<usize> {
        (0..self.u32(68) as usize).map(|level| self.u64(320 + level * 16) as usize).collect()
    }

    /// Where the table has the section.
    pub(crate) fn entry_of(&self, kind: u32) -> usize {
        self.find(kind).unwrap_or_else(|| panic!("no section {kind}"))
    }

    fn find(&self, kind: u32) -> Option<usize> {
        (0..self.u32(84).min(32) as usize).map(|i| 1024 + i * 32).find(|&at| self.u32(at) == kind)
    }

    pub(crate) fn kinds(&self) -> Vec<u32> {
        (0..self.u32(84) as usize).map(|i| self.u32(1024 + i * 32)).collect()
    }

    pub(crate) fn section(&self, kind: u32) -> Range<usize> {
        let at = self.entry_of(kind);
        let start = self.u64(at + 8) as usize;
        start..start + self.u64(at + 16) as usize
    }

    pub(crate) fn u32s(&self, range: Range<usize>) -> Vec<u32> {
        range.step_by(4).map(|at| self.u32(at)).collect()
    }

    /// Computes all checksums again.
    pub(crate) fn seal(&mut self) {
        seal(&mut self.0);
        self.seal_codes();
    }

    /// The same for the codes, whose checksum is that of their block checksums.
    fn seal_codes(&mut self) {
        let range = |raw: &Self, at: usize| {
            let start = usize::try_from(raw.u64(at + 8)).ok()?;
            let end = start.checked_add(usize::try_from(raw.u64(at + 16)).ok()?)?;
            (start >= HEADER && end <= raw.0.len() - 64).then_some(start..end)
        };
        let Some(entry) = self.find(kind::CODES) else { return };
        let sums = self.find(kind::CODE_CHECKSUMS).and_then(|at| Some((at, range(self, at)?)));
        if let (Some(codes), Some((at, sums))) = (range(self, entry), sums) {
            let block = block_bytes(&self.0, kind::CODES as u8);
            let blocks: Vec<u64> = self.0[codes].chunks(block).map(XxHash3_64::oneshot).collect();
            for (place, block) in sums.clone().step_by(8).zip(blocks) {
                if place + 8 <= self.0.len() {
                    self.put_u64(place, block);
                }
            }
            let checksum = XxHash3_64::oneshot(&self.0[sums]);
            self.put_u64(at + 24, checksum);
            self.put_u64(entry + 24, checksum);
        }
        let (header, footer) = (XxHash3_64::oneshot(&self.0[..HEADER - 8]), self.0.len() - 64);
        self.put_u64(HEADER - 8, header);
        self.put_u64(footer + 8, header);
        let checksum = XxHash3_64::oneshot(&self.0[footer..footer + 56]);
        self.put_u64(footer + 56, checksum);
    }

    /// Where a level above 0 begins: its row numbers, and its neighbours.
    pub(crate) fn upper_level(&self, level: usize) -> (usize, usize) {
        let nodes = self.level_nodes();
        let before: usize = nodes[1..level].iter().map(|nodes| nodes * (1 + self.m()) * 4).sum();
        let rows = self.section(kind::UPPER).start + before;
        (rows, rows + nodes[level] * 4)
    }

    /// The whole graph, level 0 first.
    pub(crate) fn graph(&self) -> Vec<Level> {
        let lists = |at: usize, slots: usize, stride: usize| -> Vec<Vec<u32>> {
            let all = self.u32s(at..at + slots * stride * 4);
            all.chunks(stride)
                .map(|list| list.iter().copied().take_while(|&slot| slot != FILLING).collect())
                .collect()
        };
        let level0 = Level {
            rows: (0..self.rows() as u32).collect(),
            lists: lists(self.section(kind::LEVEL0).start, self.rows(), 2 * self.m()),
        };
        let upper = self.level_nodes().into_iter().enumerate().skip(1).map(|(level, nodes)| {
            let (rows, neighbours) = self.upper_level(level);
            Level { rows: self.u32s(rows..neighbours), lists: lists(neighbours, nodes, self.m()) }
        });
        [level0].into_iter().chain(upper).collect()
    }

    /// The slots of each level that a walk from where the entry point stands on it can reach.
    pub(crate) fn reachable(&self) -> Vec<Vec<bool>> {
        let graph = self.graph();
        let mut entry_row = self.u32(80);
        if graph.len() > 1 {
            entry_row = graph[graph.len() - 1].rows[entry_row as usize];
        }
        graph
            .iter()
            .map(|level| {
                let mut reached = vec![false; level.lists.len()];
                let mut queue: Vec<u32> = level
                    .rows
                    .iter()
                    .position(|&row| row == entry_row)
                    .map(|slot| slot as u32)
                    .into_iter()
                    .collect();
                while let Some(slot) = queue.pop() {
                    if !std::mem::replace(&mut reached[slot as usize], true) {
                        queue.extend(&level.lists[slot as usize]);
                    }
                }
                reached
            })
            .collect()
    }
}
