//! What can go wrong with an input: which file, where in it, what was expected, what was found, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// A byte offset from the start of the file.
    Byte(u64),
    /// A row, counted from 0.
    Row(u64),
    /// A value of a row; both counted from 0.
    Value {
        /// The row.
        row: u64,
        /// The position in the vector.
        column: u64,
    },
    /// A named part: a header key, a field of a sidecar.
    Part(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Row(row) => write!(f, "row {row}"),
            Self::Value { row, column } => write!(f, "row {row}, column {column}"),
            Self::Part(name) => f.write_str(name),
        }
    }
}

/// Whose move it is: decides the exit code of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused: missing file, permissions, a failing disk.
    Io,
    /// The file is not what its format demands, or holds a value that no vector may have.
    Malformed,
    /// The file is well formed, but of a kind that is deliberately not read (pickles, complex numbers).
    Unsupported,
    /// The request does not fit the file: a wrong dimension, a row range past the end, a missing option.
    Request,
}

/// What a refusal is about, where that has a name of its own: programs and explanations go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// A file that is not there or may not be read, or a pattern that nothing matches.
    NoFile,
    /// Which format a file has.
    Format,
    /// How many values a row has.
    Dimension,
    /// The ids of rows.
    Ids,
    /// Which rows.
    Rows,
    /// NaN or infinity.
    NotFinite,
    /// A file that was written to while it was read.
    Changed,
}

/// One refused input. Displays as one line: `FILE: PLACE: MESSAGE`; the way out is in [`Error::help`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    file: Option<PathBuf>,
    position: Option<Position>,
    message: String,
    help: Option<String>,
    topic: Option<Topic>,
    source: Option<std::io::Error>,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            file: None,
            position: None,
            message: message.into(),
            help: None,
            topic: None,
            source: None,
        }
    }

    /// The bytes break the rules of their format.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// The bytes are well formed, but this kind is not read.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// What was asked for does not fit the file.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Request, message)
    }

    /// Malformed, in the words every parser shares: what the place should hold and what it holds.
    pub fn expected(expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::malformed(format!("expected {expected}, found {found}"))
    }

    /// The operating system's refusal while doing `action` ("open", "read 64 bytes").
    pub fn io(action: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
        let mut error = Self::new(ErrorKind::Io, format!("cannot {action}: {source}"));
        error.topic =
            matches!(source.kind(), NotFound | PermissionDenied | IsADirectory).then_some(Topic::NoFile);
        error.source = Some(source);
        error
    }

    /// Names the file, unless a more precise name is already there.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        self.file.get_or_insert_with(|| file.as_ref().to_path_buf());
        self
    }

    /// Names the place, unless a more precise one is already there.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// Says which part of the file the place is in: `shape` becomes `member a.npy: shape`.
    #[must_use]
    pub(crate) fn within(mut self, part: &str) -> Self {
        self.position = Some(Position::Part(match self.position {
            Some(position) => format!("{part}: {position}"),
            None => part.to_owned(),
        }));
        self
    }

    /// Says what the person can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn about(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    /// What it is about, where that has a name.
    pub fn topic(&self) -> Option<Topic> {
        self.topic
    }

    /// Whose move it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file, where one is concerned.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The place in the file, where one is known.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }
    /// What the operating system said, if it was asked something.
    pub fn io_error(&self) -> Option<&std::io::Error> {
        self.source.as_ref()
    }

    /// The way out, where there is one to name.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
