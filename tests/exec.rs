//! Programs as sources: what they have to do, what becomes of those that do not, and that none is left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use readers::arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array,
};
use readers::arrow_schema::{DataType, Field, Schema};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::util::{Dir, difference, le_bytes, output, root, values, wait};

const DIM: usize = 4;

/// An Arrow stream with ids from 100 on, texts and vectors, in two record batches.
fn stream(values: &[f32]) -> Vec<u8> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let list = DataType::FixedSizeList(Arc::clone(&item), DIM as i32);
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::UInt64, false),
        Field::new("text", DataType::Utf8, false),
        Field::new("emb", list, false),
    ]));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
    let rows = values.len() / DIM;
    for part in [0..rows / 3, rows / 3..rows] {
        let vectors = Float32Array::from(values[part.start * DIM..part.end * DIM].to_vec());
        let vectors = FixedSizeListArray::new(Arc::clone(&item), DIM as i32, Arc::new(vectors), None);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(part.clone().map(|row| row as u64 + 100).collect::<UInt64Array>()),
            Arc::new(StringArray::from_iter_values(part.clone().map(|row| format!("t{row}")))),
            Arc::new(vectors),
        ];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

fn folder() -> (Dir, Vec<f32>) {
    let dir = Dir::new();
    let rows = values(3, 300, DIM);
    dir.write("a.arrows", stream(&rows));
    (dir, rows)
}

/// `convert` of what a shell script writes.
fn converted(dir: &Dir, script: &str) -> crate::util::Output {
    dir.run_of(&["convert", "-o", "o.f32", "--allow-exec", "--", "sh", "-c", script])
}

#[test]
fn a_program_is_a_source_of_every_command() {
    let (dir, rows) = folder();
    let from = "-i a.arrows --allow-exec";
    dir.ok(&format!("convert {from} -o o.f32 -- cat {{path}}"));
    assert_eq!(difference(&dir.read("o.f32"), &le_bytes(&rows)), None);
    dir.ok(&format!("build-index {from} -o e.hnsw -- cat {{path}}"));
    dir.ok("build-index -i a.arrows -o a.hnsw");
    // The same rows make the same index, but for the name of the format in its recipe.
    let hits = |index| dir.hits(&format!("-i {index} -q o.f32 -k 5"));
    assert_eq!(hits("e.hnsw"), hits("a.hnsw"));
    assert_eq!(hits("e.hnsw")[7][0].0, 107);
    assert!(dir.info("e.hnsw")["recipe"].as_str().unwrap().contains("type = \"exec\"\ndim = 4\n"));

    // No path at all, and rows of it only.
    let words =
        ["convert", "-o", "p.npy", "--rows", "10..20", "--allow-exec", "-f", "exec", "--", "cat", "a.arrows"];
    let output = dir.run_of(&words);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(dir.read("p.npy").ends_with(&le_bytes(&rows[10 * DIM..20 * DIM])));
    assert_eq!(dir.read("p.npy").len(), 128 + 10 * DIM * 4);
}

