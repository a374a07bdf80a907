//! Pipeline files that commands write for people to go on with.

use std::path::{Path, PathBuf};

use toml::Value;

use crate::output::atomic::{check_not_input, check_target, write_file};
use crate::output::diagnostics::{Verbosity, say};
use crate::output::stdout;
use crate::pipeline::{IfExists, Text, escaped, is_stdio};
use crate::{Code, Failure};

/// Where a pipeline goes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// File to write the pipeline to; standard output where it is not given
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,

    /// What to do if that file exists
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = IfExists::Error)]
    if_exists: IfExists,
}

impl OutputArgs {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        (!is_stdio(&self.output)).then_some(self.output.as_path())
    }

    /// The folder in which the paths of the pipeline begin; empty for the current one.
    pub(super) fn folder(&self) -> &Path {
        self.file().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// Whether there is anything to do: not if the file is there already, and may stay.
    ///
    /// # Errors
    /// If it must not be replaced, or cannot be written there.
    pub(super) fn is_wanted(&self, inputs: &[PathBuf], verbosity: Verbosity) -> Result<bool, Failure> {
        let Some(file) = self.file() else { return Ok(true) };
        check_target(file)?;
        check_not_input(file, inputs)?;
        may_write(file, self.if_exists, verbosity)
    }

    /// The text as the file that it will be.
    pub(super) fn text(&self, text: &str) -> Text {
        match self.file() {
            Some(file) => Text::of_file(file, text),
            None => Text::new("the pipeline", text, ""),
        }
    }

    /// Writes the pipeline.
    pub(super) fn write(&self, text: &str, verbosity: Verbosity) -> Result<(), Failure> {
        let Some(file) = self.file() else { return stdout::write(text.as_bytes()) };
        write_file(file, text.as_bytes())?;
        let name = file.display();
        say(
            Verbosity::Normal,
            verbosity,
            &format!("wrote {name}: look at it, then `sochdb-bulk run {name}`"),
        );
        Ok(())
    }
}

/// A value as TOML. What looks like a variable in it is none.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(string) => Value::String(escaped(string)).to_string(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Words for one line of a comment, in which TOML allows no control characters.
pub(super) fn plain(words: &str) -> String {
    words.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Whether there is anything to do: not if the file is there already, and may stay.
///
/// # Errors
/// If it must not be replaced.
pub(super) fn may_write(file: &Path, if_exists: IfExists, verbosity: Verbosity) -> Result<bool, Failure> {
    let name = file.display();
    match if_exists {
        IfExists::Error if file.exists() => Err(Failure::refused(format!("{name}: exists already"))
            .with_code(Code::Exists)
            .with_help("write to another file, or replace it with --if-exists replace")),
        IfExists::Skip if file.exists() => {
            say(Verbosity::Normal, verbosity, &format!("{name}: exists already, nothing was done"));
            Ok(false)
        }
        _ => Ok(true),
    }
}
