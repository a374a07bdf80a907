//! `plan`, several sinks, `[on_error]`, `[check]`, limits of memory, recipes, and what programs are told.

use crate::util::{Dir, difference, npy_f32, values};

fn dir_with(pipeline: &str) -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(8, &values(1, 500, 8)));
    dir.write("p.toml", pipeline);
    dir
}

const SOURCE: &str = "version = 1\n[source]\npath = \"a.npy\"\n";
const HNSW: &str = "[sink]\ntype = \"hnsw\"\npath = \"a.hnsw\"\nmetric = \"l2\"\n";

#[test]
fn a_plan_says_what_will_be_done_and_does_not_do_it() {
    let stages = "[[stage]]\ntype = \"center\"\n[[stage]]\ntype = \"slice\"\nto = 4\n";
    let dir = dir_with(&format!("{SOURCE}{stages}{HNSW}"));
    let plan = dir.ok("plan p.toml --format json").json();
    assert_eq!(plan["schema"], 1);
    let steps: Vec<_> = plan["steps"].as_array().unwrap().iter().collect();
    let kinds: Vec<_> = steps.iter().map(|step| step["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["npy", "center", "slice", "hnsw"]);
    let dims: Vec<_> = steps.iter().map(|step| step["dim"].as_u64().unwrap()).collect();
    assert_eq!(dims, [8, 8, 4, 4]);
    let vectors: Vec<_> = steps.iter().map(|step| step["vectors"].as_str().unwrap()).collect();
    assert_eq!(vectors, ["in_place", "copied", "copied", "copied"]);
    assert_eq!((plan["passes"].as_u64(), steps[1]["first"].as_str()), (Some(2), Some("learns")));
    assert_eq!(plan["input_bytes"].as_u64(), Some(dir.read("a.npy").len() as u64));
    assert!(
        plan["estimate"]["secs"].as_f64().unwrap() > 0.0 && plan["estimate"]["probe_rows"] == 500,
        "{plan}"
    );
    assert_eq!(plan["outputs"][0]["exists"], false);
    // The size is told before, and about right.
    let told = plan["output_bytes"].as_u64().unwrap() as f64;
    let text = dir.ok("plan p.toml --no-probe").text().to_owned();
    for part in ["source   npy", "stage    center", "500 rows x 8", "passes   2", "memory   up to", "a.hnsw"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("time "), "{text}");
    let chart = dir.ok("plan p.toml --format mermaid").text().to_owned();
    assert!(chart.starts_with("flowchart LR\n") && chart.contains("s0 -- \"in place\" --> s1"), "{chart}");
    assert_eq!(dir.names(), ["a.npy", "p.toml"]);
    dir.ok("run p.toml");
    let found = dir.read("a.hnsw").len() as f64;
    assert!((0.8..1.25).contains(&(told / found)), "{told} told, {found} found");
}

#[test]
fn what_is_read_once_has_a_plan_without_a_time() {
    let dir = dir_with("");
    let text = "version = 1\n[source]\npath = \"-\"\ntype = \"npy\"\n[sink]\ntype = \"null\"\n";
    dir.write("p.toml", text);
    let output = dir.run_with("plan p.toml", &dir.read("a.npy"));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.text().contains("time     cannot be told"), "{}", output.text());
}

#[test]
fn several_sinks_get_what_each_would_get_alone() {
    let sinks = "[[sink]]\ntype = \"hnsw\"\npath = \"a.hnsw\"\n[[sink]]\ntype = \"npy\"\npath = \"b.npy\"\n\
                 [[sink]]\ntype = \"jsonl\"\npath = \"c.jsonl\"\n[[sink]]\ntype = \"parquet\"\npath = \"d.parquet\"\n";
    let stage = "[[stage]]\ntype = \"slice\"\nto = 5\n";
    let dir = dir_with(&format!("{SOURCE}{stage}{sinks}"));
    let stats = dir.ok("run p.toml --stats json").json();
    assert_eq!(stats["outputs"].as_array().unwrap().len(), 4);
    for (number, one) in sinks.split("[[sink]]").skip(1).enumerate() {
        let name = one.split('"').nth(3).unwrap();
        let all = dir.read(name);
        std::fs::remove_file(dir.path(name)).unwrap();
        dir.write("one.toml", format!("{SOURCE}{stage}[sink]{one}"));
        dir.ok("run one.toml");
        assert_eq!(difference(&all, &dir.read(name)), None, "{name}");
        assert_eq!(stats["outputs"][number]["path"], name);
    }
    // Where one of them fails, none is there.
    let dir = dir_with(&format!(
        "{SOURCE}[[sink]]\ntype = \"npy\"\npath = \"b.npy\"\n[[sink]]\ntype = \"i8bin\"\npath = \"c.i8bin\"\n"
    ));
    assert_eq!(dir.run("run p.toml").code, Some(1));
    assert_eq!(dir.names(), ["a.npy", "p.toml"]);
}

#[test]
fn memory_is_kept_below_a_limit_or_the_run_refused() {
    let dir = Dir::new();
    // Doubles are not used in place, so batches take memory.
    let doubles: Vec<u8> =
        values(1, 4000, 256).iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    dir.write("a.npy", crate::util::npy("<f8", false, "(4000, 256)", &doubles));
    let plan = |more: &str| {
        let output =
            dir.run(&format!("convert -i a.npy -o b.npy -t 2 --stats json --batch-size 4000 {more}"));
        (output.code, output.stdout, output.stderr)
    };
    let (code, all, _) = plan("");
    assert_eq!(code, Some(0));
    let planned = |stats: &[u8]| {
        let stats: serde_json::Value = serde_json::from_slice(stats).unwrap();
        (stats["planned_memory_bytes"].as_u64().unwrap(), stats["batch_rows"].as_u64().unwrap())
    };
    let whole = dir.read("b.npy");
    let (code, limited, stderr) = plan("--memory-limit 6MiB");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(planned(&all).0 > 6 << 20 && planned(&limited).0 <= 6 << 20);
    assert!(planned(&limited).1 < planned(&all).1);
    assert_eq!(difference(&whole, &dir.read("b.npy")), None);
    let (code, _, stderr) = plan("--memory-limit 1MiB");
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error[E0306]: ") && stderr.contains("stream "), "{stderr}");
}

#[test]
fn bad_rows_are_skipped_up_to_a_share() {
    let dir = dir_with("");
    let mut vectors = values(1, 100, 4);
    for row in [7, 20, 21] {
        vectors[row * 4] = f32::NAN;
    }
    dir.write("bad.npy", npy_f32(4, &vectors));
    let with = |on_error: &str| {
        dir.write(
            "p.toml",
            format!("version = 1\n[on_error]\n{on_error}\n[source]\npath = \"bad.npy\"\n[sink]\ntype = \"npy\"\npath = \"o.npy\"\n"),
        );
        let output = dir.run("run p.toml");
        (output.code, output.stderr)
    };
    let (code, stderr) = with("rows = \"skip\"\nmax_bad = \"3%\"");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("left out 3 rows (non-finite): rows 7, 20, 21"), "{stderr}");
    let written = dir.read("o.npy");
    for (most, found) in [("2", "2"), ("\"2.9%\"", "2.9%")] {
        let (code, stderr) = with(&format!("rows = \"skip\"\nmax_bad = {most}"));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("up to {found} bad rows, as max_bad says, found 3 of 100")),
            "{stderr}"
        );
    }
    assert_eq!(dir.read("o.npy"), written, "the old output is untouched");
    let (code, stderr) = with("rows = \"quarantine\"\nquarantine = \"bad.jsonl\"\nchecks = [\"non-finite\"]");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(String::from_utf8(dir.read("bad.jsonl")).unwrap().lines().count(), 3);
    assert_eq!(with("rows = \"fail\"").0, Some(1));
}

