//! The index engine of `sochdb-bulk`: from a matrix of vectors to an HNSW graph, from the graph to a file, and from the
//! file to answers.
//!
//! HNSW is Malkov and Yashunin's "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
//! Small World graphs" (arXiv 1603.09320); names and algorithm numbers are theirs.
//!
//! ```
//! use index::{AutoBuilder, Index, Matrix, Metric, Params, Unmonitored, build, file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let values = [0.0f32, 0.0, 1.0, 0.0, 5.0, 5.0];
//! let matrix = Matrix::new(&values, 2);
//! let built = build(matrix, &Params::new(Metric::L2), &AutoBuilder, &Unmonitored)?;
//!
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("three.hnsw");
//! let contents = file::Contents {
//!     built: &built,
//!     vectors: file::Vectors::Elsewhere(matrix),
//!     vector_checksums: None,
//!     ids: None,
//!     text_ids: None,
//!     recipe: "",
//! };
//! file::write(&mut std::fs::File::create(&path)?, &contents)?;
//!
//! let index = Index::open(&path)?;
//! let hits = index.searcher().search(&[0.9, 0.1], 2, 50)?;
//! assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [1, 0]);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod beam;
mod build;
mod check;
mod codes;
mod copies;
mod distance;
mod exact;
pub mod file;
mod graph;
mod import;
mod index;
#[doc(hidden)]
pub mod internals;
mod level;
mod metric;
mod mmap;
mod params;
mod rank;
mod recall;
mod recycled;
mod search;
mod select;
mod storage;
mod text_ids;
mod vectors;
mod visited;
mod walk;

pub use build::{
    AutoBuilder, BuildError, BuildInput, Built, GraphBuilder, InsertBuilder, KnownGraph, MemoryPart, Monitor,
    Outcome, PartitionBuilder, Phase, Stopped, Unmonitored, build, build_from, join_memory_bytes,
    memory_parts,
};
pub use check::BlockCheck;
pub use distance::{Distance, InstructionSet};
pub use exact::{ExactSearch, exact};
pub use graph::{Graph, MAX_ROWS};
pub use import::{Dropped, ForeignGraph, ImportError, import};
pub use index::{Hit, Index, SearchMemory, Searcher};
pub use metric::Metric;
pub use mmap::MappedMatrix;
pub use params::{InvalidParams, Params};
pub use storage::{Storage, check_storage};
pub use text_ids::{TextIdSource, TextIds, same_text_ids};
pub use vectors::{InvalidRow, MAX_SQUARED_NORM, Matrix};
