//! Progress: a bar on a terminal, lines elsewhere if they are asked for.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::diagnostics::{Verbosity, say};
use super::units;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ProgressStyle {
    /// A bar on a terminal, nothing elsewhere.
    #[default]
    Auto,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Plain,
    /// A JSON object a line, every second and at the beginning of each part.
    Json,
    /// Nothing.
    None,
}

/// Progress of the parts of one run, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: Option<Arc<Lines>>,
    verbosity: Verbosity,
}

/// Progress as lines.
#[derive(Debug)]
struct Lines {
    is_json: bool,
    start: Instant,
    part: Mutex<(&'static str, Option<u64>)>,
    done: AtomicU64,
    /// When the last line was written, in milliseconds after the start.
    last: AtomicU64,
}

impl Progress {
    /// Progress on standard error, unless the person asked for silence.
    pub(crate) fn new(verbosity: Verbosity, style: ProgressStyle) -> Self {
        let is_wanted = verbosity > Verbosity::Quiet;
        let has_bar = match style {
            ProgressStyle::Auto => is_wanted && std::io::stderr().is_terminal(),
            ProgressStyle::Bar => is_wanted,
            ProgressStyle::Plain | ProgressStyle::Json | ProgressStyle::None => false,
        };
        let target = if has_bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = "{msg:<9} [{elapsed}] [{bar:40}] {human_pos}/{human_len} rows ({eta})";
        let bar = ProgressBar::with_draw_target(None, target);
        // A template that does not parse would be a slip of this file: the default style is as good then.
        bar.set_style(
            indicatif::ProgressStyle::with_template(template)
                .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()),
        );
        let is_json = style == ProgressStyle::Json;
        let lines = (is_wanted && (is_json || style == ProgressStyle::Plain)).then(|| {
            Arc::new(Lines {
                is_json,
                start: Instant::now(),
                part: Mutex::new(("", None)),
                done: AtomicU64::new(0),
                last: AtomicU64::new(0),
            })
        });
        Self { bar, lines, verbosity }
    }

    /// Begins a part of so many rows.
    pub(crate) fn begin(&self, part: &'static str, rows: Option<u64>) {
        self.bar.reset();
        self.bar.set_length(rows.unwrap_or(0));
        self.bar.set_message(part);
        if let Some(lines) = &self.lines {
            *lines.part.lock().unwrap_or_else(PoisonError::into_inner) = (part, rows);
            lines.done.store(0, Ordering::Relaxed);
            if lines.is_json {
                lines.write();
            }
        }
    }

    /// So many more rows are done.
    pub(crate) fn advance(&self, rows: u64) {
        self.bar.inc(rows);
        if let Some(lines) = &self.lines {
            lines.done.fetch_add(rows, Ordering::Relaxed);
            lines.write_if_it_is_time();
        }
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

impl Lines {
    fn write_if_it_is_time(&self) {
        let pause = if self.is_json { Duration::from_secs(1) } else { Duration::from_secs(5) };
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.last.load(Ordering::Relaxed);
        let is_time = u128::from(now.saturating_sub(last)) >= pause.as_millis();
        // One thread writes.
        if is_time && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.write();
        }
    }

    fn write(&self) {
        let (part, total) = *self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done.load(Ordering::Relaxed);
        let elapsed_secs = self.start.elapsed().as_secs_f64();
        let line = if self.is_json {
            serde_json::json!({
                "event": "progress", "part": part, "rows": done, "total_rows": total, "elapsed_secs": elapsed_secs,
            })
            .to_string()
        } else {
            let of = total.map(|total| format!(" of {}", units::count(total))).unwrap_or_default();
            format!("{part}: {}{of} rows after {}", units::count(done), units::seconds(elapsed_secs))
        };
        say(Verbosity::Normal, Verbosity::Normal, &line);
    }
}
