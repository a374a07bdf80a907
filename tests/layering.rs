//! Who may name whom, and where things are that belong to one place only.

use std::path::PathBuf;

use crate::util::root;

/// Every Rust file below a folder: its path from the root, and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}: no sources");
    found.sort();
    found
}

/// The program's own sources: all crates.
fn all_sources() -> Vec<(String, String)> {
    ["sochdb-bulk", "readers/src", "index/src", "index/capi/src", "exchange/src"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The code of a line: what is behind `//` says nothing about dependencies.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether a word stands in a line of code as a word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    code(line).match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// `file:line: text` of every line for which `is_wrong` is true.
fn lines(files: &[(String, String)], is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, text) in files {
        for (number, line) in text.lines().enumerate() {
            if is_wrong(name, line) {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    wrong
}

const NONE: [&str; 0] = [];

#[test]
fn readers_and_index_know_neither_each_other_nor_the_program() {
    let others = |folder: &str, words: &[&str]| {
        lines(&sources(folder), |_, line| words.iter().any(|word| has_word(line, word)))
    };
    let of_readers = ["sochdb_bulk_index", "index::", "exchange::", "sochdb_bulk"];
    let found = others("readers/src", &of_readers);
    assert_eq!(found, NONE);
    for folder in ["index/src", "index/capi/src"] {
        assert_eq!(others(folder, &["sochdb_bulk_readers", "readers", "exchange::", "sochdb_bulk"]), NONE);
    }
    assert_eq!(others("index/src", &["sochdb_bulk_index", "sbi_open"]), NONE);
    for (manifest, unwanted) in [
        ("readers", "sochdb-bulk-index"),
        ("index", "sochdb-bulk-readers"),
        ("index/capi", "sochdb-bulk-readers"),
    ] {
        let text = std::fs::read_to_string(root().join(manifest).join("Cargo.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(|value| value.as_table()) else { continue };
            for (name, value) in dependencies {
                let package = value.get("package").and_then(|package| package.as_str()).unwrap_or(name);
                assert!(package != unwanted && package != "sochdb-tools", "{manifest} depends on {package}");
            }
        }
    }
}

#[test]
fn only_the_index_sink_and_the_commands_on_indexes_use_the_engine() {
    let allowed = [
        "sochdb-bulk/sinks/foreign.rs",
        "sochdb-bulk/sinks/hnsw/append.rs",
        "sochdb-bulk/sinks/hnsw/build.rs",
        "sochdb-bulk/sinks/hnsw/mod.rs",
        "sochdb-bulk/sinks/hnsw/options.rs",
        "sochdb-bulk/sinks/hnsw/refusals.rs",
        "sochdb-bulk/sinks/hnsw/source.rs",
        "sochdb-bulk/sinks/hnsw/text_ids.rs",
        "sochdb-bulk/cli/query/mod.rs",
        "sochdb-bulk/cli/query/write.rs",
        "sochdb-bulk/cli/queries.rs",
        "sochdb-bulk/cli/exact/mod.rs",
        "sochdb-bulk/cli/exact/compare.rs",
        "sochdb-bulk/cli/eval/mod.rs",
        "sochdb-bulk/cli/eval/measure.rs",
        "sochdb-bulk/cli/eval/store.rs",
        "sochdb-bulk/cli/eval/truth.rs",
        "sochdb-bulk/cli/check.rs",
        "sochdb-bulk/cli/foreign_info.rs",
        "sochdb-bulk/cli/info.rs",
        "sochdb-bulk/cli/run.rs",
    ];
    let uses = |name: &str, line: &str| {
        !allowed.contains(&name) && (code(line).contains("index::") && has_word(line, "index"))
    };
    assert_eq!(lines(&sources("sochdb-bulk"), uses), NONE);
    for name in allowed {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        assert!(text.contains("index::"), "{name} does not: the list is out of date");
    }
}

#[test]
fn unsafe_code_is_where_it_belongs() {
    let allowed = |name: &str| {
        name.starts_with("index/src/distance/")
            || [
                "index/src/mmap.rs",
                "readers/src/mmap.rs",
                "index/capi/src/lib.rs",
                "sochdb-bulk/cli/truncated.rs",
            ]
            .contains(&name)
    };
    assert_eq!(lines(&all_sources(), |name, line| !allowed(name) && has_word(line, "unsafe")), NONE);
    // The words are found where they are known to be, so the search works.
    let known = lines(&all_sources(), |name, line| name == "readers/src/mmap.rs" && has_word(line, "unsafe"));
    assert_ne!(known, NONE);
}

#[test]
fn only_output_prints() {
    let prints = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    // A test that cannot run somewhere says so.
    let allowed = |name: &str| name.starts_with("sochdb-bulk/output/") || name.ends_with("/tests.rs");
    let found = lines(&all_sources(), |name, line| {
        !allowed(name)
            && prints
                .iter()
                .any(|print| has_word(line, &print[..print.len() - 1]) && code(line).contains(print))
    });
    assert_eq!(found, NONE);
}

#[test]
fn nothing_depends_on_the_clock_or_on_chance() {
    let unwanted = ["SystemTime::now", "thread_rng", "rand::", "from_entropy", "RandomState", "getrandom"];
    let found = lines(&all_sources(), |_, line| unwanted.iter().any(|word| code(line).contains(word)));
    assert_eq!(found, NONE);
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let folders = ["sochdb-bulk", "readers", "index", "tests", "benches", "fuzz"];
    let long: Vec<_> = folders
        .into_iter()
        .filter(|folder| root().join(folder).is_dir())
        .flat_map(sources)
        .filter(|(name, _)| !name.contains("/target/"))
        .filter_map(|(name, text)| {
            let count = text.lines().count();
            (count > 800).then(|| format!("{name}: {count} lines"))
        })
        .collect();
    assert_eq!(long, NONE);
}

#[test]
fn the_registries_hold_exactly_what_is_built_in() {
    let formats: Vec<_> = readers::formats().iter().map(|format| format.name).collect();
    let built_in = "arrow arrow_stream bvecs csv exec f16bin faiss fbin fvecs glove hdf5 hnsw hnswlib i8bin ibin ivecs jsonl npy npz \
                    parquet raw_f32 safetensors sochdb u8bin usearch word2vec";
    let without = |name: &&&str| **name != "hdf5" || cfg!(feature = "hdf5");
    assert_eq!(
        formats,
        built_in.split(' ').collect::<Vec<_>>().iter().filter(without).copied().collect::<Vec<_>>()
    );
    let stages: Vec<_> = sochdb_bulk::stages::all().iter().map(|stage| stage.name).collect();
    let built_in = "cast center dedup filter ids limit normalize pca sample select shuffle slice";
    assert_eq!(stages, built_in.split(' ').collect::<Vec<_>>());
    let sinks: Vec<_> = sochdb_bulk::sinks::all().iter().map(|sink| sink.name).collect();
    let expected = [
        "arrow",
        "arrow_stream",
        "bvecs",
        "csv",
        "f16bin",
        "fbin",
        "fvecs",
        "hnsw",
        "i8bin",
        "ibin",
        "ivecs",
        "jsonl",
        "npy",
        "null",
        "parquet",
        "raw_f32",
        "u8bin",
    ];
    assert_eq!(sinks, expected);
    let crates = readers::formats().iter().map(|format| format.krate).collect::<Vec<_>>();
    let own = ["sochdb-bulk-readers", "sochdb-bulk-exchange"];
    assert!(crates.iter().all(|name| own.contains(name)), "{crates:?}");
}

#[test]
fn every_example_of_a_plugin_is_a_table_it_accepts() {
    let source = "[source]\npath = \"a.npy\"\n";
    let sink = "[sink]\ntype = \"null\"\n";
    let texts = (readers::formats().into_iter().map(|format| format!("{}{sink}", format.example)))
        .chain(sochdb_bulk::stages::all().into_iter().map(|stage| format!("{source}{}{sink}", stage.example)))
        .chain(sochdb_bulk::sinks::all().into_iter().map(|plugin| format!("{source}{}", plugin.example)));
    for text in texts {
        let text = format!("version = 1\n{text}");
        let parsed = sochdb_bulk::pipeline::Pipeline::parse(sochdb_bulk::pipeline::Text::new(
            "example",
            text.as_str(),
            "",
        ));
        if let Err(failure) = parsed {
            panic!("{text}\n{failure}");
        }
    }
}
