#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sochdb_bulk_fuzz::foreign_index(data));
