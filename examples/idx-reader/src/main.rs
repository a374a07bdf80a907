//! `sochdb-bulk`, which also reads IDX files.

use std::process::ExitCode;

// Naming the crate is what links it, and with it the format.
use idx_reader as _;

fn main() -> ExitCode {
    sochdb_bulk::main()
}
