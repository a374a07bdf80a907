//! Every command, flag and default as it is documented.

use serde_json::{Value, json};

use crate::util::{Dir, difference, ids_bytes, le_bytes, npy, npy_f32, values};

/// `a.npy` with 300 vectors of 8 values, and `a.f32` with the same.
fn dir() -> Dir {
    let dir = Dir::new();
    let values = values(1, 300, 8);
    dir.write("a.npy", npy_f32(8, &values));
    dir.write("a.f32", le_bytes(&values));
    dir
}

fn info_of(dir: &Dir, options: &str) -> Value {
    dir.ok(&format!("build-index -o i.hnsw {options}"));
    dir.info("i.hnsw")
}

#[test]
fn the_commands_of_the_reference_work_as_written() {
    let dir = Dir::new();
    let values = values(2, 64, 768);
    for name in ["embeddings.bin", "data.f32"] {
        dir.write(name, le_bytes(&values));
    }
    dir.write("embeddings.npy", npy_f32(768, &values));
    dir.write("query.f32", le_bytes(&values[768 * 5..768 * 6]));
    dir.ok("build-index --input embeddings.bin --output index.hnsw --dimension 768");
    let first = dir.read("index.hnsw");
    dir.ok("build-index --input embeddings.npy --output index.hnsw");
    assert_eq!(dir.info("index.hnsw")["rows"], 64);
    assert_ne!(first, b"");
    dir.ok("build-index --input data.f32 --output index.hnsw --dimension 768 \
         --max-connections 32 --ef-construction 200 --threads 8");
    let info = dir.info("index.hnsw");
    assert_eq!((&info["m"], &info["ef_construction"]), (&json!(32), &json!(200)));
    let output = dir.ok("query --index index.hnsw --query query.f32 --k 10");
    let rows: Vec<Vec<&str>> = output.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["query", "rank", "id", "distance"]);
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[1], ["0", "1", "5", "0.000000"]);
    let output = dir.ok("info --index index.hnsw");
    assert!(output.text().contains("64 x 768"), "{}", output.text());
    dir.ok("convert --input embeddings.npy --output c.f32 --to-format raw_f32");
    assert_eq!(difference(&dir.read("c.f32"), &dir.read("data.f32")), None);
}

#[test]
fn every_flag_of_build_index_has_its_spellings() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(1000..1300).collect::<Vec<_>>()));
    dir.ok("build-index --input=a.f32 --output=long.hnsw --dimension=8 --format=raw_f32 --ids=ids.bin \
         --max-connections=5 --ef-construction=50 --batch-size=64 --threads=2 --metric=l2 --seed=7");
    dir.ok("build-index -i a.f32 -o short.hnsw -d8 -f raw_f32 --ids ids.bin -m5 -e=50 --batch-size 64 -t2 \
         --metric l2 --seed 7 -v");
    assert_eq!(difference(&dir.read("long.hnsw"), &dir.read("short.hnsw")), None);
    let info = dir.info("long.hnsw");
    for (key, value) in [
        ("m", json!(5)),
        ("m0", json!(10)),
        ("ef_construction", json!(50)),
        ("seed", json!(7)),
        ("metric", json!("l2")),
        ("ids", json!("u64")),
        ("rows", json!(300)),
        ("dim", json!(8)),
    ] {
        assert_eq!(info[key], value, "{key}");
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    let dir = dir();
    let info = info_of(&dir, "-i a.npy");
    for (key, value) in [
        ("m", json!(16)),
        ("ef_construction", json!(100)),
        ("seed", json!(42)),
        ("metric", json!("cosine")),
        ("ids", json!("row_numbers")),
        ("reachable_share", json!(1.0)),
    ] {
        assert_eq!(info[key], value, "{key}");
    }
    let by_default = dir.read("i.hnsw");
    dir.ok("build-index -i a.npy -o j.hnsw -m 16 -e 100 --batch-size 1000 -t 0 --seed 42 --metric cosine \
         --if-exists replace");
    assert_eq!(difference(&by_default, &dir.read("j.hnsw")), None);
    // k 10 and ef 100.
    dir.write("q.f32", le_bytes(&values(1, 1, 8)));
    let default = dir.ok("query -i i.hnsw -q q.f32").stdout;
    assert_eq!(default, dir.ok("query -i i.hnsw -q q.f32 -k 10 -e 100 -f table -t 1 -o -").stdout);
    assert_eq!(default.iter().filter(|&&byte| byte == b'\n').count(), 11);
}

