//! The files of big-ann-benchmarks, DiskANN and cuVS: two numbers, then the values. One name for each type of value.

use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::{Dense, DenseDataset, Layout, check_asked_dim, size_bytes};
use crate::{
    ByteOrder, DType, Dataset, DatasetInfo, Error, Format, Input, MAX_DIM, Position, Probe, Rows, Score,
};

/// Rows and values a row, u32 each, little-endian. The values follow.
const HEADER_BYTES: usize = 8;

/// Packed bits, as usearch writes them: not what the header seems to say.
const PACKED_BITS: &str = "bbin";

macro_rules! bin_formats {
    ($($(#[$doc:meta])* $type:ident: $name:literal, $names:expr, $dtype:ident, $summary:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $type {
            /// Whether the file is the first part of a larger one, and its header still has the number of rows of that:
            /// the whole rows that are there are read then.
            pub cropped: bool,
        }

        crate::register_format!($type);

        impl Format for $type {
            const NAME: &'static str = $name;
            const ALIASES: &'static [&'static str] = $names.split_at(1).1;
            const EXTENSIONS: &'static [&'static str] = $names;
            const SUMMARY: &'static str = $summary;
            const EXAMPLE: &'static str =
                concat!("[source]\ntype = \"", $name, "\"\npath = \"vectors.", $name, "\"\n");

            fn probe(probe: &Probe<'_>) -> Score {
                probe_bin(probe, Self::EXTENSIONS, DType::$dtype)
            }

            fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
                open_bin(Self::NAME, DType::$dtype, self.cropped, input)
            }
        }
    )*};
}

bin_formats! {
    /// f32 vectors of the big-ann-benchmarks (`.fbin`): rows and values a row as little-endian u32, then the values.
    Fbin: "fbin", &["fbin", "f32bin"], F32, "f32 vectors behind two u32, rows and dimension (big-ann-benchmarks)";
    /// f16 vectors with the header of `.fbin`: `.f16bin` of cuVS, `.hbin` of usearch.
    F16bin: "f16bin", &["f16bin", "hbin"], F16, "f16 vectors with the header of fbin (cuVS, usearch)";
    /// Vectors of unsigned bytes with the header of `.fbin`: `.u8bin` of the big-ann-benchmarks.
    U8bin: "u8bin", &["u8bin"], U8, "vectors of unsigned bytes with the header of fbin (big-ann-benchmarks)";
    /// Vectors of signed bytes with the header of `.fbin`: `.i8bin` of the big-ann-benchmarks.
    I8bin: "i8bin", &["i8bin"], I8, "vectors of signed bytes with the header of fbin (big-ann-benchmarks)";
    /// Vectors of i32 with the header of `.fbin`, each value up to 2^24. Ground truth, which has the same name, is refused.
    Ibin: "ibin", &["ibin", "i32bin"], I32, "i32 vectors with the header of fbin; ground truth is refused";
}

/// The family, for the help where a size is another member's.
const ALL: [(&str, DType); 5] = [
    ("fbin", DType::F32),
    ("f16bin", DType::F16),
    ("u8bin", DType::U8),
    ("i8bin", DType::I8),
    ("ibin", DType::I32),
];

/// Rows and values a row.
fn header(head: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes).map(u64::from);
    Some((number(0)?, number(4)?))
}

fn is_dim(dim: u64) -> bool {
    (1..=MAX_DIM as u64).contains(&dim)
}

/// The size of a file of so many values. No overflow: rows have 32 bits, and a dimension was checked.
fn whole_bytes(rows: u64, dim: u64, dtype: DType) -> Option<u64> {
    size_bytes(rows, dim, dtype)?.checked_add(HEADER_BYTES as u64)
}

fn probe_bin(probe: &Probe<'_>, extensions: &[&str], dtype: DType) -> Score {
    let extension = probe.extension();
    // Raw values have this name, too, so the sizes must tell.
    let shared = dtype == DType::F32 && extension == "bin";
    // Taken in order to be refused by name.
    let packed = dtype == DType::U8 && extension == PACKED_BITS;
    if !shared && !packed && !extensions.contains(&extension.as_str()) {
        return Score::No;
    }
    match header(probe.head) {
        Some((rows, dim)) if is_dim(dim) && whole_bytes(rows, dim, dtype) == Some(probe.len_bytes) => {
            let why =
                format!("its size is that of {rows} rows of {dim} {dtype} values, as its first 8 bytes say");
            Score::Yes(Score::SIZES, why.into())
        }
        _ if shared => Score::No,
        _ => Score::Yes(Score::EXTENSION, format!("its name ends in .{extension}").into()),
    }
}

