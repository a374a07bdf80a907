//! Files that are opened beside any pipeline: to be looked at, or to be compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use readers::{Concat, Dataset, Error, FormatDescriptor, Input, OpenFormat, check_named, detect};
use toml::Value;
use toml::de::ValueDeserializer;

use super::queries::files_of;
use super::shared::EXEC;
use crate::Failure;
use crate::pipeline::{Cancel, is_stdio};

/// What to open, and how.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Names and patterns.
    pub(super) names: Vec<PathBuf>,
    /// The format, where it is named.
    pub(super) format: Option<&'static FormatDescriptor>,
    pub(super) dim: Option<usize>,
    pub(super) vector_column: Option<String>,
    pub(super) id_column: Option<String>,
    /// Whether the columns are meant for those files only that have some.
    pub(super) columns_where_there_are: bool,
    /// Whether ids are wanted.
    pub(super) ids: bool,
    /// Whether further columns are wanted.
    pub(super) payload: bool,
}

/// Files as one dataset.
pub(super) struct Opened {
    pub(super) dataset: Box<dyn Dataset>,
    /// Their formats, each once, and why the first file of it is one.
    pub(super) formats: Vec<(&'static FormatDescriptor, String)>,
}

/// The reader of a format, with some options that are texts.
pub(super) fn opener_with<'o>(
    format: &FormatDescriptor,
    options: impl IntoIterator<Item = (&'o str, Option<&'o str>)>,
) -> Result<Box<dyn OpenFormat>, Failure> {
    let options = options
        .into_iter()
        .filter_map(|(option, value)| Some(format!("{option} = {}", Value::String(value?.to_owned()))));
    let options = format!("{{ {} }}", options.collect::<Vec<_>>().join(", "));
    ValueDeserializer::parse(&options).and_then(|options| (format.parse)(options)).map_err(|e| {
        let what = e.message().lines().next().unwrap_or_default();
        Failure::refused(format!("{}: {what}", format.name))
            .with_help(format!("`sochdb-bulk plugins show {}` lists its options", format.name))
    })
}

impl Request {
    /// All files that are meant.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        files_of(&self.names)
    }

    /// One of the files, ready to be read from any place.
    pub(super) fn input(&self, path: &Path, cancel: &Cancel) -> Result<Input, Failure> {
        let input = self.packed(path).unpacked_unless(&|| cancel.is_set());
        cancel.check()?;
        Ok(input?)
    }

    fn packed(&self, path: &Path) -> Input {
        Input { dim: self.dim, own_ids: self.ids, payload: self.payload, ..Input::new(path) }
    }

    /// The format of a file, and why.
    pub(super) fn format_of(&self, input: &Input) -> Result<(&'static FormatDescriptor, String), Failure> {
        match self.format {
            Some(format) if format.name == EXEC => {
                Err(Failure::refused("expected the format of a file, found exec: a program")
                    .with_help("save what it writes with `convert`, and name that file"))
            }
            Some(format) => {
                check_named(format, input)?;
                Ok((format, "it was named".to_owned()))
            }
            None => {
                let found = detect(input)?;
                Ok((found.format, found.reason.into_owned()))
            }
        }
    }

    /// The reader of a format, with the columns that were named.
    pub(super) fn opener(&self, format: &FormatDescriptor) -> Result<Box<dyn OpenFormat>, Failure> {
        let named = [("vector_column", &self.vector_column), ("id_column", &self.id_column)];
        let schema = (format.schema)(&mut schemars::SchemaGenerator::default());
        let properties = schema.get("properties").and_then(|properties| properties.as_object());
        let has = |option: &str| properties.is_some_and(|properties| properties.contains_key(option));
        let options = named
            .into_iter()
            .filter(|(option, _)| !self.columns_where_there_are || has(option))
            .map(|(option, name)| (option, name.as_deref()));
        opener_with(format, options)
    }

    /// Opens all files.
    pub(super) fn open(&self, cancel: &Cancel) -> Result<Opened, Failure> {
        let files = self.files()?;
        let mut all = Concat::of(files.len());
        let mut formats: Vec<(&FormatDescriptor, String)> = Vec::new();
        for path in files {
            let input = self.input(&path, cancel)?;
            let (format, reason) = self.format_of(&input)?;
            let opener: Arc<dyn OpenFormat> = self.opener(format)?.into();
            let dataset = opener.open(&input)?;
            // Standard input stays unpacked, since it cannot be read again.
            let again = if is_stdio(&path) { input } else { self.packed(&path) };
            let cancel = cancel.clone();
            let reopen = move || -> Result<Box<dyn Dataset>, Error> {
                opener.open(&again.clone().unpacked_unless(&|| cancel.is_set())?)
            };
            all.push(dataset, Some(Box::new(reopen)))?;
            if formats.iter().all(|(known, _)| known.name != format.name) {
                formats.push((format, reason));
            }
        }
        Ok(Opened { dataset: all.finish()?, formats })
    }
}
