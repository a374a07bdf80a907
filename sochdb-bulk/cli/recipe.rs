//! The recipe of an index as a pipeline that can be run: it has no paths, and says which ones it needs.

use std::path::Path;

use toml::{Table, Value};

use super::shared::EXEC;
use crate::pipeline::Text;
use crate::{Code, Failure};

/// What a path is called where nobody has named it.
const FILE: &str = "FILE";

/// What stages leave in a recipe where they read or wrote a file: the key, its value if that matters, and the option that names the file.
const STAGE_FILES: [(&str, Option<&str>, &str); 3] =
    [("loaded", None, "load"), ("from_file", None, "path"), ("on_error", Some("quarantine"), "quarantine")];

/// What an index says of the pipeline that built it.
pub(super) struct Recipe {
    /// For messages.
    name: String,
    table: Table,
    needs: Vec<Need>,
}

/// A value that a recipe does not have.
struct Need {
    /// Where it belongs: `source.path`.
    key: String,
    /// One for an example, as TOML or text.
    value: String,
    /// Other keys that will do as well.
    or: Vec<String>,
}

impl Need {
    fn file(key: String) -> Self {
        Self { key, value: FILE.to_owned(), or: Vec::new() }
    }

    /// The flag that gives it.
    fn flag(&self) -> String {
        match self.value.as_str() {
            FILE => format!("--set {}={FILE}", self.key),
            value => format!("--set '{}={value}'", self.key),
        }
    }

