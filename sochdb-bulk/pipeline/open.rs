//! From the `[source]` tables to one dataset.

use std::path::PathBuf;
use std::sync::Arc;

use readers::{
    Chosen, Concat, Dataset, Detected, Error, FormatDescriptor, Input, OpenFormat, Program, Surroundings,
    Zip, check_named, detect, files_called,
};

use super::source::{Files, Source};
use super::spec::is_stdio;
use super::{Cancel, Monitoring, Text};
use crate::{Code, Failure};

/// All sources as one dataset.
pub(super) struct Opened {
    pub(super) dataset: Box<dyn Dataset>,
    /// What the files turned out to be.
    pub(super) found: Found,
    /// What the ids come from, where that is another file.
    pub(super) ids_name: Option<PathBuf>,
    /// What a person should hear of the files.
    pub(super) notes: Vec<String>,
}

/// What the files of all sources turned out to be.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What they are called in messages: the file, or what stands for all of them.
    pub(crate) name: PathBuf,
    /// The formats of the vectors, each once.
    pub(crate) formats: Vec<&'static str>,
    /// Those of ids and further columns, where these come from other files.
    pub(crate) column_formats: Vec<&'static str>,
    /// Which columns or arrays of them the vectors come from, and the ids if those are beside them.
    pub(super) chosen: Vec<Chosen>,
    /// Which columns of the other files the ids come from.
    pub(super) column_chosen: Vec<Chosen>,
    /// What told the format of the first file.
    pub(crate) reason: String,
}

/// What is wanted beside the vectors: each is as it is in [`Input`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) ids: bool,
    pub(super) payload: bool,
}

/// Opens what `sources` name.
pub(super) fn open(
    text: &Text,
    sources: &[Source],
    wanted: Wanted,
    monitoring: &Monitoring,
    allow_exec: bool,
) -> Result<Opened, Failure> {
    let mut opening =
        Opening { text, monitoring, allow_exec, took_stdin: false, notes: Vec::new(), reason: None };
    let mut found = Vec::new();
    for source in sources {
        found.push(opening.find(&source.vectors)?);
    }
    let files = found.iter().map(Vec::len).sum();
    let several = (files > 1).then(|| name_of_all(text, &sources[0].vectors, &found, files));
    // Vectors whose columns are in other files are one part with them.
    let parts =
        sources.iter().zip(&found).map(|(source, files)| source.columns.as_ref().map_or(files.len(), |_| 1));
    let parts = parts.sum();
    let mut all = Concat::of(parts);
    let (mut formats, mut column_formats, mut ids_name) = (Vec::new(), Vec::new(), None);
    let (mut chosen, mut column_chosen) = (None, Vec::new());
    for (source, paths) in sources.iter().zip(found) {
        let mut side = Side {
            files: &source.vectors,
            dim: source.dim(text)?,
            wanted,
            columns_only: false,
            openers: Vec::new(),
        };
        match &source.columns {
            None => opening.push_all(&mut all, &mut side, paths)?,
            Some(columns) => {
                let mut right =
                    Side { files: columns, dim: None, wanted, columns_only: true, openers: Vec::new() };
                let found = [opening.find(columns)?];
                let name = name_of_all(text, columns, &found, found[0].len());
                let columns = opening.concat(&mut right, found.into_iter().flatten().collect())?;
                // Ids of the columns are those that count, so others need not be there.
                side.wanted.ids &= columns.info().ids.is_none();
                ids_name = Some(name).filter(|_| columns.info().ids.is_some() && sources.len() == 1);
                let vectors = opening.concat(&mut side, paths)?;
                if sources.len() == 1 {
                    chosen = Some(vectors.info().chosen.clone());
                    column_chosen.clone_from(&columns.info().chosen);
                }
                right.add_formats(&mut column_formats);
                all.push(Box::new(Zip::new(vectors, columns)?), None)?;
            }
        }
        side.add_formats(&mut formats);
    }
    let dataset = all.finish()?;
    opening.hear(&*dataset, parts);
    let first = dataset.info().files.first().cloned().unwrap_or_default();
    let found = Found {
        name: several.unwrap_or(first),
        formats,
        column_formats,
        chosen: chosen.unwrap_or_else(|| dataset.info().chosen.clone()),
        column_chosen,
        reason: opening.reason.unwrap_or_default(),
    };
    Ok(Opened { dataset, found, ids_name, notes: opening.notes })
}

