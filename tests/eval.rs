//! `exact`, `eval` and `check`: true neighbours, how many of them an index finds, and whether the index is whole.

use serde_json::Value;

use crate::util::{Dir, ids_bytes, le_bytes, npy, npy_f32, values};

const DIM: usize = 8;

fn dir() -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &values(1, 900, DIM)));
    dir.write("q.npy", npy_f32(DIM, &values(2, 40, DIM)));
    dir
}

/// With an index whose searches miss something while ef is small.
fn dir_with_index(more: &str) -> Dir {
    let dir = dir();
    let flags = "--metric l2 --max-connections 4 --ef-construction 10 --builder insert";
    dir.ok(&format!("build-index -i a.npy -o o.hnsw {flags} {more}"));
    dir
}

/// The distance by its definition.
fn distance(metric: &str, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    match metric {
        "l2" => sum(&|a, b| (a - b) * (a - b)),
        "ip" => -sum(&|a, b| a * b),
        _ => 1.0 - sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt(),
    }
}

/// The numbers of an .ivecs file whose rows have `width` of them.
fn ivecs(bytes: &[u8], width: usize) -> Vec<Vec<u32>> {
    let rows = bytes.chunks(4 + 4 * width).map(|row| {
        let numbers: Vec<u32> =
            row.as_chunks::<4>().0.iter().map(|&number| u32::from_le_bytes(number)).collect();
        assert_eq!(numbers[0] as usize, width);
        numbers[1..].to_vec()
    });
    rows.collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn exact_is_what_the_definition_says() {
    let dir = dir();
    let (base, queries) = (values(1, 900, DIM), values(2, 40, DIM));
    for metric in ["l2", "cosine", "ip"] {
        let words = format!("exact --base a.npy --query q.npy -k 12 --metric {metric}");
        let json = dir.ok(&words);
        let lines = lines(json.text());
        assert_eq!(lines.len(), 40);
        for (at, (line, query)) in lines.iter().zip(queries.chunks(DIM)).enumerate() {
            let mut all: Vec<(f64, usize)> = (0..)
                .zip(base.chunks(DIM))
                .map(|(row, vector)| (distance(metric, query, vector), row))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            assert_eq!((&line["query"], line["rows"].as_array().unwrap().len()), (&at.into(), 12));
            for (rank, &(expected, row)) in all[..12].iter().enumerate() {
                assert_eq!(line["rows"][rank], row, "{metric}, query {at}, rank {rank}");
                assert!((line["distances"][rank].as_f64().unwrap() - expected).abs() < 1e-5);
            }
        }
        for threads in [1, 3] {
            assert_eq!(dir.ok(&format!("{words} -t {threads}")).text(), json.text(), "{metric}");
        }
    }
}

#[test]
fn equal_rows_are_in_the_order_of_their_numbers() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(2, &[1.0, 0.0, 0.0, 1.0].repeat(5)));
    dir.write("q.npy", npy_f32(2, &[1.0, 0.0]));
    for metric in ["l2", "cosine", "ip"] {
        let found = dir.ok(&format!("exact --base a.npy --query q.npy --metric {metric}")).json();
        assert_eq!(found["rows"], serde_json::json!([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]), "{metric}");
    }
}

