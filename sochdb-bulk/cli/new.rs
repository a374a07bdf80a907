//! `new`: an example of a pipeline with the steps that are named.

use toml::Table;

use super::options::{Described, options_of};
use super::pipeline_file::{OutputArgs, plain};
use crate::output::diagnostics::Verbosity;
use crate::pipeline::{Pipeline, SOURCE_OPTIONS, did_you_mean};
use crate::{Code, Failure, sinks, stages};

/// Write an example of a pipeline: a source, stages, a sink
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk new npy/normalize/hnsw
  sochdb-bulk new parquet/filter/slice/hnsw --output pipeline.toml

`sochdb-bulk plugins` lists what there is. Options that the example leaves out are in its comments.")]
pub(super) struct Args {
    /// A format, any number of stages and a sink, with slashes between them
    #[arg(value_name = "SOURCE/STAGE/.../SINK")]
    steps: String,

    #[command(flatten)]
    output: OutputArgs,
}

type SchemaOf = fn(&mut schemars::SchemaGenerator) -> schemars::Schema;

/// What a step is shown by.
struct Step {
    kind: &'static str,
    name: &'static str,
    example: String,
    schema: SchemaOf,
}

pub(super) fn execute(args: &Args, verbosity: Verbosity) -> Result<(), Failure> {
    let text = written(&steps(&args.steps)?);
    if !args.output.is_wanted(&[], verbosity)? {
        return Ok(());
    }
    // What is wrong with it is wrong with the example of a plugin.
    Pipeline::parse(args.output.text(&text))?;
    args.output.write(&text, verbosity)
}

/// The plugins that are named.
fn steps(expression: &str) -> Result<Vec<Step>, Failure> {
    let words: Vec<&str> = expression.split('/').map(str::trim).collect();
    let [source, between @ .., sink] = words.as_slice() else {
        let message = format!("expected a source and a sink with a slash between them, found `{expression}`");
        return Err(Failure::refused(message).with_help("such as npy/hnsw, or npy/normalize/hnsw"));
    };
    let source = readers::format_called(source).ok_or_else(|| unknown("source", source))?;
    let mut steps = vec![Step {
        kind: "source",
        name: source.name,
        example: source.example.to_owned(),
        schema: source.schema,
    }];
    for word in between {
        let stage = stages::called(word).ok_or_else(|| unknown("stage", word))?;
        let example = stage.example.to_owned();
        steps.push(Step { kind: "stage", name: stage.name, example, schema: stage.schema });
    }
    let sink = sinks::called(sink).ok_or_else(|| unknown("sink", sink))?;
    let example = elsewhere(sink.example, source.example);
    steps.push(Step { kind: "sink", name: sink.name, example, schema: sink.schema });
    Ok(steps)
}

/// The example of a sink, which must not write to the file that the source's reads.
fn elsewhere(sink: &str, source: &str) -> String {
    let path = |table: &str, example: &str| -> Option<String> {
        let example: Table = example.parse().ok()?;
        Some(example.get(table)?.get("path")?.as_str()?.to_owned())
    };
    match (path("sink", sink), path("source", source)) {
        (Some(output), Some(input)) if output == input => {
            sink.replacen(&format!("\"{output}\""), &format!("\"new-{output}\""), 1)
        }
        _ => sink.to_owned(),
    }
}

fn unknown(kind: &str, word: &str) -> Failure {
    let formats = || readers::formats().iter().map(|format| format.name).collect::<Vec<_>>();
    let all_stages = || stages::all().iter().map(|stage| stage.name).collect::<Vec<_>>();
    let all_sinks = || sinks::all().iter().map(|sink| sink.name).collect::<Vec<_>>();
    let known = match kind {
        "source" => formats(),
        "stage" => all_stages(),
        _ => all_sinks(),
    };
    let other_build = readers::other_build(word).filter(|_| kind == "source");
    let help = match other_build {
        Some(help) => help.to_owned(),
        None => did_you_mean(word, &known, "known"),
    };
    let place = match kind {
        "source" => "first comes a source",
        "stage" => "between source and sink come stages",
        _ => "last comes a sink",
    };
    Failure::refused(format!("no {kind} is called `{word}`: {place}"))
        .with_code(Code::UnknownType)
        .with_help(help)
}

/// The examples one behind the other, each with the options that it leaves out.
fn written(steps: &[Step]) -> String {
    let mut text = "version = 1\n".to_owned();
    for step in steps {
        text += &format!("\n{}\n", step.example.trim_end());
        let shown = shown(step);
        let (_, options) = options_of(step.schema);
        let more: Vec<&Described> = options.iter().filter(|option| !shown.contains(&option.name)).collect();
        if !more.is_empty() {
            text += &format!("# Further options of {}:\n", step.name);
        }
        text.extend(more.into_iter().map(|option| comment(&plain(&option.line()))));
        if step.kind == "source" {
            let more: Vec<_> = SOURCE_OPTIONS
                .into_iter()
                .filter(|option| !shown.iter().any(|name| name == option))
                .collect();
            text += &format!("# Further options of every source: {}\n", more.join(", "));
        }
    }
    text
}

/// A comment of as many lines as it takes.
fn comment(words: &str) -> String {
    const WIDTH: usize = 100;
    let (mut text, mut line) = (String::new(), "#  ".to_owned());
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text += &line;
            text.push('\n');
            "#      ".clone_into(&mut line);
        }
        line.push(' ');
        line += word;
    }
    text + &line + "\n"
}

/// The keys that an example has.
fn shown(step: &Step) -> Vec<String> {
    let Ok(example) = step.example.parse::<Table>() else { return Vec::new() };
    let table = match example.get(step.kind) {
        Some(toml::Value::Array(tables)) => tables.first().and_then(toml::Value::as_table),
        Some(table) => table.as_table(),
        None => None,
    };
    table.into_iter().flat_map(Table::keys).cloned().collect()
}