#[test]
fn the_metric_is_the_flag_else_the_sidecar_else_cosine() {
    let dir = dir();
    for (word, metric) in [
        ("l2", "l2"),
        ("L2", "l2"),
        ("euclidean", "l2"),
        ("sqeuclidean", "l2"),
        ("cosine", "cosine"),
        ("Cos", "cosine"),
        ("angular", "cosine"),
        ("ip", "ip"),
        ("dot", "ip"),
        ("inner_product", "ip"),
    ] {
        assert_eq!(info_of(&dir, &format!("-i a.npy --metric {word}"))["metric"], metric, "{word}");
    }
    for (sidecar, text) in [
        ("a.f32.json", r#"{"n": 300, "dim": 8, "metric": "l2"}"#),
        ("a.json", r#"{"dim": 8, "metric": "ip"}"#),
        ("meta.json", r#"{"dim": 8, "metric": "dot"}"#),
    ] {
        dir.write(sidecar, text);
        let expected = if text.contains("l2") { "l2" } else { "ip" };
        assert_eq!(info_of(&dir, "-i a.f32")["metric"], expected, "{sidecar}");
        assert_eq!(info_of(&dir, "-i a.f32 --metric cosine")["metric"], "cosine", "{sidecar}");
        std::fs::remove_file(dir.path(sidecar)).unwrap();
    }
    dir.write("a.json", r#"{"n": 300, "dim": 8, "metric": null}"#);
    assert_eq!(info_of(&dir, "-i a.f32")["metric"], "cosine");
}

#[test]
fn format_words_are_understood_in_any_case() {
    let dir = dir();
    for word in ["npy", "NPY", "numpy", "NumPy"] {
        info_of(&dir, &format!("-i a.npy -f {word}"));
        dir.ok(&format!("convert -i a.npy --from-format {word} -o o.npy --to-format {word}"));
    }
    for word in ["raw_f32", "RAW_F32", "raw", "Raw", "f32", "F32", "bin"] {
        info_of(&dir, &format!("-i a.f32 -d 8 --format {word}"));
        dir.ok(&format!("convert -i a.f32 -d 8 --from-format {word} -o o.f32 --to-format {word}"));
        assert_eq!(difference(&dir.read("o.f32"), &dir.read("a.f32")), None, "{word}");
    }
    // Extensions, too; and content comes before extension.
    for name in ["A.NPY", "b.F32", "c.raw", "d.bin", "e.dat"] {
        let source = if name.ends_with("NPY") || name.ends_with("dat") { "a.npy" } else { "a.f32" };
        dir.write(name, dir.read(source));
        assert_eq!(info_of(&dir, &format!("-i {name} -d 8"))["rows"], 300, "{name}");
    }
}

#[test]
fn a_printed_pipeline_builds_the_same_bytes() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(0..300).map(|id| id * 7 + 1).collect::<Vec<_>>()));
    dir.write("with \"quotes\" and ü.npy", dir.read("a.npy"));
    let tables: [&[&str]; 7] = [
        &["-i", "a.npy"],
        &["-i", "a.npy", "--metric", "l2", "-m", "7", "-e", "33", "--seed", "5", "-t", "3"],
        &["-i", "a.npy", "--ids", "ids.bin", "--rows", "17..250", "--io", "read"],
        &["-i", "a.f32", "-d", "8", "-f", "raw", "--batch-size", "7", "--if-exists", "error"],
        &["-i", "a.npy", "--rows", "100..", "--seed", "9223372036854775807"],
        &["-i", "with \"quotes\" and ü.npy", "--rows", "..50"],
        &["-i", "a.npy", "--rows", "10..250", "--limit", "90"],
    ];
    for options in tables {
        let words: Vec<&str> = ["build-index", "-o", "o.hnsw"].iter().chain(options).copied().collect();
        let build = dir.run_of(&words);
        assert_eq!(build.code, Some(0), "{options:?}: {}", build.stderr);
        let expected = dir.read("o.hnsw");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        let words: Vec<&str> = words.iter().chain(&["--print-pipeline"]).copied().collect();
        let printed = dir.run_of(&words);
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{options:?}");
        assert!(!dir.exists("o.hnsw"), "printing does nothing else");
        let table: toml::Table = printed.text().parse().unwrap();
        assert_eq!(table.keys().take(3).collect::<Vec<_>>(), ["version", "run", "source"]);
        let run = dir.run_with("run -", &printed.stdout);
        assert_eq!(run.code, Some(0), "{options:?}: {}", run.stderr);
        assert_eq!(difference(&expected, &dir.read("o.hnsw")), None, "{options:?}");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
    }
}

#[test]
fn statistics_are_one_json_object() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(500..800).collect::<Vec<_>>()));
    let output = dir.ok("build-index -i a.npy -o o.hnsw --ids ids.bin -m 8 -t 2 --stats json");
    let stats = output.json();
    assert_eq!(stats["schema"], 1);
    assert_eq!(stats["status"], "ok");
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&stats["rows"], &stats["dim"], &stats["threads"]), (&json!(300), &json!(8), &json!(2)));
    assert_eq!(stats["input_bytes"], dir.read("a.npy").len());
    assert_eq!(stats["vectors_in_place"], true);
    assert!(stats["elapsed_secs"].as_f64().unwrap() > 0.0);
    assert!(stats["planned_memory_bytes"].as_u64().unwrap() > 0);
    let kinds: Vec<_> = stats["steps"].as_array().unwrap().iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(kinds, ["source", "stage", "sink"]);
    let built = &stats["outputs"][0];
    assert_eq!((&built["type"], &built["path"]), (&json!("hnsw"), &json!("o.hnsw")));
    assert_eq!(built["size_bytes"], dir.read("o.hnsw").len());
    assert_eq!((&built["m"], &built["metric"], &built["seed"]), (&json!(8), &json!("cosine"), &json!(42)));
    assert_eq!(built["reachable_share"], 1.0);
    if cfg!(target_os = "linux") {
        assert!(stats["peak_rss_bytes"].as_u64().unwrap() > 100_000);
    }

    let output = dir.ok("convert -i a.npy -o c.f32 --stats s.json");
    assert_eq!(output.text(), "");
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["rows"]), (&json!("ok"), &json!(300)));
    assert_eq!(stats["outputs"][0]["size_bytes"], 300 * 8 * 4);

    let output = dir.run("build-index -i a.npy -o p.hnsw -d 9 --stats json");
    assert_eq!(output.code, Some(2));
    let stats = output.json();
    assert_eq!(stats["status"], "failed");
    assert!(stats["error"].as_str().unwrap().contains("dimension 9"), "{stats}");
    let mut broken = values(1, 300, 8);
    broken[1234] = f32::NAN;
    dir.write("nan.npy", npy_f32(8, &broken));
    assert_eq!(dir.run("build-index -i nan.npy -o p.hnsw --stats s.json").code, Some(1));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!(stats["status"], "failed");
    assert!(stats["error"].as_str().unwrap().contains("row 154, column 2"), "{stats}");
    assert!(!dir.exists("p.hnsw"));

    // A skipped run wrote nothing, and says so.
    let stats = dir.ok("build-index -i a.npy -o o.hnsw --if-exists skip --stats json").json();
    assert_eq!((&stats["skipped"], &stats["outputs"]), (&json!("o.hnsw"), &json!([])));
}