#[test]
fn the_base_may_be_any_files_and_the_output_any_format() {
    let dir = dir();
    let words = "exact --query q.npy -k 7 --metric l2";
    dir.ok(&format!("{words} --base a.npy -o t.ivecs --distances d.npy"));
    let truth = dir.read("t.ivecs");
    let rows = ivecs(&truth, 7);
    assert_eq!(rows.len(), 40);

    dir.ok("convert -i a.npy -o part_1.npy --rows 0..123");
    dir.ok("convert -i a.npy -o part_2.parquet --rows 123..500");
    dir.ok("convert -i a.npy -o part_3.csv.zst --rows 500..900");
    dir.write("bare.f32", le_bytes(&values(1, 900, DIM)));
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2");
    for base in [
        "--base part_*",
        "--base part_1.npy part_2.parquet part_3.csv.zst",
        "--base bare.f32 -d 8",
        "--base - --base-format npy",
        "--index o.hnsw",
    ] {
        // An index has a metric of its own.
        let words = if base.starts_with("--index") { "exact --query q.npy -k 7" } else { words };
        let output = dir.run_with(&format!("{words} {base} -o u.ivecs"), &dir.read("a.npy"));
        assert_eq!(output.code, Some(0), "{base}: {}", output.stderr);
        assert_eq!(dir.read("u.ivecs"), truth, "{base}");
    }

    let numbers: Vec<u8> = rows.iter().flatten().flat_map(|row| row.to_le_bytes()).collect();
    dir.ok(&format!("{words} --base a.npy -o t.ibin"));
    assert_eq!(dir.read("t.ibin"), [&[40, 0, 0, 0, 7, 0, 0, 0], &numbers[..]].concat());
    dir.ok(&format!("{words} --base a.npy -o t.bin -f npy"));
    let array = dir.read("t.bin");
    assert!(
        String::from_utf8_lossy(&array[..128]).contains("'<i4', 'fortran_order': False, 'shape': (40, 7)")
    );
    assert_eq!(&array[128..], numbers);
    // The distances are what another row of queries would be: an array of f32.
    assert!(
        String::from_utf8_lossy(&dir.read("d.npy")[..128])
            .contains("'<f4', 'fortran_order': False, 'shape': (40, 7)")
    );
    let first = f32::from_le_bytes(*dir.read("d.npy")[128..].first_chunk().unwrap());
    let (query, row) = (values(2, 1, DIM), rows[0][0] as usize);
    let expected = distance("l2", &query, &values(1, 900, DIM)[row * DIM..][..DIM]);
    assert!((f64::from(first) - expected).abs() < 1e-5);

    // More neighbours than rows.
    dir.ok("exact --base part_1.npy --query q.npy -k 1000 -o all.ivecs");
    assert_eq!(ivecs(&dir.read("all.ivecs"), 123).len(), 40);
}

