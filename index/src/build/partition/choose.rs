//! Choosing neighbours among candidates: Algorithm 4 of the HNSW paper, by codes where they can tell and by exact distances
//! where they cannot.

use super::near::Near;
use crate::beam::Candidate;
use crate::build::BuildInput;
use crate::codes::CodesView;
use crate::distance::prefetch;
use crate::level::hash;
use crate::vectors::Rows;

/// Candidates whose codes are asked for ahead of their turn.
const AHEAD: usize = 4;

#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser<'a> {
    pub(super) input: &'a BuildInput<'a>,
    pub(super) codes: CodesView<'a>,
    /// Codes a unit of exact distance.
    pub(super) margin: i32,
    pub(super) alpha: f32,
}

/// A candidate under consideration.
#[derive(Debug, Clone, Copy)]
struct Kept {
    position: u32,
    row: u32,
    /// The exact distance to the base, where it is known already.
    exact: Option<f32>,
}

#[derive(Debug, Default)]
pub(super) struct ChooseScratch {
    kept: Vec<Kept>,
}

impl Chooser<'_> {
    fn exact(&self, a: u32, b: u32) -> f32 {
        let rows = &self.input.rows;
        let (matrix, norm) = (rows.matrix(), |row| rows.inverse_norm(row));
        self.input.distance.between(matrix.row(a), norm(a), matrix.row(b), norm(b))
    }

    /// The exact distances of a base to those that are kept.
    fn complete(&self, base: u32, kept: &mut [Kept]) {
        let rows = &self.input.rows;
        let matrix = rows.matrix();
        let mut of: [usize; 4] = [0; 4];
        let mut len = 0;
        for at in 0..kept.len() {
            if kept[at].exact.is_some() {
                continue;
            }
            of[len] = at;
            len += 1;
            if len == 4 {
                let others = of.map(|at| kept[at].row);
                let distances = self.input.distance.to_four(
                    matrix.row(base),
                    rows.inverse_norm(base),
                    others.map(|row| matrix.row(row)),
                    others.map(|row| rows.inverse_norm(row)),
                );
                for (at, distance) in of.into_iter().zip(distances) {
                    kept[at].exact = Some(distance);
                }
                len = 0;
            }
        }
        for &at in &of[..len] {
            kept[at].exact = Some(self.exact(base, kept[at].row));
        }
    }

    /// The neighbours of a position among its candidates, nearest first.
    pub(super) fn choose(
        &self,
        position: u32,
        candidates: &[Near],
        row: impl Fn(u32) -> u32,
        most: usize,
        scratch: &mut ChooseScratch,
    ) -> Vec<Candidate> {
        let Self { codes, margin, .. } = *self;
        let base = row(position);
        let kept = &mut scratch.kept;
        kept.clear();
        let matrix = self.input.rows.matrix();
        for candidate in candidates.iter().take(AHEAD) {
            prefetch(codes.row(row(candidate.position())));
        }
        for (i, &candidate) in candidates.iter().enumerate() {
            if kept.len() == most {
                break;
            }
            if let Some(later) = candidates.get(i + AHEAD) {
                prefetch(codes.row(row(later.position())));
            }
            let of = row(candidate.position());
            let limit = (candidate.distance() as f32 / self.alpha) as i32;
            let mut exact_to_base = None;
            let mut pruned = false;
            'groups: for group in kept.chunks(4) {
                let mut rows = [group[0].row; 4];
                for (row, other) in rows.iter_mut().zip(group) {
                    *row = other.row;
                }
                let distances = codes.to_four(of, rows);
                // A group of fewer repeats its first.
                let least = distances.into_iter().min().unwrap_or(i32::MAX);
                if least < limit.saturating_sub(margin) {
                    pruned = true;
                    break;
                }
                if least >= limit.saturating_add(margin) {
                    continue;
                }
                for (&distance, &other) in distances.iter().zip(&rows[..group.len()]) {
                    if distance < limit.saturating_add(margin) {
                        let to_base = *exact_to_base.get_or_insert_with(|| self.exact(base, of));
                        if self.exact(of, other) * self.alpha < to_base {
                            pruned = true;
                            break 'groups;
                        }
                    }
                }
            }
            if !pruned {
                prefetch(matrix.row(of));
                kept.push(Kept { position: candidate.position(), row: of, exact: exact_to_base });
            }
        }
        self.complete(base, kept);
        let mut chosen: Vec<Candidate> =
            kept.iter().map(|kept| Candidate::new(kept.exact.unwrap_or(f32::INFINITY), kept.position)).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// How far distances in codes are wrong: the most of a sample of pairs.
pub(super) fn margin(input: &BuildInput<'_>, codes: CodesView<'_>) -> (i32, f64) {
    let rows = input.rows.matrix.rows() as u64;
    if rows == 0 { return (0, 1.0); }
    let mut pairs = Vec::new();
    for i in 0..2000u64 {
        let a = (hash(input.params.seed ^ 77, i) % rows) as u32;
        let b = (hash(input.params.seed ^ 78, i) % rows) as u32;
        let d = codes.to_four(a, [b; 4])[0];
        let r = &input.rows;
        let e = input.distance.between(r.matrix.row(a), r.inverse_norm(a), r.matrix.row(b), r.inverse_norm(b));
        pairs.push((d as f64, e as f64));
    }
    // codes = slope * exact
    let slope = pairs.iter().map(|p| p.0 * p.1).sum::<f64>() / pairs.iter().map(|p| p.1 * p.1).sum::<f64>();
    let mut errors: Vec<i32> = pairs.iter().map(|p| (p.0 - slope * p.1).abs() as i32).collect();
    errors.sort_unstable();
    (errors[errors.len() * 99 / 100], slope)
}
