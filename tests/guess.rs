//! Pipelines for files that nobody has described.

use crate::util::{Dir, ids_bytes, le_bytes, npy_f32, output, values};

/// Rows whose columns have means of their own, as embeddings do.
fn embeddings(rows: usize, dim: usize) -> Vec<f32> {
    let (means, mut all) = (values(99, 1, dim), values(1, rows, dim));
    for row in all.chunks_exact_mut(dim) {
        row.iter_mut().zip(&means).for_each(|(value, mean)| *value += mean);
    }
    all
}

/// Guesses, and checks that what was guessed is well formed and runs. Gives the text.
fn guess(dir: &Dir, words: &str) -> String {
    dir.ok(&format!("guess {words} -o p.toml --if-exists replace"));
    let text = String::from_utf8(dir.read("p.toml")).unwrap();
    let output = dir.run("validate p.toml");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{words}\n{text}");
    let output = dir.run("run p.toml");
    assert_eq!(output.code, Some(0), "{words}: {}\n{text}", output.stderr);
    text
}

fn line<'t>(text: &'t str, key: &str) -> &'t str {
    let found = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
    found.unwrap_or_else(|| panic!("no {key} in\n{text}"))
}

#[test]
fn every_format_that_is_written_is_recognised() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(16, &embeddings(300, 16)));
    for (name, format) in [
        ("b.npy", "npy"),
        ("b.f32", "raw_f32"),
        ("b.parquet", "parquet"),
        ("b.arrow", "arrow"),
        ("b.arrows", "arrow_stream"),
        ("b.jsonl", "jsonl"),
        ("b.csv", "csv"),
        ("b.fvecs", "fvecs"),
        ("b.fbin", "fbin"),
        ("b.npy.zst", "npy"),
    ] {
        dir.ok(&format!("convert -i a.npy -o {name}"));
        let text = guess(&dir, name);
        assert!(line(&text, "type").starts_with(&format!("type = \"{format}\" # guessed: ")), "{text}");
        assert_eq!(line(&text, "path"), format!("path = \"{name}\""));
        assert!(text.contains("metric = \"cosine\" # guessed: "), "{text}");
        assert!(text.contains("# Recognised: ") && text.contains("300 rows x 16"), "{text}");
        assert_eq!(dir.info("b.hnsw")["rows"], 300, "{name}");
        std::fs::remove_file(dir.path("b.hnsw")).unwrap();
    }
}

#[test]
fn every_sink_takes_what_was_guessed() {
    let dir = Dir::new();
    let whole: Vec<f32> = (0..300u16).map(|i| f32::from(i % 100 + 1)).collect();
    dir.write("a.npy", npy_f32(3, &whole));
    for sink in dir.ok("plugins --json").json()["sinks"].as_array().unwrap() {
        let name = sink["name"].as_str().unwrap();
        let text = guess(&dir, &format!("a.npy --to {name}"));
        if let Some(extension) = sink["extensions"].as_array().unwrap().first() {
            // Nothing that is there is written over.
            let stem = if extension == "npy" { "a-2" } else { "a" };
            let file = format!("{stem}.{}", extension.as_str().unwrap());
            assert!(text.contains(&format!("path = \"{file}\" # guessed: ")), "{text}");
            assert!(dir.exists(&file), "{name}: {:?}", dir.names());
        }
    }
}

#[test]
fn columns_are_named_with_what_else_could_be() {
    let dir = Dir::new();
    let mut lines = String::new();
    for row in 0..20u8 {
        lines += &format!(
            "{{\"docid\": \"d{row}\", \"title_embedding\": [{row}, 1], \"other\": [1, 2, {row}], \"key\": {row}.5}}\n"
        );
    }
    dir.write("a.jsonl", lines.replace("\"key\"", "\"score\""));
    let text = guess(&dir, "a.jsonl");
    assert_eq!(
        line(&text, "vector_column"),
        "vector_column = \"title_embedding\" # guessed: of several that could be; also: other"
    );
    assert_eq!(line(&text, "id_column"), "id_column = \"docid\" # guessed: the only one that looks like it");
    assert!(!text.contains("[[stage]]"), "{text}");
    let text = guess(&dir, "a.jsonl --vector-column other --to parquet");
    assert_eq!(line(&text, "vector_column"), "vector_column = \"other\"");
    let text = guess(&dir, "a.parquet");
    assert_eq!(
        line(&text, "vector_column"),
        "vector_column = \"vector\" # guessed: the only one that looks like it"
    );
    // Where nothing tells which, somebody has to say it.
    dir.write("b.jsonl", "{\"a\": [1], \"b\": [2]}\n");
    let output = dir.run("guess b.jsonl");
    assert_eq!((output.code, output.text()), (Some(2), ""));
    assert!(output.stderr.contains("`a`, `b`"), "{}", output.stderr);
    dir.write("c.csv", "id,dim_0,dim_1,title\n4,1,2,x\n5,3,4,y\n");
    let text = guess(&dir, "c.csv");
    assert!(line(&text, "vector_column").starts_with("vector_column = \"dim\" # guessed: "), "{text}");
    assert!(line(&text, "id_column").starts_with("id_column = \"id\" # guessed: "), "{text}");
}

