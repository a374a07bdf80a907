//! `--stats`: what a run says of itself.

use serde_json::{Value, json};

use super::dir;
use crate::util::{difference, ids_bytes, npy_f32, values};

#[test]
fn statistics_are_one_json_object() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(500..800).collect::<Vec<_>>()));
    let output = dir.ok("build-index -i a.npy -o o.hnsw --ids ids.bin -m 8 -t 2 --stats json");
    let stats = output.json();
    assert_eq!(stats["schema"], 1);
    assert_eq!(stats["status"], "ok");
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&stats["rows"], &stats["dim"], &stats["threads"]), (&json!(300), &json!(8), &json!(2)));
    assert_eq!(stats["input_bytes"], dir.read("a.npy").len());
    assert_eq!(stats["vectors_in_place"], true);
    assert!(stats["elapsed_secs"].as_f64().unwrap() > 0.0);
    assert!(stats["planned_memory_bytes"].as_u64().unwrap() > 0);
    let kinds: Vec<_> = stats["steps"].as_array().unwrap().iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(kinds, ["source", "stage", "sink"]);
    let built = &stats["outputs"][0];
    assert_eq!((&built["type"], &built["path"]), (&json!("hnsw"), &json!("o.hnsw")));
    assert_eq!(built["size_bytes"], dir.read("o.hnsw").len());
    assert_eq!((&built["m"], &built["metric"], &built["seed"]), (&json!(8), &json!("cosine"), &json!(42)));
    assert_eq!(built["reachable_share"], 1.0);
    if cfg!(target_os = "linux") {
        assert!(stats["peak_rss_bytes"].as_u64().unwrap() > 100_000);
    }

    let output = dir.ok("convert -i a.npy -o c.f32 --stats s.json");
    assert_eq!(output.text(), "");
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["rows"]), (&json!("ok"), &json!(300)));
    assert_eq!(stats["outputs"][0]["size_bytes"], 300 * 8 * 4);

    let output = dir.run("build-index -i a.npy -o p.hnsw -d 9 --stats json");
    assert_eq!(output.code, Some(2));
    let stats = output.json();
    assert_eq!(stats["status"], "failed");
    assert!(stats["error"].as_str().unwrap().contains("dimension 9"), "{stats}");
    let mut broken = values(1, 300, 8);
    broken[1234] = f32::NAN;
    dir.write("nan.npy", npy_f32(8, &broken));
    assert_eq!(dir.run("build-index -i nan.npy -o p.hnsw --stats s.json").code, Some(1));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!(stats["status"], "failed");
    assert!(stats["error"].as_str().unwrap().contains("row 154, column 2"), "{stats}");
    assert!(!dir.exists("p.hnsw"));

    // A skipped run wrote nothing, and says so.
    let stats = dir.ok("build-index -i a.npy -o o.hnsw --if-exists skip --stats json").json();
    assert_eq!((&stats["skipped"], &stats["outputs"]), (&json!("o.hnsw"), &json!([])));
}

#[test]
fn statistics_of_a_query_say_how_it_was_searched() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw -t 2");
    let expected = dir.ok("query -i o.hnsw -q a.npy -k 3 -e 40 -f json").stdout;
    let of = |words: &str| {
        let stats =
            dir.ok(&format!("query -i o.hnsw -q a.npy -k 3 -f json -o hits {words} --stats json")).json();
        assert_eq!((&stats["schema"], &stats["status"]), (&json!(1), &json!("ok")));
        assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&stats["queries"], &stats["k"]), (&json!(300), &json!(3)));
        let number = |name: &str| stats[name].as_f64().unwrap_or_else(|| panic!("{name}: {stats}"));
        assert!(number("open_secs") > 0.0 && number("search_secs") > 0.0, "{stats}");
        assert!((number("queries_per_sec") * number("search_secs") - 300.0).abs() < 1e-3, "{stats}");
        (number("distances_per_query"), stats)
    };
    let (narrow, stats) = of("-e 40 -t 2");
    assert_eq!((&stats["ef_search"], &stats["threads"]), (&json!(40), &json!(2)));
    assert_eq!(difference(&dir.read("hits"), &expected), None);
    assert!((40.0..=300.0).contains(&narrow), "{narrow}");
    // The count is a matter of the search, not of who searches.
    assert_eq!(of("-e 40 -t 1").0, narrow);
    assert!(of("-e 150 -t 2").0 > narrow);
    // A beam as wide as the index looks at every row once; ef is at least k.
    assert_eq!(of("-e 300").0, 300.0);
    assert_eq!(of("-e 1").1["ef_search"], 3);

    // In a file, beside the hits on standard output.
    let output = dir.ok("query -i o.hnsw -q a.npy -k 3 -e 40 -f json -t 1 --stats s.json");
    assert_eq!((difference(&output.stdout, &expected), output.stderr.as_str()), (None, ""));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["distances_per_query"]), (&json!("ok"), &json!(narrow)));
    // Nothing asked, nothing computed.
    dir.write("none.npy", npy_f32(8, &[]));
    let stats = dir.ok("query -i o.hnsw -q none.npy -f json -o hits --stats json").json();
    assert_eq!((&stats["queries"], &stats["distances_per_query"]), (&json!(0), &Value::Null));

    // A query that fails says so there, too.
    dir.write("nan.npy", npy_f32(8, &[f32::NAN; 8]));
    assert_eq!(dir.run("query -i o.hnsw -q nan.npy --stats s.json").code, Some(1));
    let stats: Value = serde_json::from_slice(&dir.read("s.json")).unwrap();
    assert_eq!((&stats["status"], &stats["queries"]), (&json!("failed"), &Value::Null));
    assert!(stats["error"].as_str().unwrap().contains("row 0, column 0"), "{stats}");
}

#[test]
fn statistics_are_never_mixed_into_a_result() {
    let dir = dir();
    dir.ok("convert -i a.npy -o file --to-format npy");
    let both = dir.run("convert --quiet -i a.npy -o - --to-format npy --stats json");
    let is_the_file = difference(&both.stdout, &dir.read("file")).is_none();
    assert!(both.code == Some(2) || is_the_file, "two results on one standard output");
}
