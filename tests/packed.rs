//! Packed files and standard input as sources of every command.

use std::io::Write;

use crate::util::{Dir, le_bytes, npy_f32, values};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn standard_input_is_a_source_packed_or_not() {
    let dir = Dir::new();
    let rows = values(3, 200, 8);
    let file = npy_f32(8, &rows);
    dir.write("a.npy", &file);
    dir.ok("build-index -i a.npy -o a.hnsw");
    let json = rows.chunks_exact(8).map(|row| format!("{row:?}\n")).collect::<String>();
    for stdin in [file.clone(), gzip(&file), json.clone().into_bytes(), gzip(json.as_bytes())] {
        let output = dir.run_with("convert -i - -o - --to-format raw_f32", &stdin);
        assert_eq!((output.code, &output.stdout), (Some(0), &le_bytes(&rows)), "{}", output.stderr);
        let output = dir.run_with("build-index -i - -o b.hnsw --verbose", &stdin);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(output.stderr.contains("standard input: unpacked 0.0 MiB"), "{}", output.stderr);
        assert_eq!(dir.info("a.hnsw")["rows"], dir.info("b.hnsw")["rows"]);
        let output = dir.run_with("query -i a.hnsw -q - -k 1 --format tsv", &stdin);
        assert_eq!(output.text(), dir.ok("query -i a.hnsw -q a.npy -k 1 --format tsv").text());
    }
    // The same rows make the same index, whatever they came in.
    dir.ok("build-index -i a.npy -o a.hnsw");
    dir.write("c.npy.gz", gzip(&file));
    dir.ok("build-index -i c.npy.gz -o c.hnsw");
    assert!(dir.read("a.hnsw") == dir.read("c.hnsw"));
}

#[test]
fn what_standard_input_cannot_be() {
    let dir = Dir::new();
    let pipeline = "version = 1\n[source]\npath = \"-\"\n[sink]\ntype = \"null\"\n";
    let output = dir.run_with("run -", pipeline.as_bytes());
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("the pipeline itself is on standard input"), "{}", output.stderr);
    let packed = gzip(&npy_f32(8, &values(3, 200, 8)));
    let output = dir.run_with("convert -i - -o a.f32", &packed[..packed.len() / 2]);
    assert_eq!(output.code, Some(1));
    let says =
        format!("standard input: byte {}: expected more of the gzip stream, found its end", packed.len() / 2);
    assert!(output.stderr.contains(&says), "{}", output.stderr);
    assert_eq!(dir.names(), [""; 0]);
}

/// Where the temporary file cannot be, the folder is named.
#[cfg(unix)]
#[test]
fn a_missing_temporary_folder_is_named() {
    let dir = Dir::new();
    dir.write("a.npy.gz", gzip(&npy_f32(8, &values(3, 20, 8))));
    let mut command = dir.command("convert -i a.npy.gz -o a.f32");
    command.env("TMPDIR", dir.path("nowhere"));
    let output = crate::util::output(command, b"");
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("nowhere") && output.stderr.contains("TMPDIR"), "{}", output.stderr);
}

/// A wait for somebody who writes nothing can be called off.
#[cfg(unix)]
#[test]
fn waiting_for_standard_input_can_be_interrupted() {
    use rustix::process::{Pid, Signal, kill_process};
    let dir = Dir::new();
    let mut command = dir.command("convert -i - -o a.f32");
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"{\"a\"").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let stdin = child.stdin.take();
    let status = crate::util::wait(&mut child).unwrap();
    drop(stdin);
    assert_eq!(status.code(), Some(130));
    assert_eq!(dir.names(), [""; 0]);
}
