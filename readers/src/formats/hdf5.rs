//! HDF5 files, as h5py writes them and ann-benchmarks hands them out.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;
use hdf5_reader::group::Group;
use hdf5_reader::storage::{Storage, StorageBuffer};
use hdf5_reader::{Hdf5File, OpenOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::contained::contained;
use super::dense::{Dense, Layout, check_asked_dim, check_piece, row_batches, unrepresentable};
use super::hdf5_table::{Kept, Place, Table, WHAT, number, undecodable};
use super::ids::integer;
use super::quoted;
use crate::{
    Batches, BufferPool, ByteOrder, Chosen, DType, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input,
    MAX_DIM, Matrix, Metric, Piece, Position, Probe, Rows, Scan, Score, Source, widen,
};

/// HDF5 files: one row of a dataset of two dimensions is one vector. What lies in one piece is used in place, chunks (gzip,
/// shuffle, fletcher32) are decoded as they are needed. The metric is the attribute `distance` of the file, as in the
/// files of ann-benchmarks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hdf5 {
    /// The dataset of vectors, as a path where it is in a group. Without it: the only one of two dimensions; of several
    /// `train`, or the one called vector, vectors, emb, embedding or embeddings.
    #[serde(alias = "vector_column")]
    #[schemars(extend("aliases" = ["vector_column"]))]
    pub dataset: Option<String>,
    /// The dataset of ids, integers from 0 on. Without it: that called id or ids beside the vectors, if it has as many
    /// rows; without such a dataset rows are numbered.
    #[serde(alias = "id_column")]
    #[schemars(extend("aliases" = ["id_column"]))]
    pub ids_dataset: Option<String>,
}

crate::register_format!(Hdf5);

const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The dataset of vectors of ann-benchmarks.
const TRAIN: &str = "train";
const VECTOR_NAMES: [&str; 5] = ["vector", "vectors", "emb", "embedding", "embeddings"];
const ID_NAMES: [&str; 2] = ["id", "ids"];

/// How many datasets a message names, and how many are looked at.
const SHOWN: usize = 8;
const MAX_DATASETS: usize = 1000;

/// How deep groups are searched.
const MAX_DEPTH: usize = 8;

impl Format for Hdf5 {
    const NAME: &'static str = "hdf5";
    const ALIASES: &'static [&'static str] = &["h5"];
    const EXTENSIONS: &'static [&'static str] = &["h5", "hdf5", "he5"];
    const SUMMARY: &'static str = "one dataset of an HDF5 file: floats and integers, contiguous or chunked";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"hdf5\"\npath = \"glove-100-angular.hdf5\"\ndataset = \"train\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if probe.head.starts_with(MAGIC) {
            return Score::Yes(Score::CERTAIN, "its first bytes are the magic number of HDF5".into());
        }
        // What a person may put before it has a size of 512, 1024, 2048 and so on.
        let starts = std::iter::successors(Some(512usize), |at| at.checked_mul(2));
        let mut starts = starts.take_while(|&at| at < probe.head.len());
        if starts.any(|at| probe.head[at..].starts_with(MAGIC)) {
            return Score::Yes(Score::MAGIC, "it has the magic number of HDF5 behind a user block".into());
        }
        probe.by_extension(Self::EXTENSIONS)
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = Arc::new(input.source()?);
        let found = contained(WHAT, || self.find(&source, input))?;
        let Found { vectors, ids, metric, notes, name, chosen } = found;
        let at = |error: Error| error.at(Position::Part(format!("dataset {}", quoted(&name))));
        let dim = usize::try_from(vectors.dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim));
        let Some(dim) = dim else {
            let found = vectors.dim;
            let message = format!("expected 1 to {MAX_DIM} values a row, found {found}");
            return Err(at(Error::unsupported(message)
                .with_help("if the vectors are its columns, transpose it where it is written")));
        };
        check_asked_dim(input.dim, dim).map_err(at)?;
        let (rows, dtype, order) = (vectors.rows, vectors.dtype, vectors.order);
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(rows),
            dim,
            dtype,
            metric,
            ids: ids.is_some().then_some(IdType::U64),
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: source.len_bytes(),
            chosen,
            notes,
        };
        let dense = match vectors.place {
            Place::At(offset) => {
                let layout = Layout { offset, rows, dim, dtype, order, by_column: false };
                Some(Dense::new(input.source()?, layout))
            }
            _ => None,
        };
        let file = Arc::from(input.path.as_path());
        Ok(Box::new(Hdf5Dataset { info, source, file, vectors, dense, ids }))
    }
}

