//! The text of a pipeline, for errors that show the place.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment;
use super::overrides::Override;
use super::problems::Problems;
use super::wrong_value::remedy;
use crate::error::Place;
use crate::{Code, Failure};

/// A pipeline as text: where it comes from, and where its relative paths begin.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    text: String,
    folder: PathBuf,
    origin: Origin,
    overrides: Vec<Override>,
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
        let (name, text, folder) = (name.into(), text.into(), folder.into());
        Self { name, text, folder, origin: Origin::Typed, overrides: Vec::new() }
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

    /// Has its relative paths begin in another folder.
    pub(crate) fn in_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..self }
    }

    /// Whether it is what standard input held.
    pub(crate) fn is_standard_input(&self) -> bool {
        matches!(self.origin, Origin::StandardInput)
    }

    /// What flags were turned into: relative paths begin in the current folder, and failures show no places.
    pub(crate) fn of_flags(text: impl Into<String>) -> Self {
        Self { origin: Origin::Flags, ..Self::new("flags", text, "") }
    }

    /// Whether it is of flags.
    pub(super) fn is_of_flags(&self) -> bool {
        matches!(self.origin, Origin::Flags)
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

    /// Puts values in the place of what the text has, or beside it: each is `KEY=VALUE`, where the key is a path such as
    /// `sink.m` or `stage.0.dim`, and the value is TOML, or else a string as it is.
    ///
    /// # Errors
    /// If one has no key or no `=`.
    pub(crate) fn with_overrides(mut self, overrides: &[String]) -> Result<Self, Failure> {
        self.overrides.extend(Override::parse_all(overrides, self.text.len() + 1)?);
        Ok(self)
    }

    /// The text as a table, with overrides and variables put in.
    ///
    /// # Errors
    /// Everything that is wrong with the syntax, or else with overrides and variables.
    pub(super) fn table(&self) -> Result<Spanned<DeTable<'_>>, Failure> {
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        let shown = errors.iter().take(SHOWN_SYNTAX_ERRORS);
        let mut failures: Vec<Failure> = shown
            .map(|e| self.refuse_toml(e, 0..0, Code::Syntax).with_code(Code::Syntax).without_help())
            .collect();
        // The same of all of them, so it is said once.
        if let Some(last) = failures.pop() {
            failures.push(last.with_help(SYNTAX_HELP));
        }
        if let Some(failure) = Failure::all(failures) {
            return Err(failure);
        }
        let mut problems = Problems::default();
        for one in &self.overrides {
            problems.check(one.put_in(table.get_mut()).map_err(|wrong| {
                self.refuse(one.span(), &wrong.message).with_code(Code::Override).with_help(wrong.help)
            }));
        }
        for one in &self.overrides {
            problems.check(self.check_path(table.get_ref(), &one.value()));
        }
        environment::put_in(self, table.get_mut(), &|name| std::env::var_os(name), &mut problems);
        problems.none()?;
        Ok(table)
    }

    /// Paths of overrides begin in the current folder, those of the text in its own: of one that is in both, nobody could say.
    fn check_path(&self, table: &DeTable<'_>, value: &Spanned<DeValue<'_>>) -> Result<(), Failure> {
        let is_same_folder = self.folder.as_os_str().is_empty() || self.folder == Path::new(".");
        let Some(string) = value.get_ref().as_str().filter(|_| !is_same_folder) else { return Ok(()) };
        let looks_like_a_path = string.contains(['/', '.']) && Path::new(string).is_relative();
        let is_there = table.iter().any(|(_, other)| environment::has_string(other, string, self.text.len()));
        if looks_like_a_path && is_there {
            let message =
                format!("`{string}` is in the file as well, where paths begin in the file's folder");
            let refused = self.refuse(value.span(), &message).with_code(Code::Override);
            return Err(refused.with_help(format!("write ./{string}")));
        }
        Ok(())
    }

    /// The folder in which its paths begin; empty for the current one.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `path` as seen from the folder, or from the current one if an override has it. `-` stays what it is.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        if path == Path::new("-") { path.to_path_buf() } else { self.folder_of(path).join(path) }
    }

    /// The folder in which this path or pattern begins: the text's, or the current one if an override has it.
    pub(crate) fn folder_of(&self, path: &Path) -> &Path {
        if self.overrides.iter().any(|one| one.has_path(path)) { Path::new("") } else { &self.folder }
    }

    /// A refusal of what stands at `span`, with its line.
    pub(crate) fn refuse(&self, span: Range<usize>, message: &str) -> Failure {
        self.locate(span, Failure::refused(message))
    }

    /// Adds the place and its line to a failure, if a person has seen the text. Only what was refused has a place in it:
    /// a damaged file is no fault of the text.
    pub(crate) fn locate(&self, span: Range<usize>, failure: Failure) -> Failure {
        match self.place(span, '^') {
            Some(place) if failure.kind() == crate::Kind::Refused => failure.at(place),
            _ => failure,
        }
    }

    /// Adds another place that has to do with a failure, and what that is.
    pub(crate) fn label(&self, span: Range<usize>, note: &str, failure: Failure) -> Failure {
        match self.place(span, '-') {
            Some(place) if failure.kind() == crate::Kind::Refused => failure.with_label(place, note),
            _ => failure,
        }
    }

    /// The place of a span, its line marked by `mark`; none if nobody has seen the text.
    fn place(&self, span: Range<usize>, mark: char) -> Option<Place> {
        if let Some(one) = self.overrides.iter().rfind(|one| one.span().start <= span.start) {
            let name = format!("--set {}", one.typed());
            return Some(Place { name, position: None, span, excerpt: None });
        }
        if matches!(self.origin, Origin::Flags) {
            return None;
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
            mark.to_string().repeat(width.min(SHOWN_COLUMNS))
        );
        let position = Some((number, before + 1));
        Some(Place { name: self.name.clone(), position, span, excerpt: Some(excerpt) })
    }

    /// A refusal by the TOML parser or by an option's type.
    pub(crate) fn refuse_toml(&self, error: &toml::de::Error, span: Range<usize>, or: Code) -> Failure {
        let message = error.message().lines().next().unwrap_or_default();
        let message: String = message.chars().take(2 * SHOWN_COLUMNS).collect();
        let begins = |words: &[&str]| words.iter().any(|word| message.starts_with(word));
        let code = if begins(&["missing field"]) {
            Code::Missing
        } else if begins(&["unknown field"]) {
            Code::UnknownKey
        } else if begins(&["invalid ", "unknown variant"]) {
            Code::WrongValue
        } else {
            or
        };
        let message = in_our_words(&message);
        let help = remedy(&message)
            .unwrap_or_else(|| "`sochdb-bulk new npy/hnsw` prints a whole example".to_owned());
        self.refuse(error.span().unwrap_or(span), &message).with_code(code).with_help(help)
    }
}

