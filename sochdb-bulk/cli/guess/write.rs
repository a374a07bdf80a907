//! The text of a guessed pipeline: every line with what it rests on.

use std::path::Path;

use readers::formats::RawF32;
use readers::{Chosen, Format};
use toml::Value;

use super::super::options::options_of;
use super::super::pipeline_file::{plain, value};
use super::super::shared::path_value;
use super::look::{Look, Tally};
use super::{Findings, paths};
use crate::Failure;
use crate::output::units;
use crate::sinks::{Hnsw, Null, Sink};

/// The pipeline as it is written.
pub(super) fn text(findings: &Findings<'_>) -> Result<String, Failure> {
    let mut text = Lines("version = 1\n".to_owned());
    head(&mut text, findings);
    source(&mut text, findings)?;
    filter(&mut text, &findings.look);
    sink(&mut text, findings);
    Ok(text.0)
}

/// Lines of TOML.
struct Lines(String);

impl Lines {
    fn comment(&mut self, words: &str) {
        self.0 += &format!("# {}\n", plain(words));
    }

    fn table(&mut self, name: &str) {
        self.0 += &format!("\n{name}\n");
    }

    /// A line that a person said.
    fn entry(&mut self, key: &str, said: &Value) {
        self.0 += &format!("{key} = {}\n", value(said));
    }

    /// A line that was guessed.
    fn guess(&mut self, key: &str, guessed: Value, why: &str) {
        self.0 += &format!("{key} = {} # guessed: {}\n", value(&guessed), plain(why));
    }
}

fn head(text: &mut Lines, findings: &Findings<'_>) {
    let (info, look) = (&findings.info, &findings.look);
    let formats: Vec<&str> = findings.formats.iter().map(|(format, _)| format.name).collect();
    let rows = info.rows.exact().map_or_else(|| format!("{} rows", info.rows), units::rows);
    text.comment(&format!("Recognised: {}, {rows} x {} {}.", formats.join(" and "), info.dim, info.dtype));
    if look.rows == 0 {
        return;
    }
    let kinds = [("with NaN or infinity", &look.non_finite), ("of zeros", &look.zero)];
    let mut seen: Vec<String> =
        kinds.into_iter().map(|(kind, tally)| format!("{} {kind}", units::count(tally.rows))).collect();
    if let Some((shortest, longest)) = look.lengths {
        seen.push(match look.is_unit() {
            true => "the others have length 1, so that cosine and ip order them alike".to_owned(),
            false => format!("the others have lengths from {shortest:.4} to {longest:.4}"),
        });
    }
    text.comment(&format!("Of {} that were looked at: {}.", units::rows(look.rows), seen.join(", ")));
    if look.too_long.rows > 0 {
        let (rows, first) = (units::rows(look.too_long.rows), look.too_long.first.unwrap_or_default());
        text.comment(&format!(
            "{rows} too long for distances in f32, the first is {first}: an index refuses them; [[stage]] of type normalize helps."
        ));
    }
    if info.rows.exact() != Some(look.rows) || info.ids.is_some() {
        let what = if info.ids.is_some() { " and ids that are there twice" } else { "" };
        text.comment(&format!("`sochdb-bulk inspect` looks at all rows, for copies{what}, too."));
    }
}

fn source(text: &mut Lines, findings: &Findings<'_>) -> Result<(), Failure> {
    let args = findings.args;
    text.table("[source]");
    match (findings.formats.as_slice(), args.format) {
        (_, Some(format)) => text.entry("type", &format.name.into()),
        ([(format, reason)], None) => text.guess("type", format.name.into(), reason),
        (several, None) => {
            let listed: Vec<_> =
                several.iter().map(|(format, reason)| format!("{} ({reason})", format.name)).collect();
            text.comment(&format!("No type: each file is told by itself: {}.", listed.join(", ")));
        }
    }
    let folder = args.output.folder();
    let mut names = Vec::new();
    for name in &args.files {
        names.push(path_value(&paths::seen_from(folder, name)?)?);
    }
    match names.as_slice() {
        [name] => text.entry("path", name),
        several => text.entry("paths", &several.to_vec().into()),
    }
    if let Some(dim) = args.dimension.filter(|_| is_bare(findings)) {
        text.entry("dim", &i64::from(dim).into());
    }
    if let Some(guess) = &findings.dimension {
        text.guess("dim", i64::try_from(guess.dim).unwrap_or_default().into(), &guess.why);
        if !guess.others.is_empty() {
            let others: Vec<String> = guess.others.iter().map(u64::to_string).collect();
            text.comment(&format!("Other dimensions that fit the size: {}.", others.join(", ")));
        }
    }
    for chosen in &findings.info.chosen {
        column(text, findings, chosen);
    }
    Ok(())
}

/// Whether some file says nothing of its dimension.
fn is_bare(findings: &Findings<'_>) -> bool {
    findings.formats.iter().any(|(format, _)| format.name == RawF32::NAME)
}

fn column(text: &mut Lines, findings: &Findings<'_>, chosen: &Chosen) {
    let args = findings.args;
    let is_id = chosen.option.starts_with("id");
    let said = if is_id { &args.id_column } else { &args.vector_column };
    if said.is_some() {
        return text.entry(chosen.option, &chosen.value.as_str().into());
    }
    let why = match chosen.others.as_slice() {
        [] => "the only one that looks like it".to_owned(),
        others => format!("of several that could be; also: {}", others.join(", ")),
    };
    text.guess(chosen.option, chosen.value.as_str().into(), &why);
}

fn filter(text: &mut Lines, look: &Look) {
    let faults: [(&str, &Tally); 2] = [("non-finite", &look.non_finite), ("zero", &look.zero)];
    let seen: Vec<_> = faults.into_iter().filter(|(_, tally)| tally.rows > 0).collect();
    if seen.is_empty() {
        return;
    }
    let first: Vec<String> = seen
        .iter()
        .map(|(fault, tally)| {
            let rows = if tally.rows == 1 { "row" } else { "rows" };
            let first = tally.first.unwrap_or_default();
            format!("{} {rows} {fault}, the first is {first}", units::count(tally.rows))
        })
        .collect();
    text.table("[[stage]]");
    text.guess("type", "filter".into(), &first.join("; "));
    let what: Vec<Value> = seen.iter().map(|&(fault, _)| fault.into()).collect();
    text.guess("what", what.into(), "those that were seen");
    text.guess(
        "on_error",
        "skip".into(),
        "they are left out and counted; \"fail\" and \"quarantine\" are others",
    );
}

fn sink(text: &mut Lines, findings: &Findings<'_>) {
    let to = findings.args.to;
    text.table("[sink]");
    text.entry("type", &to.name.into());
    let (_, options) = options_of(to.schema);
    if to.name != Null::NAME && options.iter().any(|option| option.name == "path") {
        let extension = to.extensions.first().copied().unwrap_or(to.name);
        let name = paths::free(folder(findings), &findings.stem, extension);
        text.guess("path", name.into(), "after the input; no such file is there now");
    }
    if to.name == Hnsw::NAME {
        match findings.info.metric {
            Some(metric) => text.guess("metric", metric.name().into(), "the input records it"),
            None => text.guess(
                "metric",
                "cosine".into(),
                "the input records none, and most models are made for it",
            ),
        }
    }
}

fn folder<'a>(findings: &Findings<'a>) -> &'a Path {
    findings.args.output.folder()
}
