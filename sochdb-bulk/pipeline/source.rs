//! The `[source]` tables of a pipeline: which files, which of their rows, and how they are read.

use std::ops::Range;
use std::path::PathBuf;

use readers::{FormatDescriptor, Input, Io, OpenFormat};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Text;
use super::problems::Problems;
use super::spec::{Step, deserialize, parse_options, refuse_unknown, unknown_type};
use crate::{Code, Failure};

/// Keys of `[source]` that every format has.
const SOURCE: [&str; 8] = ["path", "paths", "dim", "rows", "limit", "io", "columns", "type"];

/// The same for people, who know where `type` is.
pub(crate) const SOURCE_OPTIONS: [&str; 7] = ["path", "paths", "dim", "rows", "limit", "io", "columns"];

/// Keys of `[source.columns]` that every format has.
const COLUMNS: [&str; 4] = ["path", "paths", "io", "type"];

/// Keys that say which files.
const FILES: [&str; 3] = ["path", "paths", "io"];

/// Keys that say which rows.
const ROWS: [&str; 3] = ["dim", "rows", "limit"];

/// A `[source]` table.
#[derive(Debug)]
pub(super) struct Source {
    /// The files of the vectors.
    pub(super) vectors: Files,
    /// Those of ids and further columns of the same rows, where they are others.
    pub(super) columns: Option<Files>,
    rows: SourceRows,
}

/// Files that are read alike: names and patterns, and the options of their formats.
#[derive(Debug)]
pub(super) struct Files {
    /// As they were typed, at least one.
    pub(super) names: Vec<PathBuf>,
    io: Io,
    /// The format, where it is named.
    pub(super) format: Option<&'static FormatDescriptor>,
    /// Whether that is a program, which is given the name as it is.
    pub(super) is_program: bool,
    pub(super) span: Range<usize>,
    place: Place,
}

/// Where a table of options is in the text.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The number of the `[source]`.
    source: usize,
    /// Whether it is its `[source.columns]`.
    is_columns: bool,
}

#[derive(Debug, Deserialize)]
struct FileOptions {
    path: Option<PathBuf>,
    paths: Option<Vec<PathBuf>>,
    #[serde(default)]
    io: Io,
}

#[derive(Debug, Deserialize)]
struct SourceRows {
    dim: Option<Spanned<i64>>,
    rows: Option<Spanned<String>>,
    limit: Option<Spanned<u64>>,
}

/// Reads `[source]`, or all `[[source]]`.
pub(super) fn parse(text: &Text, value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Vec<Source> {
    let tables = tables(value);
    let many = tables.len() > 1;
    let mut sources = Vec::new();
    for (number, table) in tables.into_iter().enumerate() {
        let Some(source) = problems.check(Source::parse(text, table, number)) else { continue };
        let counted = [
            ("rows", source.rows.rows.as_ref().map(Spanned::span)),
            ("limit", source.rows.limit.as_ref().map(Spanned::span)),
        ];
        if let Some((key, Some(span))) = counted.into_iter().find(|(_, span)| many && span.is_some()) {
            let message = format!("expected no `{key}` where there are several `[[source]]`");
            problems.push(
                text.refuse(span, &message)
                    .with_code(Code::Conflict)
                    .with_help("say `rows` in [run], which counts the rows of all of them"),
            );
        }
        sources.push(source);
    }
    sources
}

/// One table, or all of several.
pub(super) fn tables(value: Spanned<DeValue<'_>>) -> Vec<Spanned<DeValue<'_>>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(tables) if !tables.is_empty() => tables.into_iter().collect(),
        other => vec![Spanned::new(span, other)],
    }
}

impl Source {
    fn parse(text: &Text, value: Spanned<DeValue<'_>>, number: usize) -> Result<Self, Failure> {
        let mut step = Step::parse(text, value)?;
        let rows = deserialize(text, step.take(&ROWS))?;
        let columns = match taken(&mut step, "columns") {
            Some(table) => {
                let place = Place { source: number, is_columns: true };
                Some(Files::parse(text, Step::parse(text, table)?, place)?)
            }
            None => None,
        };
        let vectors = Files::parse(text, step, Place { source: number, is_columns: false })?;
        let source = Self { vectors, columns, rows };
        source.dim(text)?;
        source.rows(text)?;
        Ok(source)
    }

    /// Whether it says which of its rows are meant.
    pub(super) fn counts_rows(&self) -> bool {
        self.rows.rows.is_some() || self.rows.limit.is_some()
    }

    /// Whether its files can be read only once.
    pub(super) fn reads_once(&self) -> bool {
        let once = |files: &Files| files.is_program || files.names.iter().any(|name| super::is_stdio(name));
        once(&self.vectors) || self.columns.as_ref().is_some_and(once)
    }

    /// The name of its format, if it is named, and else `?`.
    pub(super) fn format_name(&self) -> &'static str {
        self.vectors.format.map_or("?", |format| format.name)
    }

    /// The dimension that is asked for.
    pub(super) fn dim(&self, text: &Text) -> Result<Option<usize>, Failure> {
        let Some(dim) = &self.rows.dim else { return Ok(None) };
        let fits = usize::try_from(*dim.get_ref()).ok().filter(|dim| (1..=readers::MAX_DIM).contains(dim));
        fits.map(Some).ok_or_else(|| {
            let message =
                format!("expected a dimension from 1 to {}, found {}", readers::MAX_DIM, dim.get_ref());
            text.refuse(dim.span(), &message).with_code(Code::WrongValue)
        })
    }

    /// The rows that are asked for: first, and end if there is one.
    pub(super) fn rows(&self, text: &Text) -> Result<(u64, Option<u64>), Failure> {
        self.rows.rows.as_ref().map_or(Ok((0, None)), |rows| parse_rows(text, rows))
    }

    /// At most so many rows.
    pub(super) fn limit(&self) -> Option<u64> {
        self.rows.limit.as_ref().map(|limit| *limit.get_ref())
    }
}

