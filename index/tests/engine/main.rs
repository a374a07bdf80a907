//! What the index engine promises: the same graph every time, good answers, no row lost, and a file in which nothing
//! can be changed unnoticed.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever sets the limits anew")]

mod answers;
mod cases;
mod check;
mod codes;
mod damage;
mod data;
mod determinism;
mod graph;
mod hostile;
mod inputs;
mod join;
mod kept;
mod large;
mod memory;
mod mutations;
mod outliers;
mod rank;
mod raw;
mod roundtrip;
mod storage;
#[allow(unreachable_pub, reason = "the fuzz target, a program of its own")]
#[path = "../../../fuzz/src/index_open.rs"]
mod target;
mod text_ids;
mod versions;
