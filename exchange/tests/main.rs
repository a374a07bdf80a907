//! Indexes of other libraries, written and read again.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod damage;
mod round_trip;
mod sources;
#[path = "../../fuzz/src/foreign_index.rs"]
#[allow(unreachable_pub, reason = "the fuzzer has it as its own")]
mod target;
