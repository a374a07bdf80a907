//! The graph of an index, list by list, for those who write it down in other ways.

use crate::Index;
use crate::file::Corrupt;
use crate::graph::GraphAccess;

impl Index {
    /// How many levels there are; level 0 is there in an empty index, too.
    pub fn levels(&self) -> usize {
        self.top_level() + 1
    }

    /// The rows of a level above 0, ascending. On level 0 these are all rows but the copies, and nothing is returned.
    ///
    /// # Panics
    /// If there is no such level.
    pub fn rows_of_level(&self, level: usize) -> Option<&[u32]> {
        self.layer(level).rows
    }

    /// The neighbours of a node of a level: positions in [`Index::rows_of_level`], or rows on level 0, nearest first.
    ///
    /// # Panics
    /// If there is no such level, or no such node on it.
    pub fn neighbours(&self, level: usize, slot: u32) -> &[u32] {
        self.layer(level).neighbours(slot)
    }

    /// The row at which searches begin; nothing in an empty index.
    pub fn entry_row(&self) -> Option<u32> {
        self.entry_point().map(|slot| self.layer(self.top_level()).row(slot))
    }

    /// Rows that are no nodes: each row that equals an earlier one, behind the first that it equals.
    pub fn copied_rows(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let copies = self.copies();
        copies.representatives.iter().map(move |&row| (row, copies.of(row)))
    }

    /// Puts the vector of a row into `out`, widened where it is stored as f16 or i8.
    ///
    /// # Errors
    /// If the block that it is in is not what its checksum says.
    ///
    /// # Panics
    /// If there is no such row, or `out` has another dimension.
    pub fn copy_vector(&self, row: u32, out: &mut [f32]) -> Result<(), Corrupt> {
        self.sections().check_vectors(row as usize..row as usize + 1)?;
        match self.rows_narrow() {
            Some(rows) => {
                let start = row as usize * rows.row_bytes;
                rows.narrowing.widen(&rows.bytes[start..start + rows.row_bytes], out);
            }
            None => out.copy_from_slice(self.widened().row(row)),
        }
        Ok(())
    }

    /// The id of a row: its own, or the row number where the index has no ids.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn id(&self, row: u32) -> u64 {
        self.id_of(row)
    }
}
