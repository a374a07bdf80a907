//! NumPy's own file: a header of 128 bytes and the values.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dense::{Header, Layout, Rounding, Value, dense_sink};

/// Writes a .npy file of version 1.0 in C order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NpySink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The type of the values: f32 or f16.
    #[serde(default)]
    dtype: Float,
    /// What becomes of values that f16 does not hold exactly: exact refuses them, nearest rounds them.
    #[serde(default)]
    rounding: Rounding,
}

/// A type of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Float {
    #[default]
    F32,
    F16,
}

dense_sink!(
    NpySink,
    |sink| {
        let (descr, value) = match sink.dtype {
            Float::F32 => ("<f4", Value::F32),
            Float::F16 => ("<f2", Value::F16(sink.rounding)),
        };
        let header = Header::Npy(descr);
        Layout { name: "npy", what: "a .npy file", header, rows_have_dim: false, value }
    },
    {
        const NAME: &'static str = "npy";
        const ALIASES: &'static [&'static str] = &["numpy"];
        const EXTENSIONS: &'static [&'static str] = &["npy"];
        const SUMMARY: &'static str = "a NumPy .npy file of f32 or f16";
        const EXAMPLE: &'static str = "[sink]\ntype = \"npy\"\npath = \"vectors.npy\"\ndtype = \"f32\"\n";
    }
);
