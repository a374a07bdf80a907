//! The same input, parameters and seed give the same bytes, however the work is done.

use crate::util::{Dir, difference, ids_bytes, le_bytes, npy, npy_f32, output, values};

/// Values that f16 holds exactly.
fn coarse(rows: usize, dim: usize) -> Vec<f32> {
    values(9, rows, dim).into_iter().map(|value| (value * 64.0).round() / 16.0).collect()
}

/// Runs `words` with every way to do the work, and compares what `output` holds.
fn same_bytes(dir: &Dir, words: &str, output: &str) -> Vec<u8> {
    dir.ok(words);
    let expected = dir.read(output);
    std::fs::remove_file(dir.path(output)).unwrap();
    for ways in [
        "",
        "-t 1",
        "-t 2 --batch-size 7",
        "-t 3 --batch-size 1",
        "-t 8 --batch-size 1000",
        "-t 2 --io read --batch-size 100000",
        "-t 3 --io mmap --batch-size 13",
        "-t 8 --io read --batch-size 1",
    ] {
        dir.ok(&format!("{words} {ways}"));
        assert_eq!(difference(&expected, &dir.read(output)), None, "{words} {ways}");
        std::fs::remove_file(dir.path(output)).unwrap();
    }
    expected
}

#[test]
fn an_index_is_the_same_however_it_is_built() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(16, &coarse(2500, 16)));
    dir.write("a.f32", le_bytes(&coarse(2500, 16)));
    dir.write("ids.bin", ids_bytes(&(0..2500).map(|row| row * 31 + 7).collect::<Vec<_>>()));
    same_bytes(&dir, "build-index -i a.npy -o o.hnsw", "o.hnsw");
    same_bytes(&dir, "build-index -i a.f32 -d 16 -o o.hnsw --metric l2 --ids ids.bin -m 8", "o.hnsw");
    same_bytes(&dir, "build-index -i a.npy -o o.hnsw --metric ip --rows 100..1500 -e 40 --seed 3", "o.hnsw");
    // What decides the result does change it.
    let mut all = Vec::new();
    for options in ["", "--seed 43", "-m 15", "-e 99", "--metric l2", "--rows 0..2499", "--ids ids.bin"] {
        dir.ok(&format!("build-index -i a.npy -o o.hnsw {options}"));
        all.push(dir.read("o.hnsw"));
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// Rows around 40 centres: more than the builders compare row by row, and the last hundred are copies.
fn many_rows() -> Vec<f32> {
    const ROWS: usize = 9_000;
    const DIM: usize = 10;
    let (centres, noise) = (values(19, 40, DIM), values(29, ROWS, DIM));
    let mut all: Vec<f32> = (noise.iter().enumerate())
        .map(|(i, noise)| centres[i / DIM * 7 % 40 * DIM + i % DIM] + 0.4 * noise)
        .collect();
    all.copy_within(0..100 * DIM, (ROWS - 100) * DIM);
    all
}

#[test]
fn every_builder_makes_the_same_index_with_all_threads_and_instructions() {
    let dir = Dir::new();
    let rows = many_rows();
    dir.write("many.npy", npy_f32(10, &rows));
    // Codes are of no use here, so that the automatic choice inserts.
    let mut huge = rows[..30_000].to_vec();
    huge.iter_mut().step_by(1_000).for_each(|value| *value *= 1e5);
    dir.write("huge.npy", npy_f32(10, &huge));
    let mut all = Vec::new();
    for (input, builder, used) in [
        ("many.npy --metric l2", "auto", "partition"),
        ("many.npy --metric l2", "partition", "partition"),
        ("many.npy --metric l2", "insert", "insert"),
        ("huge.npy --metric l2", "auto", "insert"),
        ("many.npy --metric cosine", "partition", "partition"),
        ("many.npy --metric ip", "partition", "partition"),
    ] {
        for codes in ["i8", "none"] {
            let words =
                format!("build-index -o o.hnsw -e 60 -m 8 -i {input} --builder {builder} --codes {codes}");
            let mut expected: Option<Vec<u8>> = None;
            for (threads, instructions) in
                [(1, ""), (2, ""), (3, ""), (8, ""), (2, "scalar"), (3, "avx2"), (2, "avx512")]
            {
                let mut command = dir.command(&format!("{words} -t {threads}"));
                command.env("SOCHDB_BULK_INSTRUCTIONS", instructions);
                let output = output(command, b"");
                assert_eq!(output.code, Some(0), "{words}: {}", output.stderr);
                let found = dir.read("o.hnsw");
                if let Some(expected) = &expected {
                    let what = format!("{words} -t {threads} {instructions}");
                    assert_eq!(difference(expected, &found), None, "{what}");
                } else {
                    assert_eq!(dir.info("o.hnsw")["builder"], used, "{words}");
                }
                std::fs::remove_file(dir.path("o.hnsw")).unwrap();
                expected = Some(found);
            }
            all.extend(expected);
        }
    }
    // Each differs from the others, if only by the recipe.
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn values_count_and_not_the_type_they_are_stored_in() {
    let dir = Dir::new();
    let coarse = coarse(2000, 12);
    dir.write("single.npy", npy_f32(12, &coarse));
    let shape = "(2000, 12)";
    let half: Vec<u8> =
        coarse.iter().flat_map(|&value| half::f16::from_f32(value).to_bits().to_le_bytes()).collect();
    dir.write("half.npy", npy("<f2", false, shape, &half));
    let big: Vec<u8> = coarse.iter().flat_map(|value| value.to_be_bytes()).collect();
    dir.write("big.npy", npy(">f4", false, shape, &big));
    let by_column: Vec<f32> =
        (0..12).flat_map(|column| coarse.iter().skip(column).step_by(12).copied()).collect();
    dir.write("fortran.npy", npy("<f4", true, shape, &le_bytes(&by_column)));
    // Not at a multiple of 4, so that it cannot be used where it is.
    let mut shifted = npy_f32(12, &coarse);
    let length = u16::from_le_bytes([shifted[8], shifted[9]]) + 1;
    shifted[8..10].copy_from_slice(&length.to_le_bytes());
    shifted.insert(100, b' ');
    dir.write("shifted.npy", shifted);

    let expected = same_bytes(&dir, "build-index -i single.npy -o o.hnsw", "o.hnsw");
    let converted = same_bytes(&dir, "convert -i single.npy -o o.npy", "o.npy");
    for name in ["half.npy", "big.npy", "fortran.npy", "shifted.npy"] {
        for ways in ["-t 1", "-t 3 --batch-size 17", "-t 2 --io read"] {
            dir.ok(&format!("build-index -i {name} -o o.hnsw {ways}"));
            assert_eq!(difference(&expected, &dir.read("o.hnsw")), None, "{name} {ways}");
        }
        assert_eq!(
            difference(&converted, &same_bytes(&dir, &format!("convert -i {name} -o o.npy"), "o.npy")),
            None
        );
    }
}

#[test]
fn a_conversion_is_the_same_however_it_is_done() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(5, &values(4, 3000, 5)));
    let raw = same_bytes(&dir, "convert -i a.npy -o o.f32 --to-format raw_f32", "o.f32");
    assert_eq!(difference(&raw, &le_bytes(&values(4, 3000, 5))), None);
    same_bytes(&dir, "convert -i a.npy -o o.npy --to-format npy --rows 17..2900", "o.npy");
    // In order on standard output, too, from any number of threads.
    for ways in ["-t 1", "-t 2 --batch-size 1", "-t 8 --batch-size 7", "-t 3 --io read --batch-size 100"] {
        let output = dir.ok(&format!("convert -i a.npy -o - --to-format raw_f32 {ways}"));
        assert_eq!(difference(&raw, &output.stdout), None, "{ways}");
    }
}