/// What the library that reads TOML says, as all other messages say it.
fn in_our_words(message: &str) -> String {
    let kind = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = kind.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return match message.strip_prefix("missing field ") {
            Some(field) => format!("there is no {field}"),
            None => message.to_owned(),
        };
    };
    let expected = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number of at least 0",
        "isize" | "i64" | "i32" | "i16" | "i8" => "a whole number",
        "f64" | "f32" => "a number",
        "path string" | "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    };
    let kinds = [
        ("string ", "the text "),
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", ""),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let kind = kinds.iter().find_map(|(theirs, ours)| Some((ours, found.strip_prefix(theirs)?)));
    let found = kind.map_or(found.to_owned(), |(ours, rest)| format!("{ours}{rest}"));
    format!("expected {expected}, found {found}")
}

/// How many places are shown where a text is no TOML: each may be the cause of the next.
const SHOWN_SYNTAX_ERRORS: usize = 8;

const SYNTAX_HELP: &str = "strings need quotes, tables begin with [name], and each key is there once";

/// How much of a line is shown.
const SHOWN_COLUMNS: usize = 120;

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown() {
        let text = Text::new("p.toml", "a = 1\nbé = \"x\"\n", ".");
        let failure = text.refuse(12..15, "wrong");
        assert_eq!(failure.to_string(), "p.toml:2:6: wrong\n  |\n2 | bé = \"x\"\n  |      ^^^");
    }
}
