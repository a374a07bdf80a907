//! How near the planned memory is to what is taken, for every source and sink that one would plan for.

use crate::memory::peak_anonymous_bytes;
use crate::util::{Dir, npy_f32, values};

const DIM: usize = 256;
const ROWS: usize = 20_000;

/// A plan that is smaller than this is mostly what any process takes, which differs from machine to machine by more than a tenth.
const SMALL_BYTES: u64 = 4 << 20;

/// By so much a small plan may be too large.
const SMALL_SLACK_BYTES: u64 = 384 << 10;

fn dir() -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &values(5, ROWS, DIM)));
    dir.ok("convert -i a.npy -o a.f32");
    dir.ok("convert -i a.npy -o a.parquet");
    dir
}

/// Checks that a command keeps to its plan, and comes near to it at least once: on a busy machine one thread may have done all before another
/// began.
fn check(dir: &Dir, words: &str, is_near: impl Fn(u64, u64) -> bool) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (peak, stats) = peak_anonymous_bytes(dir, words);
        let planned = stats["planned_memory_bytes"].as_u64().unwrap();
        assert!(peak <= planned, "{words}: {peak} bytes, {planned} were planned");
        for name in dir.names().iter().filter(|name| name.starts_with("o.")) {
            std::fs::remove_file(dir.path(name)).unwrap();
        }
        if is_near(peak, planned) {
            return;
        }
        seen.push((peak, planned));
    }
    panic!("{words}: bytes that were taken and planned: {seen:?}");
}

#[test]
fn what_is_planned_for_files_is_taken() {
    let dir = dir();
    for input in ["a.f32 -d 256", "a.npy", "a.npy --io read", "a.parquet"] {
        for output in ["o.f32", "o.npy", "o.parquet"] {
            for limit in ["1GiB", if output == "o.parquet" { "40MiB" } else { "3MiB" }] {
                let words = format!("convert -i {input} -o {output} -t 2 --memory-limit {limit}");
                check(&dir, &words, |peak, planned| {
                    peak * 10 >= planned * 9 || planned < SMALL_BYTES && planned - peak <= SMALL_SLACK_BYTES
                });
            }
        }
    }
}

/// What an index takes depends on its rows: how many of their dimensions carve them, how large the largest group is. The plan is for the
/// worst.
#[test]
fn what_is_planned_for_an_index_is_taken_for_most_of_it() {
    let dir = dir();
    for input in ["a.f32 -d 256", "a.npy", "a.parquet"] {
        for limit in ["1GiB", "48MiB"] {
            let words = format!("build-index -i {input} -o o.hnsw -t 2 --memory-limit {limit}");
            check(&dir, &words, |peak, planned| peak * 10 >= planned * 6);
        }
    }
}