#[test]
fn exact_refuses_what_has_no_answer() {
    let dir = dir();
    dir.write("wide.npy", npy_f32(4, &values(3, 5, 4)));
    dir.write("none.npy", npy_f32(DIM, &[]));
    let mut bad = values(1, 50, DIM);
    bad[DIM * 33 + 2] = f32::NAN;
    dir.write("bad.npy", npy_f32(DIM, &bad));
    for (words, code, expected) in [
        ("exact --base a.npy --query wide.npy", 2, "expected queries of dimension 8, found 4"),
        ("exact --base none.npy --query q.npy", 2, "none.npy: expected rows to compare with, found none"),
        (
            "exact --base bad.npy --query q.npy",
            1,
            "bad.npy: row 33, column 2: expected a finite value, found NaN",
        ),
        ("exact --base a.npy --query q.npy -o x.txt", 2, "x.txt: its extension tells no format"),
        ("exact --base a.npy --query q.npy -o ./a.npy", 2, "./a.npy: the output is an input (a.npy)"),
        (
            "exact --base a.npy --query q.npy -o x.npy --distances ./x.npy",
            2,
            "expected two outputs, found one",
        ),
        ("exact --base a.npy --index o.hnsw --query q.npy", 2, "cannot be used with"),
        ("exact --query q.npy", 2, "--base"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(code), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{words}: {}", output.stderr);
    }
    assert!(!dir.exists("x.npy") && !dir.exists("x.txt"));
}

/// ef and recall of every point.
fn points(evaluation: &Value) -> Vec<(u64, f64)> {
    let points = evaluation["points"].as_array().unwrap().iter();
    points.map(|point| (point["ef"].as_u64().unwrap(), point["recall"].as_f64().unwrap())).collect()
}

#[test]
fn recall_grows_with_ef_up_to_all() {
    let dir = dir_with_index("");
    let words = "eval --index o.hnsw --queries q.npy --ef 900,10,40,3";
    let evaluation = dir.ok(&format!("{words} --json")).json();
    let found = points(&evaluation);
    // What is below k counts as k, and each is there once.
    assert_eq!(found.iter().map(|point| point.0).collect::<Vec<_>>(), [10, 40, 900]);
    assert!(found[0].1 < 1.0 && found.is_sorted_by(|a, b| a.1 <= b.1) && found[2].1 == 1.0, "{found:?}");
    assert_eq!(
        (&evaluation["schema"], &evaluation["queries"], &evaluation["k"]),
        (&1.into(), &40.into(), &10.into())
    );
    for point in evaluation["points"].as_array().unwrap() {
        let number = |name: &str| point[name].as_f64().unwrap();
        assert!(number("queries_per_sec") > 0.0 && number("distances_per_query") > 1.0, "{point}");
        assert!(number("p50_ms") <= number("p95_ms") && number("p95_ms") <= number("p99_ms"), "{point}");
    }
    // Recall is no matter of threads, and so are distances.
    let threads = dir.ok(&format!("{words} --json --threads 3")).json();
    assert_eq!(points(&threads), found);
    for at in 0..3 {
        let distances = |evaluation: &Value| evaluation["points"][at]["distances_per_query"].clone();
        assert_eq!(distances(&threads), distances(&evaluation));
    }

    let output = dir.ok(&format!("{words} --sample 25 --plot recall.svg"));
    let text = output.text();
    assert!(text.starts_with("25 queries, 900 rows, nearest rows by comparing all, 1 thread\n"), "{text}");
    assert_eq!(text.lines().count(), 5);
    assert!(text.contains("recall@10") && text.contains("   1.0000  "), "{text}");
    let svg = String::from_utf8(dir.read("recall.svg")).unwrap();
    assert_eq!(svg.matches("<circle class=\"point\"").count(), 3);
    assert!(svg.contains(">ef 40</text>") && svg.trim_end().ends_with("</svg>"), "{svg}");
}

#[test]
fn ground_truth_of_exact_gives_the_same_recall() {
    let dir = dir_with_index("");
    let words = "eval --index o.hnsw --queries q.npy --ef 10,50,900 --json";
    let expected = points(&dir.ok(words).json());
    for name in ["t.ivecs", "t.ibin", "t.npy", "t.parquet"] {
        dir.ok(&format!("exact --base a.npy --query q.npy --metric l2 -k 20 -o {name}"));
        assert_eq!(points(&dir.ok(&format!("{words} -g {name}")).json()), expected, "{name}");
    }
    // Distances behind the numbers, as others write them.
    let numbers = dir.read("t.ibin");
    dir.write("both.ibin", [&numbers[..], &vec![0; numbers.len() - 8]].concat());
    assert_eq!(points(&dir.ok(&format!("{words} -g both.ibin")).json()), expected);
    assert_eq!(points(&dir.ok(&format!("{words} -g t.ivecs --sample 7")).json()).len(), 3);

    dir.write("short.ivecs", &dir.read("t.ivecs")[..84 * 39]);
    dir.write("cut.ivecs", &dir.read("t.ivecs")[..84 * 40 - 1]);
    dir.write("other.npy", npy("<i8", false, "(40, 10)", &ids_bytes(&vec![5000; 400])));
    dir.write("minus.npy", npy("<i8", false, "(40, 10)", &ids_bytes(&vec![u64::MAX - 1; 400])));
    // As faiss writes what it did not find.
    let short: Vec<u64> = (0..400).map(|at| if at % 10 < 7 { at % 10 } else { u64::MAX }).collect();
    dir.write("short.npy", npy("<i8", false, "(40, 10)", &ids_bytes(&short)));
    dir.write("words.txt", "1 2 3");
    dir.write("floats.npy", npy_f32(10, &values(1, 40, 10)));
    for (more, code, expected) in [
        ("-g short.ivecs", 2, "short.ivecs: expected 40 rows, one for each query, found 39"),
        ("-g cut.ivecs", 1, "cut.ivecs: byte 3276: expected 84 bytes of a row, found 83"),
        ("-g t.ivecs -k 30", 2, "t.ivecs: expected at least 30 neighbours of each query, found 20"),
        ("-g other.npy", 2, "other.npy: expected row numbers below 900, as the index has no ids, found 5000"),
        (
            "-g short.npy",
            2,
            "short.npy: expected at least 10 neighbours of each query, found 7 (-1 stands for none)",
        ),
        ("-g minus.npy", 1, "minus.npy: byte 128: expected a number from 0, or -1 for none, found -2"),
        ("-g floats.npy", 2, "expected whole numbers of 32 or 64 bits"),
        ("-g words.txt", 2, "words.txt: neither content nor name tells its format"),
        ("-g none.npy", 1, "none.npy: cannot open"),
    ] {
        let output = dir.run(&format!("{words} {more}"));
        assert_eq!(output.code, Some(code), "{more}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{more}: {}", output.stderr);
    }
}

#[test]
fn ground_truth_is_of_rows_or_of_ids() {
    let dir = dir();
    let ids: Vec<u64> = (0..900).map(|row| 1000 + 3 * row).collect();
    dir.write("ids.bin", ids_bytes(&ids));
    dir.write("mixed.bin", ids_bytes(&(0..900).rev().collect::<Vec<_>>()));
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 --ids ids.bin");
    dir.ok("build-index -i a.npy -o mixed.hnsw --metric l2 --ids mixed.bin");
    dir.ok("exact --base a.npy --query q.npy --metric l2 -k 10 -o t.ivecs");
    let by_id: Vec<u64> =
        ivecs(&dir.read("t.ivecs"), 10).concat().iter().map(|&row| ids[row as usize]).collect();
    dir.write("ids.npy", npy("<u8", false, "(40, 10)", &ids_bytes(&by_id)));
    let words = "eval --queries q.npy --ef 900 --json";
    for more in ["-g t.ivecs", "-g t.ivecs --truth-by rows", "-g ids.npy", "-g ids.npy --truth-by ids"] {
        let output = dir.ok(&format!("{words} -i o.hnsw {more}"));
        assert_eq!((points(&output.json()), output.stderr.as_str()), (vec![(900, 1.0)], ""), "{more}");
    }
    let output = dir.run(&format!("{words} -i o.hnsw -g t.ivecs --truth-by ids"));
    assert!(
        output.code == Some(2) && output.stderr.contains("expected ids of the index"),
        "{}",
        output.stderr
    );
    // Numbers that could be both.
    let output = dir.ok(&format!("{words} -i mixed.hnsw -g t.ivecs"));
    assert_eq!(points(&output.json()), [(900, 1.0)]);
    assert!(output.stderr.starts_with("note: t.ivecs: could be row numbers or ids"), "{}", output.stderr);
    let by_ids = dir.ok(&format!("{words} -i mixed.hnsw -g t.ivecs --truth-by ids"));
    assert!(points(&by_ids.json())[0].1 < 0.5, "{}", by_ids.text());
}

#[test]
fn the_smallest_ef_for_a_recall_is_found() {
    let dir = dir_with_index("");
    let words = "eval --index o.hnsw --queries q.npy --json --ef 10";
    let evaluation = dir.ok(&format!("{words} --target-recall 0.97")).json();
    let ef = evaluation["target_ef"].as_u64().unwrap();
    let recall = |ef: u64| points(&dir.ok(&format!("{words},{ef}")).json()).last().unwrap().1;
    assert!(ef > 10 && ef < 900 && recall(ef) >= 0.97 && recall(ef - 1) < 0.97, "{ef}");
    assert_eq!(points(&evaluation).last().unwrap(), &(ef, recall(ef)));
    assert_eq!(dir.ok(&format!("{words} --target-recall 0")).json()["target_ef"], 10);

    // Where the truth is that of other rows, nothing helps.
    dir.write("other.npy", npy_f32(DIM, &values(7, 900, DIM)));
    dir.ok("exact --base other.npy --query q.npy --metric l2 -k 10 -o t.npy");
    let output = dir.run(&format!("{words} -g t.npy --target-recall 0.9"));
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.starts_with("error[E0501]: o.hnsw: expected recall@10 of at least 0.9"),
        "{}",
        output.stderr
    );
    assert_eq!(output.json()["target_ef"], Value::Null);
}