#[test]
fn statistics_of_a_query_say_how_it_was_searched() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw -t 2");
    let expected = dir.ok("query -i o.hnsw -q a.npy -k 3 -e 40 -f json").stdout;
    let of = |words: &str| {
        let stats =
            dir.ok(&format!("query -i o.hnsw -q a.npy -k 3 -f json -o hits {words} --stats json")).json();
        assert_eq!((&stats["schema"], &stats["status"]), (&json!(1), &json!("ok")));
        assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&stats["queries"], &stats["k"]), (&json!(300), &json!(3)));
        let number = |name: &str| stats[name].as_f64().unwrap_or_else(|| panic!("{name}: {stats}"));
        assert!(number("open_secs") > 0.0 && number("search_secs") > 0.0, "{stats}");
        assert!((number("queries_per_sec") * number("search_secs") - 300.0).abs() < 1e-3, "{stats}");
        (number("distances_per_query"), stats)
    };
    let (narrow, stats) = of("-e 40 -t 2");
    assert_eq!((&stats["ef_search"], &stats["threads"]), (&json!(40), &json!(2)));
    assert_eq!(difference(&dir.read("hits"), &expected), None);
    assert!((40.0..=300.0).contains(&narrow), "{narrow}");
    // The count is a matter of the search, not of who searches.
    assert_eq!(of("-e 40 -t 1").0, narrow);
    assert!(of("-e 150 -t 2").0 > narrow);
    // A beam as wide as the index looks at every row once; ef is at least k.
    assert_eq!(of("-e 300").0, 300.0);
    assert_eq!(of("-e 1").1["ef_search"], 3);

    // In a file, beside the hits on standard output.
    let output = dir.ok("query -i o.hnsw -q a.npy -k 3 -e 40 -f json -t 1 --stats s.json");
    assert_eq!((difference(&output.stdout, &expected), output.stderr.as_str()), (None, ""));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["distances_per_query"]), (&json!("ok"), &json!(narrow)));
    // Nothing asked, nothing computed.
    dir.write("none.npy", npy_f32(8, &[]));
    let stats = dir.ok("query -i o.hnsw -q none.npy -f json -o hits --stats json").json();
    assert_eq!((&stats["queries"], &stats["distances_per_query"]), (&json!(0), &Value::Null));

    // A query that fails says so there, too.
    dir.write("nan.npy", npy_f32(8, &[f32::NAN; 8]));
    assert_eq!(dir.run("query -i o.hnsw -q nan.npy --stats s.json").code, Some(1));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["queries"]), (&json!("failed"), &Value::Null));
    assert!(stats["error"].as_str().unwrap().contains("row 0, column 0"), "{stats}");
}