#[test]
fn recall_is_asked_for() {
    let check =
        |min: &str| format!("{SOURCE}{HNSW}[check]\nrecall = {{ k = 5, sample = 50, min = {min} }}\n");
    let dir = dir_with(&check("0.9"));
    let stats = dir.ok("run p.toml --stats json").json();
    let recall = &stats["outputs"][0]["recall"];
    assert!(
        recall["value"].as_f64().unwrap() >= 0.9 && recall["k"] == 5 && recall["sample"] == 50,
        "{stats}"
    );
    let index = dir.read("a.hnsw");
    // Of rows without structure, a graph of two links a row misses some.
    dir.write("a.npy", npy_f32(64, &values(3, 3000, 64)));
    dir.write("p.toml", check("1").replace("metric = \"l2\"", "metric = \"l2\"\nm = 2\nef_construction = 2"));
    let output = dir.run("run p.toml");
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(
        output.stderr.starts_with("error[E0501]: a.hnsw: expected recall@5 of at least 1, found 0."),
        "{}",
        output.stderr
    );
    assert_eq!(dir.read("a.hnsw"), index, "the old index is untouched");
    assert_eq!(dir.names(), ["a.hnsw", "a.npy", "p.toml"]);
}

#[test]
fn an_index_is_built_again_from_its_recipe() {
    let dir = dir_with(&format!("{SOURCE}[[stage]]\ntype = \"normalize\"\n{HNSW}m = 8\nseed = 7\n"));
    dir.ok("run p.toml");
    let recipe = dir.ok("info -i a.hnsw --pipeline").text().to_owned();
    assert!(
        recipe.contains("seed = 7") && recipe.contains("normalize") && !recipe.contains("a.npy"),
        "{recipe}"
    );
    dir.ok("run --from a.hnsw --set source.path=a.npy --set sink.path=b.hnsw");
    assert_eq!(difference(&dir.read("a.hnsw"), &dir.read("b.hnsw")), None);
    dir.write("r.toml", recipe);
    dir.ok("run r.toml --set source.path=a.npy --set sink.path=c.hnsw");
    assert_eq!(difference(&dir.read("a.hnsw"), &dir.read("c.hnsw")), None);
    let output = dir.run("run --from a.hnsw --set sink.path=b.hnsw");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("there is no `source.path`"), "{}", output.stderr);
    assert!(output.stderr.contains("add --set source.path=FILE\n"), "{}", output.stderr);
}

