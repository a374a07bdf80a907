//! Choosing neighbours among candidates: Algorithm 4 of the HNSW paper, by codes where they can tell and by exact
//! distances where they cannot.

use super::nearest::Near;
use crate::Metric;
use crate::beam::Candidate;
use crate::build::BuildInput;
use crate::codes::CodesView;
use crate::distance::prefetch;
use crate::level::hash;
use crate::vectors::Rows;

/// A candidate is given up for a neighbour that is so many times nearer to it than the base is, in squared distances.
/// 1 is the rule of the HNSW paper, and a little more (alpha in the DiskANN paper, Subramanya and others 2019, where 1.05
/// would be the same on plain distances) keeps two fifths more edges: on sentence embeddings 2.4 points of recall at
/// `ef_search` 50 for a fifth more distances, and as many distances for the same recall.
///
/// Distances are taken from that of the candidate to itself, which is 0 but for inner products.
const ALPHA: f64 = 1.1;

/// Candidates whose codes are asked for ahead of their turn.
const AHEAD: usize = 4;

/// Pairs of rows by which the codes are judged.
const SAMPLE_PAIRS: u64 = 2000;

/// Chooses neighbours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser<'a> {
    input: &'a BuildInput<'a>,
    codes: CodesView<'a>,
    /// Distances in codes for an exact distance of 1.
    unit: f64,
    /// How far distances in codes are off, in all but the worst hundredth of a sample: as a multiple of the square root
    /// of the distance, which the error of a difference of codes grows with, but for inner products by itself.
    error: f64,
}

/// A candidate, perhaps with its exact distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    position: u32,
    /// In codes.
    distance: i32,
    exact: Option<f32>,
}

impl From<Near> for Offer {
    fn from(near: Near) -> Self {
        Self { position: near.position(), distance: near.distance(), exact: None }
    }
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    position: u32,
    row: u32,
    exact: Option<f32>,
}

/// What choosing needs; reused from one row to the next.
#[derive(Debug, Default)]
pub(super) struct ChooseScratch {
    kept: Vec<Kept>,
    kept_new: Vec<Kept>,
    offers: Vec<Offer>,
    chosen: Vec<Candidate>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(input: &'a BuildInput<'a>, codes: CodesView<'a>, scale: f32) -> Self {
        let scale = f64::from(scale);
        let metric = input.params.metric;
        let unit = match metric {
            Metric::L2 => scale * scale,
            // The codes are of vectors of length 1, whose squared distance is twice that.
            Metric::Cosine => 2.0 * scale * scale,
            // Distances in codes are minus twice the product.
            Metric::Ip => 2.0 * scale * scale,
        };
        let mut chooser = Self { input, codes, unit, error: 0.0 };
        chooser.error = chooser.sampled_error();
        chooser
    }

    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    fn sampled_error(&self) -> f64 {
        let rows = self.input.rows.matrix.rows() as u64;
        if rows == 0 {
            return 0.0;
        }
        let draw = |i| (hash(self.input.params.seed ^ 0x6d61_7267, i) % rows) as u32;
        let is_product = self.input.params.metric == Metric::Ip;
        let mut errors: Vec<f64> = (0..SAMPLE_PAIRS)
            .map(|i| {
                let (a, b) = (draw(2 * i), draw(2 * i + 1));
                let by_codes = self.codes.distances_of(a, [b; 4])[0];
                let exact = self.in_codes(self.exact(a, b));
                let error = f64::from(by_codes) - f64::from(exact);
                error.abs() / if is_product { 1.0 } else { f64::from(exact.max(1)).sqrt() }
            })
            .collect();
        errors.sort_unstable_by(f64::total_cmp);
        errors[errors.len() * 99 / 100]
    }

