//! Files of bare numbers, and what lies beside them to say their dimension.

use super::Refusals;

#[test]
fn raw_files() {
    let mut t = Refusals::new();
    let build = "build-index -i a.f32 -o o.hnsw";
    t.case(build, 2, &["a.f32: expected a dimension, found none", "--dimension N", "a.json"]);
    let sizes = [
        "a.f32: expected 156 bytes, whole rows of 3 f32 values, found 160, 4 more",
        "that fit this size: 2, 4, 8",
    ];
    t.case(&format!("{build} -d 3"), 1, &sizes);
    t.case(&format!("{build} -d 41"), 1, &["a.f32: expected 0 bytes", "found 160"]);
    for dim in ["0", "65537", "100000", "-4", "four"] {
        t.case(&format!("{build} --dimension={dim}"), 2, &[dim, "--dimension"]);
    }
    let raw = t.dir.read("a.f32");
    for (cut, more) in [(1, 15), (20, 12)] {
        let found = format!("found {}, {more} more", 160 - cut);
        let says = ["c.f32: expected 1", "whole rows of 4 f32 values", found.as_str()];
        t.with("c.f32", &raw[..160 - cut], "build-index -i c.f32 -d 4 -o o.hnsw", 1, &says);
    }
    // A header read as a vector would shift every row.
    let says = ["a.npy: expected raw_f32, found npy", "--format npy"];
    t.case("build-index -i a.npy -f raw_f32 -d 4 -o o.hnsw", 2, &says);
    // `convert` has two formats.
    let says = [says[0], "say --from-format npy"];
    t.case("convert -i a.npy --from-format bin -d 4 -o o.hnsw --to-format npy", 2, &says);
    t.case("build-index -i a.f32 -f npy -o o.hnsw", 1, &["a.f32: byte 0: expected the magic number"]);
    t.with(
        "a.dat",
        &raw,
        "build-index -i a.dat -d 4 -o o.hnsw",
        2,
        &["a.dat: the format cannot be told", "--format"],
    );
    t.finish();
}

#[test]
fn sidecars() {
    let mut t = Refusals::new();
    let build = "build-index -i a.f32 -o o.hnsw";
    let mut case = |name: &str, json: &str, options: &str, code: i32, says: &[&str]| {
        let says: Vec<&str> = std::iter::once(name).chain(says.iter().copied()).collect();
        t.with(name, json.as_bytes(), &format!("{build}{options}"), code, &says);
    };
    case(
        "a.json",
        r#"{"dim": 4}"#,
        " -d 5",
        2,
        &["a.f32: expected dimension 5, as asked for, found 4 in a.json"],
    );
    case(
        "a.json",
        r#"{"n": 11, "dim": 4}"#,
        "",
        1,
        &["expected 176 bytes, as n = 11 in a.json", "found 160"],
    );
    case("meta.json", r#"{"n": 10, "dim": 5}"#, "", 1, &["expected 200 bytes", "found 160"]);
    case("a.f32.json", r#"{"n": 18446744073709551615, "dim": 4}"#, "", 1, &["found 160"]);
    for json in ["", "{", "[1]", "null", r#"{"dim": }"#, "\u{0}", &"[".repeat(100_000)] {
        case("a.json", json, " -d 4", 1, &["a.json: expected a JSON object, found"]);
    }
    case(
        "a.json",
        r#"{"dim": "4"}"#,
        "",
        1,
        &["a.json: dim: expected a whole number from 1 to 65536, found `\"4\"`"],
    );
    case("a.json", r#"{"dim": 0}"#, "", 1, &["a.json: dim: expected", "found `0`"]);
    case("a.json", r#"{"dim": -4}"#, "", 1, &["a.json: dim: expected", "found `-4`"]);
    case("a.json", r#"{"dim": 65537}"#, "", 1, &["a.json: dim: expected", "found `65537`"]);
    case("a.json", r#"{"n": 1.5, "dim": 4}"#, "", 1, &["a.json: n: expected a number of rows, found `1.5`"]);
    let metric = "a.json: metric: expected a metric (l2, cosine or ip), found `\"manhattan\"`";
    case("a.json", r#"{"dim": 4, "metric": "manhattan"}"#, "", 1, &[metric]);
    case("a.json", r#"{"dim": 4, "dtype": "f64"}"#, "", 1, &["a.json: dtype: expected `f32`, found `f64`"]);
    case(
        "a.json",
        &" ".repeat((1 << 20) + 1),
        " -d 4",
        1,
        &["a.json: expected a sidecar of at most 1048576 bytes"],
    );
    t.finish();
}
