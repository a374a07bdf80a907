#![no_main]

#[path = "../src/foreign_index.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("fuzz-{}.foreign", std::process::id()));
    target::foreign_index(data, &path);
    // A file that stays is overwritten by the next input.
    let _ = std::fs::remove_file(path);
});
