//! Ranks by their vectors the nodes that a walk by codes has found.
//!
//! Codes say between which two numbers a distance is (`codes/bounds.rs`). A node whose lower number is above the distance of the
//! last of the nearest so far is not among them, and its vector is not read: of a hundred nodes found that are ten nearest rows and
//! a handful besides. What comes out is what comparing all of them gives, to the bit.

use crate::beam::{Beam, Candidate};
use crate::codes::bounds::{Bounds, Errors, QueryErrors};
use crate::file::Corrupt;
use crate::search::Score;

/// Vectors are compared in groups of so many, and those of the next are asked for meanwhile.
const GROUP: usize = 4;

/// The errors of the codes of rows, as a file has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowErrors<'a> {
    pub(crate) residuals: &'a [f32],
    /// Empty unless they count.
    pub(crate) lengths: &'a [f32],
}

impl RowErrors<'_> {
    #[inline]
    fn of(&self, row: u32) -> Errors {
        let length = self.lengths.get(row as usize).copied().unwrap_or(0.0);
        Errors { residual: self.residuals[row as usize], length }
    }
}

/// What a query and the rows tell about distances by codes.
#[derive(Debug)]
pub(crate) struct CodeErrors<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) query: QueryErrors,
    pub(crate) rows: RowErrors<'a>,
}

impl CodeErrors<'_> {
    /// Whether a node, with its distance by codes, may be as near as what `reach` stands for.
    #[inline]
    fn may_be_near(&self, found: Candidate, reach: f64) -> bool {
        let threshold = f64::from(self.bounds.threshold(&self.query, reach, self.rows.of(found.node())));
        // The distance was rounded to f32.
        f64::from(found.distance()) <= threshold + threshold.abs() * 1.2e-7
    }
}

/// Puts those of `found`, which are in the order of their codes, into `nearest`, which keeps the nearest `wanted`. Without errors
/// all are compared. Says how many were.
pub(crate) fn rank(
    found: &[Candidate],
    wanted: usize,
    scorer: &impl Score,
    errors: Option<&CodeErrors<'_>>,
    nearest: &mut Beam,
) -> Result<u64, Corrupt> {
    nearest.reset(wanted);
    let at_first = if errors.is_some() { wanted.min(found.len()) } else { found.len() };
    let (first, rest) = found.split_at(at_first);
    compare(first, scorer, |candidate| nearest.insert(candidate))?;
    let Some(errors) = errors else { return Ok(first.len() as u64) };
    let reach_of = |nearest: &Beam| {
        let last = nearest.candidates().last().map_or(f32::INFINITY, |last| last.distance());
        errors.bounds.reach(&errors.query, f64::from(last))
    };
    let mut compared = first.len();
    let mut reach = reach_of(nearest);
    // Those that are out now stay out: what is wanted only comes nearer.
    let near: Vec<Candidate> =
        rest.iter().copied().filter(|&candidate| errors.may_be_near(candidate, reach)).collect();
    for (at, group) in near.chunks(GROUP).enumerate() {
        near.iter().skip((at + 1) * GROUP).take(GROUP).for_each(|next| scorer.prefetch(next.node()));
        let mut len = 0;
        let mut left = [group[0]; GROUP];
        for &candidate in group.iter().filter(|&&candidate| errors.may_be_near(candidate, reach)) {
            left[len] = candidate;
            len += 1;
        }
        compare(&left[..len], scorer, |candidate| nearest.insert(candidate))?;
        compared += len;
        reach = reach_of(nearest);
    }
    Ok(compared as u64)
}

/// Calls `compared` with the nodes and their distances by the vectors.
fn compare(
    nodes: &[Candidate],
    scorer: &impl Score,
    mut compared: impl FnMut(Candidate),
) -> Result<(), Corrupt> {
    nodes.iter().take(GROUP).for_each(|node| scorer.prefetch(node.node()));
    let rows = nodes.iter().enumerate().map(|(at, node)| {
        if let Some(later) = nodes.get(at + GROUP) {
            scorer.prefetch(later.node());
        }
        (node.node(), node.node())
    });
    scorer.each(rows, |distance, row| compared(Candidate::new(distance, row)))
}
