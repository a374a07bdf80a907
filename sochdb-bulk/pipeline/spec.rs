//! From TOML to a [`Pipeline`], in two phases: first the text becomes a table in which everything knows its place; then
//! each step's table is read by the plugin that its `type` names. (Serde's own way to choose by a tag buffers the table
//! and forgets the places.)

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problems::Problems;
use super::recall::{self, RecallCheck};
use super::run_options::{self, RunOptions};
use super::source::{self, Source};
use super::suggest::did_you_mean;
use super::wrong_value::remedy;
use super::{Monitoring, Plan, Text, on_error};
use crate::sinks::{self, AnySink};
use crate::stages::{self, AnyStage};
use crate::{Code, Failure};

/// A place in the text.
pub(super) type Span = Range<usize>;

/// The stages in their order, each with its place.
pub(super) type Stages = Vec<(Box<dyn AnyStage>, Span)>;

/// The sinks in their order, each with its place.
pub(super) type Sinks = Vec<(Box<dyn AnySink>, Span)>;

/// The version of the language that this program reads.
const VERSION: i64 = 1;

const TOP_LEVEL: [&str; 8] = ["version", "name", "run", "on_error", "source", "stage", "sink", "check"];

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
    /// At least one.
    pub(super) sinks: Sinks,
    pub(super) check: Option<RecallCheck>,
    /// Only so many rows of those that are wanted.
    pub(super) first_rows: Option<u64>,
}

impl Pipeline {
    /// Reads a pipeline.
    ///
    /// # Errors
    /// All that is wrong, with its places.
    pub fn parse(text: Text) -> Result<Self, Failure> {
        let Parts { run, name, sources, stages, sinks, check } = Parts::parse(&text)?;
        Ok(Self { name, run, allow_exec: false, sources, stages, sinks, check, first_rows: None, text })
    }

    /// The names of its steps: formats (or `?` where a file will tell), stages, the sink.
    pub(crate) fn steps(&self) -> Vec<String> {
        let formats: Vec<&str> = self.sources.iter().map(Source::format_name).collect();
        let stages = self.stages.iter().map(|(stage, _)| stage.name().to_owned());
        let sinks: Vec<&str> = self.sinks.iter().map(|(sink, _)| sink.name()).collect();
        std::iter::once(formats.join(" + ")).chain(stages).chain([sinks.join(" + ")]).collect()
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
    sinks: Sinks,
    check: Option<RecallCheck>,
}

impl Parts {
    fn parse(text: &Text) -> Result<Self, Failure> {
        let table = text.table()?;
        let (span, mut table) = (table.span(), table.into_inner());
        let mut problems = Problems::default();
        let mut take = |name: &str| table.remove(name);
        problems.check(check_version(text, take("version")));
        let name = take("name").and_then(|value| problems.check(deserialize(text, value)));
        let run = take("run").and_then(|value| problems.check(run_options::parse(text, value)));
        let (source, stage, sink) = (take("source"), take("stage"), take("sink"));
        let (on_error, check) = (take("on_error"), take("check"));
        refuse_unknown(text, table.keys(), &TOP_LEVEL, ["key", "keys here"], &mut problems);
        let missing = |what: &str| {
            let help = format!("add a table `[{what}]` with `type` and `path`");
            let refused = text.refuse(span.clone(), &format!("there is no `[{what}]`"));
            refused.with_code(Code::Missing).with_help(help)
        };
        let sources = match source {
            Some(source) => source::parse(text, source, &mut problems),
            None => {
                problems.push(missing("source"));
                Vec::new()
            }
        };
        let mut stages = Stages::new();
        if let Some(on_error) = on_error {
            let stage = on_error::as_stage(text, on_error).and_then(|stage| parse_stage(text, stage));
            stages.extend(problems.check(stage));
        }
        stages.extend(stage.map(|stage| parse_stages(text, stage, &mut problems)).unwrap_or_default());
        let mut sinks = Sinks::new();
        match sink {
            Some(sink) => {
                for sink in source::tables(sink) {
                    sinks.extend(problems.check(parse_sink(text, sink)));
                }
            }
            None => problems.push(missing("sink")),
        }
        if let (Some(rows), [source]) = (run.as_ref().and_then(|run| run.rows.as_ref()), sources.as_slice())
            && source.counts_rows()
        {
            let refused = text.refuse(
                rows.span(),
                "expected `rows` in [run], or `rows` and `limit` in [source], found both",
            );
            problems.push(refused.with_code(Code::Conflict).with_help("leave one of them away"));
        }
        let check_span = check.as_ref().map(Spanned::span);
        let check = check.and_then(|value| problems.check(recall::parse(text, value))).flatten();
        if let (Some(span), Some(_)) = (check_span, check)
            && !sinks.is_empty()
            && !sinks.iter().any(|(sink, _)| sink.measures_recall())
        {
            let refused = text.refuse(span, "expected a sink whose recall can be measured, found none");
            problems.push(
                refused.with_code(Code::Conflict).with_help("recall is that of an index: type = \"hnsw\""),
            );
        }
        problems.none()?;
        Ok(Self { name, run: run.unwrap_or_default(), sources, stages, sinks, check })
    }
}

/// Fails if a table has keys that are not among `known`.
pub(super) fn check_keys(text: &Text, value: &Spanned<DeValue<'_>>, known: &[&str]) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let keys = value.get_ref().as_table().into_iter().flat_map(DeTable::keys);
    refuse_unknown(text, keys, known, ["option", "options here"], &mut problems);
    problems.none()
}

/// Notes every key that is not among `known`. `words` are what a key is, and what all of them are.
pub(super) fn refuse_unknown<'k, 't: 'k>(
    text: &Text,
    keys: impl Iterator<Item = &'k Spanned<Cow<'t, str>>>,
    known: &[&str],
    words: [&str; 2],
    problems: &mut Problems,
) {
    for key in keys.filter(|key| !known.contains(&key.get_ref().as_ref())) {
        let refused = text.refuse(key.span(), &format!("unknown {} `{}`", words[0], key.get_ref()));
        let help = did_you_mean(key.get_ref(), known, words[1]);
        problems.push(refused.with_code(Code::UnknownKey).with_help(help));
    }
}

