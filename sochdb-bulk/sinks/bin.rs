//! The family of .fbin, as big-ann-benchmarks, DiskANN, cuVS and usearch read it: the number of rows and of values a row
//! as u32, then the values row by row, from byte 8 on; all little-endian.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dense::{Header, Layout, Rounding, Value, dense_sink};

const fn layout(name: &'static str, what: &'static str, value: Value) -> Layout {
    Layout { name, what, header: Header::Counts, rows_have_dim: false, value }
}

/// Writes f32 values behind the number of rows and of values a row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FbinSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(FbinSink, |_| layout("fbin", "an .fbin file", Value::F32), {
    const NAME: &'static str = "fbin";
    const EXTENSIONS: &'static [&'static str] = &["fbin"];
    const SUMMARY: &'static str = "rows and dim as u32, then f32 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"fbin\"\npath = \"vectors.fbin\"\n";
});

/// Writes f16 values behind the number of rows and of values a row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct F16binSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// What becomes of values that f16 does not hold exactly: exact refuses them, nearest rounds them.
    #[serde(default)]
    rounding: Rounding,
}

dense_sink!(F16binSink, |sink| layout("f16bin", "an .f16bin file", Value::F16(sink.rounding)), {
    const NAME: &'static str = "f16bin";
    const ALIASES: &'static [&'static str] = &["hbin"];
    const EXTENSIONS: &'static [&'static str] = &["f16bin", "hbin"];
    const SUMMARY: &'static str = "rows and dim as u32, then f16 values";
    const EXAMPLE: &'static str =
        "[sink]\ntype = \"f16bin\"\npath = \"vectors.f16bin\"\nrounding = \"nearest\"\n";
});

/// Writes i8 values behind the number of rows and of values a row. Only whole numbers from -128 to 127 are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct I8binSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(I8binSink, |_| layout("i8bin", "an .i8bin file", Value::I8), {
    const NAME: &'static str = "i8bin";
    const EXTENSIONS: &'static [&'static str] = &["i8bin"];
    const SUMMARY: &'static str = "rows and dim as u32, then i8 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"i8bin\"\npath = \"vectors.i8bin\"\n";
});

/// Writes u8 values behind the number of rows and of values a row. Only whole numbers from 0 to 255 are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct U8binSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(U8binSink, |_| layout("u8bin", "a .u8bin file", Value::U8), {
    const NAME: &'static str = "u8bin";
    const EXTENSIONS: &'static [&'static str] = &["u8bin"];
    const SUMMARY: &'static str = "rows and dim as u32, then u8 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"u8bin\"\npath = \"vectors.u8bin\"\n";
});

/// Writes i32 values behind the number of rows and of values a row. Only whole numbers are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IbinSink {
    /// The file to write; `-` is standard output. What ends in `.zst` is compressed.
    #[serde(skip_serializing)]
    path: PathBuf,
}

dense_sink!(IbinSink, |_| layout("ibin", "an .ibin file", Value::I32), {
    const NAME: &'static str = "ibin";
    const ALIASES: &'static [&'static str] = &["i32bin"];
    const EXTENSIONS: &'static [&'static str] = &["ibin", "i32bin"];
    const SUMMARY: &'static str = "rows and dim as u32, then i32 values";
    const EXAMPLE: &'static str = "[sink]\ntype = \"ibin\"\npath = \"vectors.ibin\"\n";
});
