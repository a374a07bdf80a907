//! Pipeline files: variables, `--set`, all mistakes at once, `validate`, and what editors get.

use serde_json::Value;

use crate::util::{Dir, npy_f32, values};

const PIPELINE: &str = "version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"normalize\"\n\
                        [[stage]]\ntype = \"slice\"\nto = 4\n[sink]\ntype = \"npy\"\npath = \"o.npy\"\n";

fn dir_with(text: &str) -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(8, &values(1, 20, 8)));
    dir.write("p.toml", text);
    dir
}

/// The message of a command that is refused.
fn refused(dir: &Dir, words: &str) -> String {
    let output = dir.run(words);
    assert_eq!(output.code, Some(2), "{words}: {}", output.stderr);
    output.stderr
}

#[test]
fn variables_are_put_into_strings() {
    let sink = "path = \"${NAME}-${MORE:-x}.npy\" # ${NOT_SET}";
    let dir = dir_with(&PIPELINE.replace("path = \"o.npy\"", sink));
    let mut command = dir.command("run p.toml");
    let output = command.env("NAME", "o\"\n[x]").env_remove("MORE").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dir.exists("o\"\n[x]-x.npy"), "{:?}", dir.names());
}

#[test]
fn a_variable_that_is_not_set_is_refused_at_its_place() {
    let dir = dir_with(&PIPELINE.replace("o.npy", "${SOCHDB_TEST_NOT_SET}/o.npy"));
    let message = refused(&dir, "run p.toml");
    assert!(message.contains("p.toml:11:8: the variable `SOCHDB_TEST_NOT_SET` is not set"), "{message}");
    assert!(message.contains("${SOCHDB_TEST_NOT_SET:-...}"), "{message}");
}

#[test]
fn paths_of_commands_hold_no_variables() {
    let dir = dir_with("");
    std::fs::rename(dir.path("a.npy"), dir.path("${HOME}.npy")).unwrap();
    dir.ok("convert -i ${HOME}.npy -o $${x}.npy");
    assert!(dir.exists("$${x}.npy"), "{:?}", dir.names());
    let printed = dir.ok("convert -i ${HOME}.npy -o o.npy --print-pipeline");
    let printed = printed.text();
    assert!(printed.contains("$${HOME}.npy"), "{printed}");
}

#[test]
fn set_puts_values_into_the_pipeline() {
    let dir = dir_with(PIPELINE);
    std::fs::create_dir(dir.path("sub")).unwrap();
    std::fs::rename(dir.path("p.toml"), dir.path("sub/p.toml")).unwrap();
    // Paths of the file begin in its folder, those of --set in the current one.
    dir.ok("run sub/p.toml --set source.path=a.npy --set stage.-1.to=3 --set run.threads=1 --set sink.path=x.npy");
    let header = dir.read("x.npy");
    assert!(String::from_utf8_lossy(&header[..100]).contains("(20, 3)"));
    for (set, expected) in [
        ("stage.5.dim=3", "--set stage.5.dim=3: `stage` has 2: expected a number from 0 to 1, found `5`"),
        ("stage.x.dim=3", "found `x`"),
        ("source.path.x=1", "--set source.path.x=1: `path` is no table, so it has no `x`"),
        ("nothing", "--set nothing: expected KEY=VALUE"),
        ("=1", "--set =1: expected KEY=VALUE"),
        ("sink.pth=x", "--set sink.pth=x: unknown option `pth`"),
        ("source.dim=none", "--set source.dim=none: expected a whole number"),
        ("source.dim=0", "--set source.dim=0: expected a dimension from 1 to"),
    ] {
        let message = refused(&dir, &format!("run sub/p.toml --set source.path=./a.npy --set {set}"));
        assert!(message.contains(expected), "{set}: {message}");
    }
    let message = refused(&dir, "run sub/p.toml --set sink.path=a.npy");
    assert!(
        message.contains("`a.npy` is in the file as well") && message.contains("write ./a.npy"),
        "{message}"
    );
    dir.ok("run sub/p.toml --set source.path=./a.npy --set sink.path=o.npy");
    assert!(dir.exists("o.npy"));
}

