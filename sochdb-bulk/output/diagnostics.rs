//! Standard error: failures, notes, the summary.

use std::io::{IsTerminal, Write};

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

/// How failures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ErrorFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    fn is_wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => std::io::stderr().is_terminal() && likes_colours(),
        }
    }
}

/// Whether help on standard output has colours.
pub(crate) fn stdout_is_coloured() -> bool {
    std::io::stdout().is_terminal() && likes_colours()
}

fn likes_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Shows why a command failed, and everything that is wrong beside it.
pub(crate) fn failure(failure: &Failure, format: ErrorFormat, colour: Colour) {
    failure.each().for_each(|one| line(&text_of(one, format, colour)));
}

/// One failure as it is shown.
pub(crate) fn text_of(failure: &Failure, format: ErrorFormat, colour: Colour) -> String {
    match format {
        ErrorFormat::Json => failure.as_json().to_string(),
        ErrorFormat::Text => {
            let label = format!("error[{}]", failure.code().number());
            let label = if colour.is_wanted() { format!("\x1b[1;31m{label}\x1b[0m") } else { label };
            format!("{label}: {}{}", failure.line(), failure.details())
        }
    }
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