fn open_bin(
    format: &'static str,
    dtype: DType,
    cropped: bool,
    input: &Input,
) -> Result<Box<dyn Dataset>, Error> {
    let source = input.source()?;
    let packed = input.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(PACKED_BITS));
    if dtype == DType::U8 && packed {
        let help = "unpack them: np.unpackbits(a, axis=1) of its rows, saved with np.save";
        return Err(
            Error::unsupported("expected a byte for each value, found packed bits (.bbin)").with_help(help)
        );
    }
    let len = source.len_bytes();
    let Some((rows, dim)) = header(&source.head(HEADER_BYTES)?) else {
        let found = format!("a file of {len} bytes");
        return Err(Error::expected("two u32, rows and values a row", found).at(Position::Byte(0)));
    };
    let dim = match usize::try_from(dim) {
        Ok(dim @ 1..=MAX_DIM) => dim,
        _ => {
            return Err(Error::expected(format!("1 to {MAX_DIM} values a row"), dim)
                .at(Position::Byte(4))
                .with_help(format!("the file is no {format}: that begins with rows and dimension as u32")));
        }
    };
    check_asked_dim(input.dim, dim).map_err(|error| error.at(Position::Byte(4)))?;
    let there = count_rows(format, len, (rows, dim as u64), dtype, cropped)?;
    let note = (there < rows).then(|| format!("the header says {rows} rows, {there} are there"));
    let info = DatasetInfo {
        format,
        rows: Rows::Exact(there),
        dim,
        dtype,
        metric: None,
        ids: None,
        payload: None,
        files: vec![input.path.clone()],
        size_bytes: len,
        chosen: Vec::new(),
        notes: note.into_iter().collect(),
    };
    let order = ByteOrder::Little;
    let layout = Layout { offset: HEADER_BYTES as u64, rows: there, dim, dtype, order, by_column: false };
    Ok(Box::new(DenseDataset { info, dense: Dense::new(source, layout) }))
}

/// The rows that a file of `len` bytes has: those of its header, unless it is `cropped`.
fn count_rows(
    format: &str,
    len: u64,
    (rows, dim): (u64, u64),
    dtype: DType,
    cropped: bool,
) -> Result<u64, Error> {
    let fits = |dtype| whole_bytes(rows, dim, dtype) == Some(len);
    if fits(dtype) {
        return Ok(rows);
    }
    // i32 neighbours, then f32 distances: two blocks of four bytes a value.
    if dtype == DType::I32 && fits(DType::I64) {
        let found = format!("ground truth: {dim} neighbours of {rows} queries, and their distances");
        return Err(Error::unsupported(format!("expected vectors, found {found}"))
            .with_help("it says which rows are near each query: name the file of the vectors"));
    }
    let row_bytes = dim * dtype.size_bytes() as u64;
    let there = (len - HEADER_BYTES as u64) / row_bytes;
    if cropped && there < rows {
        return Ok(there);
    }
    let bytes = u128::from(rows) * u128::from(row_bytes) + HEADER_BYTES as u128;
    let expected = format!("{bytes} bytes, 8 and {rows} rows of {dim} {dtype} values");
    let other: Vec<_> =
        ALL.iter().filter(|(_, dtype)| fits(*dtype)).map(|(name, _)| format!("--format {name}")).collect();
    let help = if !other.is_empty() {
        format!("another type of value has this size: {}", other.join(" or "))
    } else if there < rows {
        format!(
            "the file was cut short: copy it again, or, if it is the first part of a larger one, \
             say cropped = true in [source] to read the {there} rows that are there"
        )
    } else {
        format!("the header or the name is wrong: {format} files end with the last row")
    };
    Err(Error::expected(expected, len).with_help(help))
}
