//! Sidecars: what they may hold, and where they are written.

use std::path::Path;

use readers::formats::{Sidecar, sidecar_path_for_writing};
use readers::{Input, Metric};
use tempfile::tempdir;

use super::{assert_refused, open};

#[test]
fn written_sidecars_are_read() {
    let sidecar = Sidecar { n: Some(1000), dim: Some(32), metric: Some(Metric::Ip) };
    let json = sidecar.to_json("v.f32");
    let expected = "{\n  \"n\": 1000,\n  \"dim\": 32,\n  \"metric\": \"ip\",\n  \"file\": \"v.f32\",\n  \"dtype\": \"f32\"\n}\n";
    assert_eq!(json, expected);
    assert_eq!(Sidecar::parse(json.as_bytes(), "v.f32").unwrap(), Some(sidecar));
    assert_eq!(Sidecar::parse(json.as_bytes(), "w.f32").unwrap(), None);
    assert_eq!(Sidecar::parse(b"{}", "v.f32").unwrap(), Some(Sidecar::default()));
}

#[test]
fn broken_sidecars_are_named_with_their_key() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    std::fs::write(&path, vec![0; 96]).unwrap();
    for (json, line) in [
        ("", "expected a JSON object, found malformed JSON: EOF while parsing a value at line 1 column 0"),
        ("[1]", "expected a JSON object, found an array"),
        ("32", "expected a JSON object, found `32`"),
        (r#"{"dim": "32"}"#, "dim: expected a whole number from 1 to 65536, found `\"32\"`"),
        (r#"{"dim": 0}"#, "dim: expected a whole number from 1 to 65536, found `0`"),
        (r#"{"dim": -4}"#, "dim: expected a whole number from 1 to 65536, found `-4`"),
        (r#"{"dim": 4.5}"#, "dim: expected a whole number from 1 to 65536, found `4.5`"),
        (r#"{"dim": 65537}"#, "dim: expected a whole number from 1 to 65536, found `65537`"),
        (r#"{"n": -1}"#, "n: expected a number of rows, found `-1`"),
        (r#"{"n": {}}"#, "n: expected a number of rows, found an object"),
        (r#"{"metric": "manhattan"}"#, "metric: expected a metric (l2, cosine or ip), found `\"manhattan\"`"),
        (r#"{"metric": 2}"#, "metric: expected a metric (l2, cosine or ip), found `2`"),
        (r#"{"file": 7}"#, "file: expected the name of a file, found `7`"),
        (r#"{"dtype": true}"#, "dtype: expected `f32`, found `true`"),
    ] {
        std::fs::write(dir.path().join("v.json"), json).unwrap();
        let dataset = open("raw_f32", &Input { dim: Some(4), ..Input::new(&path) });
        assert_refused(dataset, dir.path(), &format!("v.json: {line}"), "");
    }
    std::fs::write(dir.path().join("v.json"), r#"{"dtype": "f16"}"#).unwrap();
    let dataset = open("raw_f32", &Input { dim: Some(4), ..Input::new(&path) });
    let help = "convert the values to float32, or read the .npy they came from";
    assert_refused(dataset, dir.path(), "v.json: dtype: expected `f32`, found `f16`", help);

    std::fs::write(dir.path().join("v.json"), vec![b' '; (1 << 20) + 1]).unwrap();
    let dataset = open("raw_f32", &Input { dim: Some(4), ..Input::new(&path) });
    let line = "v.json: expected a sidecar of at most 1048576 bytes, found a larger file";
    assert_refused(dataset, dir.path(), line, "");
}

#[test]
fn writing_never_takes_another_files_sidecar() {
    let dir = tempdir().unwrap();
    let output = dir.path().join("v.f32");
    let json = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let chosen = |output: &Path| {
        sidecar_path_for_writing(output).strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(chosen(&output), "v.json");
    json("v.json", r#"{"n": 1, "file": "v.f32"}"#);
    assert_eq!(chosen(&output), "v.json");
    for others in [r#"{"n": 1, "file": "v.f16"}"#, r#"{"n": 1, "dim": 2}"#, "not json", "[]"] {
        json("v.json", others);
        assert_eq!(chosen(&output), "v.f32.json", "{others}");
    }
    // What reading finds first is what is written.
    json("v.json", r#"{"n": 1, "file": "v.f32"}"#);
    json("v.f32.json", "{}");
    assert_eq!(chosen(&output), "v.f32.json");
    // The output itself is never its own sidecar.
    assert_eq!(chosen(&dir.path().join("w.json")), "w.json.json");
    assert_eq!(chosen(&dir.path().join("w")), "w.json");
}
