//! From TOML to a [`Pipeline`], in two phases: first the text becomes a table in which everything knows its place; then
//! each step's table is read by the plugin that its `type` names. (Serde's own way to choose by a tag buffers the table
//! and forgets the places.)

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problems::Problems;
use super::source::{self, Source};
use super::suggest::did_you_mean;
use super::{Monitoring, Plan, Text};
use crate::Failure;
use crate::sinks::{self, AnySink};
use crate::stages::{self, AnyStage};

/// A place in the text.
pub(super) type Span = Range<usize>;

/// The stages in their order, each with its place.
pub(super) type Stages = Vec<(Box<dyn AnyStage>, Span)>;

/// The version of the language that this program reads.
const VERSION: i64 = 1;

const TOP_LEVEL: [&str; 6] = ["version", "name", "run", "source", "stage", "sink"];

/// Keys of `[run]`.
const RUN: [&str; 3] = ["threads", "batch_rows", "if_exists"];

/// What to do about an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// Replace it when the new one is whole.
    #[default]
    Replace,
    /// Refuse to run.
    Error,
    /// Leave it and be content.
    Skip,
}

/// How to run: by contract none of this changes the result.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunOptions {
    /// The most threads that run at a time; 0 for one a core.
    pub threads: usize,
    /// Rows of one batch; what makes about 1.5 MiB where it is not given.
    pub batch_rows: Option<usize>,
    /// What to do about an output that exists.
    pub if_exists: IfExists,
}

/// The most threads that one may ask for: more is a slip of the finger.
pub(crate) const MAX_THREADS: usize = 1024;

/// A pipeline that is well formed; whether it fits its input, [`Pipeline::plan`] finds out.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) text: Text,
    /// What the person calls it.
    pub name: Option<String>,
    /// How to run it.
    pub run: RunOptions,
    /// Whether its source may run a program. Not a word of the text: whoever runs it says so.
    pub allow_exec: bool,
    pub(super) sources: Vec<Source>,
    pub(super) stages: Stages,
    pub(super) sink: Box<dyn AnySink>,
    pub(super) sink_span: Range<usize>,
}

impl Pipeline {
    /// Reads a pipeline.
    ///
    /// # Errors
    /// All that is wrong, with its places.
    pub fn parse(text: Text) -> Result<Self, Failure> {
        let parsed = Parts::parse(&text)?;
        let Parts { run, name, sources, stages, sink, sink_span } = parsed;
        Ok(Self { name, run, allow_exec: false, sources, stages, sink, sink_span, text })
    }

    /// The names of its steps: formats (or `?` where a file will tell), stages, the sink.
    pub(crate) fn steps(&self) -> Vec<String> {
        let formats: Vec<&str> = self.sources.iter().map(Source::format_name).collect();
        let stages = self.stages.iter().map(|(stage, _)| stage.name().to_owned());
        std::iter::once(formats.join(" + ")).chain(stages).chain([self.sink.name().to_owned()]).collect()
    }

    /// Opens the inputs' headers and checks everything that can be checked before a byte is written.
    ///
    /// # Errors
    /// What does not fit: files, options, dimensions, counts, outputs that are inputs.
    pub fn plan(self) -> Result<Plan, Failure> {
        Plan::new(self, &Monitoring::silent())
    }

    /// As [`Pipeline::plan`], but can be stopped while an input is unpacked, and a program that makes it is heard.
    pub(crate) fn plan_with(self, monitoring: &Monitoring) -> Result<Plan, Failure> {
        Plan::new(self, monitoring)
    }
}

/// A [`Pipeline`] without its text, which the parser borrows.
struct Parts {
    name: Option<String>,
    run: RunOptions,
    sources: Vec<Source>,
    stages: Stages,
    sink: Box<dyn AnySink>,
    sink_span: Range<usize>,
}

