//! The memory of a run stays below what was planned, and that does not grow with the file.

use std::process::Stdio;

use crate::util::{Dir, npy, npy_f32, values};

const DIM: usize = 4096;
const ROWS: usize = 3800;

/// Memory of its own that the process had at most: `RssAnon`, which leaves out mapped files.
fn peak_anonymous_bytes(dir: &Dir, words: &str) -> (u64, serde_json::Value) {
    let mut command = dir.command(&format!("{words} --stats stats.json"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut samples) = (0, 0);
    let end = loop {
        if let Some(end) = child.try_wait().unwrap() {
            break end;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("RssAnon:")) {
            let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
            peak = peak.max(kib * 1024);
            samples += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    assert!(end.success(), "{words}: {end}");
    assert!(samples > 5, "{words}: it was over before it could be watched");
    (peak, serde_json::from_slice(&dir.read("stats.json")).unwrap())
}

fn stays_below_the_plan(dir: &Dir, words: &str) {
    let (peak, stats) = peak_anonymous_bytes(dir, words);
    let planned = stats["planned_memory_bytes"].as_u64().unwrap();
    let input = stats["input_bytes"].as_u64().unwrap();
    assert!(peak <= planned, "{words}: {peak} bytes, {planned} were planned");
    // Otherwise a copy of the whole file would pass.
    assert!(planned < input / 3 * 2, "{words}: {planned} planned for a file of {input}");
}

#[test]
fn a_file_of_vectors_is_never_copied_into_memory() {
    let dir = Dir::new();
    let mut all = values(1, ROWS, DIM);
    dir.write("single.npy", npy_f32(DIM, &all));
    let half: Vec<u8> = all.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
    all.clear();
    all.shrink_to_fit();
    // As many bytes as the other: each row twice.
    let half = [half.as_slice(), half.as_slice()].concat();
    dir.write("half.npy", npy("<f2", false, &format!("({ROWS}, {})", 2 * DIM), &half));
    drop(half);
    for name in ["single.npy", "half.npy"] {
        stays_below_the_plan(
            &dir,
            &format!("build-index -i {name} -o o.hnsw -m 4 -e 8 -t 2 --batch-size 40"),
        );
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        stays_below_the_plan(&dir, &format!("convert -i {name} -o o.npy -t 2 --batch-size 40"));
        stays_below_the_plan(&dir, &format!("convert -i {name} -o o.f32 -t 2 --batch-size 40 --io read"));
    }
}