    /// Whether one of the keys is set, or the table around it as a whole.
    fn is_met(&self, set: &[String]) -> bool {
        let mut keys = self.or.iter().chain([&self.key]);
        keys.any(|key| {
            set.iter().any(|set| {
                key.strip_prefix(set.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
    }
}

impl Recipe {
    /// Of the text that is in the index at `path`.
    pub(super) fn parse(path: &Path, recipe: &str) -> Result<Self, Failure> {
        let name = format!("recipe of {}", path.display());
        let mut table: Table = recipe
            .parse()
            .map_err(|e: toml::de::Error| Failure::failed(format!("{name}: {}", e.message())))?;
        let mut needs = Vec::new();
        if let Some(source) = table.get_mut("source").and_then(Value::as_table_mut) {
            needs.push(need_of_files(source, "source"));
            if let Some(columns) = source.get_mut("columns").and_then(Value::as_table_mut) {
                needs.push(need_of_files(columns, "source.columns"));
            }
        }
        let sink = table.get_mut("sink").and_then(Value::as_table_mut);
        if let Some(rows) = sink.and_then(|sink| sink.remove("appended_to_rows")) {
            if !table.contains_key("source") {
                let message = format!(
                    "{name}: it was merged from indexes of {rows} rows, which the recipe does not name"
                );
                return Err(Failure::refused(message)
                    .with_code(Code::Missing)
                    .with_help("merge them once more: sochdb-bulk merge INDEX INDEX... -o FILE"));
            }
            needs.push(Need::file("sink.append".to_owned()));
        }
        let stages = table.get_mut("stage").and_then(Value::as_array_mut);
        for (number, stage) in stages.into_iter().flatten().enumerate() {
            let Some(stage) = stage.as_table_mut() else { continue };
            for (mark, value, option) in STAGE_FILES {
                let found = match value {
                    None => stage.remove(mark).is_some(),
                    Some(value) => stage.get(mark).and_then(Value::as_str) == Some(value),
                };
                if found {
                    // What counting has is not wanted beside a file.
                    stage.remove("offset");
                    needs.push(Need::file(format!("stage.{number}.{option}")));
                }
            }
        }
        needs.push(Need::file("sink.path".to_owned()));
        Ok(Self { name, table, needs })
    }

    /// The pipeline for people, who add what it needs.
    pub(super) fn for_people(&self) -> String {
        let needs: Vec<_> = self.needs.iter().map(Need::flag).collect();
        format!("# It has no paths: add them, or `run --from` it with {}\n{}", needs.join(" "), self.table)
    }

    /// The pipeline with what is `set`.
    ///
    /// # Errors
    /// If a path is still missing.
    pub(super) fn with(mut self, set: &[String]) -> Result<Text, Failure> {
        let stages = self.table.get("stage").and_then(Value::as_array).map_or(0, Vec::len);
        let keys: Vec<String> = set.iter().map(|set| key(set, stages)).collect();
        let missing: Vec<&Need> = self.needs.iter().filter(|need| !need.is_met(&keys)).collect();
        if !missing.is_empty() {
            let flags: Vec<_> = missing.iter().map(|need| need.flag()).collect();
            let keys: Vec<_> = missing.iter().map(|need| need.key.as_str()).collect();
            let message = format!("{}: an index keeps no paths: there is no {}", self.name, listed(&keys));
            let runs = missing.iter().any(|need| need.key == "source.command");
            let leave = if runs { " --allow-exec" } else { "" };
            return Err(Failure::refused(message)
                .with_code(Code::Missing)
                .with_help(format!("add {}{leave}", flags.join(" "))));
        }
        // The columns of one format are unknown to another.
        if let Some(source) = self.table.get_mut("source").and_then(Value::as_table_mut) {
            if keys.iter().any(|key| key == "source.type") {
                source.retain(|key, _| ["dim", "rows", "columns"].contains(&key));
            }
            if keys.iter().any(|key| key == "source.columns.type")
                && let Some(columns) = source.get_mut("columns").and_then(Value::as_table_mut)
            {
                columns.clear();
            }
        }
        Text::new(self.name, self.table.to_string(), "").with_overrides(set)
    }

    /// A failure of the run, in words that fit where nobody wrote the pipeline.
    pub(super) fn explain(failure: Failure) -> Failure {
        if failure.code() != Code::Format {
            return failure;
        }
        failure.with_help(
            "the recipe names the format that the index was built from: name a file of that, or another \
             format as well: --set source.type=FORMAT",
        )
    }
}

/// What a table of files needs. Of several formats each file tells its own.
fn need_of_files(files: &mut Table, place: &str) -> Need {
    let or = vec![format!("{place}.path"), format!("{place}.paths")];
    match files.get("type") {
        Some(Value::Array(formats)) => {
            let names: Vec<_> = formats.iter().map(|_| format!("\"{FILE}\"")).collect();
            files.remove("type");
            Need { key: format!("{place}.paths"), value: format!("[{}]", names.join(", ")), or }
        }
        Some(Value::String(format)) if format == EXEC => Need {
            key: format!("{place}.command"),
            value: "[\"PROGRAM\", \"ARGUMENT\"]".to_owned(),
            or: Vec::new(),
        },
        _ => Need { or, ..Need::file(format!("{place}.path")) },
    }
}

/// The key of `KEY=VALUE`, with stages counted from the first.
fn key(set: &str, stages: usize) -> String {
    let key = set.split_once('=').map_or(set, |(key, _)| key);
    let mut parts: Vec<String> = key.split('.').map(|part| part.trim().to_owned()).collect();
    if let [table, number, ..] = parts.as_mut_slice()
        && table == "stage"
        && let Some(back) = number.strip_prefix('-').and_then(|back| back.parse::<usize>().ok())
        && let Some(at) = stages.checked_sub(back)
    {
        *number = at.to_string();
    }
    parts.join(".")
}

/// `a`, `b` and `c`.
fn listed(keys: &[&str]) -> String {
    match keys {
        [] => String::new(),
        [key] => format!("`{key}`"),
        [keys @ .., last] => {
            let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("{} and `{last}`", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(Path::new("a.hnsw"), text).unwrap()
    }

    fn help(text: &str, set: &[&str]) -> String {
        let set: Vec<_> = set.iter().map(|&set| set.to_owned()).collect();
        match recipe(text).with(&set) {
            Ok(_) => String::new(),
            Err(failure) => failure.help().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_at_once() {
        let text = "[source]\ntype = \"npy\"\n[source.columns]\ntype = [\"parquet\", \"arrow\"]\n[[stage]]\ntype = \"filter\"\n\
                    on_error = \"quarantine\"\n[[stage]]\ntype = \"pca\"\nloaded = true\n[sink]\ntype = \"hnsw\"\n";
        assert_eq!(
            help(text, &["source.path=a", "stage.-1.load = b"]),
            "add --set 'source.columns.paths=[\"FILE\", \"FILE\"]' --set stage.0.quarantine=FILE --set sink.path=FILE"
        );
        let all = ["source.paths=a", "source.columns.path=c", "stage.1.load=d", "stage.0.quarantine=q"];
        assert_eq!(help(text, &[&all[..], &["sink.path=o"]].concat()), "");
    }

    #[test]
    fn a_program_has_to_be_named() {
        let text = "[source]\ntype = \"exec\"\n[sink]\ntype = \"hnsw\"\n";
        assert_eq!(
            help(text, &["sink.path=o"]),
            "add --set 'source.command=[\"PROGRAM\", \"ARGUMENT\"]' --allow-exec"
        );
    }

    #[test]
    fn another_format_has_columns_of_its_own() {
        let text = "[source]\ntype = \"parquet\"\ndim = 4\nid_column = \"id\"\n[sink]\ntype = \"hnsw\"\n";
        let set = ["source.path=a", "source.type=npy", "sink.path=o"].map(str::to_owned);
        assert_eq!(recipe(text).with(&set).unwrap().as_str().matches("id_column").count(), 0);
        assert!(recipe(text).for_people().contains("id_column"));
    }
}
