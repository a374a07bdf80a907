//! Sinks: where a stream ends. One file each; a new one is a file and a line here.

mod arrow;
mod bin;
mod columns;
mod csv;
mod dense;
mod foreign;
mod hnsw;
mod json_columns;
mod jsonl;
mod npy;
mod null;
mod parquet;
mod parquet_vectors;
mod raw_f32;
mod rows;
mod stream;
mod tee;
#[cfg(test)]
mod tests;
mod vecs;

use std::fmt;
use std::path::{Path, PathBuf};

use readers::{Batch, Matrix};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

pub use arrow::{ArrowSink, ArrowStreamSink};
pub use bin::{F16binSink, FbinSink, I8binSink, IbinSink, U8binSink};
pub(crate) use columns::{payload_columns, payload_fields};
pub use csv::CsvSink;
pub use dense::Rounding;
pub(crate) use foreign::write_for;
pub use hnsw::Hnsw;
pub(crate) use hnsw::MergeOptions;
pub(crate) use hnsw::append::merge;
pub(crate) use json_columns::{JsonColumns, push_string};
pub use jsonl::JsonlSink;
pub(crate) use jsonl::text_bytes;
pub use npy::NpySink;
pub use null::Null;
pub use parquet::ParquetSink;
pub use raw_f32::RawF32Sink;
pub(crate) use stream::{Stream, inside_zst};
pub(crate) use tee::Tee;
pub use vecs::{BvecsSink, FvecsSink, IvecsSink};

use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::progress::Progress;
use crate::pipeline::{Cancel, OutputReport, RecallCheck, StreamInfo};
use crate::stages::recipe_of;

/// A kind of sink. The implementing type is its options, as with [`readers::Format`]; what [`Serialize`] writes of it
/// goes into the recipe of an index, so paths and whatever does not decide the result are left out there. Register it
/// with [`crate::register_sink!`].
pub trait Sink: DeserializeOwned + Serialize + JsonSchema + fmt::Debug + Send + Sync + 'static {
    /// The name in `type = "..."` and `--to-format`.
    const NAME: &'static str;
    /// Further names. Lower case.
    const ALIASES: &'static [&'static str] = &[];
    /// File name extensions by which `convert` chooses it. Lower case, without the dot.
    const EXTENSIONS: &'static [&'static str] = &[];
    /// One line for lists.
    const SUMMARY: &'static str;
    /// A `[sink]` table as one would write it.
    const EXAMPLE: &'static str;
    /// Whether further columns of the rows are kept. Where they are not, they are not read either.
    const KEEPS_PAYLOAD: bool = false;
    /// Whether the output can be searched, so that its recall can be asked for.
    const MEASURES_RECALL: bool = false;

    /// Replaces the paths among the options by what `resolve` makes of them.
    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf);

    /// The files that the sink reads. One of them may be its output as well.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The files that the sink writes for such a stream; none for standard output.
    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf>;

    /// Checks the stream and settles what the options left open, such as a metric that the source records.
    ///
    /// # Errors
    /// Why the sink cannot take this stream.
    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure>;

    /// Begins to write.
    ///
    /// # Errors
    /// Why it cannot begin.
    fn open(&self, job: SinkJob) -> Result<Writer, Failure>;
}

