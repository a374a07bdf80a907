//! What may be said of an index in a word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How vectors are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Storage {
    #[default]
    F32,
    F16,
    I8,
    Source,
}

impl Storage {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn of_index(self) -> index::Storage {
        match self {
            Self::F32 => index::Storage::F32,
            Self::F16 => index::Storage::F16,
            Self::I8 => index::Storage::I8,
            Self::Source => index::Storage::Source,
        }
    }

    /// Bytes of a value in the index.
    pub(super) fn value_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
            Self::Source => 0,
        }
    }

    /// Whether the vectors are written to their place as they come.
    pub(super) fn is_in_place(self) -> bool {
        self == Self::F32
    }
}

/// Codes of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Codes {
    #[default]
    Auto,
    I8,
    None,
}

/// How neighbours are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Builder {
    #[default]
    Auto,
    Partition,
    Insert,
}
