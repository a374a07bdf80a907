//! What the documents show works.

use std::path::Path;

use crate::util::{Dir, root};

/// A folder that looks like the root of the repository to the commands of the documents.
fn copy_of_the_root() -> Dir {
    let dir = Dir::new();
    copy(&root().join("examples"), &dir.path("examples"));
    std::fs::copy(root().join("pipeline.example.toml"), dir.path("pipeline.example.toml"))
        .expect("pipeline.example.toml is at the root");
    dir
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if !path.is_dir() {
            std::fs::copy(&path, &target).unwrap();
        } else if path.file_name().is_some_and(|name| name != "target") {
            copy(&path, &target);
        }
    }
}

#[test]
fn the_example_pipeline_runs() {
    let dir = copy_of_the_root();
    let stats = dir.ok("run pipeline.example.toml --stats json").json();
    assert!(stats["rows"].as_u64() > Some(0));
    let outputs = stats["outputs"].as_array().unwrap();
    assert!(!outputs.is_empty());
    for output in outputs {
        assert!(dir.path(output["path"].as_str().unwrap()).is_file(), "{output}");
    }
}

/// Every commented-out key of the example is one that exists: it is taken in, one at a time.
#[test]
fn every_key_of_the_example_pipeline_is_known() {
    let dir = copy_of_the_root();
    let text = String::from_utf8(dir.read("pipeline.example.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        let Some(key) = line.trim_start().strip_prefix('#').map(str::trim_start) else { continue };
        let name = key.split_once('=').map(|(name, _)| name.trim()).unwrap_or_default();
        if name.is_empty() || !name.chars().all(|char| char.is_ascii_lowercase() || char == '_') {
            continue;
        }
        let changed: Vec<&str> =
            lines.iter().enumerate().map(|(number, line)| if number == at { key } else { line }).collect();
        let pipeline = sochdb_bulk::pipeline::Text::new("example", changed.join("\n"), "");
        let parsed = sochdb_bulk::pipeline::Pipeline::parse(pipeline);
        if let Err(failure) = parsed {
            let is_said_already =
                ["duplicate key", "found both"].iter().any(|why| failure.message().contains(why));
            assert!(is_said_already, "{key}: {failure}");
        }
        tried += 1;
    }
    eprintln!("{tried} keys that are commented out");
}

/// The commands between the markers, one a line; a backslash at the end continues a line.
fn tested_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut is_tested, mut is_code) = (false, false);
    let mut command = String::new();
    for line in text.lines() {
        match line.trim() {
            "<!-- tested -->" => is_tested = true,
            "<!-- /tested -->" => is_tested = false,
            "```sh" => is_code = true,
            line if line.starts_with("```") => is_code = false,
            line if is_tested && is_code => {
                command += line.strip_suffix('\\').unwrap_or(line);
                if line.ends_with('\\') {
                    continue;
                }
                let line = std::mem::take(&mut command);
                if line.starts_with("sochdb-bulk ") || line.starts_with("./target/release/sochdb-bulk ") {
                    commands.push(line);
                }
            }
            _ => {}
        }
    }
    commands
}

#[test]
fn commands_are_found_between_the_markers_only() {
    let text = "```sh\nsochdb-bulk no\n```\n<!-- tested -->\n```sh\n# a comment\nsochdb-bulk a \\\n  -b\ncargo build\n\
                ./target/release/sochdb-bulk c | head\n```\nsochdb-bulk no\n<!-- /tested -->\n```sh\nsochdb-bulk no\n```\n";
    assert_eq!(tested_commands(text), ["sochdb-bulk a -b", "./target/release/sochdb-bulk c | head"]);
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_readme_work() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let commands = tested_commands(&text);
    let dir = copy_of_the_root();
    std::fs::create_dir_all(dir.path("target/release")).unwrap();
    std::os::unix::fs::symlink(crate::util::PROGRAM, dir.path("target/release/sochdb-bulk")).unwrap();
    let path = format!("{}:{}", dir.path("target/release").display(), std::env::var("PATH").unwrap());
    for line in &commands {
        // As typed: with quotes, pipes and wildcards.
        let mut command = std::process::Command::new("sh");
        command.args(["-ec", line]).current_dir(dir.path("")).env("PATH", &path);
        let output = crate::util::output(command, b"");
        assert_eq!(output.code, Some(0), "{line}\n{}", output.stderr);
    }
    assert_eq!(commands.is_empty(), !text.contains("<!-- tested -->"), "markers without commands");
}
