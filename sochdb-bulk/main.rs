//! The program `sochdb-bulk`. Everything is in the library, so that a program with more plugins is as short as this.

use std::process::ExitCode;

fn main() -> ExitCode {
    sochdb_bulk::main()
}