/// What a file was found to hold.
struct Found {
    name: String,
    vectors: Table,
    ids: Option<Table>,
    metric: Option<Metric>,
    notes: Vec<String>,
    chosen: Vec<Chosen>,
}

/// A dataset by its path.
struct Candidate {
    name: String,
    dataset: hdf5_reader::Dataset,
    /// The type of its values, or what they are instead.
    kind: Result<(DType, ByteOrder), String>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.dataset.shape().iter().take(SHOWN).map(u64::to_string).collect();
        let kind = match &self.kind {
            Ok((dtype, _)) => dtype.name(),
            Err(kind) => kind,
        };
        write!(f, "{} {kind} ({})", quoted(&self.name), sizes.join(", "))
    }
}

impl Candidate {
    fn of(name: String, dataset: hdf5_reader::Dataset) -> Self {
        let raw = dataset.raw_datatype().unwrap_or_default();
        let kind = number(&raw, dataset.dtype());
        Self { name, dataset, kind }
    }

    fn is_matrix(&self) -> bool {
        self.dataset.ndim() == 2 && self.kind.is_ok()
    }

    /// Its name in its group, and the group.
    fn last(&self) -> (&str, &str) {
        self.name.rsplit_once('/').map_or((&self.name, ""), |(group, name)| (name, group))
    }

    fn table(&self, file: &Hdf5File, len: u64) -> Result<Table, Error> {
        let at = |error: Error| error.at(Position::Part(format!("dataset {}", quoted(&self.name))));
        match &self.kind {
            Ok(kind) => Table::find(file, &self.dataset, &self.name, *kind, len).map_err(at),
            Err(kind) => Err(at(Error::unsupported(format!("expected numbers, found {kind}"))
                .with_help("write it as float32 or another type of numbers, or name another dataset"))),
        }
    }
}

impl Hdf5 {
    fn find(&self, source: &Arc<Source>, input: &Input) -> Result<Found, Error> {
        let len = source.len_bytes();
        let options = OpenOptions::default().with_chunk_cache_bytes(0);
        let storage = Arc::new(Bytes(Arc::clone(source)));
        let file = Hdf5File::from_storage_with_options(storage, options).map_err(|e| match e {
            hdf5_reader::error::Error::InvalidMagic => {
                Error::expected("the magic number of HDF5 (`\\x89HDF`)", "other bytes").at(Position::Byte(0))
            }
            e => undecodable(&e),
        })?;
        let end = file.superblock().eof_address;
        if end > len {
            return Err(Error::expected(format!("{end} bytes, as its superblock says"), len).with_help(
                "the file was cut short, or its writer did not close it: copy or write it again",
            ));
        }
        let root = file.root_group().map_err(|e| undecodable(&e))?;
        let mut all = Vec::new();
        walk(&root, "", 0, &mut BTreeSet::new(), &mut all)?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let chosen = choose(&all, self.dataset.as_deref())?;
        let mut notes = Vec::new();
        if self.dataset.is_none() && all.iter().filter(|other| other.is_matrix()).count() > 1 {
            notes.push(format!("vectors from the dataset {}", quoted(&chosen.name)));
        }
        if chosen.dataset.ndim() != 2 {
            let message = format!("expected 2 dimensions, rows and values, found {chosen}");
            return Err(Error::unsupported(message)
                .with_help("name another dataset, or reshape it where it is written"));
        }
        let vectors = chosen.table(&file, len)?;
        if vectors.dtype == DType::F64 {
            notes.push("f64 values are rounded to f32".to_owned());
        }
        let ids = if input.own_ids { self.ids(&all, chosen, vectors.rows, &mut notes)? } else { None };
        let others = all.iter().filter(|other| other.name != chosen.name && other.is_matrix());
        let others = others.take(SHOWN).map(|other| other.name.clone()).collect();
        let mut taken = vec![Chosen { option: "dataset", value: chosen.name.clone(), others }];
        taken.extend(ids.map(|ids| Chosen {
            option: "ids_dataset",
            value: ids.name.clone(),
            others: Vec::new(),
        }));
        let ids = ids.map(|ids| ids.table(&file, len)).transpose()?;
        let metric = metric(&root, &mut notes);
        Ok(Found { name: chosen.name.clone(), vectors, ids, metric, notes, chosen: taken })
    }