/// Rows such as `0..1000`: the first, and the one behind the last if there is one.
pub(super) fn parse_rows(text: &Text, rows: &Spanned<String>) -> Result<(u64, Option<u64>), Failure> {
    let number = |word: &str, default| match word.replace('_', "").as_str() {
        "" => Some(default),
        word => word.parse().ok().map(Some),
    };
    let parsed = rows.get_ref().split_once("..").and_then(|(first, end)| {
        let (first, end) = (number(first.trim(), Some(0))??, number(end.trim(), None)?);
        (end.is_none_or(|end| first <= end)).then_some((first, end))
    });
    parsed.ok_or_else(|| {
        text.refuse(rows.span(), &format!("expected rows such as `0..1000`, found `{}`", rows.get_ref()))
            .with_code(Code::WrongValue)
            .with_help("the first row, two dots, and the row behind the last; either may be left out")
    })
}

/// The value of one key, taken out of a table.
fn taken<'t>(step: &mut Step<'t>, key: &str) -> Option<Spanned<DeValue<'t>>> {
    match step.take(&[key]).into_inner() {
        DeValue::Table(mut table) => table.remove(key),
        _ => None,
    }
}

impl Files {
    fn parse(text: &Text, mut step: Step<'_>, place: Place) -> Result<Self, Failure> {
        let files: FileOptions = deserialize(text, step.take(&FILES))?;
        let format = match &step.kind {
            None => None,
            Some(kind) => match readers::format_called(kind.get_ref()) {
                Some(format) => Some(format),
                None => {
                    let known: Vec<_> = readers::formats().iter().map(|format| format.name).collect();
                    return Err(unknown_type(text, kind, "source", &known));
                }
            },
        };
        let span = step.span.clone();
        let refuse = |code, message: &str, help: &str| {
            text.refuse(span.clone(), message).with_code(code).with_help(help)
        };
        let is_program = match format {
            Some(format) => {
                let opener = parse_options(
                    text,
                    step.options,
                    format.name,
                    format.parse,
                    format.schema,
                    place.known(),
                )?;
                opener.program().is_some()
            }
            None => {
                check_any_format(text, &step.options, place.known())?;
                false
            }
        };
        let names = match (files.path, files.paths) {
            (Some(path), None) => vec![path],
            // A program may need none.
            (None, None) if is_program => vec![PathBuf::new()],
            (None, Some(_)) if is_program => {
                return Err(refuse(
                    Code::Conflict,
                    "expected one `path` for a program, found `paths`",
                    "name one in `path`",
                ));
            }
            (None, Some(paths)) if !paths.is_empty() => paths,
            (None, Some(_)) => {
                return Err(refuse(
                    Code::Missing,
                    "expected at least one file in `paths`, found none",
                    "name one",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(refuse(
                    Code::Conflict,
                    "expected `path` or `paths`, found both",
                    "name all files in `paths`",
                ));
            }
            (None, None) => {
                let help = "name the file or files: `path = \"FILE\"`, a pattern such as \"shards/*.npy\", or `paths = [...]`";
                return Err(refuse(Code::Missing, "there is no `path`", help));
            }
        };
        Ok(Self { names, io: files.io, format, is_program, span, place })
    }

    /// The reader of `format` with the options of the table. Which format reads them may only be known when a file was
    /// looked at, so they are taken from the text once more.
    pub(super) fn opener(
        &self,
        text: &Text,
        format: &FormatDescriptor,
    ) -> Result<Box<dyn OpenFormat>, Failure> {
        let sources = text.table()?.into_inner().remove("source").map(tables).unwrap_or_default();
        let nothing = || Spanned::new(0..0, DeValue::Table(DeTable::new()));
        let source = sources.into_iter().nth(self.place.source).unwrap_or_else(nothing);
        let mut step = Step::parse(text, source)?;
        if self.place.is_columns {
            step = Step::parse(text, taken(&mut step, "columns").unwrap_or_else(nothing))?;
        }
        let known = self.place.known();
        step.take(known);
        parse_options(text, step.options, format.name, format.parse, format.schema, known)
    }

    /// One of the files, to be read as the table says.
    pub(super) fn input(&self, path: PathBuf) -> Input {
        Input { io: self.io, ..Input::new(path) }
    }
}

/// Fails if there are options that no format has: which one reads the file is not known yet.
fn check_any_format(text: &Text, options: &Spanned<DeValue<'_>>, common: &[&str]) -> Result<(), Failure> {
    let mut known: Vec<String> = common.iter().map(|&name| name.to_owned()).collect();
    for format in readers::formats() {
        let schema = (format.schema)(&mut schemars::SchemaGenerator::default());
        let properties = schema.get("properties").and_then(|properties| properties.as_object());
        known.extend(properties.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    known.sort_unstable();
    known.dedup();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut problems = Problems::default();
    let keys = options.get_ref().as_table().into_iter().flat_map(DeTable::keys);
    refuse_unknown(text, keys, &known, ["option", "options of all formats"], &mut problems);
    problems.none()
}

impl Place {
    /// Keys that every format has in such a table.
    fn known(self) -> &'static [&'static str] {
        if self.is_columns { &COLUMNS } else { &SOURCE }
    }
}