#[test]
fn everything_that_is_wrong_is_shown_at_once_in_its_order() {
    let dir = dir_with(
        "version = 1\nnme = \"x\"\n[run]\nthreds = 2\n[source]\npth = \"a.npy\"\n[[stage]]\ntype = \"normalise\"\n\
         [[stage]]\ntype = \"slice\"\nfro = 4\n[sink]\ntype = \"hnsw\"\npath = \"${SOCHDB_TEST_NOT_SET}\"\n",
    );
    let message = refused(&dir, "validate p.toml");
    assert_eq!(message.matches("error[").count(), 1, "variables come first: {message}");
    let text =
        String::from_utf8(dir.read("p.toml")).unwrap().replace("${SOCHDB_TEST_NOT_SET}", "x\"\nmm = \"16");
    dir.write("p.toml", text);
    let message = refused(&dir, "validate p.toml");
    let places: Vec<&str> = (message.lines())
        .filter_map(|line| line.split_once("]: p.toml:").map(|(_, rest)| rest))
        .map(|rest| rest.split(": ").next().unwrap())
        .collect();
    assert_eq!(places, ["2:1", "4:1", "6:1", "8:8", "11:1", "15:1"], "{message}");
    for word in ["`nme`", "`threads`", "`path`", "`normalize`", "`from`", "did you mean `m`?"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    // A file that is no TOML shows all places where it is none.
    dir.write("q.toml", "version = = 1\n[source\npath = \"a.npy\"\nx = \n");
    let message = refused(&dir, "validate q.toml p.toml");
    assert!(message.matches("]: q.toml:").count() >= 2, "{message}");
    assert_eq!(message.matches("]: p.toml:").count(), 6, "{message}");
}

#[test]
fn validate_touches_no_data() {
    let dir = dir_with(PIPELINE);
    std::fs::remove_file(dir.path("a.npy")).unwrap();
    let output = dir.ok("validate p.toml");
    assert_eq!(output.text(), "p.toml: ? -> normalize -> slice -> npy\n");
    assert_eq!(dir.names(), ["p.toml"]);
}

/// Whether a schema takes a value: of draft 07 the words that ours is written in, and any other is a failure.
fn allows(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(words) = schema else { return schema == &Value::Bool(true) };
    words.iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "definitions" | "format" | "writeOnly" => true,
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = |name| words.get("properties").and_then(|all| all.get(name)).is_some();
            object.iter().all(|(name, value)| known(name) || allows(root, rule, value))
        }),
        "$ref" => {
            let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
            allows(root, &root["definitions"][name], value)
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|one| is_a(one, value)),
            one => is_a(one, value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => rule.as_array().unwrap().iter().any(|one| allows(root, one, value)),
        "allOf" => rule.as_array().unwrap().iter().all(|one| allows(root, one, value)),
        "oneOf" => rule.as_array().unwrap().iter().filter(|one| allows(root, one, value)).count() == 1,
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(name, value)| rule.get(name).is_none_or(|rule| allows(root, rule, value)))
        }),
        "items" => value.as_array().is_none_or(|all| all.iter().all(|one| allows(root, rule, one))),
        "minItems" => value.as_array().is_none_or(|all| all.len() as u64 >= rule.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|value| value >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|value| value <= rule.as_f64().unwrap()),
        other => panic!("the schema has a word that this test does not know: {other}"),
    })
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema has an unknown type: {other}"),
    }
}