/// What a sink says before it begins.
#[derive(Debug, Clone, Default)]
pub struct SinkPlan {
    /// What it will need memory for, and an upper bound of each part in bytes.
    pub memory: Vec<(&'static str, u64)>,
    /// What it will need besides when all rows have come: no batch is in memory then.
    pub memory_after: Vec<(&'static str, u64)>,
    /// Things a person should hear.
    pub notes: Vec<String>,
    /// Whether the rows go to standard output.
    pub uses_stdout: bool,
    /// Whether rows may come in any order, from any thread: the writer is [`Writer::Positional`].
    pub is_positional: bool,
    /// About the size of all files, where that is known before.
    pub output_bytes: Option<u64>,
    /// Whether the file may be written by several runs one after the other: a positional one, of rows whose place is known. The
    /// sink then takes [`SinkJob::resume`] and [`PositionalWriter::commit`].
    pub can_resume: bool,
}

impl SinkPlan {
    /// The plan of several sinks that get the same rows.
    pub(crate) fn together(plans: Vec<Self>) -> Self {
        let mut all = Self { output_bytes: Some(0), is_positional: true, ..Self::default() };
        for plan in plans {
            add_parts(&mut all.memory, plan.memory);
            add_parts(&mut all.memory_after, plan.memory_after);
            all.notes.extend(plan.notes);
            all.uses_stdout |= plan.uses_stdout;
            all.is_positional &= plan.is_positional;
            all.can_resume |= plan.can_resume;
            all.output_bytes =
                all.output_bytes.zip(plan.output_bytes).map(|(sum, bytes)| sum.saturating_add(bytes));
        }
        all
    }
}

fn add_parts(all: &mut Vec<(&'static str, u64)>, parts: Vec<(&'static str, u64)>) {
    for (name, bytes) in parts {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => all.push((name, bytes)),
        }
    }
}

/// What a sink gets to begin with.
#[derive(Debug, Clone)]
pub struct SinkJob {
    /// The stream.
    pub input: StreamInfo,
    /// All rows as one matrix in place, where the values are the source's own and it can give them so. They still come
    /// as batches, checked.
    pub matrix: Option<Matrix>,
    /// The pipeline as TOML, as far as it decides the result.
    pub recipe: String,
    /// The recall that the output must have. Only for sinks with [`Sink::MEASURES_RECALL`].
    pub check: Option<RecallCheck>,
    /// Whether the file is to be one that stays when the run is stopped. Only for sinks with [`SinkPlan::can_resume`].
    pub resume: bool,
}

/// What a sink gets to finish with.
pub struct Finish<'a> {
    /// How many rows came.
    pub rows: u64,
    /// The most threads that may run.
    pub threads: usize,
    pub(crate) cancel: &'a Cancel,
    pub(crate) progress: &'a Progress,
}

/// Files that are whole, to be given their names together, in this order; and what to say of them.
pub struct Finished {
    pub(crate) files: Vec<AtomicFile>,
    pub(crate) outputs: Vec<OutputReport>,
}

/// How a sink takes batches.
pub enum Writer {
    /// In any order, from any thread.
    Positional(Box<dyn PositionalWriter>),
    /// In the order of the rows.
    Ordered(Box<dyn OrderedWriter>),
}

/// Takes batches in any order, from any thread.
pub trait PositionalWriter: Send + Sync {
    /// Writes the rows of a batch to their place: `position` is the first one's, counted from 0 in the stream.
    ///
    /// # Errors
    /// What went wrong; the run is over then.
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure>;

    /// Brings all that was written to the disk. For sinks with [`SinkPlan::can_resume`].
    ///
    /// # Errors
    /// What went wrong.
    fn commit(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// All rows are there.
    ///
    /// # Errors
    /// What went wrong.
    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure>;
}

/// Takes batches in order.
pub trait OrderedWriter: Send {
    /// Writes the next rows.
    ///
    /// # Errors
    /// What went wrong; the run is over then.
    fn append(&mut self, batch: &Batch) -> Result<(), Failure>;

    /// There are no more.
    ///
    /// # Errors
    /// What went wrong.
    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure>;
}

/// A sink that takes rows anywhere, given them in order: for streams whose length nobody knows.
pub(crate) struct InOrder {
    writer: Box<dyn PositionalWriter>,
    position: u64,
}

impl InOrder {
    pub(crate) fn new(writer: Box<dyn PositionalWriter>) -> Self {
        Self { writer, position: 0 }
    }
}

impl OrderedWriter for InOrder {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.writer.write_at(self.position, batch)?;
        self.position += batch.rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        self.writer.finish(finish)
    }
}

