//! `convert`: values, and what is written beside them.

use serde_json::{Value, json};

use super::dir;
use crate::util::{Dir, difference, le_bytes, npy_f32, values};

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
