//! Everything that leaves the program but its results: files, progress, statistics, diagnostics. Nothing else names a
//! file to write or prints to stderr.

pub(crate) mod atomic;
pub(crate) mod diagnostics;
pub(crate) mod partial;
pub(crate) mod pieces;
pub(crate) mod progress;
pub(crate) mod stats;
pub(crate) mod stdout;
pub(crate) mod together;
pub(crate) mod units;