/// [`Sink`] without the associated constants.
pub trait AnySink: fmt::Debug + Send + Sync {
    /// [`Sink::NAME`].
    fn name(&self) -> &'static str;
    /// The names of all sinks that it is made of.
    fn names(&self) -> Vec<&'static str> {
        vec![self.name()]
    }
    /// How long each of them is at work so far, where they are several.
    fn busy_secs(&self) -> Vec<f64> {
        Vec::new()
    }
    /// [`Sink::KEEPS_PAYLOAD`].
    fn keeps_payload(&self) -> bool;
    /// [`Sink::MEASURES_RECALL`].
    fn measures_recall(&self) -> bool;
    /// As [`Sink::resolve_paths`].
    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf);
    /// As [`Sink::inputs`].
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    /// As [`Sink::outputs`].
    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf>;
    /// As [`Sink::plan`].
    ///
    /// # Errors
    /// As [`Sink::plan`].
    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure>;
    /// As [`Sink::open`].
    ///
    /// # Errors
    /// As [`Sink::open`].
    fn open(&self, job: SinkJob) -> Result<Writer, Failure>;
    /// The options that decide the result, with `type`.
    fn recipe(&self) -> toml::Table;
}

impl<T: Sink> AnySink for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn keeps_payload(&self) -> bool {
        T::KEEPS_PAYLOAD
    }

    fn measures_recall(&self) -> bool {
        T::MEASURES_RECALL
    }

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        Sink::resolve_paths(self, resolve);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        Sink::inputs(self)
    }

    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf> {
        Sink::outputs(self, input)
    }

    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure> {
        Sink::plan(self, input, threads)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        Sink::open(self, job)
    }

    fn recipe(&self) -> toml::Table {
        recipe_of(T::NAME, self)
    }
}

/// Everything that is known of a sink.
pub struct SinkDescriptor {
    /// [`Sink::NAME`].
    pub name: &'static str,
    /// [`Sink::ALIASES`].
    pub aliases: &'static [&'static str],
    /// [`Sink::EXTENSIONS`].
    pub extensions: &'static [&'static str],
    /// [`Sink::SUMMARY`].
    pub summary: &'static str,
    /// [`Sink::EXAMPLE`].
    pub example: &'static str,
    /// The crate that brings it.
    pub krate: &'static str,
    /// The JSON schema of the options.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads the options.
    pub parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<dyn AnySink>, toml::de::Error>,
}

impl SinkDescriptor {
    /// The descriptor of `T`, brought by the crate `krate`.
    pub const fn of<T: Sink>(krate: &'static str) -> Self {
        Self {
            name: T::NAME,
            aliases: T::ALIASES,
            extensions: T::EXTENSIONS,
            summary: T::SUMMARY,
            example: T::EXAMPLE,
            krate,
            schema: T::json_schema,
            parse: |options| Ok(Box::new(T::deserialize(options)?)),
        }
    }
}

impl fmt::Debug for SinkDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkDescriptor({} from {})", self.name, self.krate)
    }
}

inventory::collect!(SinkDescriptor);

/// Adds a sink to the registry: `sochdb_bulk::register_sink!(MySink);`.
#[macro_export]
macro_rules! register_sink {
    ($sink:ty) => {
        $crate::__inventory::submit! {
            $crate::sinks::SinkDescriptor::of::<$sink>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Every linked sink, sorted by name.
pub fn all() -> Vec<&'static SinkDescriptor> {
    let mut all: Vec<_> = inventory::iter::<SinkDescriptor>().collect();
    all.sort_by_key(|sink| (sink.name, sink.krate));
    all
}

/// The sink of that name or alias.
pub(crate) fn called(word: &str) -> Option<&'static SinkDescriptor> {
    let word = word.to_ascii_lowercase();
    all().into_iter().find(|sink| sink.name == word || sink.aliases.contains(&word.as_str()))
}
