//! Bare f32 values, with a sidecar that says how many make a vector.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::{Dense, Layout, size_bytes};
use super::ids::IdFile;
use super::sidecar::{self, Sidecar};
use crate::{
    Batches, BufferPool, ByteOrder, DType, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input, MAX_DIM,
    Matrix, Piece, Position, Probe, Rows, Scan, Score, Source, Topic,
};

/// Nothing but f32 values, little-endian, one vector after another. The dimension comes from `--dimension` or from a
/// sidecar: `X.f32.json`, `X.json` or `meta.json` beside `X.f32`, such as `{ "n": 1000, "dim": 32, "metric": "l2" }`.
/// Ids are read from `ids.u64` beside it, if that is there. With `offset_bytes` or `count_rows` the values are a part of a
/// file, of which nothing else is looked at, and neither a sidecar nor ids are.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawF32 {
    /// The byte at which the first value begins.
    offset_bytes: Option<u64>,
    /// How many rows there are from there on; to the end of the file, where it is not given.
    count_rows: Option<u64>,
}

crate::register_format!(RawF32);

/// The file of ids beside the vectors.
const IDS: &str = "ids.u64";

const F32_BYTES: u64 = 4;

/// What people's embeddings have: the dimensions worth naming when the given one does not fit.
const COMMON_DIMS: [usize; 24] = [
    2, 3, 4, 8, 16, 25, 32, 50, 64, 96, 100, 128, 192, 200, 256, 300, 384, 512, 768, 960, 1024, 1536, 3072,
    4096,
];

impl Format for RawF32 {
    const NAME: &'static str = "raw_f32";
    const ALIASES: &'static [&'static str] = &["raw", "f32", "bin"];
    const EXTENSIONS: &'static [&'static str] = &["f32", "raw", "bin"];
    const SUMMARY: &'static str =
        "f32 values without a header, dimension by --dimension or a .json beside them";
    const EXAMPLE: &'static str = "[source]\ntype = \"raw_f32\"\npath = \"vectors.f32\"\ndim = 768\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let by_name = probe.by_extension(Self::EXTENSIONS);
        let row_bytes = probe.dim.and_then(|dim| size_bytes(1, dim as u64, DType::F32)).filter(|&b| b > 0);
        match (by_name, row_bytes) {
            (Score::Yes(_, why), Some(bytes)) if probe.len_bytes.is_multiple_of(bytes) => {
                Score::Yes(Score::SIZES, format!("{why} and its size is whole rows of {bytes} bytes").into())
            }
            (by_name, _) => by_name,
        }
    }

    fn is_part(&self) -> bool {
        self.offset_bytes.is_some() || self.count_rows.is_some()
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        if self.is_part() {
            return self.open_part(input, source);
        }
        let found = input.beside().map_or(Ok(None), sidecar::find)?;
        let found = found.as_ref().map(|(path, sidecar)| (path.as_path(), *sidecar));
        let dim = dimension(input, found)?;
        let rows = count_rows(source.len_bytes(), dim, found)?;
        let mut notes: Vec<_> =
            found.and_then(|(path, used)| note(path, used, input.dim)).into_iter().collect();
        let ids = if input.own_ids { open_ids(input, rows)? } else { None };
        if ids.is_some() {
            notes.push(format!("ids from {IDS}"));
        }
        let beside = found.map(|(path, _)| path.to_path_buf());
        let ids_path = ids.as_ref().map(|ids| ids.path().to_path_buf());
        let files = [Some(input.path.clone()), beside, ids_path].into_iter().flatten().collect();
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(rows),
            dim,
            dtype: DType::F32,
            metric: found.and_then(|(_, sidecar)| sidecar.metric),
            ids: ids.is_some().then_some(IdType::U64),
            payload: None,
            files,
            size_bytes: source.len_bytes(),
            chosen: Vec::new(),
            notes,
        };
        let layout =
            Layout { offset: 0, rows, dim, dtype: DType::F32, order: ByteOrder::Little, by_column: false };
        Ok(Box::new(RawDataset { info, dense: Dense::new(source, layout), ids }))
    }
}

impl RawF32 {
    /// Rows inside a file that has something else before or behind them.
    fn open_part(&self, input: &Input, source: Source) -> Result<Box<dyn Dataset>, Error> {
        let dim = dimension(input, None)?;
        let len_bytes = source.len_bytes();
        let offset = self.offset_bytes.unwrap_or(0);
        let Some(rest) = len_bytes.checked_sub(offset) else {
            return Err(Error::request(format!(
                "expected offset_bytes up to {len_bytes}, the size of the file, found {offset}"
            ))
            .about(Topic::Rows)
            .with_help("give the byte at which the first value begins"));
        };
        let rows = match self.count_rows {
            Some(rows) => rows,
            None => count_rows(rest, dim, None)?,
        };
        let wanted = size_bytes(rows, dim as u64, DType::F32);
        if wanted.is_none_or(|wanted| wanted > rest) {
            let bytes = u128::from(rows) * dim as u128 * u128::from(F32_BYTES);
            let message = format!(
                "expected {bytes} bytes from byte {offset} on, {rows} rows of {dim} f32 values, found {rest}"
            );
            return Err(Error::request(message)
                .about(Topic::Rows)
                .with_help("ask for rows that are in the file"));
        }
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(rows),
            dim,
            dtype: DType::F32,
            metric: None,
            ids: None,
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: wanted.unwrap_or(rest),
            chosen: Vec::new(),
            notes: vec![format!("{rows} rows from byte {offset} on, of {len_bytes} bytes")],
        };
        let layout =
            Layout { offset, rows, dim, dtype: DType::F32, order: ByteOrder::Little, by_column: false };
        Ok(Box::new(RawDataset { info, dense: Dense::new(source, layout), ids: None }))
    }
}