#[test]
fn the_dimension_of_bare_values_is_guessed() {
    let dir = Dir::new();
    dir.write("a.f32", le_bytes(&embeddings(400, 96)));
    let text = guess(&dir, "a.f32");
    assert!(line(&text, "dim").starts_with("dim = 96 # guessed: means of columns repeat"), "{text}");
    assert!(text.contains("# Other dimensions that fit the size: "), "{text}");
    assert_eq!(dir.info("a.hnsw")["dim"], 96);

    let mut unit = values(5, 200, 100);
    for row in unit.chunks_exact_mut(100) {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
    }
    dir.write("b.f32", le_bytes(&unit));
    let text = guess(&dir, "b.f32");
    assert!(
        line(&text, "dim").starts_with("dim = 100 # guessed: rows of 100 values have one length"),
        "{text}"
    );
    assert!(text.contains("have length 1"), "{text}");

    // Noise has no rows.
    dir.write("c.f32", le_bytes(&values(5, 300, 128)));
    let output = dir.run("guess c.f32 -o c.toml");
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(
        output.stderr.contains("say --dimension N; these fit its size: 32, 50, 64, 96, 100, 128"),
        "{}",
        output.stderr
    );
    assert!(!dir.exists("c.toml"));
    let text = guess(&dir, "c.f32 --dimension 128");
    assert_eq!(line(&text, "dim"), "dim = 128");
    // f64 is none of it.
    let doubles: Vec<u8> =
        values(5, 300, 128).iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    dir.write("d.f32", doubles);
    let output = dir.run("guess d.f32");
    assert_eq!(output.code, Some(2), "{}\n{}", output.text(), output.stderr);
    assert!(output.stderr.contains("found what looks like f64"), "{}", output.stderr);
    assert!(output.stderr.contains("np.fromfile(\"d.f32\", \"<f8\")"), "{}", output.stderr);
    let swapped: Vec<u8> = embeddings(400, 96).iter().flat_map(|value| value.to_be_bytes()).collect();
    dir.write("s.f32", swapped);
    let output = dir.run("guess s.f32");
    assert!(output.stderr.contains("found what looks like big-endian f32"), "{}", output.stderr);
    // Of several files one may know it, whichever it is.
    dir.write("k.npy", npy_f32(128, &values(6, 20, 128)));
    for order in ["c.f32 k.npy", "k.npy c.f32"] {
        let text = guess(&dir, order);
        assert_eq!(line(&text, "dim"), "dim = 128 # guessed: that of k.npy");
        for name in ["c.hnsw", "k.hnsw"].iter().filter(|name| dir.exists(name)) {
            std::fs::remove_file(dir.path(name)).unwrap();
        }
    }
    dir.write("e.f32", [0u8; 7]);
    assert!(dir.run("guess e.f32").stderr.contains("found 7 bytes"));
}

#[test]
fn rows_that_cannot_be_used_are_left_out() {
    let dir = Dir::new();
    let mut rows = embeddings(50, 8);
    rows[3 * 8 + 1] = f32::NAN;
    rows[9 * 8] = f32::INFINITY;
    rows[20 * 8..21 * 8].fill(0.0);
    dir.write("a.npy", npy_f32(8, &rows));
    let text = guess(&dir, "a.npy");
    assert!(
        text.contains(
            "type = \"filter\" # guessed: 2 rows non-finite, the first is 3; 1 row zero, the first is 20"
        ),
        "{text}"
    );
    assert!(line(&text, "what").starts_with("what = [\"non-finite\", \"zero\"]"), "{text}");
    assert_eq!(dir.info("a.hnsw")["rows"], 47);
    assert!(!guess(&dir, "a.npy --to null").contains("[run]"));
}

