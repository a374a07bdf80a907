//! Recall and speed as a picture (SVG): up and to the right is better.

use super::super::svg::{BOTTOM, LEFT, RIGHT, TOP, axes, mark_across, mark_up, picture, put, text};
use super::Evaluation;
use super::measure::{Point, Walk};
use super::report::whole;
use crate::output::units;

/// Marks on the axis of recall.
const TICKS: u32 = 5;

/// The picture.
pub(super) fn svg(evaluation: &Evaluation<'_>) -> String {
    let title = format!("Recall and speed of {}", evaluation.args.index.display());
    picture(&title, |out| chart(out, &evaluation.points, evaluation.k))
}

fn chart(out: &mut String, points: &[Point], k: usize) {
    // From the tenth below the least recall, so that differences near 1 are seen.
    let least = points.iter().map(|point| point.recall).fold(0.99, f64::min);
    let from = (least * 10.0).floor() / 10.0;
    let x = |recall: f64| LEFT + (RIGHT - LEFT) * (recall - from) / (1.0 - from);
    let speeds = || points.iter().map(|point| point.queries_per_sec);
    let low = speeds().fold(f64::INFINITY, f64::min).max(1e-6).log10();
    let high = speeds().fold(0.0, f64::max).max(1e-6).log10();
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let y = |speed: f64| BOTTOM - (BOTTOM - TOP) * (speed.max(1e-6).log10() - low) / (high - low);
    for (speed, label) in decades(low, high) {
        mark_up(out, y(speed), &label);
    }
    axes(out, &format!("recall@{k}"), "queries a second");
    for tick in 0..=TICKS {
        let recall = from + (1.0 - from) * f64::from(tick) / f64::from(TICKS);
        mark_across(out, x(recall), &format!("{recall:.2}"));
    }
    let mut series: Vec<&[Point]> = points.chunk_by(|a, b| a.walk == b.walk).collect();
    // The fast one on top.
    series.reverse();
    for points in series {
        let colour = colour(points[0].walk);
        let places: Vec<(f64, f64)> =
            points.iter().map(|point| (x(point.recall), y(point.queries_per_sec))).collect();
        let line: Vec<_> = places.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
        put(out, format_args!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", line.join(" ")));
        for (at, (point, (x, y))) in points.iter().zip(places).enumerate() {
            put(
                out,
                format_args!(
                    "<circle class=\"point\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"3.5\" fill=\"{colour}\"/>"
                ),
            );
            // Both lines have the same efs; the first point of each says what it is.
            let walk = if at == 0 { format!(" by {}", point.walk.name()) } else { String::new() };
            text(out, x - 6.0, y + 14.0, "end", "", &format!("ef {}{walk}", point.ef));
        }
    }
}

fn colour(walk: Walk) -> &'static str {
    match walk {
        Walk::Codes => "#3b6ea5",
        Walk::Vectors => "#a5633b",
    }
}

/// Round speeds: 1, 2 and 5 times a power of ten, as far as they are in the picture.
fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let mut marks = Vec::new();
    let mut power = low;
    while power <= high {
        for digit in [1.0, 2.0, 5.0] {
            let speed = digit * 10f64.powf(power);
            if digit == 1.0 || speed.log10() < high {
                let label = if speed >= 1.0 { whole(speed) } else { units::value(speed) };
                marks.push((speed, label));
            }
        }
        power += 1.0;
    }
    marks
}