    /// The dataset of ids, if there is one.
    fn ids<'a>(
        &self,
        all: &'a [Candidate],
        vectors: &Candidate,
        rows: u64,
        notes: &mut Vec<String>,
    ) -> Result<Option<&'a Candidate>, Error> {
        let is_integer = |one: &Candidate| {
            let floats = [DType::F16, DType::Bf16, DType::F32, DType::F64];
            one.dataset.ndim() == 1 && one.kind.as_ref().is_ok_and(|(dtype, _)| !floats.contains(dtype))
        };
        if let Some(name) = &self.ids_dataset {
            let found = called(all, name)?;
            if !is_integer(found) || found.dataset.shape() != [rows] {
                return Err(Error::request(format!(
                    "expected {rows} ids, integers of one dimension, found {found}"
                ))
                .with_help("name another dataset, or leave ids_dataset away: rows are numbered"));
            }
            return Ok(Some(found));
        }
        let mut fitting = all.iter().filter(|one| {
            let ((name, group), (_, beside)) = (one.last(), vectors.last());
            ID_NAMES.contains(&name) && group == beside && is_integer(one) && one.dataset.shape() == [rows]
        });
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => {
                notes.push(format!("ids from the dataset {}", quoted(&only.name)));
                Ok(Some(only))
            }
            _ => Ok(None),
        }
    }
}

/// Lists the datasets of a group and the groups in it.
fn walk(
    group: &Group,
    path: &str,
    depth: usize,
    seen: &mut BTreeSet<u64>,
    all: &mut Vec<Candidate>,
) -> Result<(), Error> {
    if depth > MAX_DEPTH || !seen.insert(group.address()) {
        return Ok(());
    }
    let (groups, datasets) = group.member_names().map_err(|e| undecodable(&e))?;
    let joined = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    for name in datasets {
        if all.len() >= MAX_DATASETS {
            return Ok(());
        }
        // One that the library does not understand is no candidate.
        if let Ok(dataset) = group.dataset(&name) {
            all.push(Candidate::of(joined(&name), dataset));
        }
    }
    for name in groups {
        if let Ok(inner) = group.group(&name) {
            walk(&inner, &joined(&name), depth + 1, seen, all)?;
        }
    }
    Ok(())
}

fn called<'a>(all: &'a [Candidate], name: &str) -> Result<&'a Candidate, Error> {
    let plain = name.trim_matches('/');
    all.iter().find(|one| one.name == plain).ok_or_else(|| {
        Error::request(format!("expected a dataset {}, found {}", quoted(name), list(all, |_| true)))
            .with_help("name one of these, with the groups it is in: dataset = \"group/name\"")
    })
}

/// The dataset that was `asked` for, or the one that is meant.
fn choose<'a>(all: &'a [Candidate], asked: Option<&str>) -> Result<&'a Candidate, Error> {
    if let Some(name) = asked {
        return called(all, name);
    }
    let matrices: Vec<_> = all.iter().filter(|one| one.is_matrix()).collect();
    let named = |is_it: &dyn Fn(&Candidate) -> bool| {
        let mut fitting = matrices.iter().filter(|one| is_it(one));
        fitting.next().filter(|_| fitting.next().is_none()).copied()
    };
    let chosen = named(&|_| true)
        .or_else(|| named(&|one| one.name == TRAIN))
        .or_else(|| named(&|one| VECTOR_NAMES.contains(&one.last().0)));
    chosen.ok_or_else(|| match matrices.first() {
        Some(first) => {
            let found = list(all, Candidate::is_matrix);
            Error::request(format!("expected one dataset of two dimensions, found {found}")).with_help(
                format!(
                    "say which, such as --vector-column {0}, or dataset = {0:?} in [source] of a pipeline",
                    first.name
                ),
            )
        }
        None => {
            let found = list(all, |_| true);
            Error::unsupported(format!("expected a dataset of numbers in two dimensions, found {found}"))
                .with_help("name another file, or reshape the dataset where it is written")
        }
    })
}

