//! What the commands have in common that only look at rows.

use std::path::PathBuf;

use readers::FormatDescriptor;
use toml::{Table, Value};

use super::shared::{SourceArgs, escape, ids_stage, parse_format, parse_threads, source_of};
use crate::Failure;
use crate::output::diagnostics::Verbosity;
use crate::output::progress::{Progress, ProgressStyle};
use crate::pipeline::{Cancel, Monitoring, Pipeline, Text};

/// What to look at.
#[derive(Debug, clap::Args)]
pub(super) struct LookArgs {
    /// Vector files, also packed by gzip or zstd; `-` is standard input. A pattern in quotes ('shards/*.npy') is all files
    /// that match; all files are one input
    #[arg(value_name = "FILE", required_unless_present_any = ["input", "command"])]
    pub(super) files: Vec<PathBuf>,

    /// The same as FILE
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    input: Vec<PathBuf>,

    /// Input format (told from the file's content and name where it is not given)
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format, help_heading = "Input")]
    format: Option<&'static FormatDescriptor>,

    #[command(flatten)]
    pub(super) source: SourceArgs,

    #[command(flatten)]
    pub(super) run: LookFlags,
}

/// How to look.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Running")]
pub(super) struct LookFlags {
    /// Number of threads (0 = one for each core)
    #[arg(short, long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = parse_threads)]
    pub(super) threads: usize,

    /// Let a source of type exec run its program
    #[arg(long)]
    pub(super) allow_exec: bool,
}

impl LookArgs {
    /// Every file as it was typed.
    pub(super) fn all_files(&self) -> Vec<PathBuf> {
        self.files.iter().chain(&self.input).cloned().collect()
    }

    /// Whether there is a word on how to read files, beside their names and how many rows.
    pub(super) fn has_input_flags(&self) -> Result<bool, Failure> {
        let source = source_of(&[], &self.source, self.format)?;
        let is_said = source.keys().any(|key| key != "limit");
        Ok(is_said || !ids_stage(&self.source)?.is_empty())
    }

    /// The files with their ids as a pipeline, and further stages behind that.
    pub(super) fn pipeline(&self, more: Vec<Value>) -> Result<Pipeline, Failure> {
        let mut stages = ids_stage(&self.source)?;
        stages.extend(more);
        let mut table = Table::new();
        table.insert("version".to_owned(), 1.into());
        let source = source_of(&self.all_files(), &self.source, self.format)?;
        table.insert("source".to_owned(), source.into());
        if !stages.is_empty() {
            table.insert("stage".to_owned(), stages.into());
        }
        let sink = Table::from_iter([("type".to_owned(), Value::from("null"))]);
        table.insert("sink".to_owned(), sink.into());
        escape(&mut table);
        let mut pipeline = Pipeline::parse(Text::of_flags(table.to_string()))?;
        self.run.apply(&mut pipeline);
        Ok(pipeline)
    }
}

impl LookFlags {
    /// Sets what the flags say.
    pub(super) fn apply(&self, pipeline: &mut Pipeline) {
        if self.threads > 0 {
            pipeline.run.threads = self.threads;
        }
        pipeline.allow_exec = self.allow_exec;
    }
}

/// Somebody who may stop the work.
pub(super) fn monitoring(verbosity: Verbosity) -> Monitoring {
    Monitoring { cancel: Cancel::by_signals(), progress: Progress::new(verbosity, ProgressStyle::Auto) }
}

/// The length of a vector. The sum has one order, whatever the machine.
pub(super) fn norm(vector: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    for values in vector.chunks(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            let value = f64::from(value);
            *sum += value * value;
        }
    }
    sums.iter().sum::<f64>().sqrt()
}
