//! Stages: what happens to batches between source and sink. One file each; a new one is a file and a line here.

mod action;
mod cast;
mod center;
mod dedup;
mod draw;
mod dropped;
mod filter;
mod fitted;
mod ids;
mod limit;
mod max_bad;
mod normalize;
mod pca;
mod quarantine;
mod sample;
mod select;
mod shuffle;
mod slice;

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

pub use action::{Action, Fit, Lesson, Map, Reorder};
pub use cast::{Cast, Overflow, To};
pub use center::Center;
pub(crate) use dedup::hash_of;
pub use dedup::{By, Dedup};
pub(crate) use draw::Draw;
pub use draw::DrawnRows;
pub use dropped::Dropped;
pub use filter::{Fault, Filter, OnError};
pub use ids::Ids;
pub use limit::Limit;
pub use normalize::{Norm, Normalize, ZeroRows};
pub use pca::Pca;
pub use sample::Sample;
pub use select::Select;
pub use shuffle::Shuffle;
pub use slice::Slice;

use crate::Failure;
use crate::pipeline::StreamInfo;

/// A kind of stage. The implementing type is its options, as with [`readers::Format`]; what [`Serialize`] writes of it
/// goes into the recipe of an index, so paths are left out there. Register it with [`crate::register_stage!`].
pub trait Stage: DeserializeOwned + Serialize + JsonSchema + fmt::Debug + Send + Sync + 'static {
    /// The name in `type = "..."`.
    const NAME: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// A `[[stage]]` table as one would write it.
    const EXAMPLE: &'static str;

    /// Replaces the paths among the options by what `resolve` makes of them.
    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        let _ = resolve;
    }

    /// The files that the stage reads.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The files that the stage writes. They get their names together with the sink's, when all is done.
    fn outputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether the stage gives every row an id whatever it had.
    fn replaces_ids(&self) -> bool {
        false
    }

    /// Whether the stage looks at further columns, so that they are read even if the sink does not keep them.
    fn reads_payload(&self) -> bool {
        false
    }

    /// What becomes of rows with NaN or infinities.
    fn non_finite(&self) -> NonFinite {
        NonFinite::Refused
    }

    /// The memory that the stage keeps for the whole run, in bytes; what it takes for a batch is counted anyway.
    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        let _ = input;
        0
    }

    /// Checks the stream that comes in, and says what goes out and how. Nothing is written yet. May be called more than once:
    /// every pass over the rows has a map of its own.
    ///
    /// # Errors
    /// Why the stage cannot work on this stream.
    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure>;
}

/// What becomes of rows with NaN or infinities in a stage. The runner refuses such rows before the first stage that wants
/// none of them, or before the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NonFinite {
    /// The stage computes with values and wants none of them.
    Refused,
    /// The stage takes them, and may fail at rows or report them.
    Handled,
    /// The stage takes them, neither fails nor reports: reading may end early behind it, since rows that were read too many
    /// change nothing.
    Passed,
}

/// [`Stage`] without the associated constants.
pub trait AnyStage: fmt::Debug + Send + Sync {
    /// [`Stage::NAME`].
    fn name(&self) -> &'static str;
    /// As [`Stage::resolve_paths`].
    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf);
    /// As [`Stage::inputs`].
    fn inputs(&self) -> Vec<PathBuf>;
    /// As [`Stage::outputs`].
    fn outputs(&self) -> Vec<PathBuf>;
    /// As [`Stage::replaces_ids`].
    fn replaces_ids(&self) -> bool;
    /// As [`Stage::reads_payload`].
    fn reads_payload(&self) -> bool;
    /// As [`Stage::non_finite`].
    fn non_finite(&self) -> NonFinite;
    /// As [`Stage::memory_bytes`].
    fn memory_bytes(&self, input: &StreamInfo) -> u64;
    /// As [`Stage::build`].
    ///
    /// # Errors
    /// As [`Stage::build`].
    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure>;
    /// The options that decide the result, with `type`.
    fn recipe(&self) -> toml::Table;
}

impl<T: Stage> AnyStage for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        Stage::resolve_paths(self, resolve);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        Stage::inputs(self)
    }

    fn outputs(&self) -> Vec<PathBuf> {
        Stage::outputs(self)
    }

    fn replaces_ids(&self) -> bool {
        Stage::replaces_ids(self)
    }

    fn reads_payload(&self) -> bool {
        Stage::reads_payload(self)
    }

    fn non_finite(&self) -> NonFinite {
        Stage::non_finite(self)
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        Stage::memory_bytes(self, input)
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        Stage::build(self, input)
    }

    fn recipe(&self) -> toml::Table {
        recipe_of(T::NAME, self)
    }
}

/// `type` and then what `options` serialise to.
pub(crate) fn recipe_of(name: &str, options: &impl Serialize) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("type".to_owned(), name.into());
    // Options are plain values, which TOML always can write.
    table.extend(toml::Table::try_from(options).unwrap_or_default());
    table
}

/// Everything that is known of a stage.
pub struct StageDescriptor {
    /// [`Stage::NAME`].
    pub name: &'static str,
    /// [`Stage::SUMMARY`].
    pub summary: &'static str,
    /// [`Stage::EXAMPLE`].
    pub example: &'static str,
    /// The crate that brings it.
    pub krate: &'static str,
    /// The JSON schema of the options.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads the options.
    pub parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<dyn AnyStage>, toml::de::Error>,
}

impl StageDescriptor {
    /// The descriptor of `T`, brought by the crate `krate`.
    pub const fn of<T: Stage>(krate: &'static str) -> Self {
        Self {
            name: T::NAME,
            summary: T::SUMMARY,
            example: T::EXAMPLE,
            krate,
            schema: T::json_schema,
            parse: |options| Ok(Box::new(T::deserialize(options)?)),
        }
    }
}

impl fmt::Debug for StageDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StageDescriptor({} from {})", self.name, self.krate)
    }
}

inventory::collect!(StageDescriptor);

/// Adds a stage to the registry: `sochdb_bulk::register_stage!(MyStage);`.
#[macro_export]
macro_rules! register_stage {
    ($stage:ty) => {
        $crate::__inventory::submit! {
            $crate::stages::StageDescriptor::of::<$stage>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Every linked stage, sorted by name.
pub fn all() -> Vec<&'static StageDescriptor> {
    let mut all: Vec<_> = inventory::iter::<StageDescriptor>().collect();
    all.sort_by_key(|stage| (stage.name, stage.krate));
    all
}

/// The stage of that name.
pub(crate) fn called(name: &str) -> Option<&'static StageDescriptor> {
    all().into_iter().find(|stage| stage.name.eq_ignore_ascii_case(name))
}