#[test]
fn results_go_to_stdout_and_everything_else_to_stderr() {
    let dir = dir();
    let build = dir.ok("build-index -i a.npy -o o.hnsw");
    assert_eq!(build.text(), "");
    assert_eq!(build.stderr.lines().count(), 1, "{}", build.stderr);
    assert!(build.stderr.contains("wrote o.hnsw: 300 rows x 8"), "{}", build.stderr);
    let verbose = dir.ok("-v build-index -i a.npy -o o.hnsw");
    assert!(verbose.stderr.lines().count() > 1 && verbose.text().is_empty(), "{}", verbose.stderr);
    for words in [
        "build-index -i a.npy -o o.hnsw --quiet",
        "--quiet build-index -i a.npy -o o.hnsw",
        "build-index --quiet -i a.npy -o o.hnsw --print-pipeline",
        "convert --quiet -i a.npy -o o.f32 --to-format raw_f32",
        "query --quiet -i o.hnsw -q a.npy -k 1",
        "info --quiet -i o.hnsw",
    ] {
        assert_eq!(dir.ok(words).stderr, "", "{words}");
    }
    for words in ["build-index -i a.npy -o o.hnsw --quiet", "convert --quiet -i a.npy -o o.npy"] {
        assert_eq!(dir.ok(words).text(), "", "{words}");
    }
    assert_eq!(dir.ok("query -i o.hnsw -q a.npy -k 1").stderr, "");
    // Quiet is not deaf: failures are told.
    assert!(dir.run("build-index --quiet -i no.npy -o o.hnsw").stderr.contains("no.npy"));
}

#[test]
fn versions_and_help_are_results() {
    let dir = Dir::new();
    let version = env!("CARGO_PKG_VERSION");
    for word in ["-V", "--version"] {
        assert_eq!(dir.ok(word).text(), format!("sochdb-bulk {version}\n"));
    }
    assert_eq!(dir.ok("build-index -V").text(), format!("sochdb-bulk-build-index {version}\n"));
    for command in ["build-index", "convert", "run", "query", "info"] {
        let help = dir.ok(&format!("{command} --help"));
        assert!(help.text().contains("Usage: sochdb-bulk "), "{}", help.text());
        assert_eq!(help.stderr, "");
    }
    let help = dir.ok("help build-index");
    for shown in [
        "--input <FILE>",
        "--output <FILE>",
        "--dimension <DIM>",
        "--format <FORMAT>",
        "--ids <FILE>",
        "--max-connections <N>",
        "--ef-construction <N>",
        "--batch-size <N>",
        "--threads <N>",
        "--quiet",
        "--verbose",
        "[default: 16]",
        "[default: 100]",
        "[default: 1000]",
    ] {
        assert!(help.text().contains(shown), "{shown} in {}", help.text());
    }
}

#[test]
fn exit_codes_tell_who_has_to_act() {
    let dir = dir();
    for (code, words) in [
        (0, "build-index -i a.npy -o o.hnsw"),
        (1, "build-index -i missing.npy -o o.hnsw"),
        (1, "info -i a.npy"),
        (2, "build-index -i a.npy"),
        (2, "build-index -i a.npy -o o.hnsw --no-such-flag"),
        (2, "build-index -i a.npy -o o.hnsw --metric manhattan"),
        (2, "build-index -i a.npy -o o.hnsw --format parquetto"),
        (2, "build-index -i a.npy -o o.hnsw -d 9"),
        (2, "convert -i a.npy -o o.f32 --to-format hnsw"),
        (2, "convert -i a.npy -o o.f32 --from-format nonsense"),
        (2, "convert -i a.npy -o o.unknown"),
        (2, "query -i o.hnsw -q a.npy --format xml"),
        (2, "query -i o.hnsw -q a.npy -k 0"),
        (2, "no-such-command"),
        (2, ""),
        (2, "build-index --in a.npy -o o.hnsw"),
        (2, "--quiet -v info -i o.hnsw"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(code), "{words}: {}", output.stderr);
        assert_eq!(output.stderr.is_empty() || code == 0, code == 0, "{words}");
        assert!(code == 0 || output.text().is_empty(), "{words}");
    }
}

