//! Rows that are equal to an earlier row.
//!
//! A graph of equal rows is a trap: they are each other's nearest neighbours, fill each other's lists, and search that
//! enters such a group does not leave it. So only the first of equal rows is a node of the graph, its representative,
//! and search puts the copies beside it.

use rayon::prelude::*;
use twox_hash::XxHash3_64;

use crate::build::Monitor;
use crate::vectors::Matrix;

/// The copies of each row that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Rows that have copies, ascending.
    pub(crate) representatives: Vec<u32>,
    /// Where the copies of each begin in `rows`, and at last the end: one more than `representatives`, if there are any.
    pub(crate) starts: Vec<u32>,
    /// The copies, ascending for each representative.
    pub(crate) rows: Vec<u32>,
}

impl Copies {
    /// Finds all rows that equal an earlier one. 0 and -0 are equal.
    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    /// When the monitor says to stop, the outcome means nothing.
    pub(crate) fn find(matrix: Matrix<'_>, monitor: &dyn Monitor) -> Self {
        let mut hashes: Vec<(u64, u32)> = matrix
            .values()
            .par_chunks(matrix.dim())
            .enumerate()
            .map_init(Vec::new, |normal, (row, vector)| {
                if monitor.is_cancelled() {
                    return (row as u64, row as u32);
                }
                normal.clear();
                normal.extend(vector.iter().map(|value| value + 0.0));
                (XxHash3_64::oneshot(bytemuck::cast_slice(normal)), row as u32)
            })
            .collect();
        hashes.par_sort_unstable();
        // Rows of one hash are nearly always equal; those that are not begin groups of their own.
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for same_hash in hashes.chunk_by(|a, b| a.0 == b.0).filter(|same_hash| same_hash.len() > 1) {
            let first_of_hash = groups.len();
            for &(_, row) in same_hash {
                let group =
                    groups[first_of_hash..].iter_mut().find(|group| matrix.row(group[0]) == matrix.row(row));
                match group {
                    Some(group) => group.push(row),
                    None => groups.push(vec![row]),
                }
            }
        }
        groups.retain(|group| group.len() > 1);
        groups.sort_unstable();
        let mut copies = Self::default();
        for group in groups {
            copies.representatives.push(group[0]);
            copies.starts.push(copies.rows.len() as u32);
            copies.rows.extend_from_slice(&group[1..]);
        }
        if !copies.representatives.is_empty() {
            copies.starts.push(copies.rows.len() as u32);
        }
        copies
    }

    #[cfg(test)]
    pub(crate) fn view(&self) -> CopiesView<'_> {
        CopiesView { representatives: &self.representatives, starts: &self.starts, rows: &self.rows }
    }
}

/// [`Copies`], in memory or in a mapped file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CopiesView<'a> {
    pub(crate) representatives: &'a [u32],
    pub(crate) starts: &'a [u32],
    pub(crate) rows: &'a [u32],
}

impl<'a> CopiesView<'a> {
    /// The copies of a row.
    pub(crate) fn of(&self, row: u32) -> &'a [u32] {
        match self.representatives.binary_search(&row) {
            Ok(at) => &self.rows[self.starts[at] as usize..self.starts[at + 1] as usize],
            Err(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_found_in_row_order() {
        let values = [1.0, 2.0, 0.0, -0.0, 1.0, 2.0, -0.0, 0.0, 5.0, 5.0, 1.0, 2.0];
        let copies = Copies::find(Matrix::new(&values, 2), &crate::build::Unmonitored);
        assert_eq!(copies.representatives, [0, 1]);
        assert_eq!(copies.view().of(0), [2, 5]);
        assert_eq!(copies.view().of(1), [3]);
        assert_eq!(copies.view().of(4), []);
    }
}
