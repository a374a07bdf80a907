//! Files of named tensors, as Hugging Face's libraries write them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::dense::{Dense, DenseDataset, Layout, check_asked_dim, size_bytes};
use super::quoted;
use crate::{
    ByteOrder, Chosen, DType, Dataset, DatasetInfo, Error, Format, Input, MAX_DIM, Position, Probe, Rows,
    Score, Source,
};

/// Tensors of Hugging Face's libraries (`.safetensors`). One row of a tensor of two dimensions is one vector.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Safetensors {
    /// The name of the tensor. Needed where more than one has two dimensions.
    #[serde(alias = "vector_column")]
    #[schemars(extend("aliases" = ["vector_column"]))]
    pub tensor: Option<String>,
}

crate::register_format!(Safetensors);

/// The length of the header, u64.
const LENGTH_BYTES: usize = 8;

/// As the library of the format: a longer header is not parsed.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// How many tensors a message names.
const SHOWN: usize = 8;

impl Format for Safetensors {
    const NAME: &'static str = "safetensors";
    const EXTENSIONS: &'static [&'static str] = &["safetensors"];
    const SUMMARY: &'static str = "one tensor of a .safetensors file: f16, bf16, f32, f64 and integers";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"safetensors\"\npath = \"model.safetensors\"\ntensor = \"embedding.weight\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let Some(text) = header_bytes(probe.head, probe.len_bytes).and_then(|len| {
            let start = probe.head.get(LENGTH_BYTES..)?;
            start.starts_with(b"{\"").then(|| start.get(..len))
        }) else {
            return probe.by_extension(Self::EXTENSIONS);
        };
        let points = match text.map(serde_json::from_slice::<Header>) {
            Some(Ok(_)) => Score::CERTAIN,
            _ => Score::MAGIC,
        };
        Score::Yes(
            points,
            "its first 8 bytes are the length of the JSON that follows, as in safetensors".into(),
        )
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let (header, data_offset) = read_header(&source)?;
        let name = header.choose(self.tensor.as_deref())?;
        let at = || Position::Part(format!("tensor {}", quoted(name)));
        let data_bytes = source.len_bytes() - data_offset;
        let tensor = header.tensors.get(name).map(|tensor| tensor.check(data_bytes)).transpose();
        let Some((rows, dim, dtype, start)) = tensor.map_err(|error| error.at(at()))? else {
            return Err(Error::request("it is not there").at(at()));
        };
        check_asked_dim(input.dim, dim).map_err(|error| error.at(at()))?;
        let mut notes = Vec::new();
        if self.tensor.is_none() && header.tensors.len() > 1 {
            notes.push(format!("vectors from the tensor {}", quoted(name)));
        }
        let others = header.tensors.iter().filter(|(other, tensor)| *other != name && tensor.is_matrix());
        let others = others.take(SHOWN).map(|(other, _)| other.clone()).collect();
        let chosen = Chosen { option: "tensor", value: name.to_owned(), others };
        let end = header.tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
        if let Some(spare @ 1..) = data_bytes.checked_sub(end) {
            notes.push(format!("{spare} bytes after the last tensor are ignored"));
        }
        if dtype == DType::F64 {
            notes.push("f64 values are rounded to f32".to_owned());
        }
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(rows),
            dim,
            dtype,
            metric: None,
            ids: None,
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: source.len_bytes(),
            chosen: vec![chosen],
            notes,
        };
        let offset = data_offset + start;
        let layout = Layout { offset, rows, dim, dtype, order: ByteOrder::Little, by_column: false };
        Ok(Box::new(DenseDataset { info, dense: Dense::new(source, layout) }))
    }
}

/// The length of the header that `head` begins with, if a file of `len` bytes can hold it.
fn header_bytes(head: &[u8], len: u64) -> Option<usize> {
    let said = u64::from_le_bytes(*head.first_chunk::<LENGTH_BYTES>()?);
    let most = len.saturating_sub(LENGTH_BYTES as u64).min(MAX_HEADER_BYTES);
    usize::try_from(said).ok().filter(|_| (2..=most).contains(&said))
}

/// The header, and the byte at which the data begins.
fn read_header(source: &Source) -> Result<(Header, u64), Error> {
    let len = source.len_bytes();
    let head = source.head(LENGTH_BYTES)?;
    let Some(count) = header_bytes(&head, len) else {
        let found = match head.first_chunk() {
            Some(bytes) => format!("{} in a file of {len} bytes", u64::from_le_bytes(*bytes)),
            None => format!("a file of {len} bytes"),
        };
        return Err(Error::expected("the length of a header (u64)", found)
            .at(Position::Byte(0))
            .with_help("the file was cut short, or is no .safetensors file"));
    };
    let mut text = vec![0; count];
    source.read_at(LENGTH_BYTES as u64, &mut text)?;
    let header = serde_json::from_slice(&text).map_err(|error| {
        Error::expected("tensors with dtype, shape and data_offsets, in JSON", quoted(&error.to_string()))
            .at(Position::Part("header".to_owned()))
    })?;
    Ok((header, (LENGTH_BYTES + count) as u64))
}

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    /// Its bytes, counted from the end of the header.
    data_offsets: (u64, u64),
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.shape.iter().take(SHOWN).map(u64::to_string).collect();
        let more = if self.shape.len() > SHOWN { ", ..." } else { "" };
        write!(f, "{} ({}{more})", quoted(&self.dtype).trim_matches('`'), sizes.join(", "))
    }
}

