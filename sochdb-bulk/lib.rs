//! `sochdb-bulk`: embeddings in files to searchable HNSW indexes.
//!
//! Everything is a [`pipeline`]: a source (a file in any format that a reader knows), any number of stages, and a sink,
//! over one stream of batches whose vectors usually are the mapped input file itself. `build-index` and `convert` are
//! two particular pipelines.
//!
//! A program with more plugins names their crates and calls [`main`]:
//!
//! ```no_run
//! // use my_reader as _;
//! fn main() -> std::process::ExitCode {
//!     sochdb_bulk::main()
//! }
//! ```
//!
//! The same work from Rust:
//!
//! ```
//! use sochdb_bulk::pipeline::{Monitoring, Pipeline, Text};
//!
//! # fn main() -> Result<(), sochdb_bulk::Failure> {
//! # let dir = tempfile::tempdir().unwrap();
//! # std::fs::write(dir.path().join("a.f32"), [1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).as_flattened()).unwrap();
//! let text = r#"
//!     version = 1
//!     source = { path = "a.f32", dim = 2 }
//!     sink = { type = "hnsw", path = "a.hnsw", metric = "l2" }
//! "#;
//! let pipeline = Pipeline::parse(Text::new("example", text, dir.path()))?;
//! let report = pipeline.plan()?.run(&Monitoring::silent())?;
//! assert_eq!(report.rows, 2);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod cli;
mod codes;
mod error;
mod output;
pub mod pipeline;
pub mod sinks;
pub mod stages;

pub use cli::main;
pub use codes::Code;
pub use error::{Failure, Kind};
pub use inventory as __inventory;

/// The code of docs/CONTRIBUTING.md is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/CONTRIBUTING.md")]
struct Contributing;
