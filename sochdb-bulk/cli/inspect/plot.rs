//! The histogram of lengths as a picture (SVG).

use std::fmt::Write as _;

use super::summary::{Histogram, Summary};
use crate::output::units;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Where the axes are.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 340.0;

/// Marks on an axis, about.
const TICKS: u32 = 5;

/// The picture.
pub(super) fn svg(summary: &Summary) -> String {
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
        ),
    );
    put(&mut out, format_args!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"));
    let title = format!("Lengths of the rows of {}", summary.name);
    text(&mut out, WIDTH / 2.0, 30.0, "middle", " font-size=\"16\"", &title);
    match &summary.norms {
        Some(norms) => chart(&mut out, &norms.histogram),
        None => text(&mut out, WIDTH / 2.0, HEIGHT / 2.0, "middle", "", "no row is finite"),
    }
    put(&mut out, format_args!("</svg>"));
    out
}

fn chart(out: &mut String, histogram: &Histogram) {
    let most = histogram.counts.iter().copied().max().unwrap_or(0).max(1);
    let step = step(most);
    let end = most.div_ceil(step) * step;
    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    let height = |count: u64| (BOTTOM - TOP) * count as f64 / end as f64;
    for count in (0..=end / step).map(|tick| tick * step) {
        let y = BOTTOM - height(count);
        put(
            out,
            format_args!(
                "<line x1=\"{LEFT}\" y1=\"{y:.2}\" x2=\"{RIGHT}\" y2=\"{y:.2}\" stroke=\"#dddddd\"/>"
            ),
        );
        text(out, LEFT - 8.0, y + 4.0, "end", "", &units::count(count));
    }
    bars(out, histogram, height);
    put(out, format_args!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333333\"/>"));
    for (x, label) in ticks(histogram) {
        let y = BOTTOM + 6.0;
        put(
            out,
            format_args!("<line x1=\"{x:.2}\" y1=\"{BOTTOM}\" x2=\"{x:.2}\" y2=\"{y}\" stroke=\"#333333\"/>"),
        );
        text(out, x, BOTTOM + 20.0, "middle", "", &label);
    }
    text(out, (LEFT + RIGHT) / 2.0, HEIGHT - 16.0, "middle", "", "length (L2)");
    let turned = " transform=\"rotate(-90 18 200)\"";
    text(out, 18.0, 200.0, "middle", turned, "rows");
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
        (LEFT + (RIGHT - LEFT) * share, units::value(from + (to - from) * share))
    };
    (0..=TICKS).map(at).collect()
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

fn text(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let words = escaped(words);
    put(out, format_args!("<text x=\"{x:.2}\" y=\"{y:.2}\" text-anchor=\"{anchor}\"{more}>{words}</text>"));
}

/// A line of the picture.
fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = writeln!(out, "{line}");
}

/// What XML takes as a text: names of files may hold anything.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for char in words.chars() {
        match char {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            char if char.is_control() => out.push(' '),
            char => out.push(char),
        }
    }
    out
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

    #[test]
    fn names_cannot_break_the_picture() {
        assert_eq!(escaped("<a>&\n\"b\""), "&lt;a&gt;&amp; \"b\"");
    }
}
