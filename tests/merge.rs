//! Indexes that go on with others.

use super::util::{Dir, ids_bytes, npy_f32, values};

const DIM: usize = 12;

fn rows(dir: &Dir, name: &str, seed: u64, rows: usize) -> Vec<f32> {
    let values = values(seed, rows, DIM);
    dir.write(name, npy_f32(DIM, &values));
    values
}

/// The failure's message, after checking that it is one and that no file was written.
fn refused(dir: &Dir, words: &str) -> String {
    let output = dir.run(words);
    assert_ne!(output.code, Some(0), "{words}");
    assert!(!dir.exists("c.hnsw"), "{words}");
    output.stderr
}

#[test]
fn all_rows_are_found_by_their_ids() {
    let dir = Dir::new();
    let mut all = rows(&dir, "a.npy", 1, 900);
    all.extend(rows(&dir, "b.npy", 2, 100));
    dir.write("all.npy", npy_f32(DIM, &all));
    dir.ok("build-index -i a.npy -o a.hnsw --metric l2");
    dir.ok("build-index -i b.npy -o b.hnsw --metric l2");
    dir.ok("merge a.hnsw b.hnsw -o c.hnsw --quiet");
    dir.ok("build-index --append a.hnsw -i b.npy -o d.hnsw --quiet");
    for index in ["c.hnsw", "d.hnsw"] {
        dir.ok(&format!("check {index} --deep"));
        let hits = dir.hits(&format!("--index {index} --query all.npy --k 1 --ef 100"));
        for (row, hits) in hits.iter().enumerate() {
            assert_eq!(hits[0], (row as u64, 0.0), "{index}");
        }
    }
    // In the place of the old one, which is gone when the new one is whole.
    dir.ok("build-index --append a.hnsw -i b.npy -o a.hnsw --quiet");
    assert_eq!(dir.read("a.hnsw"), dir.read("d.hnsw"));
    // Any number of threads.
    dir.ok("merge c.hnsw b.hnsw -o 1.hnsw --quiet -t 1");
    dir.ok("merge c.hnsw b.hnsw -o 3.hnsw --quiet -t 3");
    assert_eq!(dir.read("1.hnsw"), dir.read("3.hnsw"));
    // The rows of b are there already.
    assert_eq!(dir.info("1.hnsw")["copies"], 100);
}

#[test]
fn ids_are_kept_and_come_once() {
    let dir = Dir::new();
    rows(&dir, "a.npy", 1, 50);
    rows(&dir, "b.npy", 2, 20);
    dir.write("b.u64", ids_bytes(&(1000..1020).collect::<Vec<_>>()));
    dir.write("same.u64", ids_bytes(&(30..50).collect::<Vec<_>>()));
    dir.ok("build-index -i a.npy -o a.hnsw");
    dir.ok("build-index -i b.npy -o b.hnsw --ids b.u64");
    dir.ok("build-index -i b.npy -o same.hnsw --ids same.u64");
    dir.ok("merge a.hnsw b.hnsw -o ab.hnsw --quiet");
    let hits = dir.hits("--index ab.hnsw --query b.npy --k 1");
    assert_eq!(hits.iter().map(|hits| hits[0].0).collect::<Vec<_>>(), (1000..1020).collect::<Vec<_>>());
    let twice = refused(&dir, "merge a.hnsw same.hnsw -o c.hnsw");
    assert!(twice.contains("found id 30 at row 30 of a.hnsw and row 0 of same.hnsw"), "{twice}");
    let twice = refused(&dir, "build-index --append a.hnsw -i b.npy --ids same.u64 -o c.hnsw");
    assert!(twice.contains("row 30 of a.hnsw"), "{twice}");
    let changed = refused(&dir, "merge b.hnsw a.hnsw -o c.hnsw");
    assert!(changed.contains("a.hnsw") && changed.contains("row numbers"), "{changed}");
    let none = refused(&dir, "build-index --append b.hnsw -i a.npy -o c.hnsw");
    assert!(none.contains("b.hnsw") && none.contains("have none"), "{none}");
}

