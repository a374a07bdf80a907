//! docs/TOUR.md, run as it stands. With `SOCHDB_BULK_UPDATE=1` what is printed is written into it, to be read before it is
//! committed.

use std::fmt::Write as _;

use crate::util::{Dir, root};

/// The text with times, and what follows from them, taken out: they are never the same.
fn without_times(text: &str) -> String {
    let is_number = |word: &str| {
        let digits = word.trim_start_matches('(').replace(',', "");
        !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit() || char == '.')
    };
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let shown = words.iter().enumerate().map(|(at, word)| {
            let is_time = words.get(at + 1).is_some_and(|unit| {
                let unit = unit.trim_end_matches([')', ';', ',']);
                unit == "s" || unit == "rows/s"
            });
            if is_time && is_number(word) { "_" } else { word }
        });
        writeln!(out, "{}", shown.collect::<Vec<_>>().join(" ")).unwrap();
    }
    out
}

#[test]
fn the_tour_goes_as_it_is_written() {
    let dir = Dir::new();
    let data = root().join("examples/data");
    std::fs::copy(data.join("questions.npy"), dir.path("questions.npy")).unwrap();
    std::fs::copy(data.join("sentences.npy"), dir.path("sentences.npy")).unwrap();
    dir.ok("convert --input sentences.npy --output papers.parquet");
    let path = root().join("docs/TOUR.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let update = std::env::var_os("SOCHDB_BULK_UPDATE").is_some();
    let (mut new, mut printed, mut commands) = (String::new(), String::new(), 0);
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        writeln!(new, "{line}").unwrap();
        if !line.starts_with("```") {
            continue;
        }
        let block: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        if line == "```sh" {
            let output = dir.ok(block.trim().strip_prefix("sochdb-bulk ").expect("a command of the program"));
            printed = output.text().to_owned() + &output.stderr;
            commands += 1;
            writeln!(new, "{block}```").unwrap();
        } else {
            if !update {
                assert_eq!(without_times(&printed), without_times(&block), "command {commands}");
            }
            writeln!(new, "{printed}```").unwrap();
        }
    }
    assert_eq!(commands, 5);
    if update {
        std::fs::write(path, new).unwrap();
    }
}