impl Tensor {
    fn dtype(&self) -> Option<DType> {
        Some(match self.dtype.as_str() {
            "F16" => DType::F16,
            "BF16" => DType::Bf16,
            "F32" => DType::F32,
            "F64" => DType::F64,
            "I8" => DType::I8,
            "U8" => DType::U8,
            "I16" => DType::I16,
            "U16" => DType::U16,
            "I32" => DType::I32,
            "U32" => DType::U32,
            "I64" => DType::I64,
            "U64" => DType::U64,
            _ => return None,
        })
    }

    fn is_matrix(&self) -> bool {
        self.shape.len() == 2 && self.dtype().is_some()
    }

    /// Rows, values a row, their type, and the first byte behind the header.
    fn check(&self, data_bytes: u64) -> Result<(u64, usize, DType, u64), Error> {
        let Some(dtype) = self.dtype() else {
            let expected = "expected numbers: F16, BF16, F32, F64, I8 to I64 or U8 to U64";
            return Err(Error::unsupported(format!("{expected}, found {self}"))
                .with_help("convert it to F32 in the program that writes it"));
        };
        let &[rows, dim] = self.shape.as_slice() else {
            let message = format!("expected 2 dimensions, rows and values, found {self}");
            return Err(
                Error::unsupported(message).with_help("name another one, or reshape it where it is written")
            );
        };
        let Some(dim) = usize::try_from(dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim)) else {
            return Err(Error::unsupported(format!("expected 1 to {MAX_DIM} values a row, found {self}"))
                .with_help("if the vectors are its columns, transpose it where it is written"));
        };
        let (start, end) = self.data_offsets;
        let expected = size_bytes(rows, dim as u64, dtype);
        if end.checked_sub(start) != expected || expected.is_none() {
            let expected = u128::from(rows) * dim as u128 * dtype.size_bytes() as u128;
            return Err(Error::expected(
                format!("{expected} bytes for {self}"),
                format!("bytes {start} to {end}"),
            ));
        }
        if end > data_bytes {
            return Err(Error::expected(format!("{end} bytes behind the header"), data_bytes)
                .with_help("the file was cut short: copy or save it again"));
        }
        Ok((rows, dim, dtype, start))
    }
}

/// All tensors by name.
#[derive(Debug)]
struct Header {
    tensors: BTreeMap<String, Tensor>,
}

impl Header {
    /// The name of the tensor that was `asked` for, or of the only one that can be meant.
    fn choose<'a>(&'a self, asked: Option<&'a str>) -> Result<&'a str, Error> {
        if let Some(name) = asked {
            if self.tensors.contains_key(name) {
                return Ok(name);
            }
            let found = self.list(|_| true);
            return Err(Error::request(format!("expected a tensor {}, found {found}", quoted(name))));
        }
        let mut matrices = self.tensors.iter().filter(|(_, tensor)| tensor.is_matrix());
        match (matrices.next(), matrices.next()) {
            (Some((name, _)), None) => Ok(name),
            (Some((name, _)), Some(_)) => {
                let found = self.list(Tensor::is_matrix);
                Err(Error::request(format!("expected one tensor of two dimensions, found {found}"))
                    .with_help(format!(
                        "say which, such as --vector-column {name}, or tensor = {name:?} in [source] of a pipeline"
                    )))
            }
            (None, _) => {
                let found = self.list(|_| true);
                Err(Error::unsupported(format!(
                    "expected a tensor of numbers in two dimensions, found {found}"
                ))
                .with_help("name another file, or reshape the tensor where it is written"))
            }
        }
    }

    /// The first few tensors of a kind, with type and shape.
    fn list(&self, kind: impl Fn(&Tensor) -> bool) -> String {
        let mut all = self.tensors.iter().filter(|(_, tensor)| kind(tensor));
        let shown: Vec<_> =
            all.by_ref().take(SHOWN).map(|(name, tensor)| format!("{} {tensor}", quoted(name))).collect();
        match (shown.is_empty(), all.count()) {
            (true, _) => "none".to_owned(),
            (_, 0) => shown.join(", "),
            (_, more) => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor = map.next_value()?;
                    if tensors.insert(name, tensor).is_some() {
                        return Err(serde::de::Error::custom("a name is there twice"));
                    }
                }
                Ok(Header { tensors })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