#[test]
fn stages_do_not_depend_on_the_batches() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(16, &values(6, 2000, 16)));
    for sink in ["type = \"hnsw\"\nmetric = \"ip\"", "type = \"npy\"", "type = \"raw_f32\""] {
        let mut expected: Option<Vec<u8>> = None;
        for run in
            ["threads = 1", "threads = 3\nbatch_rows = 1", "threads = 8\nbatch_rows = 77", "threads = 2"]
        {
            let text = format!(
                "version = 1\n[run]\n{run}\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"normalize\"\n\
                 [sink]\n{sink}\npath = \"o\"\n"
            );
            let output = dir.run_with("run -", text.as_bytes());
            assert_eq!(output.code, Some(0), "{sink}: {}", output.stderr);
            let found = dir.read("o");
            if let Some(expected) = &expected {
                assert_eq!(difference(expected, &found), None, "{sink} {run}");
            }
            expected = Some(found);
        }
    }
}

#[test]
fn build_index_and_run_are_one() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(8, &values(7, 800, 8)));
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 -m 9 -e 77 --seed 5 --rows 3..700");
    let text = "version = 1\nname = \"other words\"\nsource = { path = \"./a.npy\", dim = 8, rows = \"3..700\" }\n\
                sink = { type = \"HNSW\", path = \"p.hnsw\", metric = \"euclidean\", seed = 5, m = 9, \
                ef_construction = 77 }\n";
    dir.write("p.toml", text);
    dir.ok("run p.toml -t 1");
    assert_eq!(difference(&dir.read("o.hnsw"), &dir.read("p.hnsw")), None);
}

#[test]
fn answers_do_not_depend_on_threads() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(16, &values(8, 2000, 16)));
    dir.write("q.npy", npy_f32(16, &values(18, 200, 16)));
    dir.ok("build-index -i a.npy -o o.hnsw");
    let expected = dir.ok("query -i o.hnsw -q q.npy -t 1 --format tsv").stdout;
    for threads in [2, 3, 8] {
        let found = dir.ok(&format!("query -i o.hnsw -q q.npy -t {threads} --format tsv")).stdout;
        assert!(found == expected, "{threads} threads");
    }
}
