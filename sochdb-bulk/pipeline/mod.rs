//! Pipelines: a source, stages, a sink, over one stream of batches.
//!
//! The way of a pipeline: a [`Text`] (a TOML file, or what a command line was turned into) is parsed into a [`Pipeline`]
//! ([`Pipeline::parse`]); [`Pipeline::plan`] opens the inputs' headers and checks everything that can be checked before
//! a byte is written; [`Plan::run`] does the work.

mod cancel;
mod check;
mod direct;
mod environment;
mod flow;
mod look;
mod monitoring;
mod open;
mod ordered;
mod passes;
mod plan;
mod problems;
mod run;
mod schema;
mod source;
mod spec;
mod spool;
mod stream;
mod text;

pub(crate) use cancel::{Cancel, survive_file_size_limit};
pub(crate) use check::all_finite as check_finite;
pub(crate) use environment::escaped;
pub(crate) use look::Look;
pub use monitoring::Monitoring;
pub use plan::Plan;
pub(crate) use run::threads_or_all;
pub use run::{OutputReport, Report};
pub(crate) use schema::schema;
pub(crate) use source::SOURCE_OPTIONS;
pub use spec::{IfExists, Pipeline, RunOptions};
pub(crate) use spec::{MAX_THREADS, is_stdio};
pub(crate) use stream::plain;
pub use stream::{IdSource, SourceName, StreamInfo};
pub use text::Text;
pub(crate) use text::did_you_mean;
