//! `plan`: what a pipeline will do, before it does it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use serde_json::Value;

use super::run::{Overrides, read};
use super::shared::RunFlags;
use crate::output::diagnostics::Verbosity;
use crate::output::progress::Progress;
use crate::output::{stdout, units};
use crate::pipeline::{
    Cancel, Estimate, Monitoring, Outline, Pipeline, StepOutline, estimate, listed_memory,
};
use crate::{Code, Failure, Kind};

/// Show what a pipeline will do: rows, copies, passes, memory, sizes, and about how long it takes
///
/// Inputs are opened and looked at, outputs are not touched. To tell the time the pipeline is run over its first rows, with its
/// outputs in a temporary folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk plan pipeline.toml
  sochdb-bulk plan pipeline.toml --memory-limit 2GiB --no-probe
  sochdb-bulk build-index -i a.npy -o a.hnsw --print-pipeline | sochdb-bulk plan - --format json")]
pub(super) struct Args {
    /// The pipeline; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    overrides: Overrides,

    /// Flags here win over [run] of the file.
    #[command(flatten)]
    run: RunFlags,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Do not run the first rows: no time is told then
    #[arg(long)]
    no_probe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
    /// A flowchart for Mermaid, which Markdown on many sites shows as a picture
    Mermaid,
}

pub(super) fn execute(args: &Args) -> Result<(), Failure> {
    if args.run.stats.is_wanted() {
        return Err(Failure::refused("expected no --stats: a plan is no run")
            .with_code(Code::Conflict)
            .with_help("`--format json` has all that is known before"));
    }
    let text = read(&args.file, &args.overrides)?;
    let mut pipeline = Pipeline::parse(text.clone())?;
    args.run.put_into(&mut pipeline);
    let run = pipeline.run.clone();
    let monitoring = Monitoring {
        cancel: Cancel::by_signals(),
        progress: Progress::new(Verbosity::Normal, args.run.progress),
    };
    let start = Instant::now();
    let plan = pipeline.plan_with(&monitoring)?;
    let plan_secs = start.elapsed().as_secs_f64();
    let probes = !args.no_probe && args.format != Format::Mermaid;
    let mut failed = None;
    let estimate = match probes.then(|| estimate(&text, &run, &plan, plan_secs, &monitoring)) {
        None => None,
        Some(Ok(estimate)) => estimate,
        // What is wrong with the first rows is worth knowing, and the rest of the plan as well.
        Some(Err(failure)) if failure.kind() == Kind::Failed && failure.code() != Code::Io => {
            failed = Some(format!("the run will fail: {}", failure.line()));
            None
        }
        Some(Err(failure)) => return Err(of_probe(failure)),
    };
    let mut outline = plan.outline();
    outline.notes.extend(failed);
    match args.format {
        Format::Text => {
            let parts = listed_memory(plan.memory_parts());
            stdout::write(as_text(&outline, &parts, estimate, probes).as_bytes())
        }
        Format::Json => stdout::line(&as_json(&outline, estimate)?.to_string()),
        Format::Mermaid => stdout::write(as_mermaid(&outline).as_bytes()),
    }
}

/// What fails in the probe fails in a folder that nobody named.
fn of_probe(failure: Failure) -> Failure {
    match failure.code() {
        Code::Io => {
            failure.with_help("set TMPDIR to a folder with more space, or leave the time out: --no-probe")
        }
        _ => failure,
    }
}

fn as_json(outline: &Outline, estimate: Option<Estimate>) -> Result<Value, Failure> {
    let value = |value: serde_json::Result<Value>| {
        value.map_err(|e| Failure::failed(format!("cannot write the plan: {e}")))
    };
    let mut document = serde_json::json!({ "schema": 1 });
    if let (Value::Object(document), Value::Object(outline)) =
        (&mut document, value(serde_json::to_value(outline))?)
    {
        document.extend(outline);
        document.insert("estimate".to_owned(), value(serde_json::to_value(estimate))?);
    }
    Ok(document)
}

