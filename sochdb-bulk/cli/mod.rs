//! The command line: arguments as typed become a pipeline, and the pipeline does the work.

mod build_index;
mod check;
mod convert;
mod eval;
mod exact;
mod explain;
mod export;
mod foreign_info;
mod generate;
mod guess;
mod indexes;
mod info;
mod inspect;
mod looking;
mod merge;
mod new;
mod options;
mod pipeline_file;
mod plan;
mod plugins;
mod preview;
mod queries;
mod query;
mod recipe;
mod run;
mod shared;
mod sources;
mod svg;
#[cfg(unix)]
mod truncated;
mod validate;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::output::diagnostics::{self, Colour, ErrorFormat, Verbosity};
use crate::output::stdout;
use crate::pipeline::{end_with_stdin, survive_file_size_limit};
use crate::{Code, Failure, Kind, sinks, stages};

/// Embeddings in files to searchable HNSW indexes.
#[derive(Debug, Parser)]
#[command(name = "sochdb-bulk", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say what is being done
    #[arg(short, long, global = true)]
    verbose: bool,

    /// Say nothing but errors
    #[arg(long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// The same
    #[arg(short = 'q', hide = true, conflicts_with = "verbose")]
    short_quiet: bool,

    /// How errors are written to standard error: for people, or as one JSON object a line
    #[arg(long, global = true, value_enum, value_name = "HOW", default_value_t, hide_default_value = true)]
    error_format: ErrorFormat,

    /// Colours of messages; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, hide_default_value = true)]
    color: Colour,

    /// End as by SIGTERM when standard input does: whoever has started the program, and holds the other end, is gone
    #[arg(long, global = true, hide = true)]
    end_with_stdin: bool,
}

const EXAMPLES: &str = "\
Examples:
  sochdb-bulk build-index --input embeddings.npy --output index.hnsw --metric cosine
  sochdb-bulk merge a.hnsw b.hnsw --output both.hnsw
  sochdb-bulk query --index index.hnsw --query queries.npy --k 10
  sochdb-bulk exact --base embeddings.npy --query queries.npy --output truth.ivecs
  sochdb-bulk eval --index index.hnsw --queries queries.npy
  sochdb-bulk info --index index.hnsw
  sochdb-bulk check index.hnsw
  sochdb-bulk export index.hnsw --to faiss --output index.faiss
  sochdb-bulk convert --input embeddings.npy --output embeddings.f32 --to-format raw_f32
  sochdb-bulk inspect embeddings.npy
  sochdb-bulk preview embeddings.parquet
  sochdb-bulk guess embeddings.bin --output pipeline.toml
  sochdb-bulk new parquet/filter/hnsw
  sochdb-bulk run pipeline.toml
  sochdb-bulk plan pipeline.toml
  sochdb-bulk validate pipeline.toml
  sochdb-bulk verify embeddings.npy embeddings.f32
  sochdb-bulk plugins show npy
  sochdb-bulk explain E0103

Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 the work failed, 2 refused before it began, 130 or 143 stopped by a signal.";

