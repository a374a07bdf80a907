//! Which format a file is: by content first, by extension where the content cannot tell.

use std::borrow::Cow;
use std::path::Path;

use crate::{Error, FormatDescriptor, Input, Topic, format_called, formats};

/// How much of a file a probe sees.
const HEAD_BYTES: usize = 64 * 1024;

/// What a probe may look at.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The first bytes of the file, up to 64 KiB.
    pub head: &'a [u8],
    /// The length of the file.
    pub len_bytes: u64,
    /// The path, for its name and extension; of a packed file that of its content.
    pub path: &'a Path,
    /// The dimension the person gave.
    pub dim: Option<usize>,
}

impl Probe<'_> {
    /// The extension in lower case, or nothing.
    pub fn extension(&self) -> String {
        self.path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
    }

    /// [`Score::EXTENSION`] if the file has one of `extensions`.
    pub fn by_extension(&self, extensions: &[&str]) -> Score {
        let extension = self.extension();
        if extensions.contains(&extension.as_str()) {
            Score::Yes(Score::EXTENSION, format!("its name ends in .{extension}").into())
        } else {
            Score::No
        }
    }
}

/// How sure a format is that a file is its own, and why. The reason is shown to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Score {
    /// It is not.
    No,
    /// It may be; the higher, the surer.
    Yes(u8, Cow<'static, str>),
}

impl Score {
    /// A magic number, and what follows fits it.
    pub const CERTAIN: u8 = 100;
    /// A magic number.
    pub const MAGIC: u8 = 80;
    /// The sizes add up.
    pub const SIZES: u8 = 60;
    /// Only the extension.
    pub const EXTENSION: u8 = 50;
    /// The text looks like it.
    pub const TEXT: u8 = 25;

    fn points(&self) -> u8 {
        match self {
            Self::No => 0,
            Self::Yes(points, _) => *points,
        }
    }
}

/// The outcome of [`detect`].
#[derive(Debug)]
pub struct Detected {
    /// The format.
    pub format: &'static FormatDescriptor,
    /// Why: "its first bytes are the magic number of .npy".
    pub reason: Cow<'static, str>,
}

/// What to do about a format that this build leaves out, if `word` is one.
pub fn other_build(word: &str) -> Option<&'static str> {
    let is_hdf5 = ["hdf5", "h5"].iter().any(|name| word.eq_ignore_ascii_case(name));
    (is_hdf5 && format_called("hdf5").is_none())
        .then_some("HDF5 is read by builds with the feature hdf5: cargo install --path . --features hdf5")
}

fn scores(input: &Input) -> Result<Vec<(&'static FormatDescriptor, Score)>, Error> {
    let source = input.source()?;
    let head = source.head(HEAD_BYTES)?;
    if let Some(help) = other_build("hdf5").filter(|_| head.starts_with(b"\x89HDF\r\n\x1a\n")) {
        let error =
            Error::request("expected a format that this build reads, found HDF5").about(Topic::Format);
        return Err(error.in_file(&input.path).with_help(help));
    }
    let probe =
        Probe { head: &head, len_bytes: source.len_bytes(), path: input.inner_path(), dim: input.dim };
    let mut scores: Vec<_> = formats()
        .into_iter()
        .map(|format| (format, (format.probe)(&probe)))
        .filter(|(_, score)| score.points() > 0)
        .collect();
    scores.sort_by_key(|(_, score)| std::cmp::Reverse(score.points()));
    Ok(scores)
}

/// Finds out what kind of file `input` is.
///
/// # Errors
/// If no format wants the file, or two want it equally: both are named with their reasons.
pub fn detect(input: &Input) -> Result<Detected, Error> {
    let mut scores = scores(input)?.into_iter();
    let Some((format, Score::Yes(points, reason))) = scores.next() else {
        let known: Vec<_> = formats().iter().map(|format| format.name).collect();
        return Err(Error::request("the format cannot be told from its content or its name")
            .about(Topic::Format)
            .in_file(&input.path)
            .with_help(format!("name it with --format: {}", known.join(", "))));
    };
    if let Some((rival, Score::Yes(rival_points, rival_reason))) = scores.next()
        && rival_points == points
    {
        return Err(Error::request(format!(
            "it could be {} ({reason}) or {} ({rival_reason})",
            format.name, rival.name
        ))
        .about(Topic::Format)
        .in_file(&input.path)
        .with_help(format!("say which: --format {} or --format {}", format.name, rival.name)));
    }
    Ok(Detected { format, reason })
}

/// Refuses to read a file as `format` when its content is certainly another's: a header read as a vector would shift
/// every row.
///
/// # Errors
/// Names the format that the content belongs to.
pub fn check_named(format: &FormatDescriptor, input: &Input) -> Result<(), Error> {
    for (other, score) in scores(input)? {
        if other.name == format.name {
            return Ok(());
        }
        if let Score::Yes(Score::MAGIC.., reason) = score {
            return Err(Error::request(format!("expected {}, found {}: {reason}", format.name, other.name))
                .about(Topic::Format)
                .in_file(&input.path)
                .with_help(format!("leave --format away, or say --format {}", other.name)));
        }
    }
    Ok(())
}
