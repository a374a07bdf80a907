//! Ids, from a file, from beside the values, or counted.

use serde_json::{Value, json};

use super::dir;
use crate::util::{Dir, difference, ids_bytes, npy, npy_f32, values};

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
