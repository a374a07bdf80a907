#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sochdb_bulk_fuzz::text_ids_file(data));
