//! The one error that reaches the top, where it is rendered once.

use std::fmt;
use std::path::Path;

/// What kind of end a command came to: its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Refused before anything was written: exit code 2.
    Refused,
    /// The work failed: exit code 1.
    Failed,
    /// Stopped by a signal: exit code 128 and its number.
    Stopped(u8),
    /// Whoever read the results has seen enough (`| head`): no failure at all, exit code 0.
    Unheard,
}

/// Why a command did not do its work: one line that says what and where, one that says what to do, and for a pipeline
/// file the line that is meant.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    help: Option<String>,
    excerpt: Option<String>,
    /// Where in a text it is, to tell several in their order.
    offset: Option<usize>,
    /// What else is wrong with the same text.
    others: Vec<Failure>,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, excerpt: None, offset: None, others: Vec::new() }
    }

    /// Nothing was written, because the request cannot be fulfilled.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// The work began, and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The operating system refused `action` on `path`.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::failed(format!("{}: cannot {action}: {error}", path.display()))
    }

    /// A signal said so.
    pub fn stopped(signal: u8) -> Self {
        Self::new(Kind::Stopped(signal), "stopped; nothing was left behind")
    }

    /// Nobody reads the results any more.
    pub(crate) fn unheard() -> Self {
        Self::new(Kind::Unheard, "nobody reads standard output any more")
    }

    /// Several failures as one, in the order of the text that they are about; nothing if there are none.
    pub(crate) fn all(failures: Vec<Self>) -> Option<Self> {
        let mut all: Vec<Self> = Vec::new();
        for mut failure in failures {
            let others = std::mem::take(&mut failure.others);
            all.push(failure);
            all.extend(others);
        }
        all.sort_by_key(|failure| failure.offset);
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self { others: all.collect(), ..first })
    }

    /// Adds one that is about the same text.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.others.push(other);
        self
    }

    /// Says where in a text it is.
    #[must_use]
    pub(crate) fn with_offset(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names the place before everything else.
    #[must_use]
    pub(crate) fn at(mut self, place: String) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Shows the line of a pipeline file that is meant.
    #[must_use]
    pub fn with_excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.excerpt = Some(excerpt.into());
        self
    }

    /// What kind of end it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The line itself.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The exit code: 1, 2, or 128 and the number of the signal.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Refused => 2,
            Kind::Stopped(signal) => 128 + signal,
            Kind::Unheard => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        self.others.iter().try_for_each(|other| write!(f, "\nerror: {other}"))
    }
}

impl std::error::Error for Failure {}

/// What to do about a file that breaks its format's rules, where the reader knows nothing more precise.
const DAMAGED: &str =
    "the file is damaged, cut short, or not what its name says: write it again, or check where it is from";

impl From<readers::Error> for Failure {
    fn from(error: readers::Error) -> Self {
        let kind = match error.kind() {
            readers::ErrorKind::Request => Kind::Refused,
            _ => Kind::Failed,
        };
        let mut failure = Self::new(kind, error.to_string());
        let usual = (error.kind() == readers::ErrorKind::Malformed).then_some(DAMAGED);
        failure.help = error.help().or(usual).map(str::to_owned);
        failure
    }
}