#[test]
fn a_recipe_says_what_it_needs() {
    let dir = dir_with("");
    dir.write("ids.u64", crate::util::ids_bytes(&(5000..5500).collect::<Vec<_>>()));
    dir.ok("build-index -i a.npy -o a.hnsw --ids ids.u64");
    let again = "run --from a.hnsw --set source.path=a.npy --set sink.path=b.hnsw";
    let output = dir.run(again);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("--set stage.0.path=FILE"), "{}", output.stderr);
    dir.ok(&format!("{again} --set stage.0.path=ids.u64"));
    assert_eq!(difference(&dir.read("a.hnsw"), &dir.read("b.hnsw")), None);
    // Of formats that differ each file tells its own.
    dir.ok("convert -i a.npy -o c.fvecs");
    dir.ok("build-index -i a.npy -i c.fvecs -o d.hnsw");
    dir.ok("run --from d.hnsw --set source.paths=[\"a.npy\",\"c.fvecs\"] --set sink.path=e.hnsw");
    assert_eq!(difference(&dir.read("d.hnsw"), &dir.read("e.hnsw")), None);
}

#[test]
fn statistics_tell_of_each_sink_and_of_what_is_no_pipeline() {
    let sinks =
        "[[sink]]\ntype = \"npy\"\npath = \"b.npy\"\n[[sink]]\ntype = \"fvecs\"\npath = \"c.fvecs\"\n";
    let dir = dir_with(&format!("{SOURCE}{sinks}"));
    let stats = dir.ok("run p.toml --stats json").json();
    let of_sinks: Vec<&serde_json::Value> =
        stats["steps"].as_array().unwrap().iter().filter(|step| step["kind"] == "sink").collect();
    let names: Vec<&str> = of_sinks.iter().map(|step| step["type"].as_str().unwrap()).collect();
    assert_eq!(names, ["npy", "fvecs"], "{stats}");
    assert!(of_sinks.iter().all(|step| step["busy_secs"].as_f64().unwrap() > 0.0), "{stats}");

    dir.write("q.toml", "version = 1\n[source]\npaht = \"a.npy\"\n[sink]\ntype = \"null\"\n");
    let output = dir.run("run q.toml --stats stats.json");
    assert_eq!(output.code, Some(2));
    let stats: serde_json::Value = serde_json::from_slice(&dir.read("stats.json")).unwrap();
    assert_eq!(
        (&stats["status"], &stats["errors"][0]["code"]),
        (&"failed".into(), &"E0102".into()),
        "{stats}"
    );
}

#[test]
fn outputs_of_all_sinks_are_left_or_none() {
    let sinks =
        "[[sink]]\ntype = \"npy\"\npath = \"b.npy\"\n[[sink]]\ntype = \"fvecs\"\npath = \"c.fvecs\"\n";
    let dir = dir_with(&format!("{SOURCE}{sinks}"));
    dir.ok("run p.toml --if-exists skip");
    let both = [dir.read("b.npy"), dir.read("c.fvecs")];
    assert!(dir.ok("run p.toml --if-exists skip").stderr.contains("nothing was done"));
    std::fs::remove_file(dir.path("b.npy")).unwrap();
    let output = dir.run("run p.toml --if-exists skip");
    assert!(
        output.code == Some(2) && output.stderr.starts_with("error[E0202]: c.fvecs"),
        "{}",
        output.stderr
    );
    assert_eq!(dir.read("c.fvecs"), both[1]);
}

