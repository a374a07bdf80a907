//! Indexes that are none, or damaged, and queries that are none.

use super::Refusals;
use crate::util::{npy_f32, values};

#[test]
fn indexes_that_are_none() {
    let mut t = Refusals::new();
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    let good = t.dir.read("i.hnsw");
    let mut case = |name: &str, bytes: &[u8], says: &[&str]| {
        let says: Vec<&str> = std::iter::once(name).chain(says.iter().copied()).collect();
        t.with(name, bytes, &format!("query -i {name} -q a.npy"), 1, &says);
        t.with(name, bytes, &format!("info -i {name}"), 1, &says);
    };
    case("x.hnsw", b"", &["expected an index file"]);
    case("x.hnsw", b"garbage, and some more of it", &["byte 0: expected an index file"]);
    case("x.npy", &npy_f32(4, &values(1, 10, 4)), &["byte 0: expected an index file", "build-index"]);
    for length in [9, 100, 4000, good.len() / 2, good.len() - 1] {
        case("x.hnsw", &good[..length], &["x.hnsw: "]);
    }
    case("x.hnsw", &[good.as_slice(), b"x"].concat(), &["x.hnsw: "]);
    let mut flipped = good.clone();
    flipped[40] ^= 4;
    case("x.hnsw", &flipped, &["x.hnsw: "]);
    // Damage in the body is found by whoever reads the body.
    for at in [5000, good.len() - 200] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        t.with("x.hnsw", &flipped, "query -i x.hnsw -q a.npy", 1, &["x.hnsw: "]);
    }
    for command in ["query -q a.npy", "info"] {
        t.case(&format!("{command} -i missing.hnsw"), 1, &["missing.hnsw: "]);
        t.case(&format!("{command} -i ."), 1, &[".: "]);
    }
    let mut nan = values(1, 10, 4);
    nan[13] = f32::NAN;
    t.with(
        "q.npy",
        &npy_f32(4, &nan),
        "query -i i.hnsw -q q.npy",
        1,
        &["q.npy: row 3, column 1: expected a finite value, found NaN"],
    );
    t.with("q.npy", b"", "query -i i.hnsw -q q.npy", 1, &["q.npy: byte 0"]);
    t.case("query -i i.hnsw -q missing.npy", 1, &["missing.npy: cannot open"]);
    t.finish();
}