/// Where a section of an index begins, and how long it is: entries of 32 bytes from byte 1024 on.
fn section(bytes: &[u8], kind: u32) -> (usize, usize) {
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let at = (0..32).map(|i| 1024 + 32 * i);
    let at =
        at.into_iter().find(|&at| bytes[at..at + 4] == kind.to_le_bytes()).expect("the section is there");
    (number(at + 8), number(at + 16))
}

#[test]
fn a_good_index_passes() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(0..900).map(|row| row * 7).collect::<Vec<_>>()));
    let mut vectors = values(1, 900, DIM);
    vectors[DIM * 5..DIM * 6].fill(0.0);
    dir.write("zero.npy", npy_f32(DIM, &vectors));
    dir.ok("build-index -i zero.npy -o o.hnsw --metric l2 --ids ids.bin --codes i8");
    let output = dir.ok("check o.hnsw");
    let words: Vec<Vec<&str>> = output.text().lines().map(|line| line.split_whitespace().collect()).collect();
    let names: Vec<_> = words.iter().map(|line| (line[0], line[1])).collect();
    let all = ["file", "vectors", "codes", "ids", "values", "reachable"].map(|name| (name, "ok"));
    assert_eq!(names, all);
    assert!(
        output.text().contains("900 ids, each once")
            && output.text().contains("900 rows; 1 of zeros, 0 with NaN")
    );
    let json = dir.ok("check o.hnsw --deep --json").json();
    assert_eq!((&json["schema"], &json["ok"]), (&1.into(), &true.into()));
    let checks = json["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 8, "{json}");
    assert_eq!(checks[6]["what"], "900 of 900 nodes were reached");
    assert!(
        checks[7]["what"].as_str().unwrap().starts_with("recall@10 of 900 of its rows at ef 100: "),
        "{json}"
    );
    dir.ok("build-index -i a.npy -o plain.hnsw --codes none");
    assert!(!dir.ok("check plain.hnsw").text().contains("codes"));
}