#[derive(Debug, Subcommand)]
enum Command {
    BuildIndex(build_index::Args),
    Merge(merge::Args),
    Convert(convert::Args),
    Guess(guess::Args),
    New(new::Args),
    Run(run::Args),
    Query(query::Args),
    Exact(exact::Args),
    Eval(eval::Args),
    Info(info::Args),
    Check(check::Args),
    Export(export::Args),
    Inspect(inspect::Args),
    Preview(preview::Args),
    Verify(verify::Args),
    Plugins(plugins::Args),
    Validate(validate::Args),
    Plan(plan::Args),
    Explain(explain::Args),
    Schema(generate::SchemaArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Parses the command line, does what it says, and reports a failure. The `main` of every program that is this one with
/// more plugins.
pub fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq(["--capabilities"]) {
        return capabilities();
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let verbosity = match (cli.quiet || cli.short_quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    survive_file_size_limit();
    if cfg!(unix) && std::env::var_os("TMPDIR").is_some_and(|folder| folder.is_empty()) {
        // As good as not set; the standard library would take the current folder. It cannot have been overridden before.
        let _ = tempfile::env::override_temp_dir(Path::new("/tmp"));
    }
    #[cfg(unix)]
    truncated::tell(cli.error_format, cli.color);
    if cli.end_with_stdin {
        end_with_stdin();
    }
    let done = check_registries().and_then(|()| match cli.command {
        Command::BuildIndex(args) => build_index::execute(args, verbosity),
        Command::Merge(args) => merge::execute(args, verbosity),
        Command::Convert(args) => convert::execute(args, verbosity),
        Command::Guess(args) => guess::execute(args, verbosity),
        Command::New(args) => new::execute(&args, verbosity),
        Command::Run(args) => run::execute(args, verbosity),
        Command::Query(args) => query::execute(args, verbosity),
        Command::Exact(args) => exact::execute(&args, verbosity),
        Command::Eval(args) => eval::execute(&args, verbosity),
        Command::Info(args) => info::execute(&args),
        Command::Check(args) => check::execute(&args, verbosity),
        Command::Export(args) => export::execute(&args, verbosity),
        Command::Inspect(args) => inspect::execute(&args, verbosity),
        Command::Preview(args) => preview::execute(&args, verbosity),
        Command::Verify(args) => verify::execute(&args, verbosity),
        Command::Plugins(args) => plugins::execute(args),
        Command::Validate(args) => validate::execute(&args),
        Command::Plan(args) => plan::execute(&args),
        Command::Explain(args) => explain::execute(&args),
        Command::Schema(generate::SchemaArgs {}) => generate::print_schema(),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.kind() == Kind::Unheard => ExitCode::SUCCESS,
        Err(failure) => {
            diagnostics::failure(&failure, cli.error_format, cli.color);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Says which program this is, for one that has found it somewhere and is to call it: others have its name, too.
fn capabilities() -> ExitCode {
    let formats: Vec<_> = readers::formats().iter().map(|plugin| plugin.name).collect();
    let commands: Vec<_> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let line = serde_json::json!({
        "schema": 1,
        "program": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "commands": commands,
        "formats": formats,
    });
    match stdout::line(&line.to_string()) {
        Err(failure) if failure.kind() != Kind::Unheard => ExitCode::from(failure.exit_code()),
        _ => ExitCode::SUCCESS,
    }
}

/// Help and versions are results. Anything else is a command line that nobody understands, told as any failure is.
fn misunderstood(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let colour = diagnostics::stdout_is_coloured();
        let text = error.render();
        let text = if colour { text.ansi().to_string() } else { text.to_string() };
        return match stdout::write(text.as_bytes()) {
            Err(failure) if failure.kind() != Kind::Unheard => ExitCode::from(failure.exit_code()),
            _ => ExitCode::SUCCESS,
        };
    }
    let text = error.render().to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        diagnostics::say(Verbosity::Quiet, Verbosity::Quiet, text.trim_end());
        return ExitCode::from(2);
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
    let failure = Failure::refused(message.trim_end()).with_code(Code::CommandLine);
    let help = help.trim().replace("\n\n", "\n").replace('\n', "\n  ");
    let failure = if help.is_empty() { failure } else { failure.with_help(help) };
    // What the flags would have said is not known where they are not understood.
    let words: Vec<_> = std::env::args_os().collect();
    let has = |flag: &str, value: &str| {
        words.iter().any(|word| word == &*format!("{flag}={value}"))
            || words.windows(2).any(|pair| pair[0] == flag && pair[1] == value)
    };
    let format = if has("--error-format", "json") { ErrorFormat::Json } else { ErrorFormat::Text };
    let colour = if has("--color", "never") { Colour::Never } else { Colour::Auto };
    diagnostics::failure(&failure, format, colour);
    ExitCode::from(failure.exit_code())
}

/// Two plugins of one name would be a matter of luck: it is an error that names the crates.
fn check_registries() -> Result<(), Failure> {
    let mut names: Vec<(&str, &str, &str)> = Vec::new();
    names.extend(readers::formats().iter().map(|plugin| ("format", plugin.name, plugin.krate)));
    names.extend(stages::all().iter().map(|plugin| ("stage", plugin.name, plugin.krate)));
    names.extend(sinks::all().iter().map(|plugin| ("sink", plugin.name, plugin.krate)));
    for (i, &(kind, name, krate)) in names.iter().enumerate() {
        if let Some(other) = names[..i].iter().find(|other| (other.0, other.1) == (kind, name)) {
            let message = format!("the {kind} `{name}` comes from two crates, {} and {krate}", other.2);
            return Err(Failure::refused(message).with_help("build the program with one of them"));
        }
    }
    Ok(())
}