#[test]
fn indexes_that_do_not_agree_are_named() {
    let dir = Dir::new();
    rows(&dir, "a.npy", 1, 50);
    dir.write("wide.npy", npy_f32(5, &values(3, 20, 5)));
    dir.ok("build-index -i a.npy -o a.hnsw");
    dir.ok("build-index -i a.npy -o l2.hnsw --metric l2");
    dir.ok("build-index -i wide.npy -o wide.hnsw");
    for (words, parts) in [
        ("merge a.hnsw wide.hnsw -o c.hnsw", ["wide.hnsw", "a.hnsw", "12"]),
        ("merge a.hnsw l2.hnsw -o c.hnsw", ["l2.hnsw", "a.hnsw", "cosine"]),
        ("merge a.hnsw a.npy -o c.hnsw", ["a.npy", "index", "build-index"]),
        ("build-index --append a.hnsw -i wide.npy -o c.hnsw", ["wide.npy", "a.hnsw", "12"]),
        ("build-index --append a.hnsw -i a.npy -o c.hnsw --metric l2", ["a.hnsw", "cosine", "l2"]),
        ("build-index --append none.hnsw -i a.npy -o c.hnsw", ["none.hnsw", "E", "help"]),
    ] {
        let message = refused(&dir, words);
        assert!(parts.iter().all(|part| message.contains(part)), "{words}: {message}");
    }
}

#[test]
fn texts_and_narrow_vectors_go_along() {
    let dir = Dir::new();
    let mut all = rows(&dir, "a.npy", 1, 300);
    all.extend(rows(&dir, "b.npy", 2, 40));
    dir.write("all.npy", npy_f32(DIM, &all));
    let names = |of: &str, count: usize| (0..count).map(|row| format!("{of} {row}\n")).collect::<String>();
    dir.write("a.txt", names("a", 300));
    dir.write("b.txt", names("b", 40));
    dir.write("all.txt", names("a", 300) + &names("b", 40));
    dir.ok("build-index -i a.npy -o a.hnsw --metric l2 --ids a.txt");
    dir.ok("build-index -i b.npy -o b.hnsw --metric l2 --ids b.txt");
    dir.ok("build-index -i all.npy -o fresh.hnsw --metric l2 --ids all.txt");
    dir.ok("merge a.hnsw b.hnsw -o merged.hnsw --quiet");
    dir.ok("build-index --append a.hnsw -i b.npy --ids b.txt -o appended.hnsw --quiet");
    let hits = |index: &str| dir.ok(&format!("query -f json -i {index} -q all.npy --k 1 --ef 340")).stdout;
    assert!(hits("fresh.hnsw") == hits("merged.hnsw") && hits("fresh.hnsw") == hits("appended.hnsw"));
    dir.ok("check merged.hnsw --deep");
    let twice = refused(&dir, "merge a.hnsw a.hnsw -o c.hnsw");
    assert!(twice.contains("found id \"a 0\" at row 0 of a.hnsw"), "{twice}");
    let kinds = refused(&dir, "build-index --append a.hnsw -i b.npy -o c.hnsw");
    assert!(kinds.contains("have none"), "{kinds}");
    dir.write("b.u64", ids_bytes(&(1000..1040).collect::<Vec<_>>()));
    let kinds = refused(&dir, "build-index --append a.hnsw -i b.npy --ids b.u64 -o c.hnsw");
    assert!(kinds.contains("expected ids that are texts"), "{kinds}");

    for storage in ["f16", "i8"] {
        dir.ok(&format!("build-index -i a.npy -o n.hnsw --metric l2 --storage {storage}"));
        dir.ok(&format!("build-index --append n.hnsw -i b.npy -o c.hnsw --quiet --storage {storage}"));
        dir.ok("check c.hnsw --deep");
        let found = dir.hits("-i c.hnsw -q all.npy --k 1 --ef 340");
        assert!(found.iter().zip(0..).all(|(hits, row)| hits[0].0 == row), "{storage}");
        std::fs::remove_file(dir.path("c.hnsw")).unwrap();
    }
    let source = refused(&dir, "build-index --append a.hnsw -i b.npy --ids b.txt -o c.hnsw --no-vectors");
    assert!(source.contains("are in no file of vectors"), "{source}");
    dir.ok("build-index --append a.hnsw -i b.npy --ids b.txt -o c.hnsw --quiet --storage f16");
    dir.ok("check c.hnsw --deep");
}