impl Parts {
    fn parse(text: &Text) -> Result<Self, Failure> {
        let table = text.table()?;
        let (span, mut table) = (table.span(), table.into_inner());
        let mut problems = Problems::default();
        let mut take = |name: &str| table.remove(name);
        problems.check(check_version(text, take("version")));
        let name = take("name").and_then(|value| problems.check(deserialize(text, value)));
        let run = take("run").and_then(|value| problems.check(parse_run(text, value))).unwrap_or_default();
        let (source, stage, sink) = (take("source"), take("stage"), take("sink"));
        for (key, _) in &table {
            let message = format!("unknown key `{}`", key.get_ref());
            let help = did_you_mean(key.get_ref(), &TOP_LEVEL, "keys here");
            problems.push(text.refuse(key.span(), &message).with_help(help));
        }
        let missing = |what: &str| {
            let help = format!("add a table `[{what}]` with `type` and `path`");
            text.refuse(span.clone(), &format!("there is no `[{what}]`")).with_help(help)
        };
        let sources = match source {
            Some(source) => source::parse(text, source, &mut problems),
            None => {
                problems.push(missing("source"));
                Vec::new()
            }
        };
        let stages = stage.map(|stage| parse_stages(text, stage, &mut problems)).unwrap_or_default();
        let sink = sink.ok_or_else(|| missing("sink")).and_then(|sink| parse_sink(text, sink));
        let sink = problems.check(sink);
        problems.none()?;
        match sink {
            Some((sink, sink_span)) => Ok(Self { name, run, sources, stages, sink, sink_span }),
            None => Err(missing("sink")),
        }
    }
}

fn parse_sink(text: &Text, value: Spanned<DeValue<'_>>) -> Result<(Box<dyn AnySink>, Span), Failure> {
    let step = Step::parse(text, value)?;
    let (kind, span) = (step.require_kind(text, "hnsw")?, step.span.clone());
    let Some(descriptor) = sinks::called(kind.get_ref()) else {
        let known: Vec<_> = sinks::all().iter().map(|sink| sink.name).collect();
        return Err(unknown_type(text, &kind, "sink", &known));
    };
    let mut sink = step.read(text, descriptor.parse, descriptor.schema)?;
    sink.resolve_paths(&|path| text.resolve(path));
    Ok((sink, span))
}

fn parse_stages(text: &Text, value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Stages {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        problems.push(text.refuse(span, "expected stages as `[[stage]]`"));
        return Vec::new();
    };
    tables.into_iter().filter_map(|table| problems.check(parse_stage(text, table))).collect()
}

fn parse_stage(text: &Text, value: Spanned<DeValue<'_>>) -> Result<(Box<dyn AnyStage>, Span), Failure> {
    let step = Step::parse(text, value)?;
    let kind = step.require_kind(text, "normalize")?;
    let Some(descriptor) = stages::called(kind.get_ref()) else {
        let known: Vec<_> = stages::all().iter().map(|stage| stage.name).collect();
        return Err(unknown_type(text, &kind, "stage", &known));
    };
    let span = step.span.clone();
    let mut stage = step.read(text, descriptor.parse, descriptor.schema)?;
    stage.resolve_paths(&|path| text.resolve(path));
    Ok((stage, span))
}

/// A table of the file, without its `type`.
pub(super) struct Step<'t> {
    pub(super) kind: Option<Spanned<String>>,
    pub(super) options: Spanned<DeValue<'t>>,
    pub(super) span: Range<usize>,
}

impl<'t> Step<'t> {
    pub(super) fn parse(text: &Text, value: Spanned<DeValue<'t>>) -> Result<Self, Failure> {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            return Err(text.refuse(span, "expected a table with `type` and options"));
        };
        let options = Spanned::new(span.clone(), DeValue::Table(table));
        let mut step = Self { kind: None, options, span };
        let kind = step.take(&["type"]);
        #[derive(Deserialize)]
        struct Kind {
            r#type: Option<Spanned<String>>,
        }
        step.kind = deserialize::<Kind>(text, kind)?.r#type;
        Ok(step)
    }

    /// Takes keys out of the table into one of their own.
    pub(super) fn take(&mut self, keys: &[&str]) -> Spanned<DeValue<'t>> {
        let mut taken = DeTable::new();
        let span = self.options.span();
        if let DeValue::Table(table) = self.options.get_mut() {
            let (theirs, rest): (Vec<_>, Vec<_>) = std::mem::take(table)
                .into_iter()
                .partition(|(key, _)| keys.contains(&key.get_ref().as_ref()));
            taken.extend(theirs);
            table.extend(rest);
        }
        Spanned::new(span, DeValue::Table(taken))
    }

    fn require_kind(&self, text: &Text, example: &str) -> Result<Spanned<String>, Failure> {
        self.kind.clone().ok_or_else(|| {
            text.refuse(self.span.clone(), "there is no `type`")
                .with_help(format!("say what it is, for example `type = \"{example}\"`"))
        })
    }

    fn read<T: ?Sized>(
        self,
        text: &Text,
        parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<T>, toml::de::Error>,
        schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    ) -> Result<Box<T>, Failure> {
        parse_options(text, self.options, parse, schema, &["type"])
    }
}

