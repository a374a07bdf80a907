//! `--set KEY=VALUE`: values that are put into a pipeline beside its text.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment;
use crate::{Code, Failure};

/// A value that is put in the place of one of the text, or beside it.
#[derive(Debug, Clone)]
pub(super) struct Override {
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

impl Override {
    /// What was typed, each `KEY=VALUE`. Their places begin at `start`.
    ///
    /// # Errors
    /// If one has no key or no `=`.
    pub(super) fn parse_all(overrides: &[String], mut start: usize) -> Result<Vec<Self>, Failure> {
        let mut parsed = Vec::with_capacity(overrides.len());
        for typed in overrides {
            let parts = typed.split_once('=').map(|(key, value)| (key.trim(), value));
            let Some((key, value)) = parts.filter(|(key, _)| key.split('.').all(|part| !part.is_empty()))
            else {
                return Err(Failure::refused(format!("--set {typed}: expected KEY=VALUE"))
                    .with_code(Code::Override)
                    .with_help("such as --set sink.m=32 or --set source.path=other.npy"));
            };
            let document = format!("{}{OVERRIDE_KEY}{value}", " ".repeat(start));
            let path = key.split('.').map(|part| part.trim().to_owned()).collect();
            let length = OVERRIDE_KEY.len() + value.len();
            parsed.push(Self { typed: typed.clone(), path, value: value.to_owned(), document, start });
            start += length + 1;
        }
        Ok(parsed)
    }

    /// What was typed.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// Its place, which is behind the text and no place in it.
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.start + OVERRIDE_KEY.len() + self.value.len()
    }

    /// Puts the value at its path.
    ///
    /// # Errors
    /// If there is nothing at the path into which it could be put.
    pub(super) fn put_in<'t>(&'t self, table: &mut DeTable<'t>) -> Result<(), Wrong> {
        put(table, &self.path, self.value())
    }

    /// The value: what was typed as TOML, or else as a string.
    pub(super) fn value(&self) -> Spanned<DeValue<'_>> {
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
    pub(super) fn has_path(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| environment::has_string(&self.value(), path, usize::MAX))
    }
}

/// What is wrong with an override.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: String,
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
