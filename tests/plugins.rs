//! `plugins`: what the program says of its formats, stages and sinks.

use serde_json::{Value, json};

use crate::util::Dir;

#[test]
fn every_plugin_is_listed_with_its_crate() {
    let dir = Dir::new();
    let document = dir.ok("plugins --json").json();
    assert_eq!(document["schema"], 1);
    for (kind, names) in [
        ("formats", readers::formats().iter().map(|plugin| plugin.name).collect::<Vec<_>>()),
        ("stages", sochdb_bulk::stages::all().iter().map(|plugin| plugin.name).collect()),
        ("sinks", sochdb_bulk::sinks::all().iter().map(|plugin| plugin.name).collect()),
    ] {
        let listed: Vec<&str> = document[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|plugin| plugin["name"].as_str().unwrap())
            .collect();
        assert_eq!(listed, names, "{kind}");
        assert!(listed.is_sorted(), "{kind}");
    }
    let npy = document["formats"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "npy").unwrap();
    assert_eq!(npy["crate"], "sochdb-bulk-readers");
    assert_eq!((&npy["extensions"], &npy["aliases"]), (&json!(["npy"]), &json!(["numpy"])));

    let output = dir.ok("plugins");
    let text = output.text();
    for block in ["formats\n  ", "\n\nstages\n  ", "\n\nsinks\n  "] {
        assert!(text.contains(block), "{text}");
    }
    let line = text.lines().find(|line| line.starts_with("  npy (.npy)")).unwrap();
    assert!(line.contains("sochdb-bulk-readers") && line.contains("np.save"), "{line}");
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
}

#[test]
fn a_plugin_is_described_with_its_options() {
    let dir = Dir::new();
    let output = dir.ok("plugins show normalize");
    for part in [
        "stage `normalize`: scale every vector",
        "\noptions\n  norm (string, default \"l2\")\n      Which norm.\n",
        "\n      \"l1\": The sum of absolute values.\n",
        "\nexample\n  [[stage]]\n  type = \"normalize\"\n",
        "brought by    sochdb-tools\n",
    ] {
        assert!(output.text().contains(part), "{part:?} is not in\n{}", output.text());
    }
    let document = dir.ok("plugins show --json normalize").json();
    let plugin = &document["plugins"][0];
    assert_eq!((&plugin["kind"], &plugin["name"]), (&json!("stage"), &json!("normalize")));
    let norm = plugin["options"].as_array().unwrap().iter().find(|option| option["name"] == "norm").unwrap();
    assert_eq!(norm["values"], json!(["l2", "l1", "max"]));
    assert_eq!((&norm["default"], &norm["required"]), (&json!("l2"), &json!(false)));

    // A format and a sink share the name; an alias will do, in any case.
    let document = dir.ok("plugins --json show NumPy").json();
    let kinds: Vec<&Value> =
        document["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["kind"]).collect();
    assert_eq!(kinds, ["format", "sink"]);
    let output = dir.ok("plugins show npy");
    assert!(
        output.text().contains("and those of every source: path, paths, dim, rows, limit, io, columns\n")
    );
    assert!(output.text().contains("\n  path (string, required)\n"), "{}", output.text());
}

#[test]
fn every_option_of_every_plugin_has_a_type_and_a_description() {
    let dir = Dir::new();
    for name in (readers::formats().iter().map(|plugin| plugin.name))
        .chain(sochdb_bulk::stages::all().iter().map(|plugin| plugin.name))
        .chain(sochdb_bulk::sinks::all().iter().map(|plugin| plugin.name))
    {
        let document = dir.ok(&format!("plugins show {name} --json")).json();
        for plugin in document["plugins"].as_array().unwrap() {
            assert_ne!(plugin["description"], "", "{name}");
            for option in plugin["options"].as_array().unwrap() {
                assert_ne!(option["description"], "", "{name}: {option}");
                assert_ne!(option["type"], "value", "{name}: {option}");
            }
        }
    }
}

#[test]
fn an_unknown_plugin_is_answered_with_the_known_ones() {
    let output = Dir::new().run("plugins show normalise");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("no format, stage or sink is called `normalise`"), "{}", output.stderr);
    assert!(output.stderr.contains("did you mean `normalize`?"), "{}", output.stderr);
}