#[test]
fn a_damaged_index_fails() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 --codes i8");
    let good = dir.read("o.hnsw");
    for (kind, name) in [(1, "vectors"), (11, "codes")] {
        let mut bytes = good.clone();
        let (start, length) = section(&bytes, kind);
        bytes[start + length / 2] ^= 4;
        dir.write("bad.hnsw", &bytes);
        // Opening looks at neither.
        dir.info("bad.hnsw");
        let output = dir.run("check bad.hnsw --deep");
        assert_eq!(output.code, Some(1), "{name}");
        let failed: Vec<_> = output.text().lines().filter(|line| line.contains("FAILED")).collect();
        assert_eq!(failed.len(), 1, "{}", output.text());
        assert!(failed[0].contains("FAILED  1 of "), "{failed:?}");
        assert!(failed[0].starts_with(name) && failed[0].contains("blocks are damaged: byte "), "{failed:?}");
        let expected = format!("error[E0401]: bad.hnsw: 1 of 6 checks failed: {name}\n");
        assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
        let output = dir.run("check bad.hnsw --json");
        assert_eq!((output.code, &output.json()["ok"]), (Some(1), &false.into()));
        // What is damaged is not measured either.
        let output = dir.run("eval --index bad.hnsw --queries q.npy");
        assert_eq!((output.code, output.text()), (Some(1), ""), "{name}");
        assert!(output.stderr.contains(&format!("{name}, rows ")), "{}", output.stderr);
    }
    // Anything else is found when it is opened, as `info` and `query` do.
    let mut bytes = good.clone();
    let (start, _) = section(&bytes, 4);
    bytes[start] ^= 1;
    dir.write("bad.hnsw", &bytes);
    let output = dir.run("check bad.hnsw --json");
    assert_eq!((output.code, &output.json()["ok"]), (Some(1), &false.into()));
    assert!(output.json()["checks"][0]["what"].as_str().unwrap().contains("level-0 neighbours"));
    assert!(output.stderr.contains("level-0 neighbours: expected checksum"), "{}", output.stderr);
    dir.write("bad.hnsw", &good[..good.len() - 1]);
    assert_eq!(dir.run("check bad.hnsw").code, Some(1));
    let output = dir.run("check none.hnsw --json");
    assert_eq!((output.code, output.text()), (Some(1), ""), "a file that is not there is not damaged");
    assert_eq!(dir.run("check a.npy").code, Some(1));
}

#[test]
fn searches_by_codes_and_by_vectors_are_compared() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 --codes i8");
    let words = "eval --index o.hnsw --queries q.npy --ef 10,900 --json --plot both.svg";
    let walks = |by: &str| -> Vec<(String, u64)> {
        let json = dir.ok(&format!("{words} --by {by}")).json();
        let points = json["points"].as_array().unwrap().clone();
        assert!(points.iter().filter(|point| point["ef"] == 900).all(|point| point["recall"] == 1.0));
        points.iter().map(|p| (p["by"].as_str().unwrap().to_owned(), p["ef"].as_u64().unwrap())).collect()
    };
    let of = |walk: &str| [(walk.to_owned(), 10), (walk.to_owned(), 900)];
    assert_eq!(walks("codes"), of("codes"));
    assert_eq!(walks("vectors"), of("vectors"));
    assert_eq!(walks("both"), [of("codes"), of("vectors")].concat());
    let picture = String::from_utf8(dir.read("both.svg")).unwrap();
    assert!(picture.contains("ef 10 by codes") && picture.contains("ef 10 by vectors"), "{picture}");
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 --codes none");
    assert_eq!(walks("both"), of("vectors"));
}