#[test]
fn programs_are_told_how_it_goes() {
    let dir = dir_with(&format!("{SOURCE}{HNSW}"));
    let output = dir.ok("run p.toml --progress json --stats stats.json");
    let events: Vec<serde_json::Value> =
        output.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(
        events.iter().any(|event| event["event"] == "progress" && event["part"] == "reading"),
        "{}",
        output.stderr
    );
    let stats: serde_json::Value = serde_json::from_slice(&dir.read("stats.json")).unwrap();
    let digest = stats["outputs"][0]["xxh3_128"].as_str().unwrap();
    assert_eq!(digest, format!("{:032x}", twox_hash::XxHash3_128::oneshot(&dir.read("a.hnsw"))));
    for step in stats["steps"].as_array().unwrap() {
        assert!(step["busy_secs"].as_f64().is_some() && step["wait_secs"].as_f64().is_some(), "{step}");
    }
    for quiet in ["-q run p.toml", "run p.toml -q", "run p.toml --quiet --progress plain"] {
        assert_eq!(dir.ok(quiet).stderr, "", "{quiet}");
    }
    dir.write("p.toml", "version = 1\n[source]\npaht = 1\n[sink]\ntype = \"hnws\"\n");
    let output = dir.run("run p.toml --stats stats.json");
    assert_eq!(output.code, Some(2));
    let stats: serde_json::Value = serde_json::from_slice(&dir.read("stats.json")).unwrap();
    assert!(stats["status"] == "failed" || stats["schema"] == 1, "{stats}");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let dir = dir_with("version = 2\n");
    let run = |words: &str, variable: Option<&str>| {
        let mut command = dir.command(words);
        variable.map(|variable| command.env(variable, "1"));
        crate::util::output(command, b"").stderr
    };
    assert!(!run("validate p.toml", None).contains('\x1b'), "standard error is no terminal");
    assert!(
        run("validate p.toml --color always", Some("NO_COLOR")).contains("\x1b[1;31merror[E0106]\x1b[0m: ")
    );
    assert!(!run("validate p.toml --color never", None).contains('\x1b'));
}

#[test]
fn rows_of_all_sources_are_counted_together() {
    let dir = dir_with("");
    dir.write("b.npy", npy_f32(8, &values(2, 100, 8)));
    let sink = "[sink]\ntype = \"npy\"\npath = \"o.npy\"\n";
    let sources = "[[source]]\npath = \"a.npy\"\n[[source]]\npath = \"b.npy\"\n";
    dir.write("p.toml", format!("version = 1\n[run]\nrows = \"490..510\"\n{sources}{sink}"));
    assert_eq!(dir.ok("run p.toml --stats json").json()["rows"], 20);
    let both = [&values(1, 500, 8)[490 * 8..], &values(2, 100, 8)[..10 * 8]].concat();
    assert_eq!(difference(&dir.read("o.npy"), &converted(8, &both)), None);
    for (rows, expected) in [("590..601", "p.toml:3:8: "), ("10", "p.toml:3:8: expected rows such as")] {
        dir.write("p.toml", format!("version = 1\n[run]\nrows = \"{rows}\"\n{sources}{sink}"));
        let output = dir.run("run p.toml");
        assert!(output.code == Some(2) && output.stderr.contains(expected), "{}", output.stderr);
    }
    dir.write(
        "p.toml",
        format!("version = 1\n[run]\nrows = \"1..3\"\n[source]\npath = \"a.npy\"\nlimit = 1\n{sink}"),
    );
    assert!(dir.run("validate p.toml").stderr.starts_with("error[E0107]: p.toml:3:8: "));
}

/// What `convert` writes of these rows.
fn converted(dim: usize, values: &[f32]) -> Vec<u8> {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(dim, values));
    dir.ok("convert -i a.npy -o b.npy");
    dir.read("b.npy")
}

#[test]
fn without_a_command_there_is_help() {
    let output = Dir::new().run("");
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("Usage: sochdb-bulk") && !output.stderr.starts_with("error["),
        "{}",
        output.stderr
    );
    let output = Dir::new().run("--help");
    assert!(output.code == Some(0) && output.text().contains("Exit codes"), "{}", output.stderr);
}
