//! Arrays of numpy.

use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::{Dense, DenseDataset, Layout, check_asked_dim, size_bytes};
use super::npy_header::{MAGIC, MAX_HEAD_BYTES, NpyHeader, parse_npy_header};
use super::npy_type::{self, VoidType};
use crate::{DType, Dataset, DatasetInfo, Error, Format, Input, MAX_DIM, Position, Probe, Rows, Score};

/// Arrays of numpy: `np.save`. One row of the array is one vector.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Npy {
    /// What the values are in a file whose type numpy has no name for (`V2`): "bf16". All other files say it
    /// themselves.
    pub dtype: Option<VoidType>,
}

crate::register_format!(Npy);

impl Format for Npy {
    const NAME: &'static str = "npy";
    const ALIASES: &'static [&'static str] = &["numpy"];
    const EXTENSIONS: &'static [&'static str] = &["npy"];
    const SUMMARY: &'static str = "numpy arrays of two dimensions (np.save): f16, f32, f64 and integers";
    const EXAMPLE: &'static str = "[source]\ntype = \"npy\"\npath = \"vectors.npy\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if !probe.head.starts_with(MAGIC) {
            return probe.by_extension(Self::EXTENSIONS);
        }
        let points = if parse_npy_header(probe.head).is_ok() { Score::CERTAIN } else { Score::MAGIC };
        Score::Yes(points, "its first bytes are the magic number of .npy".into())
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let head = source.head(MAX_HEAD_BYTES)?;
        let (layout, spare) = array_layout(&head, source.len_bytes(), self.dtype, input.dim)?;
        let Layout { rows, dim, dtype, .. } = layout;
        let mut notes = Vec::new();
        if spare > 0 {
            notes.push(format!("{spare} bytes after the array are ignored"));
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
            chosen: Vec::new(),
            notes,
        };
        Ok(Box::new(DenseDataset { info, dense: Dense::new(source, layout) }))
    }
}

/// Where the values of an array lie, of which `head` is the start and `len` the bytes there are, and how many bytes are
/// left behind it.
pub(super) fn array_layout(
    head: &[u8],
    len: u64,
    void: Option<VoidType>,
    asked_dim: Option<usize>,
) -> Result<(Layout, u64), Error> {
    let header = parse_npy_header(head)?;
    let (dtype, order) = npy_type::parse(&header.descr, void)?;
    let (rows, dim) = vectors_of_shape(&header, asked_dim)?;
    check_asked_dim(asked_dim, dim).map_err(|error| error.at(shape()))?;
    let spare = check_size(len, &header, dtype)?;
    let (offset, by_column) = (header.data_offset, header.fortran_order);
    Ok((Layout { offset, rows, dim, dtype, order, by_column }, spare))
}

fn shape() -> Position {
    Position::Part("shape".to_owned())
}

/// Rows and values a row.
fn vectors_of_shape(header: &NpyHeader, asked: Option<usize>) -> Result<(u64, usize), Error> {
    let text = header.shape_text();
    let &[rows, dim] = header.shape.as_slice() else {
        let help = match header.shape.as_slice() {
            [] => "a single number is no vector; one vector of one value is a.reshape(1, 1)".to_owned(),
            [_] => {
                let dim = asked.map_or("D".to_owned(), |dim| dim.to_string());
                format!("one vector is a.reshape(1, -1), vectors of {dim} values are a.reshape(-1, {dim})")
            }
            _ => "one vector for each entry of the first dimension is a.reshape(len(a), -1)".to_owned(),
        };
        return Err(Error::unsupported(format!("expected 2 dimensions, rows and values, found {text}"))
            .at(shape())
            .with_help(help));
    };
    match usize::try_from(dim) {
        Ok(0) => Err(Error::expected("at least 1 value a row", text)
            .at(shape())
            .with_help("the array holds no values: look at what was saved")),
        Ok(dim @ 1..=MAX_DIM) => Ok((rows, dim)),
        _ => {
            let error = Error::unsupported(format!("expected at most {MAX_DIM} values a row, found {text}"));
            Err(error.at(shape()).with_help("if the vectors are its columns, save a.T"))
        }
    }
}

/// Compares the shape with the length of the file, `len`; gives the bytes after the array.
pub(super) fn check_size(len: u64, header: &NpyHeader, dtype: DType) -> Result<u64, Error> {
    let text = header.shape_text();
    let count = header.shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size));
    let Some(bytes) = count.and_then(|count| size_bytes(count, 1, dtype)) else {
        return Err(Error::expected("a size below 2^64 bytes", format!("{text} of {dtype}")).at(shape()));
    };
    let found = len.saturating_sub(header.data_offset);
    found.checked_sub(bytes).ok_or_else(|| {
        Error::expected(format!("{bytes} bytes of data for {text} of {dtype}"), found)
            .at(Position::Byte(header.data_offset))
            .with_help("the file was cut short: copy or save it again")
    })
}
