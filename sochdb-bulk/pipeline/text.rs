//! The text of a pipeline, for errors that show the place.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment;
use super::problems::Problems;
use crate::Failure;

/// A pipeline as text: where it comes from, and where its relative paths begin.
#[derive(Debug, Clone)]
pub struct Text {
    name: String,
    text: String,
    folder: PathBuf,
    origin: Origin,
    overrides: Vec<Override>,
}

/// A value that is put in the place of one of the text, or beside them: `--set KEY=VALUE`.
#[derive(Debug, Clone)]
struct Override {
    /// As it was typed.
    typed: String,
    /// Tables, numbers of tables and a key.
    path: Vec<String>,
    value: String,
    /// The value as TOML, behind so many spaces that its places are behind those of the text and of earlier ones.
    document: String,
    /// Where those places begin.
    start: usize,
}

/// The key of the value in a document of an override.
const OVERRIDE_KEY: &str = "v = ";

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

    /// Puts values in the place of what the text has, or beside it: each is `KEY=VALUE`, where the key is a path such as
    /// `sink.m` or `stage.0.dim`, and the value is TOML, or else a string as it is.
    ///
    /// # Errors
    /// If one has no key or no `=`.
    pub(crate) fn with_overrides(mut self, overrides: &[String]) -> Result<Self, Failure> {
        let mut start = self.text.len() + 1;
        for typed in overrides {
            let parts = typed.split_once('=').map(|(key, value)| (key.trim(), value));
            let Some((key, value)) = parts.filter(|(key, _)| key.split('.').all(|part| !part.is_empty()))
            else {
                return Err(Failure::refused(format!("--set {typed}: expected KEY=VALUE"))
                    .with_help("such as --set sink.m=32 or --set source.path=other.npy"));
            };
            let document = format!("{}{OVERRIDE_KEY}{value}", " ".repeat(start));
            let path = key.split('.').map(|part| part.trim().to_owned()).collect();
            let length = OVERRIDE_KEY.len() + value.len();
            self.overrides.push(Override {
                typed: typed.clone(),
                path,
                value: value.to_owned(),
                document,
                start,
            });
            start += length + 1;
        }
        Ok(self)
    }

    /// The text as a table, with overrides and variables put in.
    ///
    /// # Errors
    /// Everything that is wrong with the syntax, or else with overrides and variables.
    pub(super) fn table(&self) -> Result<Spanned<DeTable<'_>>, Failure> {
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        let shown = errors.iter().take(SHOWN_SYNTAX_ERRORS);
        if let Some(failure) = Failure::all(shown.map(|e| self.refuse_toml(e, 0..0)).collect()) {
            return Err(failure);
        }
        let mut problems = Problems::default();
        for one in &self.overrides {
            let value = one.value();
            let place = one.start..one.start + OVERRIDE_KEY.len() + one.value.len();
            problems.check(
                put(table.get_mut(), &one.path, value)
                    .map_err(|wrong| self.refuse(place, &wrong.message).with_help(wrong.help)),
            );
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
            return Err(self.refuse(value.span(), &message).with_help(format!("write ./{string}")));
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
        let is_override = self.overrides.first().is_some_and(|one| one.start <= span.start);
        if (matches!(self.origin, Origin::Flags) && !is_override) || failure.kind() != crate::Kind::Refused {
            return failure;
        }
        let failure = failure.with_offset(span.start);
        if let Some(one) = self.overrides.iter().rfind(|one| one.start <= span.start) {
            return failure.at(format!("--set {}", one.typed));
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

impl Override {
    fn value(&self) -> Spanned<DeValue<'_>> {
        let begin = self.start + OVERRIDE_KEY.len();
        let string =
            || Spanned::new(begin..begin + self.value.len(), DeValue::String(self.value.as_str().into()));
        let Ok(table) = DeTable::parse(&self.document) else { return string() };
        // A line break would have begun another key.
        let mut values = table.into_inner().into_iter();
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            _ => string(),
        }
    }

    /// Whether `path` is the value, or one of its values.
    fn has_path(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| environment::has_string(&self.value(), path, usize::MAX))
    }
}

/// What is wrong with an override.
struct Wrong {
    message: String,
    help: String,
}

/// Puts a value at a path.
fn put<'t>(table: &mut DeTable<'t>, path: &[String], value: Spanned<DeValue<'t>>) -> Result<(), Wrong> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    let place = value.span();
    let at = table.keys().find(|known| known.get_ref() == key).cloned();
    let at = at.unwrap_or_else(|| Spanned::new(place.clone(), std::borrow::Cow::Owned(key.clone())));
    if rest.is_empty() {
        table.insert(at, value);
        return Ok(());
    }
    let inner = table.entry(at).or_insert_with(|| Spanned::new(place, DeValue::Table(DeTable::new())));
    put_into(inner.get_mut(), key, rest, value)
}

fn put_into<'t>(
    inner: &mut DeValue<'t>,
    key: &str,
    rest: &[String],
    value: Spanned<DeValue<'t>>,
) -> Result<(), Wrong> {
    match inner {
        DeValue::Table(table) => put(table, rest, value),
        DeValue::Array(values) => {
            let (number, rest) = (&rest[0], &rest[1..]);
            let count = values.len();
            let at = number.parse::<i64>().ok().map(|at| if at < 0 { at + count as i64 } else { at });
            let at = at.and_then(|at| usize::try_from(at).ok()).filter(|&at| at < count);
            let Some(inner) = at.and_then(|at| values.get_mut(at)) else {
                return Err(Wrong {
                    message: format!(
                        "`{key}` has {count}: expected a number from 0 to {}, found `{number}`",
                        count.max(1) - 1
                    ),
                    help: format!("such as `{key}.0`, or `{key}.-1` for the last"),
                });
            };
            if rest.is_empty() {
                *inner = value;
                return Ok(());
            }
            put_into(inner.get_mut(), number, rest, value)
        }
        _ => Err(Wrong {
            message: format!("`{key}` is no table, so it has no `{}`", rest[0]),
            help: format!("set `{key}` itself"),
        }),
    }
}

/// How many places are shown where a text is no TOML: each may be the cause of the next.
const SHOWN_SYNTAX_ERRORS: usize = 8;

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