/// What several files are called together: what was typed, where that is one pattern.
fn name_of_all(text: &Text, typed: &Files, found: &[Vec<PathBuf>], files: usize) -> PathBuf {
    if let ([pattern], [_]) = (typed.names.as_slice(), found) {
        return text.resolve(pattern);
    }
    let first = found.iter().flatten().next().map(|path| path.display().to_string()).unwrap_or_default();
    if files == 1 { first.into() } else { format!("{first} and {} more", files - 1).into() }
}

/// Files that are read alike.
struct Side<'s> {
    files: &'s Files,
    dim: Option<usize>,
    wanted: Wanted,
    /// Whether the vectors are in other files.
    columns_only: bool,
    /// What reads each format that was found.
    openers: Vec<(&'static str, Arc<dyn OpenFormat>)>,
}

impl Side<'_> {
    fn opener(&mut self, text: &Text, format: &FormatDescriptor) -> Result<Arc<dyn OpenFormat>, Failure> {
        if let Some((_, opener)) = self.openers.iter().find(|(name, _)| *name == format.name) {
            return Ok(Arc::clone(opener));
        }
        let opener: Arc<dyn OpenFormat> = self.files.opener(text, format)?.into();
        self.openers.push((format.name, Arc::clone(&opener)));
        Ok(opener)
    }

    fn add_formats(&self, formats: &mut Vec<&'static str>) {
        for (name, _) in &self.openers {
            if !formats.contains(name) {
                formats.push(name);
            }
        }
    }
}

/// What opens one file, as often as it is needed.
struct OpenFile {
    input: Input,
    opener: Arc<dyn OpenFormat>,
    columns_only: bool,
    cancel: Cancel,
}

impl OpenFile {
    fn open(&self) -> Result<Box<dyn Dataset>, Error> {
        self.open_unpacked(&self.input.clone().unpacked_unless(&|| self.cancel.is_set())?)
    }

    fn open_unpacked(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        if self.columns_only { self.opener.open_columns(input) } else { self.opener.open(input) }
    }
}

/// The state of [`open`].
struct Opening<'t> {
    text: &'t Text,
    monitoring: &'t Monitoring,
    /// Whether programs may be run.
    allow_exec: bool,
    took_stdin: bool,
    notes: Vec<String>,
    /// What told the format of the first file of vectors.
    reason: Option<String>,
}