/// What was taken from the sidecar.
fn note(path: &Path, sidecar: Sidecar, asked: Option<usize>) -> Option<String> {
    let dim = sidecar.dim.filter(|_| asked.is_none()).map(|dim| format!("dimension {dim}"));
    let metric = sidecar.metric.map(|metric| format!("metric {metric}"));
    let taken: Vec<_> = dim.into_iter().chain(metric).collect();
    (!taken.is_empty()).then(|| format!("{} from {}", taken.join(" and "), path.display()))
}

fn dimension(input: &Input, sidecar: Option<(&Path, Sidecar)>) -> Result<usize, Error> {
    let written = sidecar.and_then(|(path, sidecar)| Some((path, sidecar.dim?)));
    match (input.dim, written) {
        (Some(asked), _) if !(1..=MAX_DIM).contains(&asked) => {
            Err(Error::request(format!("expected a dimension from 1 to {MAX_DIM}, found {asked}")))
        }
        (Some(asked), Some((path, dim))) if asked != dim => {
            let path = path.display();
            Err(Error::request(format!("expected dimension {asked}, as asked for, found {dim} in {path}"))
                .about(Topic::Dimension)
                .with_help(format!("leave --dimension away, or correct or remove {path}")))
        }
        (Some(dim), _) | (None, Some((_, dim))) => Ok(dim),
        (None, None) => {
            let sidecar = input.beside().map(sidecar::sidecar_path_for_writing);
            let written = sidecar.map(|path| format!(", or write {{ \"dim\": N }} to {}", path.display()));
            let help = format!("give --dimension N{}", written.unwrap_or_default());
            Err(Error::request("expected a dimension, found none: raw values do not say it")
                .about(Topic::Dimension)
                .with_help(help))
        }
    }
}

fn count_rows(len: u64, dim: usize, sidecar: Option<(&Path, Sidecar)>) -> Result<u64, Error> {
    let row_bytes = dim as u64 * F32_BYTES;
    if let Some((path, Sidecar { n: Some(n), .. })) = sidecar
        && n.checked_mul(row_bytes) != Some(len)
    {
        let bytes = u128::from(n) * u128::from(row_bytes);
        let path = path.display();
        return Err(Error::expected(
            format!("{bytes} bytes, as n = {n} in {path} and dimension {dim} say"),
            len,
        )
        .with_help(format!("correct or remove {path}; --dimension does not override its n")));
    }
    let over = len % row_bytes;
    if over == 0 {
        return Ok(len / row_bytes);
    }
    let expected = format!("{} bytes, whole rows of {dim} f32 values", len - over);
    let error = Error::expected(expected, format!("{len}, {over} more"));
    Err(match fitting_dims(len, dim) {
        dims if dims.is_empty() => error.with_help("the file was cut short, or is not raw f32"),
        dims => error.with_help(format!("dimensions that fit this size: {}", dims.join(", "))),
    })
}

/// The common dimensions that divide `len` bytes, nearest to `dim` first.
fn fitting_dims(len: u64, dim: usize) -> Vec<String> {
    const NAMED: usize = 5;
    let mut dims: Vec<_> =
        COMMON_DIMS.into_iter().filter(|&dim| len.is_multiple_of(dim as u64 * F32_BYTES)).collect();
    dims.sort_by_key(|fitting| fitting.abs_diff(dim));
    dims.iter().take(NAMED).map(usize::to_string).collect()
}

fn open_ids(input: &Input, rows: u64) -> Result<Option<IdFile>, Error> {
    let Some(beside) = input.beside() else { return Ok(None) };
    let path = beside.with_file_name(IDS);
    // What is not there is no error; what is there and cannot be read is.
    if !path.exists() || path == input.path {
        return Ok(None);
    }
    let source = Source::open(&path, input.io)?;
    let (expected, found) = (size_bytes(rows, 1, DType::U64), source.len_bytes());
    if expected != Some(found) {
        let vectors = input.path.display();
        let bytes = u128::from(rows) * 8;
        return Err(Error::expected(
            format!("{bytes} bytes, 8 for each of the {rows} rows of {vectors}"),
            found,
        )
        .at(Position::Part("size".to_owned()))
        .in_file(&path)
        .with_help("if the ids are of other vectors, move the file away or name the right ids with --ids"));
    }
    Ok(Some(IdFile::new(source)))
}

#[derive(Debug)]
struct RawDataset {
    info: DatasetInfo,
    dense: Dense,
    ids: Option<IdFile>,
}

impl Dataset for RawDataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        self.dense.batches(scan, piece, pool, |rows| match &self.ids {
            Some(ids) => ids.get(rows),
            None => Ok(Ids::From(rows.start)),
        })
    }

    fn matrix(&self) -> Option<Matrix> {
        self.dense.matrix()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.dense.check_unchanged()?;
        self.ids.as_ref().map_or(Ok(()), IdFile::check_unchanged)
    }
}
