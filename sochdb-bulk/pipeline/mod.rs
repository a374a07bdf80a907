//! Pipelines: a source, stages, a sink, over one stream of batches.
//!
//! The way of a pipeline: a [`Text`] (a TOML file, or what a command line was turned into) is parsed into a [`Pipeline`]
//! ([`Pipeline::parse`]); [`Pipeline::plan`] opens the inputs' headers and checks everything that can be checked before
//! a byte is written; [`Plan::run`] does the work.

mod cancel;
mod check;
mod direct;
mod environment;
mod estimate;
mod flow;
mod look;
mod memory;
mod monitoring;
mod on_error;
mod open;
mod ordered;
mod outline;
mod overrides;
mod passes;
mod plan;
mod problems;
mod recall;
mod remedies;
mod resume;
mod run;
mod run_options;
mod schema;
mod source;
mod spec;
mod spool;
mod stream;
mod suggest;
mod text;
mod wrong_value;

pub(crate) use cancel::{Cancel, end_with_stdin, survive_file_size_limit};
pub(crate) use check::all_finite as check_finite;
pub(crate) use environment::escaped;
pub use estimate::Estimate;
pub(crate) use estimate::estimate;
pub(crate) use flow::Clock;
pub(crate) use look::Look;
pub(crate) use memory::listed as listed_memory;
pub use monitoring::Monitoring;
pub use outline::{Outline, OutputOutline, StepOutline};
pub use plan::Plan;
pub use recall::RecallCheck;
pub(crate) use run::threads_or_all;
pub use run::{OutputReport, Report};
pub(crate) use run_options::MAX_THREADS;
pub use run_options::{IfExists, MemoryLimit, RunOptions};
pub(crate) use schema::schema;
pub(crate) use source::SOURCE_OPTIONS;
pub use spec::Pipeline;
pub(crate) use spec::is_stdio;
pub(crate) use stream::plain;
pub use stream::{IdSource, SourceName, StreamInfo};
pub(crate) use suggest::did_you_mean;
pub use text::Text;

/// Indexes of up to so many rows compare all rows with all.
const SMALL_INDEX_ROWS: u64 = 8192;
