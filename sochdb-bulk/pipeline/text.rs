//! The text of a pipeline, for errors that show the place.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A pipeline as text: where it comes from, and where its relative paths begin.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    text: String,
    folder: PathBuf,
    origin: Origin,
}

/// Where a text is from.
#[derive(Debug, Clone)]
enum Origin {
    /// A file.
    File(PathBuf),
    /// A person, but no file.
    Typed,
    /// Standard input, which then holds nothing else.
    StandardInput,
    /// Flags: nobody has seen the text, and its places mean nothing to anybody.
    Flags,
}

impl Text {
    /// `name` is for messages; relative paths in the text begin in `folder`.
    pub fn new(name: impl Into<String>, text: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), text: text.into(), folder: folder.into(), origin: Origin::Typed }
    }

    /// The text of a file: relative paths begin in its folder.
    pub fn of_file(path: &Path, text: impl Into<String>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        let origin = Origin::File(path.to_path_buf());
        Self { origin, ..Self::new(path.display().to_string(), text, folder) }
    }

    /// What standard input held: relative paths begin in the current folder.
    pub(crate) fn of_standard_input(text: impl Into<String>) -> Self {
        Self { origin: Origin::StandardInput, ..Self::new("standard input", text, "") }
    }

    /// Whether it is what standard input held.
    pub(crate) fn is_standard_input(&self) -> bool {
        matches!(self.origin, Origin::StandardInput)
    }

    /// What flags were turned into: relative paths begin in the current folder, and failures show no places.
    pub(crate) fn of_flags(text: impl Into<String>) -> Self {
        Self { origin: Origin::Flags, ..Self::new("flags", text, "") }
    }

    /// The file it is from, if it is.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Typed | Origin::StandardInput | Origin::Flags => None,
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder in which its paths begin; empty for the current one.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `path` as seen from the folder. `-` stays what it is.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        if path == Path::new("-") { path.to_path_buf() } else { self.folder.join(path) }
    }

    /// A refusal of what stands at `span`, with its line.
    pub(crate) fn refuse(&self, span: Range<usize>, message: &str) -> Failure {
        self.locate(span, Failure::refused(message))
    }

    /// Adds the place and its line to a failure, if a person has seen the text. Only what was refused has a place in it:
    /// a damaged file is no fault of the text.
    pub(crate) fn locate(&self, span: Range<usize>, failure: Failure) -> Failure {
        if matches!(self.origin, Origin::Flags) || failure.kind() != crate::Kind::Refused {
            return failure;
        }
        let start = floor(&self.text, span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let number = self.text[..start].matches('\n').count() + 1;
        let before = self.text[line_start..start].chars().count();
        let end = floor(&self.text, span.end.clamp(start, line_end));
        let width = self.text[start..end].chars().count().max(1);
        let gutter = " ".repeat(number.to_string().len());
        // A tab counts as one column: the line is shown with spaces in their place. Of a long line the part around the
        // place is shown.
        let skipped = if before > SHOWN_COLUMNS { before - SHOWN_COLUMNS / 2 } else { 0 };
        let line = self.text[line_start..line_end].replace('\t', " ");
        let line: String = line.chars().skip(skipped).take(SHOWN_COLUMNS).collect();
        let excerpt = format!(
            "{gutter} |\n{number} | {line}\n{gutter} | {}{}",
            " ".repeat(before - skipped),
            "^".repeat(width.min(SHOWN_COLUMNS))
        );
        failure.at(format!("{}:{number}:{}", self.name, before + 1)).with_excerpt(excerpt)
    }

    /// A refusal by the TOML parser or by an option's type.
    pub(crate) fn refuse_toml(&self, error: &toml::de::Error, span: Range<usize>) -> Failure {
        let message = error.message().lines().next().unwrap_or_default();
        let message: String = message.chars().take(2 * SHOWN_COLUMNS).collect();
        self.refuse(error.span().unwrap_or(span), &message)
    }
}

/// How much of a line is shown.
const SHOWN_COLUMNS: usize = 120;

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `help` text that names the most similar of `known`, and all of them.
pub(crate) fn did_you_mean(word: &str, known: &[&str], what: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let synonyms = SYNONYMS.iter().copied().filter(|(_, to)| known.contains(to));
    let similar = synonyms
        .chain(known.iter().map(|&known| (known, known)))
        .map(|(written, meant)| (strsim::jaro_winkler(&lower, written), meant))
        .filter(|&(similarity, _)| similarity >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known);
    let all = known.join(", ");
    match similar {
        Some(known) => format!("did you mean `{known}`? {what}: {all}"),
        None => format!("{what}: {all}"),
    }
}

/// Words of other tools for ours.
const SYNONYMS: [(&str, &str); 18] = [
    ("dimension", "dim"),
    ("dimensions", "dim"),
    ("dims", "dim"),
    ("d", "dim"),
    ("max_connections", "m"),
    ("connectivity", "m"),
    ("efconstruction", "ef_construction"),
    ("expansion_add", "ef_construction"),
    ("ef", "ef_construction"),
    ("format", "type"),
    ("file", "path"),
    ("input", "path"),
    ("files", "paths"),
    ("inputs", "paths"),
    ("output", "path"),
    ("transform", "stage"),
    ("stages", "stage"),
    ("batch_size", "batch_rows"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown() {
        let text = Text::new("p.toml", "a = 1\nbé = \"x\"\n", ".");
        let failure = text.refuse(12..15, "wrong");
        assert_eq!(failure.to_string(), "p.toml:2:6: wrong\n  |\n2 | bé = \"x\"\n  |      ^^^");
    }

    #[test]
    fn other_tools_words_lead_to_ours() {
        assert_eq!(
            did_you_mean("dimensoin", &["dim", "path"], "options"),
            "did you mean `dim`? options: dim, path"
        );
        assert_eq!(
            did_you_mean("Dimension", &["dim", "path"], "options"),
            "did you mean `dim`? options: dim, path"
        );
        assert_eq!(did_you_mean("zzz", &["dim", "path"], "options"), "options: dim, path");
    }
}