fn parse_sink(text: &Text, value: Spanned<DeValue<'_>>) -> Result<(Box<dyn AnySink>, Span), Failure> {
    let step = Step::parse(text, value)?;
    let (kind, span) = (step.require_kind(text, "hnsw")?, step.span.clone());
    let Some(descriptor) = sinks::called(kind.get_ref()) else {
        let known: Vec<_> = sinks::all().iter().map(|sink| sink.name).collect();
        return Err(unknown_type(text, &kind, "sink", &known));
    };
    let mut sink = step.read(text, descriptor.name, descriptor.parse, descriptor.schema)?;
    sink.resolve_paths(&|path| text.resolve(path));
    Ok((sink, span))
}

fn parse_stages(text: &Text, value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Stages {
    let span = value.span();
    let DeValue::Array(tables) = value.into_inner() else {
        let refused = text.refuse(span, "expected stages as `[[stage]]`").with_code(Code::WrongValue);
        problems.push(refused.with_help("two brackets on each side, since there may be several"));
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
    let mut stage = step.read(text, descriptor.name, descriptor.parse, descriptor.schema)?;
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
            let refused = text.refuse(span, "expected a table with `type` and options");
            return Err(refused
                .with_code(Code::WrongValue)
                .with_help("such as `[sink]` and below it `type = \"hnsw\"`"));
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
                .with_code(Code::Missing)
                .with_help(format!("say what it is, for example `type = \"{example}\"`"))
        })
    }

    fn read<T: ?Sized>(
        self,
        text: &Text,
        name: &str,
        parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<T>, toml::de::Error>,
        schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    ) -> Result<Box<T>, Failure> {
        parse_options(text, self.options, name, parse, schema, &["type"])
    }
}

/// Reads a plugin's options. An unknown one is answered with the known ones, which the plugin's schema lists.
pub(super) fn parse_options<T: ?Sized>(
    text: &Text,
    mut options: Spanned<DeValue<'_>>,
    name: &str,
    parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<T>, toml::de::Error>,
    schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    more: &[&str],
) -> Result<Box<T>, Failure> {
    let span = options.span();
    let schema = schema(&mut schemars::SchemaGenerator::default());
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    let known: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    // Other names of an option, which nobody is told of.
    let aliases: Vec<&str> =
        properties.into_iter().flatten().flat_map(|(_, option)| super::schema::aliases(option)).collect();
    let mut problems = Problems::default();
    if let DeValue::Table(table) = options.get_mut() {
        let all: Vec<&str> = more.iter().copied().chain(known.iter().copied()).collect();
        let (theirs, unknown): (DeTable<'_>, DeTable<'_>) =
            std::mem::take(table).into_iter().partition(|(key, _)| {
                [&known, &aliases].iter().any(|names| names.contains(&key.get_ref().as_ref()))
            });
        *table = theirs;
        refuse_unknown(text, unknown.keys(), &all, ["option", "options here"], &mut problems);
    }
    let failure = match parse(ValueDeserializer::from(options)) {
        Ok(parsed) => return problems.none().map(|()| parsed),
        Err(e) => {
            let failure = text.refuse_toml(&e, span, Code::WrongValue);
            let more = format!("`sochdb-bulk plugins show {name}` describes all options");
            let help =
                remedy(failure.message()).map_or_else(|| more.clone(), |help| format!("{help}; {more}"));
            failure.with_help(help)
        }
    };
    match problems.none() {
        Ok(()) => Err(failure),
        // What an unknown option was meant to be is not missing as well.
        Err(unknown) if failure.code() == Code::Missing => Err(unknown),
        Err(unknown) => Err(unknown.and(failure)),
    }
}

pub(super) fn deserialize<T: serde::de::DeserializeOwned>(
    text: &Text,
    value: Spanned<DeValue<'_>>,
) -> Result<T, Failure> {
    let span = value.span();
    T::deserialize(ValueDeserializer::from(value)).map_err(|e| text.refuse_toml(&e, span, Code::WrongValue))
}

fn check_version(text: &Text, version: Option<Spanned<DeValue<'_>>>) -> Result<(), Failure> {
    let Some(version) = version else {
        return Err(text
            .refuse(0..0, "there is no `version`")
            .with_code(Code::Missing)
            .with_help(format!("begin the file with `version = {VERSION}`")));
    };
    let span = version.span();
    match deserialize::<i64>(text, version)? {
        VERSION => Ok(()),
        other => {
            let message = format!("written for version {other}; this program reads version {VERSION}");
            let refused = text.refuse(span, &message).with_code(Code::Version);
            Err(refused.with_help("use the program that it is written for, or write it anew for this one"))
        }
    }
}

pub(super) fn unknown_type(text: &Text, kind: &Spanned<String>, what: &str, known: &[&str]) -> Failure {
    let help = match readers::other_build(kind.get_ref()).filter(|_| what == "source") {
        Some(help) => help.to_owned(),
        None => did_you_mean(kind.get_ref(), known, "known"),
    };
    let refused = text.refuse(kind.span(), &format!("unknown {what} `{}`", kind.get_ref()));
    refused.with_code(Code::UnknownType).with_help(help)
}

/// Whether a path is standard output or input.
pub(crate) fn is_stdio(path: &Path) -> bool {
    path == Path::new("-")
}