/// The first few datasets of a kind, with type and shape.
fn list(all: &[Candidate], kind: impl Fn(&Candidate) -> bool) -> String {
    let mut all = all.iter().filter(|one| kind(one));
    let shown: Vec<_> = all.by_ref().take(SHOWN).map(Candidate::to_string).collect();
    match (shown.is_empty(), all.count()) {
        (true, _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The metric that the file records.
fn metric(root: &Group, notes: &mut Vec<String>) -> Option<Metric> {
    let word = root.attribute("distance").ok()?.read_string().ok()?;
    let metric = word.parse().ok();
    if metric.is_none() {
        notes.push(format!("the attribute distance is {}, no metric that is known here", quoted(&word)));
    }
    metric
}

/// The bytes of a file as the library reads them. They are copied, so nothing changes once it was checked.
struct Bytes(Arc<Source>);

impl Storage for Bytes {
    fn len(&self) -> u64 {
        self.0.len_bytes()
    }

    fn read_range(&self, offset: u64, len: usize) -> hdf5_reader::error::Result<StorageBuffer> {
        let available = self.len().saturating_sub(offset);
        if len as u64 > available {
            let needed = len as u64;
            return Err(hdf5_reader::error::Error::UnexpectedEof { offset, needed, available });
        }
        let mut bytes = vec![0; len];
        self.0.read_at(offset, &mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
        Ok(StorageBuffer::from_vec(bytes))
    }
}

#[derive(Debug)]
struct Hdf5Dataset {
    info: DatasetInfo,
    source: Arc<Source>,
    file: Arc<Path>,
    vectors: Table,
    /// The vectors once more, where they lie in one piece.
    dense: Option<Dense>,
    ids: Option<Table>,
}

impl Hdf5Dataset {
    fn ids(&self, rows: std::ops::Range<u64>) -> Result<Ids, Error> {
        let Some(table) = &self.ids else { return Ok(Ids::From(rows.start)) };
        let size = table.dtype.size_bytes();
        let mut ids: Vec<u64> = Vec::new();
        table.each(&self.source, &rows, &mut Kept::default(), &mut |_, bytes| {
            for bytes in bytes.chunks_exact(size) {
                let id = integer(table.dtype, table.order, bytes);
                ids.push(u64::try_from(id).map_err(|_| {
                    Error::expected("an id of at least 0", id)
                        .at(Position::Row(rows.start + ids.len() as u64))
                })?);
            }
            Ok(())
        })?;
        Ok(Ids::U64(ids.into()))
    }

    fn values(
        &self,
        rows: &std::ops::Range<u64>,
        kept: &mut Kept,
        pool: &BufferPool,
    ) -> Result<ScalarBuffer<f32>, Error> {
        let (dim, Table { dtype, order, .. }) = (self.info.dim, &self.vectors);
        let count = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        let mut values = pool.take(count.saturating_mul(dim));
        // The first in row order, so that the error is the same whatever the size of batches and chunks.
        let mut worst: Option<(usize, crate::Unrepresentable)> = None;
        self.vectors.each(&self.source, rows, kept, &mut |first, bytes| {
            let out = &mut values[first..first + bytes.len() / dtype.size_bytes()];
            if let Err(bad) = widen(*dtype, *order, bytes, out) {
                let at = first + bad.position;
                if worst.as_ref().is_none_or(|&(other, _)| at < other) {
                    worst = Some((at, bad));
                }
            }
            Ok(())
        })?;
        match worst {
            Some((at, bad)) => Err(unrepresentable(&bad, rows.start + (at / dim) as u64, at % dim)),
            None => Ok(ScalarBuffer::from(values)),
        }
    }
}

impl Dataset for Hdf5Dataset {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    /// Rows of whole chunks are one piece: each chunk is decoded once.
    fn pieces(&self, scan: &Scan) -> Vec<Piece> {
        let step = self.vectors.step_rows(scan.batch_rows as u64).max(1);
        let mut pieces = Vec::new();
        let mut start = scan.rows.start;
        while start < scan.rows.end {
            let end = (start / step + 1).saturating_mul(step).min(scan.rows.end);
            pieces.push(Piece { rows: start..end });
            start = end;
        }
        pieces
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        if let Some(dense) = &self.dense {
            return dense.batches(scan, piece, pool, |rows| self.ids(rows));
        }
        let part = check_piece(self.vectors.rows, piece, &self.file)?;
        // One thread reads a piece, row after row.
        let kept = std::sync::Mutex::new(Kept::default());
        Ok(row_batches(part, scan, self.info.dim, &self.file, move |rows| {
            let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let values = self.values(&rows, &mut kept, pool).and_then(|values| Ok((values, self.ids(rows)?)));
            values.map_err(|error| error.in_file(&self.file))
        }))
    }

    fn matrix(&self) -> Option<Matrix> {
        self.dense.as_ref()?.matrix()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}