    /// How far a distance in codes may be off: of two codes that are rounded, each value adds a sixth at any distance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "it saturates; a dimension"
    )]
    fn margin(&self, distance: i32) -> i32 {
        let margin = match self.input.params.metric {
            Metric::Ip => self.error,
            Metric::L2 | Metric::Cosine => {
                let rounding = self.input.rows.matrix.dim() as f64 / 6.0;
                self.error * f64::from(distance.max(0)).sqrt() + rounding
            }
        };
        (margin as i32).saturating_add(1)
    }

    /// An exact distance as one in codes.
    #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
    fn in_codes(&self, exact: f32) -> i32 {
        (f64::from(exact) * self.unit) as i32
    }

    fn exact(&self, a: u32, b: u32) -> f32 {
        let rows = &self.input.rows;
        let (matrix, norm) = (rows.matrix(), |row| rows.inverse_norm(row));
        self.input.distance.between(matrix.row(a), norm(a), matrix.row(b), norm(b))
    }

    /// The neighbours of a row among candidates that come nearest first: at most `most`, nearest first. `row` tells the
    /// row of a position.
    pub(super) fn choose<'s>(
        &self,
        base: u32,
        candidates: impl Iterator<Item = Near>,
        row: impl Fn(u32) -> u32,
        most: usize,
        scratch: &'s mut ChooseScratch,
    ) -> &'s [Candidate] {
        scratch.offers.clear();
        scratch.offers.extend(candidates.map(Offer::from));
        self.choose_offers(base, row, most, scratch)
    }

    /// The same among candidates whose exact distances are known.
    pub(super) fn choose_exact<'s>(
        &self,
        base: u32,
        candidates: &[Candidate],
        row: impl Fn(u32) -> u32,
        most: usize,
        scratch: &'s mut ChooseScratch,
    ) -> &'s [Candidate] {
        scratch.offers.clear();
        scratch.offers.extend(candidates.iter().map(|candidate| Offer {
            position: candidate.node(),
            distance: self.in_codes(candidate.distance()),
            exact: Some(candidate.distance()),
        }));
        self.choose_offers(base, row, most, scratch)
    }

    /// The neighbours of a row that has some and may choose further ones: at most `most`, nearest first. Both lists come
    /// nearest first. An old neighbour is given up for new ones only: beside each other the old ones were good before.
    pub(super) fn update<'s>(
        &self,
        base: u32,
        old: &[Near],
        new: &[Near],
        row: impl Fn(u32) -> u32,
        most: usize,
        scratch: &'s mut ChooseScratch,
    ) -> &'s [Candidate] {
        let ChooseScratch { kept, kept_new, chosen, .. } = scratch;
        kept.clear();
        kept_new.clear();
        let (mut old, mut new) = (old.iter().copied().peekable(), new.iter().copied().peekable());
        while kept.len() < most {
            let is_old = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => old <= new,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some(near) = (if is_old { old.next() } else { new.next() }) else { break };
            let of = row(near.position());
            if kept.iter().any(|kept| kept.position == near.position()) {
                continue;
            }
            let others = if is_old { &*kept_new } else { &*kept };
            let mut offer = Offer::from(near);
            if !self.is_occluded(base, of, &mut offer, others, ALPHA) {
                prefetch(self.input.rows.matrix.row(of));
                let one = Kept { position: offer.position, row: of, exact: offer.exact };
                kept.push(one);
                if !is_old {
                    kept_new.push(one);
                }
            }
        }
        self.measure(base, kept);
        chosen.clear();
        chosen.extend(kept.iter().map(|kept| Candidate::new(kept.exact.unwrap_or_default(), kept.position)));
        chosen.sort_unstable();
        chosen
    }

    /// The neighbours of a row and, in the place of the farthest if there are more than `most_of_all`, at most `most` far
    /// candidates to which none of them is nearer than the base: a walk towards one of those that meets no nearer neighbour
    /// then meets itself. The far candidates come nearest first.
    #[expect(clippy::too_many_arguments, reason = "two lists with their limits, and what they are about")]
    pub(super) fn with_long<'s>(
        &self,
        base: u32,
        neighbours: &[u32],
        far: &[Near],
        row: impl Fn(u32) -> u32,
        most: usize,
        most_of_all: usize,
        scratch: &'s mut ChooseScratch,
    ) -> &'s [Candidate] {
        let ChooseScratch { kept, chosen, .. } = scratch;
        kept.clear();
        kept.extend(neighbours.iter().map(|&position| Kept { position, row: row(position), exact: None }));
        let near = kept.len();
        for &candidate in far {
            if kept.len() == near + most {
                break;
            }
            let of = row(candidate.position());
            let is_known = of == base || kept.iter().any(|kept| kept.row == of);
            if !is_known && !self.is_occluded(base, of, &mut candidate.into(), kept, 1.0) {
                kept.push(Kept { position: candidate.position(), row: of, exact: None });
            }
        }
        let long = kept.len() - near;
        kept.drain(near.min(most_of_all - long)..near);
        self.measure(base, kept);
        chosen.clear();
        chosen.extend(kept.iter().map(|kept| Candidate::new(kept.exact.unwrap_or_default(), kept.position)));
        chosen.sort_unstable();
        chosen
    }

    fn choose_offers<'s>(
        &self,
        base: u32,
        row: impl Fn(u32) -> u32,
        most: usize,
        scratch: &'s mut ChooseScratch,
    ) -> &'s [Candidate] {
        let ChooseScratch { kept, offers, chosen, .. } = scratch;
        kept.clear();
        for offer in offers.iter().take(AHEAD) {
            prefetch(self.codes.row(row(offer.position)));
        }
        for at in 0..offers.len() {
            if kept.len() == most {
                break;
            }
            if let Some(later) = offers.get(at + AHEAD) {
                prefetch(self.codes.row(row(later.position)));
            }
            let offer = &mut offers[at];
            let of = row(offer.position);
            if !self.is_occluded(base, of, offer, kept, ALPHA) {
                prefetch(self.input.rows.matrix.row(of));
                kept.push(Kept { position: offer.position, row: of, exact: offer.exact });
            }
        }
        self.measure(base, kept);
        chosen.clear();
        chosen.extend(kept.iter().map(|kept| Candidate::new(kept.exact.unwrap_or_default(), kept.position)));
        chosen.sort_unstable();
        chosen
    }

    /// Whether a candidate is nearer to one that is kept than to the base.
    #[expect(clippy::cast_possible_truncation, reason = "between two distances in codes")]
    fn is_occluded(&self, base: u32, of: u32, offer: &mut Offer, kept: &[Kept], alpha: f64) -> bool {
        let is_product = self.input.params.metric == Metric::Ip;
        let itself = if is_product { self.codes.distances_of(of, [of; 4])[0] } else { 0 };
        let to_base = limit(offer.distance.into(), itself.into(), alpha) as i32;
        let margin = self.margin(to_base);
        let (surely, possibly) = (to_base.saturating_sub(margin), to_base.saturating_add(margin));
        for group in kept.chunks(4) {
            // A group of fewer is filled up with its first.
            let rows = std::array::from_fn(|i| group.get(i).unwrap_or(&group[0]).row);
            let distances = self.codes.distances_of(of, rows);
            let least = distances.into_iter().min().unwrap_or(i32::MAX);
            if least < surely {
                return true;
            }
            if least >= possibly {
                continue;
            }
            for (distance, other) in distances.into_iter().zip(rows).take(group.len()) {
                if distance < possibly {
                    let to_base = *offer.exact.get_or_insert_with(|| self.exact(base, of));
                    let itself = if is_product { self.exact(of, of) } else { 0.0 };
                    if f64::from(self.exact(of, other)) < limit(to_base.into(), itself.into(), alpha) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Computes the exact distances of the base that are not known yet, four at a time.
    fn measure(&self, base: u32, kept: &mut [Kept]) {
        let (rows, distance) = (&self.input.rows, &self.input.distance);
        let (matrix, norm) = (rows.matrix(), |row| rows.inverse_norm(row));
        let mut unknown = kept.iter_mut().filter(|kept| kept.exact.is_none());
        while let Some(first) = unknown.next() {
            let mut group = [Some(first), unknown.next(), unknown.next(), unknown.next()];
            let first = group[0].as_ref().map_or(base, |kept| kept.row);
            let others = group.each_ref().map(|kept| kept.as_ref().map_or(first, |kept| kept.row));
            let distances = distance.to_four(
                matrix.row(base),
                norm(base),
                others.map(|other| matrix.row(other)),
                others.map(norm),
            );
            for (kept, distance) in group.iter_mut().flatten().zip(distances) {
                kept.exact = Some(distance);
            }
        }
    }
}

/// How near a neighbour must be to a candidate for the candidate to be given up: the distance of the base and that of the
/// candidate to itself say it.
fn limit(to_base: f64, to_itself: f64, alpha: f64) -> f64 {
    let beyond = to_base - to_itself;
    // A base that is nearer than the candidate itself leaves nothing to divide.
    if beyond > 0.0 { to_itself + beyond / alpha } else { to_base }
}
