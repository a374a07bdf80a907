//! Standard error: failures, notes, the summary.

use std::io::Write;

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
    line(&format!("error: {failure}"));
}

/// Shows a line to those who want to hear as much.
pub(crate) fn say(least: Verbosity, verbosity: Verbosity, line: &str) {
    if verbosity >= least {
        self::line(line);
    }
}

/// Writes a line. Where standard error is closed or full there is nobody to tell, and no reason to fail.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
