//! `explain`: what the code of an error means.

use crate::output::stdout;
use crate::pipeline::did_you_mean;
use crate::{Code, Failure};

/// Say what the code of an error means, and what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sochdb-bulk explain E0103
  sochdb-bulk explain")]
pub(super) struct Args {
    /// The code, such as E0103; all codes are listed where none is given
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn execute(args: &Args) -> Result<(), Failure> {
    let Some(word) = &args.code else {
        let lines: String =
            Code::all().map(|code| format!("{}  {}\n", code.number(), code.title())).collect();
        return stdout::write(lines.as_bytes());
    };
    // As it stands in a message, brackets and all.
    let number = word.trim_start_matches("error").trim_matches(['[', ']', ':']);
    match Code::called(number) {
        Some(code) => {
            stdout::line(&format!("{}: {}\n\n{}", code.number(), code.title(), wrapped(code.explanation())))
        }
        None => {
            let known: Vec<_> = Code::all().map(Code::number).collect();
            Err(Failure::refused(format!("there is no code `{word}`"))
                .with_code(Code::UnknownType)
                .with_help(did_you_mean(number, &known, "codes")))
        }
    }
}

/// Columns of text for people.
const COLUMNS: usize = 90;

/// Paragraphs in lines of a length that reads well; what is indented stays as it is.
fn wrapped(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with(' ') || line.is_empty() {
            out.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > COLUMNS {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current += word;
        }
        out.push(current);
    }
    out.join("\n")
}