#[test]
fn one_raw_vector_is_a_query() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2");
    let all = values(1, 300, 8);
    dir.write("query.f32", le_bytes(&all[8 * 77..8 * 78]));
    let hits = dir.hits("-i o.hnsw -q query.f32 -k 3");
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].len(), 3);
    assert_eq!(hits[0][0], (77, 0.0));
    // Squared Euclidean distances, worked out the slow way.
    for &(id, distance) in &hits[0] {
        let row = &all[id as usize * 8..][..8];
        let expected: f64 =
            row.iter().zip(&all[8 * 77..]).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        assert!((expected - distance).abs() < 1e-5, "{expected} {distance}");
    }
    dir.write("noext", le_bytes(&all[..8]));
    assert_eq!(dir.run("query -i o.hnsw -q noext").code, Some(2), "its format is not guessed");
    assert_eq!(dir.hits("-i o.hnsw -q noext --query-format raw_f32 -k 1")[0][0].0, 0);
}

#[test]
fn hits_come_in_four_formats() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(0..300).map(|row| (1 << 63) + row * 3).collect::<Vec<_>>()));
    dir.ok("build-index -i a.npy -o o.hnsw --ids ids.bin --metric l2");
    dir.write("q.npy", npy_f32(8, &values(1, 4, 8)));
    let hits = dir.hits("-i o.hnsw -q q.npy -k 2");
    assert_eq!(hits.len(), 4);
    for (query, hits) in hits.iter().enumerate() {
        assert_eq!(hits[0], ((1 << 63) + 3 * query as u64, 0.0));
        assert!(hits[1].1 > 0.0);
    }

    let tsv = dir.ok("query -i o.hnsw -q q.npy -k 2 --format tsv");
    let rows: Vec<Vec<&str>> = tsv.text().lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["query", "rank", "id", "distance"]);
    assert_eq!(rows.len(), 9);
    let table = dir.ok("query -i o.hnsw -q q.npy -k 2 --format table");
    let table: Vec<Vec<&str>> = table.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table.len(), 9);
    for (at, row) in rows[1..].iter().enumerate() {
        let (id, distance) = hits[at / 2][at % 2];
        assert_eq!(row[..3], [(at / 2).to_string(), (at % 2 + 1).to_string(), id.to_string()]);
        assert!((row[3].parse::<f64>().unwrap() - distance).abs() < 1e-6);
        assert_eq!(table[at + 1][..3], row[..3]);
        assert!((table[at + 1][3].parse::<f64>().unwrap() - distance).abs() < 1e-6);
        assert!(!row[3].starts_with('-') && !table[at + 1][3].starts_with('-'));
    }

    let bytes = dir.ok("query -i o.hnsw -q q.npy -k 2 --format npy").stdout;
    let header = "{'descr': [('id', '<u8'), ('distance', '<f4')], 'fortran_order': False, 'shape': (4, 2), }";
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(data % 64, 0);
    assert_eq!(std::str::from_utf8(&bytes[10..data]).unwrap().trim_end(), header);
    assert_eq!(bytes.len(), data + 8 * 12);
    for (at, record) in bytes[data..].chunks_exact(12).enumerate() {
        let (id, distance) = record.split_at(8);
        let (expected_id, expected) = hits[at / 2][at % 2];
        assert_eq!(u64::from_le_bytes(id.try_into().unwrap()), expected_id);
        assert!((f64::from(f32::from_le_bytes(distance.try_into().unwrap())) - expected).abs() < 1e-6);
    }
    // To a file: the same, and nothing on stdout.
    assert_eq!(dir.ok("query -i o.hnsw -q q.npy -k 2 --format npy -o hits.npy").text(), "");
    assert_eq!(difference(&dir.read("hits.npy"), &bytes), None);
}