/// Reads a plugin's options. An unknown one is answered with the known ones, which the plugin's schema lists.
pub(super) fn parse_options<T: ?Sized>(
    text: &Text,
    mut options: Spanned<DeValue<'_>>,
    parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<T>, toml::de::Error>,
    schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    more: &[&str],
) -> Result<Box<T>, Failure> {
    let span = options.span();
    let schema = schema(&mut schemars::SchemaGenerator::default());
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    let known: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let mut problems = Problems::default();
    if let DeValue::Table(table) = options.get_mut() {
        let all: Vec<&str> = more.iter().copied().chain(known.iter().copied()).collect();
        let (theirs, unknown): (DeTable<'_>, DeTable<'_>) =
            std::mem::take(table).into_iter().partition(|(key, _)| known.contains(&key.get_ref().as_ref()));
        *table = theirs;
        for key in unknown.keys() {
            let help = did_you_mean(key.get_ref(), &all, "options here");
            problems.push(
                text.refuse(key.span(), &format!("unknown option `{}`", key.get_ref())).with_help(help),
            );
        }
    }
    let failure = match parse(ValueDeserializer::from(options)) {
        Ok(parsed) => return problems.none().map(|()| parsed),
        Err(e) => text.refuse_toml(&e, span),
    };
    match problems.none() {
        Ok(()) => Err(failure),
        // What an unknown option was meant to be is not missing as well.
        Err(unknown) if failure.message().contains("missing field") => Err(unknown),
        Err(unknown) => Err(unknown.and(failure)),
    }
}

pub(super) fn deserialize<T: serde::de::DeserializeOwned>(
    text: &Text,
    value: Spanned<DeValue<'_>>,
) -> Result<T, Failure> {
    let span = value.span();
    T::deserialize(ValueDeserializer::from(value)).map_err(|e| text.refuse_toml(&e, span))
}

fn check_version(text: &Text, version: Option<Spanned<DeValue<'_>>>) -> Result<(), Failure> {
    let Some(version) = version else {
        return Err(text
            .refuse(0..0, "there is no `version`")
            .with_help(format!("begin the file with `version = {VERSION}`")));
    };
    let span = version.span();
    match deserialize::<i64>(text, version)? {
        VERSION => Ok(()),
        other => {
            let message = format!("written for version {other}; this program reads version {VERSION}");
            Err(text.refuse(span, &message))
        }
    }
}

fn parse_run(text: &Text, value: Spanned<DeValue<'_>>) -> Result<RunOptions, Failure> {
    let keys: Vec<(String, Range<usize>, Range<usize>)> = value
        .get_ref()
        .as_table()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.get_ref().to_string(), key.span(), value.span()))
        .collect();
    if let Some((key, span, _)) = keys.iter().find(|(key, ..)| !RUN.contains(&key.as_str())) {
        let help = did_you_mean(key, &RUN, "options here");
        return Err(text.refuse(span.clone(), &format!("unknown option `{key}`")).with_help(help));
    }
    let span_of = |name: &str| keys.iter().find(|(key, ..)| key == name).map_or(0..0, |key| key.2.clone());
    let run: RunOptions = deserialize(text, value)?;
    if run.threads > MAX_THREADS {
        let message = format!("expected up to {MAX_THREADS} threads, found {}", run.threads);
        return Err(text.refuse(span_of("threads"), &message));
    }
    if run.batch_rows == Some(0) {
        return Err(text.refuse(span_of("batch_rows"), "expected batches of at least 1 row, found 0"));
    }
    Ok(run)
}

pub(super) fn unknown_type(text: &Text, kind: &Spanned<String>, what: &str, known: &[&str]) -> Failure {
    let help = match readers::other_build(kind.get_ref()).filter(|_| what == "source") {
        Some(help) => help.to_owned(),
        None => did_you_mean(kind.get_ref(), known, "known"),
    };
    text.refuse(kind.span(), &format!("unknown {what} `{}`", kind.get_ref())).with_help(help)
}

/// Whether a path is standard output or input.
pub(crate) fn is_stdio(path: &Path) -> bool {
    path == Path::new("-")
}
