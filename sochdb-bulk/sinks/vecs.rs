//! The family of .fvecs, as faiss and the TEXMEX data sets have it: every row begins with the number of its values as
//! i32; all little-endian.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dense::{Header, Layout, Value, dense_sink};

const fn layout(name: &'static str, what: &'static str, value: Value) -> Layout {
    Layout { name, what, header: Header::None, rows_have_dim: true, value }
}

/// Writes f32 values, with the number of them before each row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FvecsSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(FvecsSink, |_| layout("fvecs", "an .fvecs file", Value::F32), {
    const NAME: &'static str = "fvecs";
    const EXTENSIONS: &'static [&'static str] = &["fvecs"];
    const SUMMARY: &'static str = "each row dim as i32 and f32 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"fvecs\"\npath = \"vectors.fvecs\"\n";
});

/// Writes u8 values, with the number of them before each row. Only whole numbers from 0 to 255 are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BvecsSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(BvecsSink, |_| layout("bvecs", "a .bvecs file", Value::U8), {
    const NAME: &'static str = "bvecs";
    const EXTENSIONS: &'static [&'static str] = &["bvecs"];
    const SUMMARY: &'static str = "each row dim as i32 and u8 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"bvecs\"\npath = \"vectors.bvecs\"\n";
});

/// Writes i32 values, with the number of them before each row. Only whole numbers are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IvecsSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(IvecsSink, |_| layout("ivecs", "an .ivecs file", Value::I32), {
    const NAME: &'static str = "ivecs";
    const EXTENSIONS: &'static [&'static str] = &["ivecs"];
    const SUMMARY: &'static str = "each row dim as i32 and i32 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"ivecs\"\npath = \"vectors.ivecs\"\n";
});
