//! What shells, editors and `man` want to know: completions, the schema of pipeline files, manual pages.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Failure;
use crate::output::stdout;
use crate::pipeline::schema;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk completions bash > ~/.local/share/bash-completion/completions/sochdb-bulk
  sochdb-bulk completions fish > ~/.config/fish/completions/sochdb-bulk.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the JSON schema (draft 07) of pipeline files, with all plugins of this program
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sochdb-bulk schema > pipeline.schema.json

A pipeline that begins with the line `#:schema ./pipeline.schema.json` is completed and checked by editors that know TOML.")]
pub(super) struct SchemaArgs {}

/// Print the manual, or write a page for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk man | man -l -
  sochdb-bulk man --folder ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write sochdb-bulk.1 and a page for each command there
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "sochdb-bulk", &mut text);
    stdout::write(&text)
}

pub(super) fn print_schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&schema())
        .map_err(|e| Failure::failed(format!("cannot write the schema: {e}")))?;
    stdout::line(&text)
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    match &args.folder {
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(super::Cli::command())
                .render(&mut text)
                .map_err(|e| Failure::failed(format!("cannot write the manual: {e}")))?;
            stdout::write(&text)
        }
        Some(folder) => clap_mangen::generate_to(super::Cli::command(), folder)
            .map_err(|e| Failure::io("write the manual", folder, &e)),
    }
}