#[test]
fn recorded_metrics_and_ids_are_kept() {
    let dir = Dir::new();
    dir.write("a.f32", le_bytes(&embeddings(10, 4)));
    dir.write("a.json", "{\"n\": 10, \"dim\": 4, \"metric\": \"ip\"}");
    dir.write("ids.u64", ids_bytes(&[5, 6, 7, 8, 9, 15, 16, 17, 18, 19]));
    let text = guess(&dir, "a.f32");
    assert!(text.contains("metric = \"ip\" # guessed: the input records it"), "{text}");
    assert!(!text.contains("dim = "), "the sidecar says it\n{text}");
    let hits = dir.hits("--index a.hnsw --query a.f32 -k 1");
    assert!(hits.iter().all(|hits| hits[0].0 >= 5), "ids, not row numbers: {hits:?}");
}

#[test]
fn paths_are_those_that_were_typed() {
    let dir = Dir::new();
    for folder in ["sub", "data[1]"] {
        std::fs::create_dir(dir.path(folder)).unwrap();
    }
    for name in ["data[1]/a_1.npy", "data[1]/a_2.npy", "${HOME} 'x' #.npy", "sub/b.npy"] {
        dir.write(name, npy_f32(4, &embeddings(10, 4)));
    }
    let check = |words: &[&str], path: &str, index: &str| {
        let output = dir.run_of(&[&["guess"], words].concat());
        assert_eq!(output.code, Some(0), "{words:?}: {}", output.stderr);
        let file = words.last().unwrap();
        let text = String::from_utf8(dir.read(file)).unwrap();
        assert!(text.lines().any(|line| line == path), "{path}\n{text}");
        // From anywhere.
        let mut command = dir.command_of(&["run"]);
        command.arg(dir.path(file)).current_dir(std::env::temp_dir());
        let output = output_of(command);
        assert_eq!(output.code, Some(0), "{}\n{text}", output.stderr);
        assert!(dir.exists(index), "{index}");
        std::fs::remove_file(dir.path(index)).unwrap();
        std::fs::remove_file(dir.path(file)).unwrap();
    };
    check(&["${HOME} 'x' #.npy", "-o", "p.toml"], "path = \"$${HOME} 'x' #.npy\"", "${HOME} 'x' #.hnsw");
    check(&["sub/b.npy", "-o", "p.toml"], "path = \"sub/b.npy\"", "b.hnsw");
    check(&["sub/b.npy", "-o", "sub/p.toml"], "path = \"b.npy\"", "sub/b.hnsw");
    check(&["data[1]/a_1.npy", "-o", "sub/p.toml"], "path = \"../data[1]/a_1.npy\"", "sub/a_1.hnsw");
    check(&["data[[]1]/a_*.npy", "-o", "sub/p.toml"], "path = \"../data[[]1]/a_*.npy\"", "sub/vectors.hnsw");
    check(
        &["sub/b.npy", "data[1]/a_2.npy", "-o", "sub/p.toml"],
        "paths = [\"b.npy\", \"../data[1]/a_2.npy\"]",
        "sub/vectors.hnsw",
    );
}

fn output_of(command: std::process::Command) -> crate::util::Output {
    output(command, b"")
}

#[test]
fn files_that_are_there_stay() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &embeddings(10, 4)));
    dir.write("p.toml", "mine");
    let output = dir.run("guess a.npy -o p.toml");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("p.toml: exists already"), "{}", output.stderr);
    dir.ok("guess a.npy -o p.toml --if-exists skip");
    assert_eq!(dir.read("p.toml"), b"mine");
    assert_eq!(dir.run("guess a.npy -o a.npy --if-exists replace").code, Some(2));
    // To standard output, for `run -`.
    let text = dir.ok("guess a.npy").stdout;
    let output = dir.run_with("run -", &text);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    dir.ok("guess a.npy a.npy");
    for (words, expected) in [
        ("guess -", "expected files, found standard input"),
        ("guess a.npy --to nothing", "known sinks: arrow"),
        ("guess a.npy --vector-column x", "unknown field `vector_column`"),
    ] {
        let output = dir.run(words);
        assert_eq!((output.code, output.text()), (Some(2), ""), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{words}: {}", output.stderr);
    }
}