fn rows_of(step: &StepOutline) -> String {
    let rows = match (step.rows, step.most_rows) {
        (Some(rows), _) => units::rows(rows),
        (None, Some(most)) => format!("up to {}", units::rows(most)),
        (None, None) => "some rows".to_owned(),
    };
    format!("{rows} x {}", step.dim)
}

fn vectors_of(step: &StepOutline) -> &'static str {
    match step.vectors {
        "in_place" => "in place",
        "set_aside" => "set aside",
        _ => "copied",
    }
}

fn as_text(outline: &Outline, parts: &str, estimate: Option<Estimate>, probes: bool) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "{}", format!("{name:<9}{text}").trim_end());
    };
    if let Some(name) = &outline.name {
        line("name", name);
    }
    let shape = |step: &StepOutline| step.r#type.chars().count();
    let width = outline.steps.iter().map(shape).max().unwrap_or_default();
    let wide = outline.steps.iter().map(|step| rows_of(step).chars().count()).max().unwrap_or_default();
    for step in &outline.steps {
        let mut text = format!("{:<width$}  {:<wide$}  {}", step.r#type, rows_of(step), vectors_of(step));
        if step.ids != "row_numbers" {
            let _ = write!(text, ", ids are {}", step.ids);
        }
        if !step.columns.is_empty() {
            let _ = write!(text, ", columns {}", step.columns.join(", "));
        }
        match step.first {
            Some("learns") => text += " (reads the rows before, to learn)",
            Some(_) => text += " (sees all rows first)",
            None => {}
        }
        line(step.kind, &text);
    }
    line("passes", &outline.passes.to_string());
    line("reads", &units::bytes(outline.input_bytes));
    let writes =
        outline.output_bytes.map_or("some".to_owned(), |bytes| format!("about {}", units::bytes(bytes)));
    for (number, output) in outline.outputs.iter().enumerate() {
        let exists = if output.exists { " (exists)" } else { "" };
        let size = if number == 0 { format!("{writes}: ") } else { String::new() };
        line(if number == 0 { "writes" } else { "" }, &format!("{size}{}{exists}", output.path.display()));
    }
    let limit = outline.memory_limit_bytes.map(|limit| format!(", {} allowed", units::bytes(limit)));
    let memory = units::bytes(outline.memory_bytes);
    line("memory", &format!("up to {memory} besides mapped files{} ({parts})", limit.unwrap_or_default()));
    match estimate {
        Some(Estimate { secs, probe_secs, probe_rows }) => {
            let (secs, probe_secs) = (units::seconds(secs), units::seconds(probe_secs));
            line("time", &format!("about {secs} ({} took {probe_secs})", units::rows(probe_rows)));
        }
        None if probes => line(
            "time",
            "cannot be told: the rows can be read only once, their number is not known, or reading them fails",
        ),
        None => {}
    }
    line("threads", &format!("{}, batches of {}", outline.threads, units::rows(outline.batch_rows as u64)));
    line(
        "resume",
        if outline.can_resume {
            "with --resume: what was written is kept, and gone on with"
        } else {
            "no: a run that is interrupted leaves nothing behind and begins anew"
        },
    );
    for note in &outline.notes {
        line("note", note);
    }
    out
}

fn as_mermaid(outline: &Outline) -> String {
    let mut out = "flowchart LR\n".to_owned();
    let quoted = |text: &str| text.replace('"', "#quot;");
    let mut before: Option<(usize, &StepOutline)> = None;
    for (number, step) in outline.steps.iter().enumerate() {
        let _ =
            writeln!(out, "  s{number}[\"{} {}<br/>{}\"]", step.kind, quoted(&step.r#type), rows_of(step));
        // All sinks hang on the last stage.
        if let Some((from, from_step)) = before {
            let _ = writeln!(out, "  s{from} -- \"{}\" --> s{number}", vectors_of(from_step));
        }
        if step.kind != "sink" {
            before = Some((number, step));
        }
    }
    out
}
