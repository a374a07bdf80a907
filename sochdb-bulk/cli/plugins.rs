//! `plugins`: what the program can read, do and write, as the registries have it.

use readers::FormatDescriptor;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::options::{Described, options_of};
use crate::output::stdout;
use crate::pipeline::{SOURCE_OPTIONS, did_you_mean};
use crate::sinks::{self, SinkDescriptor};
use crate::stages::{self, StageDescriptor};
use crate::{Code, Failure};

/// List formats, stages and sinks, or describe one with its options
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk plugins
  sochdb-bulk plugins show normalize")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Describe every plugin of that name, with its options
    Show {
        /// Its name or one of its aliases
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What formats, stages and sinks have in common.
struct Plugin {
    kind: &'static str,
    name: &'static str,
    aliases: &'static [&'static str],
    extensions: &'static [&'static str],
    summary: &'static str,
    example: &'static str,
    krate: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl From<&FormatDescriptor> for Plugin {
    fn from(format: &FormatDescriptor) -> Self {
        let &FormatDescriptor { name, aliases, extensions, summary, example, krate, schema, .. } = format;
        Self { kind: "format", name, aliases, extensions, summary, example, krate, schema }
    }
}

impl From<&StageDescriptor> for Plugin {
    fn from(stage: &StageDescriptor) -> Self {
        let &StageDescriptor { name, summary, example, krate, schema, .. } = stage;
        Self { kind: "stage", name, aliases: &[], extensions: &[], summary, example, krate, schema }
    }
}

impl From<&SinkDescriptor> for Plugin {
    fn from(sink: &SinkDescriptor) -> Self {
        let &SinkDescriptor { name, aliases, extensions, summary, example, krate, schema, .. } = sink;
        Self { kind: "sink", name, aliases, extensions, summary, example, krate, schema }
    }
}

/// Formats, stages, sinks, each sorted by name.
fn all() -> Vec<Plugin> {
    let formats = readers::formats().into_iter().map(Plugin::from);
    let stages = stages::all().into_iter().map(Plugin::from);
    formats.chain(stages).chain(sinks::all().into_iter().map(Plugin::from)).collect()
}

pub(super) fn execute(args: Args) -> Result<(), Failure> {
    let all = all();
    match (args.command, args.json) {
        (None, false) => stdout::write(list(&all).as_bytes()),
        (None, true) => {
            let of = |kind| -> Value {
                all.iter().filter(|plugin| plugin.kind == kind).map(Plugin::as_json).collect()
            };
            let document =
                json!({"schema": 1, "formats": of("format"), "stages": of("stage"), "sinks": of("sink")});
            stdout::line(&document.to_string())
        }
        (Some(Command::Show { name }), as_json) => {
            let shown = called(&all, &name)?;
            if as_json {
                let plugins: Vec<Value> = shown.iter().map(|plugin| plugin.with_options()).collect();
                return stdout::line(&json!({"schema": 1, "plugins": plugins}).to_string());
            }
            let texts: Vec<String> = shown.iter().map(|plugin| plugin.document()).collect();
            stdout::write(texts.join("\n").as_bytes())
        }
    }
}

/// The plugins of that name: a format and a sink may share one.
fn called<'a>(all: &'a [Plugin], word: &str) -> Result<Vec<&'a Plugin>, Failure> {
    let is_called = |plugin: &&Plugin| {
        plugin.name.eq_ignore_ascii_case(word)
            || plugin.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(word))
    };
    let found: Vec<_> = all.iter().filter(is_called).collect();
    if found.is_empty() {
        let mut names: Vec<_> = all.iter().map(|plugin| plugin.name).collect();
        names.sort_unstable();
        names.dedup();
        return Err(Failure::refused(format!("no format, stage or sink is called `{word}`"))
            .with_code(Code::UnknownType)
            .with_help(did_you_mean(word, &names, "known")));
    }
    Ok(found)
}

/// One line a plugin, in three blocks.
fn list(all: &[Plugin]) -> String {
    let names: Vec<String> = all.iter().map(Plugin::names).collect();
    let widest = |column: &mut dyn Iterator<Item = usize>| column.max().unwrap_or_default();
    let name_width = widest(&mut names.iter().map(String::len));
    let crate_width = widest(&mut all.iter().map(|plugin| plugin.krate.len()));
    let mut text = String::new();
    let mut kind = "";
    for (plugin, names) in all.iter().zip(&names) {
        if plugin.kind != kind {
            kind = plugin.kind;
            text += &format!("{}{kind}s\n", if text.is_empty() { "" } else { "\n" });
        }
        text += &format!("  {names:<name_width$}  {:<crate_width$}  {}\n", plugin.krate, plugin.summary);
    }
    text
}

impl Plugin {
    /// The name and the extensions: `npy (.npy)`.
    fn names(&self) -> String {
        if self.extensions.is_empty() {
            return self.name.to_owned();
        }
        format!("{} ({})", self.name, dotted(self.extensions))
    }

    fn as_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "name": self.name,
            "aliases": self.aliases,
            "extensions": self.extensions,
            "summary": self.summary,
            "crate": self.krate,
        })
    }

    fn with_options(&self) -> Value {
        let mut document = self.as_json();
        let (about, options) = options_of(self.schema);
        document["description"] = about.into();
        document["example"] = self.example.into();
        document["options"] = options.iter().map(Described::as_json).collect();
        document
    }

    /// All of it, for people.
    fn document(&self) -> String {
        let (about, options) = options_of(self.schema);
        let mut text = format!("{} `{}`: {}\n\n", self.kind, self.name, self.summary);
        if !about.is_empty() {
            text += &format!("{about}\n\n");
        }
        if !self.aliases.is_empty() {
            text += &format!("also called   {}\n", self.aliases.join(", "));
        }
        if !self.extensions.is_empty() {
            text += &format!("extensions    {}\n", dotted(self.extensions));
        }
        text += &format!("brought by    {}\n\noptions\n", self.krate);
        for option in &options {
            text += &option.text();
        }
        if options.is_empty() {
            text += "  none of its own\n";
        }
        if self.kind == "format" {
            text += &format!("  and those of every source: {}\n", SOURCE_OPTIONS.join(", "));
        }
        text += "\nexample\n";
        text.extend(self.example.lines().map(|line| format!("  {line}\n")));
        text
    }
}

fn dotted(extensions: &[&str]) -> String {
    extensions.iter().map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(" ")
}
