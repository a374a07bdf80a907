//! A progress bar, on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::diagnostics::{Verbosity, say};

/// Progress of the parts of one run, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    verbosity: Verbosity,
}

impl Progress {
    /// A bar on stderr if that is a terminal and the person did not ask for silence.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let shown = verbosity > Verbosity::Quiet && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = "{msg:<9} [{elapsed}] [{bar:40}] {human_pos}/{human_len} rows ({eta}) {per_sec}";
        let bar = ProgressBar::with_draw_target(None, target);
        // A template that does not parse would be a slip of this file: the default style is as good then.
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, verbosity }
    }

    /// Begins a part of so many rows.
    pub(crate) fn begin(&self, part: &'static str, rows: Option<u64>) {
        self.bar.reset();
        self.bar.set_length(rows.unwrap_or(0));
        self.bar.set_message(part);
    }

    /// So many more rows are done.
    pub(crate) fn advance(&self, rows: u64) {
        self.bar.inc(rows);
    }

    /// Shows a line above the bar, unless the person asked for silence.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(Verbosity::Normal, self.verbosity, line));
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