#[test]
fn a_pipeline_runs_it_in_its_own_folder_with_columns() {
    let (dir, rows) = folder();
    std::fs::create_dir(dir.path("p")).unwrap();
    std::fs::rename(dir.path("a.arrows"), dir.path("p/a.arrows")).unwrap();
    dir.write("p/reader", "#!/bin/sh\ncat \"$1\"; echo \"$GREETING\" >&2\n");
    std::fs::set_permissions(dir.path("p/reader"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let source = "type = \"exec\"\ncommand = [\"./reader\", \"{path}\"]\npath = \"a.arrows\"\npayload = [\"text\"]\n\
                  env = { GREETING = \"hello\" }\nid_column = \"id\"\nvector_column = \"emb\"\nlimit = 2\n";
    let text = format!("version = 1\n[source]\n{source}[sink]\ntype = \"jsonl\"\npath = \"o.jsonl\"\n");
    dir.write("p/p.toml", text);
    let output = dir.ok("run p/p.toml --allow-exec --verbose");
    assert!(output.stderr.contains("reader: hello\n"), "{}", output.stderr);
    assert!(output.stderr.contains("output of `./reader {path}`: unpacked 0.0 MiB"), "{}", output.stderr);
    let lines = String::from_utf8(dir.read("p/o.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["text"]), (&100.into(), &"t0".into()));
    assert_eq!(first["vector"][0].as_f64().unwrap() as f32, rows[0]);
    assert_eq!(lines.lines().count(), 2);
    let output = dir.ok("run p/p.toml --allow-exec --quiet");
    assert_eq!(output.stderr, "");
    // What it reads is not what it writes.
    dir.write(
        "p/q.toml",
        format!("version = 1\n[source]\n{source}[sink]\ntype = \"npy\"\npath = \"a.arrows\"\n"),
    );
    let output = dir.run("run p/q.toml --allow-exec");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("p/a.arrows"), "{}", output.stderr);
}

#[test]
fn a_program_runs_only_where_it_may() {
    let (dir, _) = folder();
    let words = ["convert", "-o", "o.f32", "--", "sh", "-c", "touch ran"];
    let output = dir.run_of(&words);
    assert_eq!(output.code, Some(2));
    let expected = "error[E0307]: expected leave to run `sh -c touch ran`, found none\n  \
                    help: a source of type exec runs a program: if you trust it, say --allow-exec on the command line\n";
    assert_eq!(output.stderr, expected);
    let printed = dir.run_of(&[&words[..3], &["--print-pipeline"], &words[3..]].concat());
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    dir.write("p.toml", &printed.stdout);
    let output = dir.run("run p.toml");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("--allow-exec"), "{}", output.stderr);
    assert!(!dir.exists("ran"));
    // It cannot be allowed by the text that would be allowed.
    for text in ["[run]\nallow_exec = true\n", "allow_exec = true\n"] {
        let text = format!("version = 1\n{text}{}", printed.text().replace("version = 1\n", ""));
        dir.write("q.toml", text);
        assert_eq!(dir.run("run q.toml").code, Some(2));
    }
    assert!(!dir.exists("ran"));
    assert_eq!(dir.run("run p.toml --allow-exec").code, Some(1));
    assert!(dir.exists("ran"));
    assert!(dir.ok("plugins show exec").text().contains("only where `--allow-exec` is on the command line"));
}

#[test]
fn what_does_not_end_well_is_no_output() {
    let (dir, _) = folder();
    dir.write("o.f32", "old");
    let bytes = dir.read("a.arrows");
    dir.write("cut.arrows", &bytes[..bytes.len() - 8]);
    let names = dir.names();
    for (script, code, says) in [
        (
            "cat a.arrows; echo no such thing >&2; exit 7",
            1,
            "expected exit status 0, found 7; it said last: no such thing",
        ),
        ("cat a.arrows; kill -9 $$", 1, "expected exit status 0, found signal 9; it said nothing"),
        (
            "cat cut.arrows",
            1,
            "expected a message or the end marker FFFFFFFF 00000000, found the end of the file",
        ),
        ("head -c 300 a.arrows", 1, ": byte "),
        ("cat a.arrows; echo done", 1, "expected nothing after the end of the stream, found 5 more bytes"),
        ("echo reading; cat a.arrows", 1, "byte 0: expected a header of up to "),
        (":", 1, "expected an Arrow IPC stream, found nothing"),
    ] {
        let output = converted(&dir, script);
        assert_eq!(output.code, Some(code), "{script}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{script}: {}", output.stderr);
        assert!(output.stderr.contains("]: output of `sh -c "), "{script}: {}", output.stderr);
        assert!(output.stderr.contains("\n  help: the "), "{script}: {}", output.stderr);
        assert_eq!((dir.read("o.f32"), dir.names()), (b"old".to_vec(), names.clone()), "{script}");
    }
}

#[test]
fn what_cannot_be_run_is_refused() {
    let (dir, _) = folder();
    for (words, says) in [
        ("-o o.f32 --allow-exec -- no-such-program", "command: cannot start `no-such-program`: "),
        ("-o o.f32 --allow-exec -i a.arrows -- cat a.arrows", "expected `{path}` in an argument"),
        ("-o o.f32 --allow-exec -- cat {path}", "expected the path that `{path}` stands for"),
        (
            "-o o.f32 --allow-exec -i - -- cat {path}",
            "expected a file or a folder for the program, found `-`",
        ),
        ("-o o.f32 --allow-exec -i a.arrows -f exec", "--format exec: expected a program, found none"),
        (
            "-o o.f32 --allow-exec -f npy -- cat a.arrows",
            "expected the format exec, as a program is given, found npy",
        ),
        ("-o o.f32 --allow-exec", "--input <FILE>"),
    ] {
        let output = dir.run(&format!("convert {words}"));
        assert_eq!(output.code, Some(2), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{words}: {}", output.stderr);
        assert_eq!(dir.names(), ["a.arrows"]);
    }
    dir.write("p.toml", "version = 1\n[source]\ntype = \"exec\"\ncommand = []\n[sink]\ntype = \"null\"\n");
    let output = dir.run("run p.toml --allow-exec");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("p.toml:4:"), "{}", output.stderr);
    assert!(output.stderr.contains("expected a program and its arguments, found none"), "{}", output.stderr);
}

fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pid = pid.parse().ok().and_then(Pid::from_raw).unwrap();
    // One that nobody takes note of is gone as well.
    test_kill_process(pid).is_err() || stat.contains(") Z ")
}

/// A program that is stopped leaves none of what it started, whatever that is at.
#[test]
fn nothing_is_left_of_a_program_that_is_stopped() {
    for (what, script) in [
        ("one that never writes", "sleep 1000"),
        ("one that writes for ever", "yes"),
        ("one that waits with its output closed", "cat a.arrows; exec >&-; sleep 1000"),
        ("one that does not listen", "trap '' TERM INT; sleep 1000; sleep 1000"),
        ("one that left another behind", "trap '' TERM; sleep 1000 & exec sleep 1000"),
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let (dir, _) = folder();
            let script = format!("sleep 1001 & echo $! > other; echo $$ > pid; {script}");
            let words = ["convert", "-o", "o.f32", "--allow-exec", "--", "sh", "-c", &script];
            let mut command = dir.command_of(&words);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let start = Instant::now();
            let written =
                |name: &str| std::fs::read_to_string(dir.path(name)).unwrap_or_default().trim().to_owned();
            while written("pid").is_empty() {
                assert!(start.elapsed() < Duration::from_secs(60), "{what}: it does not start");
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
            kill_process(Pid::from_child(&child), signal).unwrap();
            let code = wait(&mut child).expect("it ends").code();
            assert_eq!(code, Some(128 + signal.as_raw()), "{what}");
            let start = Instant::now();
            for name in ["pid", "other"] {
                while !is_gone(&written(name)) {
                    assert!(start.elapsed() < Duration::from_secs(10), "{what}: {name} is left");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            assert_eq!(dir.names(), ["a.arrows", "other", "pid"], "{what}");
        }
    }
}

/// The reader of examples/exec-reader, as its README says.
#[test]
fn the_example_in_python_works() {
    let has_python = Command::new("python3").args(["-c", "import numpy, pyarrow, sqlite3"]).output();
    if !has_python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3 with numpy and pyarrow");
        return;
    }
    let dir = Dir::new();
    let example = root().join("examples/exec-reader");
    for name in ["reader.py", "pipeline.toml"] {
        std::fs::copy(example.join(name), dir.path(name)).unwrap();
    }
    let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
    let scripts: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert_eq!(scripts.len(), 2);
    let bin = Path::new(crate::util::PROGRAM).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    for script in scripts {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(dir.path("")).env("PATH", &path);
        let output = output(command, b"");
        assert_eq!(output.code, Some(0), "{script}\n{}", output.stderr);
    }
    assert_eq!(dir.info("documents.hnsw")["rows"], 2000);
    assert_eq!(dir.hits("-i documents.hnsw -q documents.npy -k 1")[41][0].0, 42);

    // What Python says of a database that is none is shown, and is why it failed.
    dir.write("documents.sqlite", "no database");
    let output = dir.run("run --allow-exec pipeline.toml");
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains("python3: sqlite3.DatabaseError: file is not a database"),
        "{}",
        output.stderr
    );
    let said = "expected exit status 0, found 1; it said last: ";
    let last = output.stderr.lines().find(|line| line.contains(said)).unwrap();
    assert!(last.ends_with(" | sqlite3.DatabaseError: file is not a database"), "{last}");
}
