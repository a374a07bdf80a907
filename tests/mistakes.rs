//! docs/MISTAKES.md: what is printed for each mistake in it. With `SOCHDB_BULK_UPDATE=1` the document is written anew, to be
//! read before it is committed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::util::{Dir, le_bytes, npy_f32, output, root, values};

/// A mistake of the document.
#[derive(Default)]
struct Mistake {
    title: String,
    pipeline: Option<String>,
    command: String,
    printed: String,
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/MISTAKES.md")).unwrap()
}

/// The text before the first mistake, and the mistakes.
fn parse(document: &str) -> (String, Vec<Mistake>) {
    let (mut before, mut mistakes) = (String::new(), Vec::<Mistake>::new());
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("### ") {
            mistakes.push(Mistake { title: title.to_owned(), ..Mistake::default() });
            continue;
        }
        let Some(mistake) = mistakes.last_mut() else {
            before += &format!("{line}\n");
            continue;
        };
        if let Some(kind) = line.strip_prefix("```") {
            let block: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            match kind {
                "toml" => mistake.pipeline = Some(block),
                "sh" => mistake.command = block.trim_end().to_owned(),
                "text" => mistake.printed = block,
                other => panic!("{}: a block of {other}", mistake.title),
            }
        } else {
            assert_eq!(line, "", "{}: text between the blocks", mistake.title);
        }
    }
    (before, mistakes)
}

/// A folder with the files that the document names.
fn folder() -> Dir {
    let dir = Dir::new();
    let vectors = values(1, 20, 8);
    dir.write("vectors.npy", npy_f32(8, &vectors));
    dir.write("wide.npy", npy_f32(16, &values(2, 20, 16)));
    dir.write("vectors.f32", le_bytes(&vectors));
    let mut bad = vectors.clone();
    bad[8 * 3 + 2] = f32::NAN;
    dir.write("bad.npy", npy_f32(8, &bad));
    dir.write("cut.npy", &npy_f32(8, &vectors)[..300]);
    let row =
        |id: &str, at: usize| format!("{{\"id\": {id}, \"vector\": [{at}, 1], \"title\": \"t{at}\"}}\n");
    dir.write("texts.jsonl", (0..5).map(|at| row(&format!("\"doc-{at}\""), at)).collect::<String>());
    dir.write("names.txt", "a\nb\nc\nb\n");
    dir.write("twice.jsonl", [row("7", 0), row("8", 1), row("7", 2)].concat());
    dir.write("ragged.jsonl", "{\"vector\": [1, 2]}\n{\"vector\": [1, 2, 3]}\n");
    dir.write("notes.txt", "no vectors at all\n");
    dir.ok("build-index -i vectors.npy -o vectors.hnsw");
    dir.ok("convert -i texts.jsonl -o texts.parquet");
    dir
}

fn run(mistake: &Mistake) -> (Option<i32>, String) {
    let dir = folder();
    if let Some(pipeline) = &mistake.pipeline {
        dir.write("p.toml", pipeline);
    }
    let before = dir.names();
    let words = mistake.command.strip_prefix("sochdb-bulk ").expect("a command of the program");
    let words: Vec<String> = words.split_whitespace().map(|word| word.replace('\'', "")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = dir.command_of(&words);
    command.env_remove("DATA");
    let output = output(command, b"");
    assert_eq!(dir.names(), before, "{}: something was left behind", mistake.title);
    assert_eq!(output.stdout, b"", "{}", mistake.title);
    (output.code, output.stderr)
}

#[test]
fn each_mistake_is_answered_as_the_document_says() {
    let (before, mistakes) = parse(&document());
    assert!(mistakes.len() >= 50, "{}", mistakes.len());
    let mut new = before;
    let mut codes = BTreeSet::new();
    for mistake in &mistakes {
        let (code, printed) = run(mistake);
        assert!(matches!(code, Some(1 | 2)), "{}: {code:?}", mistake.title);
        // Every answer has a code that can be looked up, and says what to do.
        let number =
            printed.strip_prefix("error[").and_then(|rest| rest.split_once(']')).map(|(number, _)| number);
        let number = number.unwrap_or_else(|| panic!("{}: {printed}", mistake.title));
        assert!(printed.contains("help: "), "{}: {printed}", mistake.title);
        codes.insert(number.to_owned());
        writeln!(new, "### {}\n", mistake.title).unwrap();
        if let Some(pipeline) = &mistake.pipeline {
            write!(new, "```toml\n{pipeline}```\n\n").unwrap();
        }
        write!(new, "```sh\n{}\n```\n\n```text\n{printed}```\n\n", mistake.command).unwrap();
        if std::env::var_os("SOCHDB_BULK_UPDATE").is_none() {
            assert_eq!(printed, mistake.printed, "{}", mistake.title);
        }
    }
    if std::env::var_os("SOCHDB_BULK_UPDATE").is_some() {
        std::fs::write(root().join("docs/MISTAKES.md"), new.trim_end().to_owned() + "\n").unwrap();
    }
    let dir = Dir::new();
    for code in &codes {
        assert!(dir.ok(&format!("explain {code}")).text().starts_with(&format!("{code}: ")));
    }
    // Most of what can be wrong is among them.
    let all = dir.ok("explain").text().lines().count();
    assert!(codes.len() * 3 >= all * 2, "{} of {all} codes: {codes:?}", codes.len());
}

#[test]
fn each_mistake_is_told_to_programs_as_well() {
    let (_, mistakes) = parse(&document());
    for mistake in &mistakes {
        let as_json = Mistake {
            title: mistake.title.clone(),
            pipeline: mistake.pipeline.clone(),
            command: format!("{} --error-format json", mistake.command),
            printed: String::new(),
        };
        // Behind `--` all words are a program's.
        if mistake.command.contains(" -- ") {
            continue;
        }
        let (code, printed) = run(&as_json);
        for line in printed.lines() {
            let error: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", mistake.title));
            assert_eq!(error["schema"], 1);
            assert_eq!(error["exit_code"].as_i64(), code.map(i64::from), "{}", mistake.title);
            assert!(mistake.printed.contains(error["code"].as_str().unwrap()), "{}", mistake.title);
            let message = error["message"].as_str().unwrap().lines().next().unwrap();
            assert!(mistake.printed.contains(message), "{}: {message}", mistake.title);
        }
        assert_eq!(printed.lines().count(), mistake.printed.matches("error[").count(), "{}", mistake.title);
    }
}