#[test]
fn k_and_ef_are_honoured() {
    let dir = Dir::new();
    // No structure: an index of it answers well only if it searches far.
    dir.write("a.npy", npy_f32(32, &values(3, 3000, 32)));
    dir.write("q.npy", npy_f32(32, &values(4, 60, 32)));
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 -m 6 -e 20");
    let total = |ef: usize| -> f64 {
        let hits = dir.hits(&format!("-i o.hnsw -q q.npy -k 10 --ef {ef}"));
        assert_eq!(hits.len(), 60);
        for hits in &hits {
            assert_eq!(hits.len(), 10);
            assert!(hits.is_sorted_by(|a, b| a.1 <= b.1), "nearest first");
        }
        hits.iter().flatten().map(|hit| hit.1).sum()
    };
    let totals = [1, 30, 100, 1000].map(total);
    assert!(totals.is_sorted_by(|low, high| low >= high), "{totals:?}");
    assert!(totals[0] > totals[3], "{totals:?}");
    for (k, expected) in [(1, 1), (10, 10), (3000, 3000), (5000, 3000), (u32::MAX as usize, 3000)] {
        let hits = dir.hits(&format!("-i o.hnsw -q q.npy -k {k}"));
        assert!(hits.iter().all(|hits| hits.len() == expected), "k {k}");
    }
}

#[test]
fn queries_of_another_dimension_are_refused() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw");
    dir.write("q.npy", npy_f32(9, &values(1, 4, 9)));
    dir.write("q.f32", le_bytes(&values(1, 1, 9)));
    let npy = dir.run("query -i o.hnsw -q q.npy");
    assert_eq!((npy.code, npy.text()), (Some(2), ""));
    for part in ["q.npy", "expected queries of dimension 8", "found 9", "o.hnsw", "help:"] {
        assert!(npy.stderr.contains(part), "{part}: {}", npy.stderr);
    }
    let raw = dir.run("query -i o.hnsw -q q.f32");
    assert_ne!(raw.code, Some(0));
    for part in ["q.f32", "rows of 8 f32 values", "found 36", "help:"] {
        assert!(raw.stderr.contains(part), "{part}: {}", raw.stderr);
    }
}

#[test]
fn an_existing_output_is_replaced_refused_or_left() {
    let dir = dir();
    for words in ["build-index -i a.npy -o out", "convert -i a.npy --to-format npy -o out"] {
        dir.write("out", "old");
        let refused = dir.run(&format!("{words} --if-exists error"));
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains("out: exists already") && refused.stderr.contains("help:"));
        let skipped = dir.ok(&format!("{words} --if-exists skip"));
        assert!(skipped.stderr.contains("nothing was done"), "{}", skipped.stderr);
        assert_eq!(dir.read("out"), b"old");
        dir.ok(&format!("{words} --if-exists replace"));
        let replaced = dir.read("out");
        assert!(replaced.len() > 9000);
        dir.write("out", "old");
        dir.ok(words);
        assert_eq!(difference(&dir.read("out"), &replaced), None, "replacing is the default");
        // Nothing there: all three write.
        for what in ["error", "skip"] {
            std::fs::remove_file(dir.path("out")).unwrap();
            dir.ok(&format!("{words} --if-exists {what}"));
            assert_eq!(difference(&dir.read("out"), &replaced), None);
        }
    }
    assert_eq!(dir.run("build-index -i a.npy -o out --if-exists perhaps").code, Some(2));
}

#[test]
fn convert_keeps_every_bit() {
    let dir = Dir::new();
    let mut all = values(5, 500, 7);
    for (at, value) in [
        -0.0,
        0.0,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::from_bits(0x8000_0001),
        f32::from_bits(0x007f_ffff),
        f32::MAX,
        f32::MIN,
        f32::EPSILON,
    ]
    .into_iter()
    .enumerate()
    {
        all[at * 31] = value;
    }
    dir.write("a.npy", npy_f32(7, &all));
    dir.ok("convert -i a.npy -o b.f32 --to-format raw_f32");
    assert_eq!(difference(&dir.read("b.f32"), &le_bytes(&all)), None);
    let sidecar: Value = serde_json::from_slice(&dir.read("b.json")).unwrap();
    assert_eq!(sidecar, json!({ "n": 500, "dim": 7, "file": "b.f32", "dtype": "f32" }));
    // Back without a dimension: the sidecar has it.
    dir.ok("convert -i b.f32 -o c.npy --to-format npy");
    let back = dir.read("c.npy");
    assert_eq!(difference(&back[128..], &le_bytes(&all)), None);
    let header = std::str::from_utf8(&back[10..128]).unwrap().trim_end();
    assert_eq!(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (500, 7), }");
    assert_eq!(dir.names(), ["a.npy", "b.f32", "b.json", "c.npy"]);
}

#[test]
fn a_limit_keeps_the_first_rows() {
    let dir = Dir::new();
    let all = values(5, 40, 3);
    dir.write("a.npy", npy_f32(3, &all));
    for (flags, rows) in
        [("--limit 7", 0..7), ("--rows 5..20 --limit 7", 5..12), ("--limit 4000", 0..40), ("--limit 0", 0..0)]
    {
        dir.ok(&format!("convert -i a.npy -o b.npy {flags}"));
        let expected = le_bytes(&all[rows.start * 3..rows.end * 3]);
        assert_eq!(difference(&dir.read("b.npy")[128..], &expected), None, "{flags}");
    }
}

