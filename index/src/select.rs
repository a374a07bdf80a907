//! Choosing neighbours among candidates: Algorithm 4 of the HNSW paper.

use crate::beam::Candidate;
use crate::distance::Distance;
use crate::vectors::Rows;

/// Algorithm 4 without its two options (no extension of the candidates, pruned ones are not kept): takes `candidates`,
/// nearest first, and keeps one if it is nearer to the base than to every candidate kept before it, until `most` are
/// kept. So neighbours lie in different directions. `row` tells the row of a node.
///
/// `kept` is emptied first and holds the outcome, nearest first.
pub(crate) fn select_neighbours<R: Rows>(
    distance: &Distance,
    rows: &R,
    row: impl Fn(u32) -> u32,
    candidates: &[Candidate],
    most: usize,
    kept: &mut Vec<Candidate>,
) {
    kept.clear();
    let matrix = rows.matrix();
    for &candidate in candidates {
        if kept.len() == most {
            break;
        }
        let candidate_row = row(candidate.node());
        let vector = matrix.row(candidate_row);
        let inverse_norm = rows.inverse_norm(candidate_row);
        let to_base = candidate.distance();
        let nearer_to_one_of = |group: &[Candidate]| match group {
            [a, b, c, d] => {
                let others = [a, b, c, d].map(|other| row(other.node()));
                distance
                    .to_four(
                        vector,
                        inverse_norm,
                        others.map(|other| matrix.row(other)),
                        others.map(|other| rows.inverse_norm(other)),
                    )
                    .into_iter()
                    .any(|to_kept| to_kept < to_base)
            }
            few => few.iter().any(|other| {
                let other = row(other.node());
                let to_kept =
                    distance.between(vector, inverse_norm, matrix.row(other), rows.inverse_norm(other));
                to_kept < to_base
            }),
        };
        if !kept.chunks(4).any(nearer_to_one_of) {
            kept.push(candidate);
        }
    }
}
