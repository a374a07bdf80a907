//! The histogram of lengths as a picture (SVG).

use super::super::svg::{
    BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axes, mark_across, mark_up, picture, put, text,
};
use super::summary::{Histogram, Summary};
use crate::output::units;

/// Marks on an axis, about.
const TICKS: u32 = 5;

/// The picture.
pub(super) fn svg(summary: &Summary) -> String {
    picture(&format!("Lengths of the rows of {}", summary.name), |out| match &summary.norms {
        Some(norms) => chart(out, &norms.histogram),
        None => text(out, WIDTH / 2.0, HEIGHT / 2.0, "middle", "", "no row is finite"),
    })
}

fn chart(out: &mut String, histogram: &Histogram) {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
    let step = step(most);
    let end = most.div_ceil(step) * step;
    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    let height = |count: u64| (BOTTOM - TOP) * count as f64 / end as f64;
    for count in (0..=end / step).map(|tick| tick * step) {
        mark_up(out, BOTTOM - height(count), &units::count(count));
    }
    bars(out, histogram, height);
    axes(out, "length (L2)", "rows");
    for (x, label) in ticks(histogram) {
        mark_across(out, x, &label);
    }
}

/// One bar for each bin that is not empty.
fn bars(out: &mut String, histogram: &Histogram, height: impl Fn(u64) -> f64) {
    let bins = histogram.counts.len();
    #[expect(clippy::cast_precision_loss, reason = "a few bins")]
    let width = (RIGHT - LEFT) / if bins == 1 { f64::from(TICKS) } else { bins as f64 };
    for (bin, &count) in histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        #[expect(clippy::cast_precision_loss, reason = "a few bins")]
        let x = if bins == 1 { f64::midpoint(LEFT, RIGHT) - width / 2.0 } else { LEFT + width * bin as f64 };
        // A single row among millions can be seen as well.
        let height = height(count).max(1.0);
        let (y, width) = (BOTTOM - height, width - 1.0);
        put(
            out,
            format_args!(
                "<rect class=\"bar\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"#3b6ea5\"/>"
            ),
        );
    }
}

/// Places on the axis of lengths, and what stands there.
fn ticks(histogram: &Histogram) -> Vec<(f64, String)> {
    let (from, to) = (f64::from(histogram.from), f64::from(histogram.to));
    if histogram.counts.len() == 1 {
        return vec![(f64::midpoint(LEFT, RIGHT), units::value(from))];
    }
    let at = |tick: u32| {
        let share = f64::from(tick) / f64::from(TICKS);
        (LEFT + (RIGHT - LEFT) * share, label(from + (to - from) * share, (to - from) / f64::from(TICKS)))
    };
    (0..=TICKS).map(at).collect()
}

/// A number with as many decimals as tell it from one that is a step away.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 12")]
fn label(number: f64, step: f64) -> String {
    let decimals = (1.0 - step.log10().floor()).clamp(0.0, 12.0) as usize;
    if (1e-3..1e6).contains(&number.abs()) { format!("{number:.decimals$}") } else { units::value(number) }
}

/// A round number, of which so many as there are ticks reach `most`.
fn step(most: u64) -> u64 {
    let least = most.div_ceil(u64::from(TICKS)).max(1);
    let mut power = 1u64;
    loop {
        for digit in [1, 2, 5] {
            if power.saturating_mul(digit) >= least {
                return power.saturating_mul(digit);
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (most, expected) in [(1, 1), (5, 1), (6, 2), (23, 5), (1000, 200), (1_234_567, 500_000)] {
            assert_eq!(step(most), expected, "{most}");
        }
        assert!(step(u64::MAX) > 0);
    }
}
