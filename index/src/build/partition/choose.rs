//! Choosing neighbours among candidates: Algorithm 4 of the HNSW paper, by codes where they can tell and by exact distances
//! where they cannot.

use super::near::Near;
use crate::beam::Candidate;
use crate::build::BuildInput;
use crate::codes::CodesView;
use crate::level::hash;
use crate::select::select_neighbours;
use crate::vectors::Rows;

#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser<'a> {
    pub(super) input: &'a BuildInput<'a>,
    pub(super) codes: CodesView<'a>,
    pub(super) margin: i32,
    pub(super) alpha: f32,
}

#[derive(Debug, Default)]
pub(super) struct ChooseScratch {
    kept: Vec<Near>,
    exact: Vec<f32>,
}

impl Chooser<'_> {
    fn exact(&self, a: u32, b: u32) -> f32 {
        let rows = &self.input.rows;
        self.input.distance.between(rows.matrix().row(a), rows.inverse_norm(a), rows.matrix().row(b), rows.inverse_norm(b))
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
        let ChooseScratch { kept, exact } = scratch;
        kept.clear();
        exact.clear();
        for &candidate in candidates {
            if kept.len() == most {
                break;
            }
            let of = row(candidate.position());
            let to_base = candidate.distance();
            let limit = (to_base as f32 / self.alpha) as i32;
            let mut exact_to_base = None;
            let mut pruned = false;
            'groups: for group in kept.chunks(4) {
                let mut rows = [row(group[0].position()); 4];
                for (row_of, other) in rows.iter_mut().zip(group) {
                    *row_of = row(other.position());
                }
                let distances = codes.to_four(of, rows);
                for &distance in &distances[..group.len()] {
                    if distance < limit.saturating_sub(margin) {
                        pruned = true;
                        break 'groups;
                    }
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
                kept.push(candidate);
                exact.push(exact_to_base.unwrap_or_else(|| self.exact(base, of)));
            }
        }
        let mut chosen: Vec<Candidate> =
            kept.iter().zip(&*exact).map(|(near, &distance)| Candidate::new(distance, near.position())).collect();
        chosen.sort_unstable();
        chosen
    }

    pub(super) fn prune(
        &self,
        row: impl Fn(u32) -> u32,
        candidates: &[Candidate],
        most: usize,
        kept: &mut Vec<Candidate>,
        _scratch: &mut ChooseScratch,
    ) {
        select_neighbours(&self.input.distance, &self.input.rows, row, candidates, most, kept);
    }
}

/// How far distances in codes are wrong: the most of a sample of pairs.
pub(super) fn margin(input: &BuildInput<'_>, codes: CodesView<'_>) -> i32 {
    let rows = input.rows.matrix.rows() as u64;
    if rows == 0 { return 0; }
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
    let worst = pairs.iter().map(|p| (p.0 - slope * p.1).abs()).fold(0.0, f64::max);
    let rms = (pairs.iter().map(|p| (p.0 - slope * p.1).powi(2)).sum::<f64>() / 2000.0).sqrt();
    let mean = pairs.iter().map(|p| p.0).sum::<f64>() / 2000.0;
    eprintln!("slope {slope} worst {worst} rms {rms} mean {mean}");
    let _ = (rms, worst);
    let mut errors: Vec<i32> = pairs.iter().map(|p| (p.0 - slope * p.1).abs() as i32).collect();
    errors.sort_unstable();
    errors[errors.len() * 99 / 100]
}
