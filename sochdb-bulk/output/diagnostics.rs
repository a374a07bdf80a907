//! Standard error: failures, notes, the summary.
#![expect(clippy::print_stderr, reason = "the one place that prints there")]

use crate::Failure;

/// How much a person wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Only failures.
    Quiet,
    /// Notes and one summary.
    Normal,
    /// What is being done, too.
    Verbose,
}

/// Shows why a command failed.
pub(crate) fn failure(failure: &Failure) {
    eprintln!("error: {failure}");
}

/// Shows a line to those who want to hear as much.
pub(crate) fn say(least: Verbosity, verbosity: Verbosity, line: &str) {
    if verbosity >= least {
        eprintln!("{line}");
    }
}
