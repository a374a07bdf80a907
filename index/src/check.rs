//! Going through a whole index: every checksum, every node.

use std::ops::Range;

use rayon::prelude::*;

use crate::Index;
use crate::Matrix;
use crate::TextIds;
use crate::file::{Corrupt, SectionKind};
use crate::graph::GraphAccess;

/// What was found in a section whose blocks have checksums of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockCheck {
    /// The section: vectors or codes.
    pub section: SectionKind,
    /// How many blocks it has.
    pub blocks: u64,
    /// How many of them are not what their checksums say.
    pub damaged_blocks: u64,
    /// The first of those.
    pub first: Option<Corrupt>,
}

impl Index {
    /// Compares all blocks of vectors and codes with their checksums, on the current rayon pool. Everything else was checked
    /// when the file was opened.
    pub fn check_blocks(&self) -> Vec<BlockCheck> {
        self.sections().check_blocks()
    }

    /// Gets ready for so many searches with a beam of `ef_search`, on the current rayon pool: where they would come to
    /// nearly all blocks of vectors and codes, those are checked now and in order, which takes half as long as one by one when a
    /// search comes to it. Does nothing where the searches are too few for that, and where it was done.
    ///
    /// # Errors
    /// The first block that is not what its checksum says.
    pub fn check_ahead(&self, searches: usize, ef_search: usize) -> Result<(), Corrupt> {
        self.sections().check_ahead(searches as u64, ef_search as u64)
    }

    /// Whether there is something that [`Index::check_ahead`] would check: where not, no pool is needed for it.
    pub fn wants_check_ahead(&self, searches: usize, ef_search: usize) -> bool {
        self.sections().wants_check_ahead(searches as u64, ef_search as u64)
    }

    /// All vectors, row by row, after their checksums: as [`Index::check_blocks`], but of the vectors alone. Where they are stored
    /// as f16 or i8, all of them are widened in memory; [`Index::vectors_of`] does so with a part.
    ///
    /// # Errors
    /// The first block that is not what its checksum says.
    pub fn vectors(&self) -> Result<Matrix<'_>, Corrupt> {
        self.sections().check_all_vectors()?;
        Ok(self.widened())
    }

    /// The vectors of some rows, after their checksums: in place where they are stored as f32, else widened into `buffer`.
    ///
    /// # Errors
    /// The first block that is not what its checksum says.
    ///
    /// # Panics
    /// If these are not rows of the index.
    pub fn vectors_of<'a>(
        &'a self,
        rows: Range<usize>,
        buffer: &'a mut Vec<f32>,
    ) -> Result<Matrix<'a>, Corrupt> {
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows of the index");
        if rows.is_empty() {
            return Ok(Matrix::new(&[], self.dim()));
        }
        self.sections().check_vectors(rows.clone())?;
        let dim = self.dim();
        let Some(narrow) = self.rows_narrow() else {
            return Ok(Matrix::new(&self.widened().values()[rows.start * dim..rows.end * dim], dim));
        };
        buffer.resize(rows.len() * dim, 0.0);
        let bytes = &narrow.bytes[rows.start * narrow.row_bytes..rows.end * narrow.row_bytes];
        let parts = buffer.par_chunks_mut(dim).zip(bytes.par_chunks(narrow.row_bytes));
        parts.with_min_len(64).for_each(|(row, bytes)| narrow.narrowing.widen(bytes, row));
        Ok(Matrix::new(buffer, dim))
    }

    /// The ids of the rows, where they are numbers of their own; nothing where they are row numbers, or texts.
    pub fn ids(&self) -> Option<&[u64]> {
        self.sections().ids()
    }

    /// The ids of the rows, where they are texts. A [`crate::Hit`] then has the row number.
    pub fn text_ids(&self) -> Option<TextIds<'_>> {
        self.sections().text_ids().map(|(offsets, texts)| TextIds::new(offsets, texts))
    }

    /// The id of a row, where ids are texts: `text_id(hit.id)`. Nothing where they are numbers, and as [`TextIds::get`].
    ///
    /// ```
    /// # fn print(index: &index::Index, query: &[f32]) -> Result<(), Box<dyn std::error::Error>> {
    /// for hit in index.searcher().search(query, 10, 100)? {
    ///     match index.text_id(hit.id) {
    ///         Some(text) => println!("{text} {}", hit.distance),
    ///         None => println!("{} {}", hit.id, hit.distance),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn text_id(&self, row: u64) -> Option<&str> {
        self.text_ids()?.get(usize::try_from(row).ok()?)
    }

    /// How many nodes of level 0 can be reached on it from where a search enters it, as in
    /// [`crate::file::Header::reachable_nodes`]: counted by walking to all of them.
    pub fn count_reachable_nodes(&self) -> u64 {
        count_reachable(self)
    }
}

/// How many nodes of level 0 a walk reaches that begins where a search enters the level.
pub(crate) fn count_reachable(graph: &impl GraphAccess) -> u64 {
    let Some(mut slot) = graph.entry_point() else { return 0 };
    for level in (1..=graph.top_level()).rev() {
        slot = graph.layer(level).down.map_or(slot, |down| down[slot as usize]);
    }
    let layer = graph.layer(0);
    let mut is_reached = vec![false; layer.len()];
    let mut queue = vec![slot];
    is_reached[slot as usize] = true;
    let mut count = 1;
    while let Some(slot) = queue.pop() {
        for &neighbour in layer.neighbours(slot) {
            if !std::mem::replace(&mut is_reached[neighbour as usize], true) {
                count += 1;
                queue.push(neighbour);
            }
        }
    }
    count
}
