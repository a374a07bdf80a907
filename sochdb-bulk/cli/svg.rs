//! What pictures (SVG) are made of.

use std::fmt::Write as _;

use std::path::Path;

use crate::output::atomic::check_target;
use crate::pipeline::is_stdio;
use crate::{Code, Failure};

/// Fails unless a picture can be put there.
pub(super) fn check_plot(path: &Path) -> Result<(), Failure> {
    if is_stdio(path) {
        return Err(Failure::refused("expected a file for --plot, found standard output")
            .with_code(Code::Stdio)
            .with_help("name a file, such as plot.svg"));
    }
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        let message = format!("{}: expected a name that ends in .svg, as the picture is SVG", path.display());
        return Err(Failure::refused(message).with_code(Code::Format).with_help(
            "name a file such as plot.svg; `rsvg-convert` and browsers make other formats of it",
        ));
    }
    check_target(path)
}

pub(super) const WIDTH: f64 = 720.0;
pub(super) const HEIGHT: f64 = 400.0;
/// Where the axes are.
pub(super) const LEFT: f64 = 90.0;
pub(super) const RIGHT: f64 = 690.0;
pub(super) const TOP: f64 = 60.0;
pub(super) const BOTTOM: f64 = 340.0;

/// A picture with its title, and what `draw` puts into it.
pub(super) fn picture(title: &str, draw: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
        ),
    );
    put(&mut out, format_args!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"));
    text(&mut out, WIDTH / 2.0, 30.0, "middle", " font-size=\"16\"", title);
    draw(&mut out);
    put(&mut out, format_args!("</svg>"));
    out
}

/// The two axes, and what they are.
pub(super) fn axes(out: &mut String, across: &str, up: &str) {
    put(out, format_args!("<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333333\"/>"));
    text(out, f64::midpoint(LEFT, RIGHT), HEIGHT - 16.0, "middle", "", across);
    text(out, 18.0, 200.0, "middle", " transform=\"rotate(-90 18 200)\"", up);
}

/// A mark below the axis that goes across.
pub(super) fn mark_across(out: &mut String, x: f64, label: &str) {
    let y = BOTTOM + 6.0;
    put(
        out,
        format_args!("<line x1=\"{x:.2}\" y1=\"{BOTTOM}\" x2=\"{x:.2}\" y2=\"{y}\" stroke=\"#333333\"/>"),
    );
    text(out, x, BOTTOM + 20.0, "middle", "", label);
}

/// A line from the axis that goes up, and what stands beside it.
pub(super) fn mark_up(out: &mut String, y: f64, label: &str) {
    put(
        out,
        format_args!("<line x1=\"{LEFT}\" y1=\"{y:.2}\" x2=\"{RIGHT}\" y2=\"{y:.2}\" stroke=\"#dddddd\"/>"),
    );
    text(out, LEFT - 8.0, y + 4.0, "end", "", label);
}

/// Words at a place; `more` are further attributes.
pub(super) fn text(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let words = escaped(words);
    put(out, format_args!("<text x=\"{x:.2}\" y=\"{y:.2}\" text-anchor=\"{anchor}\"{more}>{words}</text>"));
}

/// A line of the picture.
pub(super) fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
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
    fn names_cannot_break_the_picture() {
        assert_eq!(escaped("<a>&\n\"b\""), "&lt;a&gt;&amp; \"b\"");
    }
}