#[test]
fn convert_to_standard_output_is_the_file() {
    let dir = dir();
    for format in ["npy", "raw_f32"] {
        dir.ok(&format!("convert -i a.npy -o file --to-format {format}"));
        let output =
            dir.ok(&format!("convert --quiet -i a.npy -o - --to-format {format} --batch-size 7 -t 3"));
        assert_eq!(difference(&output.stdout, &dir.read("file")), None, "{format}");
        assert_eq!(output.stderr, "");
    }
    assert!(!dir.exists("-"));
}

#[test]
fn statistics_are_never_mixed_into_a_result() {
    let dir = dir();
    dir.ok("convert -i a.npy -o file --to-format npy");
    let both = dir.run("convert --quiet -i a.npy -o - --to-format npy --stats json");
    let is_the_file = difference(&both.stdout, &dir.read("file")).is_none();
    assert!(both.code == Some(2) || is_the_file, "two results on one standard output");
}

#[test]
fn sidecars_carry_the_metric_and_never_hit_another_file() {
    let dir = dir();
    dir.write("a.f32.json", r#"{"n": 300, "dim": 8, "metric": "euclidean"}"#);
    dir.ok("convert -i a.f32 -o b.f32");
    let sidecar: Value = serde_json::from_slice(&dir.read("b.json")).unwrap();
    assert_eq!(sidecar, json!({ "n": 300, "dim": 8, "metric": "l2", "file": "b.f32", "dtype": "f32" }));
    // `b.json` is that of b.f32: that of b.bin must be another.
    dir.ok("convert -i a.npy -o b.bin --rows 0..10");
    assert_eq!(serde_json::from_slice::<Value>(&dir.read("b.json")).unwrap(), sidecar);
    assert_eq!(serde_json::from_slice::<Value>(&dir.read("b.bin.json")).unwrap()["n"], 10);
    // The output may itself be called .json.
    dir.ok("convert -i a.npy -o x.json --to-format raw_f32");
    assert_eq!(difference(&dir.read("x.json"), &dir.read("a.f32")), None);
    assert_eq!(serde_json::from_slice::<Value>(&dir.read("x.json.json")).unwrap()["dim"], 8);
}

#[test]
fn ids_go_with_their_rows() {
    let dir = dir();
    let ids: Vec<u64> = (0..300).map(|row| u64::MAX - row * row).collect();
    dir.write("q.npy", npy_f32(8, &values(1, 20, 8)));
    dir.write("ids.bin", ids_bytes(&ids));
    dir.write("ids.npy", npy("<u8", false, "(300,)", &ids_bytes(&ids)));
    for file in ["ids.bin", "ids.npy"] {
        dir.ok(&format!("build-index -i a.npy -o {file}.hnsw --ids {file}"));
        let hits = dir.hits(&format!("-i {file}.hnsw -q q.npy -k 1"));
        let found: Vec<u64> = hits.iter().map(|hits| hits[0].0).collect();
        assert_eq!(found, ids[..20], "{file}");
    }
    assert_eq!(difference(&dir.read("ids.bin.hnsw"), &dir.read("ids.npy.hnsw")), None);

    // `ids.u64` beside a raw file are its ids, unless others are given.
    let folder = Dir::new();
    folder.write("a.f32", dir.read("a.f32"));
    folder.write("ids.u64", ids_bytes(&ids));
    folder.write("q.npy", dir.read("q.npy"));
    folder.ok("build-index -i a.f32 -d 8 -o o.hnsw");
    assert_eq!(folder.hits("-i o.hnsw -q q.npy -k 1")[19][0].0, ids[19]);
    folder.write("other.bin", ids_bytes(&(1000..1300).collect::<Vec<_>>()));
    folder.ok("build-index -i a.f32 -d 8 -o o.hnsw --ids other.bin");
    assert_eq!(folder.hits("-i o.hnsw -q q.npy -k 1")[19][0].0, 1019);
    // A range of rows keeps the ids of its rows, given or counted.
    folder.ok("build-index -i a.f32 -d 8 -o o.hnsw --rows 10..15");
    assert_eq!(folder.hits("-i o.hnsw -q q.npy -k 1")[12][0].0, ids[12]);
    dir.ok("build-index -i a.npy -o o.hnsw --rows 10..15");
    assert_eq!(dir.hits("-i o.hnsw -q q.npy -k 1")[12][0].0, 12);
}

#[test]
fn converted_ids_lie_beside_the_values() {
    let dir = dir();
    let ids: Vec<u64> = (0..300).map(|row| row * 11 + 5).collect();
    dir.write("keys.bin", ids_bytes(&ids));
    std::fs::create_dir(dir.path("out")).unwrap();
    dir.write(
        "p.toml",
        "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"ids\"\npath = \"keys.bin\"\n\
         [sink]\ntype = \"raw_f32\"\npath = \"out/a.f32\"\nmetric = \"ip\"\n",
    );
    dir.ok("run p.toml");
    assert_eq!(dir.read("out/ids.u64"), ids_bytes(&ids));
    assert_eq!(serde_json::from_slice::<Value>(&dir.read("out/a.json")).unwrap()["metric"], "ip");
    // Read back they are the ids of an index, and the metric its metric.
    dir.ok("build-index -i out/a.f32 -o o.hnsw");
    assert_eq!((&dir.info("o.hnsw")["ids"], &dir.info("o.hnsw")["metric"]), (&json!("u64"), &json!("ip")));
    // A .npy has no place for them, and that is said.
    dir.write(
        "n.toml",
        "version = 1\n[source]\npath = \"out/a.f32\"\n[sink]\ntype = \"npy\"\npath = \"n.npy\"\n",
    );
    assert!(dir.ok("run -v n.toml").stderr.contains("no place for ids"));
}

#[test]
fn ids_can_be_counted_from_an_offset() {
    let dir = dir();
    let pipeline = "version = 1\n[source]\npath = \"a.npy\"\nrows = \"5..105\"\n[[stage]]\ntype = \"ids\"\noffset = 1000\n\
                    [sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n";
    let run = dir.run_with("run -", pipeline.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    dir.write("q.npy", npy_f32(8, &values(1, 10, 8)));
    assert_eq!(dir.hits("-i o.hnsw -q q.npy -k 1")[7][0].0, 1007);
}

#[test]
fn normalize_makes_unit_vectors() {
    let dir = dir();
    let pipeline = "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"normalize\"\n\
                    [sink]\ntype = \"npy\"\npath = \"n.npy\"\n";
    dir.run_with("run -", pipeline.as_bytes());
    let file = dir.read("n.npy");
    let values: Vec<f32> =
        file[128..].chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values.len(), 2400);
    for row in values.chunks_exact(8) {
        let norm: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    }
}

#[test]
fn flags_of_run_win_over_the_file() {
    let dir = dir();
    dir.write(
        "p.toml",
        "version = 1\n[run]\nthreads = 1\nif_exists = \"error\"\n[source]\npath = \"a.npy\"\n\
         [sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n",
    );
    assert_eq!(dir.ok("run p.toml --stats json").json()["threads"], 1);
    assert_eq!(dir.run("run p.toml").code, Some(2));
    assert_eq!(dir.ok("run p.toml --if-exists replace -t 2 --stats json").json()["threads"], 2);
    // Paths begin in the file's own folder.
    std::fs::create_dir(dir.path("sub")).unwrap();
    std::fs::rename(dir.path("p.toml"), dir.path("sub/p.toml")).unwrap();
    std::fs::rename(dir.path("a.npy"), dir.path("sub/a.npy")).unwrap();
    dir.ok("run sub/p.toml");
    assert!(dir.exists("sub/o.hnsw"));
}

#[cfg(target_os = "linux")]
#[test]
fn where_nobody_listens_the_work_is_done_all_the_same() {
    use std::process::{Command, Stdio};
    let dir = dir();
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let code = |mut command: Command| command.status().unwrap().code();
    for (words, expected) in [
        ("build-index -i a.npy -o o.hnsw", 0),
        ("-v convert -i a.npy -o o.npy", 0),
        ("build-index -i no.npy -o p.hnsw", 1),
        ("build-index -i a.npy -o a.npy", 2),
    ] {
        let mut command = dir.command(words);
        command.stderr(full());
        assert_eq!(code(command), Some(expected), "{words} on a full disk");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = dir.command(words);
        command.stderr(writer);
        assert_eq!(code(command), Some(expected), "{words} into a closed pipe");
    }
    // A result that cannot be written is a failure, of course.
    for words in
        ["query -i o.hnsw -q a.npy", "info -i o.hnsw", "convert --quiet -i a.npy -o - --to-format npy"]
    {
        let mut command = dir.command(words);
        command.stdout(full()).stderr(Stdio::null());
        assert_eq!(code(command), Some(1), "{words}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let dir = dir();
    let mut child = dir
        .command("convert --quiet -i a.npy -o - --to-format npy --batch-size 1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
