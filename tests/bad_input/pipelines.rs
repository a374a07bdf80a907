//! Pipelines, each with the place of its mistake.

use super::Refusals;

#[test]
fn pipelines() {
    let mut t = Refusals::new();
    let mut case = |text: &str, says: &[&str]| {
        t.with("p.toml", text.as_bytes(), "run p.toml", 2, says);
    };
    let source = "[source]\npath = \"a.npy\"\n";
    let sink = "[sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n";
    let head = format!("version = 1\n{source}");
    case(&format!("{source}{sink}"), &["p.toml:1:1: there is no `version`", "version = 1"]);
    case(&format!("version = 2\n{source}{sink}"), &["p.toml:1:11: written for version 2", "version 1"]);
    case(&format!("version = \"1\"\n{source}{sink}"), &["p.toml:1:11: ", "expected a whole number"]);
    case(&format!("version = 1\n{sink}"), &["p.toml:1:1: there is no `[source]`"]);
    case(&head, &["p.toml:1:1: there is no `[sink]`"]);
    case("", &["p.toml:1:1: there is no `version`"]);
    case(
        &format!("version = 1\nsorce = 1\n{source}{sink}"),
        &["p.toml:2:1: unknown key `sorce`", "did you mean `source`?"],
    );
    case(
        &format!("{head}dimension = 4\n{sink}"),
        &["p.toml:4:1: unknown option `dimension`", "did you mean `dim`?"],
    );
    case(
        &format!("{head}{sink}max_conections = 4\n"),
        &["p.toml:7:1: unknown option `max_conections`", "did you mean `m`?"],
    );
    case(
        &format!("{head}{sink}ef = 4\n"),
        &["p.toml:7:1: unknown option `ef`", "did you mean `ef_construction`?"],
    );
    case(
        &format!("{head}type = \"npyy\"\n{sink}"),
        &["p.toml:4:8: unknown source `npyy`", "did you mean `npy`?"],
    );
    case(
        &format!("{head}[sink]\ntype = \"hsnw\"\n"),
        &["p.toml:5:8: unknown sink `hsnw`", "did you mean `hnsw`?"],
    );
    case(
        &format!("{head}[[stage]]\ntype = \"normalise\"\n{sink}"),
        &["p.toml:5:8: unknown stage `normalise`", "did you mean `normalize`?"],
    );
    case(
        &format!("{head}[sink]\npath = \"o.hnsw\"\n"),
        &["p.toml:4:1: there is no `type`", "type = \"hnsw\""],
    );
    case(&format!("{head}[[stage]]\nnorm = \"l2\"\n{sink}"), &["p.toml:4:1: there is no `type`"]);
    case(&format!("{head}[sink]\ntype = \"hnsw\"\n"), &["p.toml:4:1: ", "there is no `path`"]);
    case(&format!("version = 1\n[source]\ndim = 4\n{sink}"), &["p.toml:2:1: ", "there is no `path`"]);
    case(
        &format!("{head}dim = \"4\"\n{sink}"),
        &["p.toml:4:7: expected a whole number", "found the text \"4\""],
    );
    case(&format!("{head}dim = 0\n{sink}"), &["p.toml:4:7: expected a dimension from 1 to 65536, found 0"]);
    case(&format!("{head}rows = \"a\"\n{sink}"), &["p.toml:4:8: expected rows such as `0..1000`, found `a`"]);
    case(&format!("{head}limit = -1\n{sink}"), &["p.toml:4:9: "]);
    case(&format!("{head}io = \"fast\"\n{sink}"), &["p.toml:4:6: ", "`fast`"]);
    case(&format!("{head}{sink}m = 1.5\n"), &["p.toml:7:5: expected a whole number", "1.5"]);
    case(&format!("{head}{sink}m = 1\n"), &["1", "2"]);
    case(&format!("{head}{sink}metric = \"manhattan\"\n"), &["p.toml:7:10: ", "found `manhattan`"]);
    case(&format!("{head}[[stage]]\ntype = \"normalize\"\nnorm = \"l3\"\n{sink}"), &["p.toml:6:8: ", "`l3`"]);
    case(
        &format!("{head}[stage]\ntype = \"normalize\"\n{sink}"),
        &["p.toml:4:1: expected stages as `[[stage]]`"],
    );
    case("version = 1\nsource = \"a.npy\"\n", &["p.toml:2:10: expected a table"]);
    case(
        &format!("version = 1\n[run]\nthreads = 100000\n{source}{sink}"),
        &["p.toml:3:11: expected up to 1024 threads, found 100000"],
    );
    case(
        &format!("version = 1\n[run]\nbatch_rows = 0\n{source}{sink}"),
        &["p.toml:3:14: expected batches of at least 1 row, found 0"],
    );
    case(
        &format!("version = 1\n[run]\nthread = 1\n{source}{sink}"),
        &["p.toml:3:1: unknown ", "`thread`", "did you mean `threads`?"],
    );
    case("version = \n", &["p.toml:1:11: "]);
    case(&format!("version = 1\nversion = 1\n{source}{sink}"), &["p.toml:2:1: duplicate key"]);
    case("version = 1\n[source\n", &["p.toml:2:8: "]);
    case(&format!("version = 1\nname = {}\n", "[".repeat(100_000)), &["p.toml:2:"]);
    t.dir.write("p.toml", b"version = 1\n# \xff\n");
    t.case("run p.toml", 2, &["p.toml: byte 14: expected TOML in UTF-8"]);
    t.dir.write("p.toml", vec![b' '; (1 << 20) + 1]);
    t.case("run p.toml", 2, &["p.toml: expected a pipeline of up to 1048576 bytes, found more"]);
    t.case("run a.npy", 2, &["a.npy: "]);
    t.case_of(&["run", "-"], b"version = 3\n", 2, &["standard input:1:11: written for version 3"]);
    t.finish();
}
