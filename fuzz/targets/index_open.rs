#![no_main]

#[path = "../src/index_open.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("fuzz-{}.hnsw", std::process::id()));
    target::index_open(data, &path);
    // A file that stays is overwritten by the next input.
    let _ = std::fs::remove_file(path);
});
