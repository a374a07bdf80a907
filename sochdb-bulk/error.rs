//! The one error that reaches the top, where it is rendered once.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::codes::Code;

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
    code: Code,
    message: String,
    help: Option<String>,
    /// The file that is meant, where it is one.
    path: Option<Box<PathBuf>>,
    place: Option<Box<Place>>,
    /// What else has to do with it: the other of two places that disagree.
    labels: Vec<Label>,
    /// What else is wrong with the same text.
    others: Vec<Failure>,
}

/// A place in a text that a person has written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file, or the flag.
    pub(crate) name: String,
    /// Line and column, both counted from 1; not for flags.
    pub(crate) position: Option<(usize, usize)>,
    /// The bytes of the text that are meant. Those of flags are behind those of the file.
    pub(crate) span: Range<usize>,
    /// The line with the place marked, to be shown.
    pub(crate) excerpt: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Another place, and what it has to do with the failure.
#[derive(Debug)]
struct Label {
    place: Place,
    note: String,
}

impl Failure {
    fn new(kind: Kind, code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            code,
            message,
            help: None,
            path: None,
            place: None,
            labels: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Nothing was written, because the request cannot be fulfilled.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, Code::Request, message)
    }

    /// The work began, and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, Code::Failed, message)
    }

    /// The operating system refused `action` on `path`.
    pub fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::failed(format!("{}: cannot {action}: {error}", path.display())).with_code(Code::Io).about(path)
    }

    /// A signal said so.
    pub fn stopped(signal: u8) -> Self {
        Self::new(Kind::Stopped(signal), Code::Stopped, "stopped; nothing was left behind")
    }

    /// Nobody reads the results any more.
    pub(crate) fn unheard() -> Self {
        Self::new(Kind::Unheard, Code::Io, "nobody reads standard output any more")
    }

    /// Several failures as one, in the order of the text that they are about; nothing if there are none.
    pub(crate) fn all(failures: Vec<Self>) -> Option<Self> {
        let mut all: Vec<Self> = Vec::new();
        for mut failure in failures {
            let others = std::mem::take(&mut failure.others);
            all.push(failure);
            all.extend(others);
        }
        all.sort_by_key(|failure| failure.place.as_ref().map(|place| place.span.start));
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self { others: all.collect(), ..first })
    }

    /// Adds one that is about the same text.
    #[must_use]
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        let others = std::mem::take(&mut other.others);
        self.others.push(other);
        self.others.extend(others);
        self
    }

    /// Says nothing of what to do.
    #[must_use]
    pub(crate) fn without_help(mut self) -> Self {
        self.help = None;
        self
    }

    /// Says what kind of mistake it is about.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Says so where nothing more precise is known yet.
    #[must_use]
    pub(crate) fn or_code(self, code: Code) -> Self {
        if matches!(self.code, Code::Request | Code::Failed) { self.with_code(code) } else { self }
    }

    /// Says it otherwise.
    #[must_use]
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// Says which file it is about.
    #[must_use]
    pub(crate) fn about(mut self, path: &Path) -> Self {
        self.path = Some(Box::new(path.to_path_buf()));
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where in a text it is.
    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// Shows another place that has to do with it.
    #[must_use]
    pub(crate) fn with_label(mut self, place: Place, note: impl Into<String>) -> Self {
        self.labels.push(Label { place, note: note.into() });
        self
    }

    /// What kind of end it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What kind of mistake it is about.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is wrong, without the place in a pipeline file.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What is wrong in one line, after its place in a pipeline file if it has one.
    pub fn line(&self) -> String {
        match &self.place {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        }
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

impl Failure {
    /// This one and all others about the same text, in their order.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// What follows the first line: excerpts and help.
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        if let Some(excerpt) = self.place.as_ref().and_then(|place| place.excerpt.as_ref()) {
            out += &format!("\n{excerpt}");
        }
        for Label { place, note } in &self.labels {
            out += &format!("\n  {place}: {note}");
            if let Some(excerpt) = &place.excerpt {
                out += &format!("\n{excerpt}");
            }
        }
        if let Some(help) = &self.help {
            out += &format!("\n  help: {help}");
        }
        out
    }

    /// The same for programs, one object for each failure.
    pub(crate) fn as_json(&self) -> Value {
        let place = |place: &Place| {
            json!({
                "file": place.name,
                "line": place.position.map(|position| position.0),
                "column": place.position.map(|position| position.1),
                "span_bytes": [place.span.start, place.span.end],
            })
        };
        json!({
            "schema": 1,
            "severity": "error",
            "code": self.code.number(),
            "message": self.message,
            "help": self.help,
            "path": self.path.as_ref().map(|path| path.to_string_lossy()),
            "place": self.place.as_deref().map(place),
            "labels": (self.labels.iter())
                .map(|label| json!({ "place": place(&label.place), "note": label.note }))
                .collect::<Vec<_>>(),
            "exit_code": self.exit_code(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.each().enumerate() {
            if at > 0 {
                write!(f, "\nerror[{}]: ", failure.code.number())?;
            }
            write!(f, "{}{}", failure.line(), failure.details())?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What to do about a file that breaks its format's rules, where the reader knows nothing more precise.
const DAMAGED: &str =
    "the file is damaged, cut short, or not what its name says: write it again, or check where it is from";

/// The same of a file that is not there or cannot be opened.
const NO_FILE: &str = "check its name and who may read it; relative paths begin in the current folder, or in that of the pipeline file";

impl From<readers::Error> for Failure {
    fn from(error: readers::Error) -> Self {
        let kind = match error.kind() {
            readers::ErrorKind::Request => Kind::Refused,
            _ => Kind::Failed,
        };
        let code = match (error.topic(), error.kind()) {
            (Some(readers::Topic::Dimension), _) => Code::Dimension,
            (Some(readers::Topic::Format), _) => Code::Format,
            (Some(readers::Topic::Ids), _) => Code::Ids,
            (Some(readers::Topic::NoFile), _) => Code::NoFile,
            (Some(readers::Topic::NotFinite), _) => Code::NotFinite,
            (Some(readers::Topic::Rows), _) => Code::Rows,
            (Some(readers::Topic::Changed), _) => Code::Changed,
            (_, readers::ErrorKind::Malformed) => Code::Malformed,
            (_, readers::ErrorKind::Unsupported) => Code::Unsupported,
            (_, readers::ErrorKind::Io) => Code::Io,
            _ => Code::Request,
        };
        let mut failure = Self::new(kind, code, error.to_string());
        failure.path = error.file().map(|path| Box::new(path.to_path_buf()));
        let usual = match (error.topic(), error.kind()) {
            (Some(readers::Topic::NoFile), _) => Some(NO_FILE),
            (_, readers::ErrorKind::Malformed) => Some(DAMAGED),
            _ => None,
        };
        failure.help = error.help().or(usual).map(str::to_owned);
        failure
    }
}