/// What an editor is told agrees with what the program takes.
#[test]
fn the_schema_takes_what_the_program_takes() {
    let dir = dir_with(PIPELINE);
    let schema = dir.ok("schema").json();
    let as_json =
        |text: &str| -> Value { serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap() };
    let example = std::fs::read_to_string(crate::util::root().join("pipeline.example.toml")).unwrap();
    let mut good = vec![PIPELINE.to_owned(), example, PIPELINE.replace("[source]", "[[source]]")];
    good.push(PIPELINE.replace(
        "[source]",
        "[run]\nmemory_limit = \"2GiB\"\n[on_error]\nrows = \"skip\"\nmax_bad = \"1%\"\nchecks = [\"zero\"]\n[source]",
    ));
    good.push(PIPELINE.replace(
        "[sink]",
        "[check]\nrecall = { min = 0.9, k = 5 }\n[[sink]]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n[[sink]]",
    ));
    let plugins = dir.ok("plugins --json").json();
    for kind in ["formats", "stages", "sinks"] {
        for plugin in plugins[kind].as_array().unwrap() {
            let name = plugin["name"].as_str().unwrap();
            let shown = dir.ok(&format!("plugins show {name} --json")).json();
            for plugin in shown["plugins"].as_array().unwrap() {
                let example = plugin["example"].as_str().unwrap();
                let has = |table| {
                    example.contains(&format!("[{table}]")) || example.contains(&format!("[[{table}]]"))
                };
                let mut text = format!("version = 1\n{example}\n");
                if !has("source") {
                    text += "[source]\npath = \"a.npy\"\n";
                }
                if !has("sink") {
                    text += "[sink]\ntype = \"npy\"\npath = \"o.npy\"\n";
                }
                good.push(text);
            }
        }
    }
    for text in &good {
        assert!(allows(&schema, &schema, &as_json(text)), "the schema refuses\n{text}");
        dir.write("p.toml", text);
        dir.ok("validate p.toml");
    }
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("version = 1", "name = 1\nversion = 1"),
        ("[sink]", "[snk]"),
        ("path = \"a.npy\"", "pth = \"a.npy\""),
        ("path = \"a.npy\"", "path = \"a.npy\"\ntype = \"npz\"\nimage = 1"),
        ("path = \"a.npy\"", "path = \"a.npy\"\ndim = 0"),
        ("path = \"a.npy\"", "path = \"a.npy\"\ntype = \"nope\""),
        ("type = \"normalize\"", "type = \"normalise\""),
        ("type = \"slice\"", "type = \"slice\"\nwidth = 4"),
        ("to = 4", "to = \"four\""),
        ("type = \"npy\"\n", ""),
        ("[sink]", "[check]\nrecall = { min = 2 }\n[sink]"),
        ("[sink]", "[check]\nrecall = { k = 10 }\n[sink]"),
        ("[sink]", "[on_error]\nrows = \"ignore\"\n[sink]"),
        ("[sink]", "[run]\nthreads = -1\n[sink]"),
        ("[sink]", "[run]\nif_exists = \"overwrite\"\n[sink]"),
    ] {
        let text = PIPELINE.replace(from, to);
        assert_ne!(text, PIPELINE, "{from}");
        assert!(!allows(&schema, &schema, &as_json(&text)), "{from} -> {to} is taken by the schema");
        dir.write("p.toml", &text);
        refused(&dir, "validate p.toml");
    }
}

#[test]
fn completions_and_manual_know_every_command() {
    let dir = Dir::new();
    let commands = [
        "build-index",
        "convert",
        "guess",
        "new",
        "run",
        "query",
        "info",
        "inspect",
        "preview",
        "verify",
        "plan",
        "explain",
        "plugins",
        "validate",
        "schema",
    ];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = dir.ok(&format!("completions {shell}"));
        let text = output.text();
        for command in commands {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    assert!(dir.ok("man").text().contains(".TH sochdb"));
    dir.ok("man --folder .");
    for command in commands {
        assert!(dir.exists(&format!("sochdb-bulk-{command}.1")), "{command}: {:?}", dir.names());
    }
}
