//! `build-index`: its flags, their spellings and their defaults.

use serde_json::{Value, json};

use super::dir;
use crate::util::{Dir, difference, ids_bytes, le_bytes, values};

fn info_of(dir: &Dir, options: &str) -> Value {
    dir.ok(&format!("build-index -o i.hnsw {options}"));
    dir.info("i.hnsw")
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
