//! The program from end to end: what its documents promise, run as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test data is small")]
#![allow(clippy::print_stderr, reason = "a test that cannot run here says so")]

#[cfg(unix)]
mod atomic;
mod bad_input;
mod cli;
mod columns;
mod damaged;
mod determinism;
mod eval;
mod examples;
mod exchange;
#[cfg(unix)]
mod exec;
mod guess;
mod inspect;
mod language;
mod layering;
#[cfg(target_os = "linux")]
mod memory;
mod merge;
mod mistakes;
mod new;
mod odd_input;
mod packed;
#[cfg(target_os = "linux")]
mod plan_memory;
mod planning;
mod plugin_crate;
mod plugins;
mod recipes;
mod regression;
#[cfg(unix)]
mod resume;
mod several;
mod stages;
mod storage;
mod tour;
mod util;
mod verify;
mod writers;
