//! What graphs of some of the rows say of them, when all are carved: with whom they need not be compared, and what is near enough.

use std::ops::Range;

/// What is known of rows of level 0 before they are compared.
pub(super) struct Known<'a> {
    /// Puts rows that are near a row into a list.
    pub(super) neighbours: &'a (dyn Fn(u32, &mut Vec<u32>) + Sync),
    /// The rows of each graph; the graphs share none.
    pub(super) graphs: Vec<Range<u32>>,
    /// Rows of all, with or without a graph.
    pub(super) rows: usize,
    /// Whether the graphs missed so little that the rows of one need not meet again.
    pub(super) missed_little: bool,
}

impl Known<'_> {
    /// The number of the graph that a row has neighbours in; nothing if it has none.
    pub(super) fn graph(&self, row: u32) -> Option<usize> {
        self.graphs.iter().position(|graph| graph.contains(&row))
    }

    /// How much of all rows a graph has.
    #[expect(clippy::cast_precision_loss, reason = "rows are fewer than 2^31")]
    pub(super) fn share(&self, graph: usize) -> f64 {
        self.graphs[graph].len() as f64 / self.rows as f64
    }
}

/// How many of the neighbours that a row has in a graph of a share of all rows are about as near as the farthest candidate would be
/// if all rows were met anew. Neighbours come nearest first, and were chosen, the far ones among them more sparsely: so their number
/// falls less than the share does. (Where the other half was added to half of the images of clothes, the share itself gave 0.9090 of
/// recall at `ef_search` 10 for 193 distances, its square root 0.9260 for 202, and this 0.9214 for 198, where a build anew gives 0.9178.)
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "at most the number of places of a list"
)]
pub(super) fn nearest_of_share(neighbours: usize, share: f64) -> usize {
    (neighbours as f64 * share.sqrt() * share.sqrt().sqrt()).ceil() as usize
}

/// Sorts the positions of a leaf by their parts, those without one last, and tells where each part ends.
pub(super) fn sort_by_part(leaf: &mut [u32], part: impl Fn(u32) -> Option<usize>) -> Vec<usize> {
    let key = |position: u32| part(position).unwrap_or(usize::MAX);
    leaf.sort_by_key(|&position| key(position));
    let mut end = 0;
    let parts = leaf.chunk_by(|&a, &b| key(a) == key(b));
    parts
        .take_while(|chunk| part(chunk[0]).is_some())
        .map(|chunk| {
            end += chunk.len();
            end
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_parts_come_first_and_keep_their_order() {
        let mut leaf = [9, 4, 7, 1, 8, 2, 6];
        // Those below 3 are of part 1, 7 and 8 of part 0, and the others of none.
        let part = |position: u32| match position {
            0..3 => Some(1),
            7..9 => Some(0),
            _ => None,
        };
        assert_eq!(sort_by_part(&mut leaf, part), [2, 4]);
        assert_eq!(leaf, [7, 8, 1, 2, 9, 4, 6]);
        assert_eq!(sort_by_part(&mut leaf, |_| None), []);
        assert_eq!(sort_by_part(&mut leaf, |_| Some(3)), [7]);
        assert_eq!(sort_by_part(&mut [], |_| Some(3)), []);
    }

    #[test]
    fn of_all_rows_all_neighbours_are_near_enough_and_of_any_at_least_one() {
        assert_eq!([0, 1, 24, 32].map(|count| nearest_of_share(count, 1.0)), [0, 1, 24, 32]);
        assert_eq!([0, 1, 24, 32].map(|count| nearest_of_share(count, 0.5)), [0, 1, 15, 20]);
        assert_eq!([0, 1, 24, 32].map(|count| nearest_of_share(count, 0.001)), [0, 1, 1, 1]);
    }
}