impl Opening<'_> {
    /// The paths of all files that are named.
    fn find(&mut self, files: &Files) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        for name in &files.names {
            if files.is_program {
                let has_path = !name.as_os_str().is_empty();
                found.push(if has_path { self.text.resolve(name) } else { PathBuf::new() });
                continue;
            }
            if is_stdio(name) {
                self.take_stdin(files)?;
            }
            let all = files_called(self.text.folder_of(name), name);
            found.extend(all.map_err(|error| self.text.locate(files.span.clone(), error.into()))?);
        }
        Ok(found)
    }

    fn take_stdin(&mut self, files: &Files) -> Result<(), Failure> {
        let refuse = |message: &str| {
            let refused = self.text.refuse(files.span.clone(), message);
            Err(refused.with_code(Code::Stdio).with_help("save one of the two to a file"))
        };
        if self.text.is_standard_input() {
            return refuse("the pipeline itself is on standard input, so the vectors cannot be");
        }
        if self.took_stdin {
            return refuse("expected standard input once, found it twice");
        }
        self.took_stdin = true;
        Ok(())
    }

    /// All files of a side as one dataset.
    fn concat(&mut self, side: &mut Side<'_>, paths: Vec<PathBuf>) -> Result<Box<dyn Dataset>, Failure> {
        let parts = paths.len();
        let mut all = Concat::of(parts);
        self.push_all(&mut all, side, paths)?;
        let dataset = all.finish()?;
        self.hear(&*dataset, parts);
        Ok(dataset)
    }

    fn push_all(
        &mut self,
        all: &mut Concat,
        side: &mut Side<'_>,
        paths: Vec<PathBuf>,
    ) -> Result<(), Failure> {
        for path in paths {
            let (dataset, again) = self.open_file(side, path)?;
            all.push(dataset, Some(Box::new(move || again.open())))?;
        }
        Ok(())
    }

    /// Opens a file, of whatever format it is.
    fn open_file(
        &mut self,
        side: &mut Side<'_>,
        path: PathBuf,
    ) -> Result<(Box<dyn Dataset>, OpenFile), Failure> {
        let Wanted { ids: own_ids, payload } = side.wanted;
        let mut packed = Input { dim: side.dim, own_ids, payload, ..side.files.input(path) };
        let named = side.files.format.map(|format| side.opener(self.text, format)).transpose()?;
        let is_part = named.as_ref().is_some_and(|opener| opener.is_part());
        let program = named.and_then(|opener| opener.program());
        let cancel = &self.monitoring.cancel;
        let taken_in = match &program {
            Some(program) if !self.allow_exec => {
                let message = format!("expected leave to run {}, found none", program.line());
                let refused = self.text.refuse(side.files.span.clone(), &message);
                return Err(refused.with_code(Code::Permission).with_help(
                    "a source of type exec runs a program: if you trust it, say --allow-exec on the command line",
                ));
            }
            Some(program) => self.written_by(program, packed.clone()),
            None if is_part && !is_stdio(&packed.path) => Ok(packed.clone()),
            None => packed.clone().unpacked_unless(&|| cancel.is_set()),
        };
        cancel.check()?;
        let input = taken_in?;
        if program.is_some() || is_stdio(&packed.path) {
            // It cannot be read again.
            packed = input.clone();
        }
        let (format, reason) = match side.files.format {
            Some(format) => {
                // What a program writes is what its format says, and no file that could be another's; a part of a file is none.
                if program.is_none() && !is_part {
                    check_named(format, &input)?;
                }
                (format, "it was named".into())
            }
            None => {
                let Detected { format, reason } = detect(&input)?;
                (format, reason)
            }
        };
        if !side.columns_only {
            self.reason.get_or_insert_with(|| reason.to_string());
        }
        let opener = side.opener(self.text, format)?;
        let file = OpenFile {
            input: packed,
            opener,
            columns_only: side.columns_only,
            cancel: self.monitoring.cancel.clone(),
        };
        let dataset = file.open_unpacked(&input)?;
        let name = input.path.display();
        self.notes.extend(input.note().map(|note| format!("{name}: {note}")));
        let rows = dataset.info().rows;
        self.notes.push(format!("{name}: {rows} rows, read as {} ({reason})", format.name));
        Ok((dataset, file))
    }

    /// The input with what a program writes, in the folder of the text. Its words are shown.
    fn written_by(&self, program: &Program, input: Input) -> Result<Input, Error> {
        let around = Surroundings {
            folder: self.text.folder(),
            stop: &|| self.monitoring.cancel.is_set(),
            hear: &|line| self.monitoring.progress.say(line),
        };
        input.written_by(program, &around)
    }

    /// Takes the notes of a dataset. Those of several parts name their files already.
    fn hear(&mut self, dataset: &dyn Dataset, parts: usize) {
        let info = dataset.info();
        let name = info.files.first().filter(|_| parts == 1).map(|file| format!("{}: ", file.display()));
        let name = name.unwrap_or_default();
        self.notes.extend(info.notes.iter().map(|note| format!("{name}{note}")));
    }
}
