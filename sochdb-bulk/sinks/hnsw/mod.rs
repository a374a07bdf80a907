//! The index: the one sink that builds.

pub(super) mod append;
mod build;
mod options;
mod refusals;
mod source;
mod text_ids;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use index::file::VECTORS_OFFSET;
use index::{AutoBuilder, GraphBuilder, InsertBuilder, Params, PartitionBuilder};
use readers::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::append::Earlier;
use self::build::{HnswFile, Ids};
use self::options::{Builder, Codes, Storage};
use self::source::SourceFile;
use self::text_ids::TextIdSpool;
use super::foreign::IndexFormat;
use super::rows::{IdCollector, size_bytes};
use super::stream::refuse_zst;
use super::{Sink, SinkJob, SinkPlan, Writer};
use crate::output::atomic::{AtomicFile, folder};
use crate::pipeline::{IdSource, StreamInfo};
use crate::{Code, Failure};

/// Builds an HNSW index and writes it into one file.
///
/// Vectors that already are f32 in a mapped file are used where they are. All others are written to their place in the
/// index file as they come, and used from there: neither way do they fill memory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hnsw {
    /// The file to write.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// What "near" means: l2, cosine or ip. That of the source where it is not given, and cosine where that has none.
    metric: Option<Metric>,
    /// M: the most neighbours of a row on each level above 0; on level 0 twice as many. 2 to 1024, and 16 if it is not given.
    #[schemars(extend("default" = 16))]
    m: Option<usize>,
    /// How many candidates are considered for the neighbours of a row. Higher is a better graph, later. 1 to 1,000,000, and
    /// 100 if it is not given.
    #[schemars(extend("default" = 100))]
    ef_construction: Option<usize>,
    /// The seed of levels and order. The same input, options and seed give the same file. 42 if it is not given.
    #[schemars(extend("default" = 42))]
    seed: Option<u64>,
    /// How neighbours are found: partition compares rows in overlapping groups of near ones, insert searches the graph
    /// for every row, auto takes partition unless a sample shows that it would miss too many neighbours.
    #[serde(default)]
    builder: Builder,
    /// Which codes of the vectors the index has beside them: i8 (a byte a value, a quarter of the vectors' size; search
    /// goes by them and then ranks by the vectors), none, or auto: i8 unless a sample shows that they would lead astray.
    #[serde(default)]
    codes: Codes,
    /// How the vectors are kept: f32 (as they are), f16 (half the size), i8 (a quarter; a byte a value, by the range of its
    /// column), or source (not at all: they stay in the input, a mapped file of f32, which has to stay where and as it is).
    /// The graph is built of the vectors as given; searches answer by the vectors that are kept.
    #[serde(default, skip_serializing_if = "Storage::is_default")]
    storage: Storage,
    /// Whose index it is: native (this program's), hnswlib, faiss, usearch or sochdb. Those of others have no codes, and keep no
    /// recipe.
    #[serde(default, skip_serializing_if = "IndexFormat::is_default")]
    format: IndexFormat,
    /// An index to go on with: the new one has its rows and then those of the source, and is built with its graph, which
    /// saves most of the time. It gives metric, m, ef_construction and seed where they are not given. May be `path` itself.
    #[serde(skip_serializing)]
    append: Option<PathBuf>,
    /// Further indexes whose rows follow: what `merge` has.
    #[serde(skip)]
    #[schemars(skip)]
    further: Vec<PathBuf>,
    /// Rows of all these indexes: what a recipe says in the place of their names.
    #[serde(skip_deserializing, skip_serializing_if = "is_zero")]
    #[schemars(skip)]
    appended_to_rows: u64,
    #[serde(skip)]
    #[schemars(skip)]
    earlier: Option<Arc<Earlier>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(rows: &u64) -> bool {
    *rows == 0
}

const DEFAULT_M: usize = 16;
const DEFAULT_EF_CONSTRUCTION: usize = 100;
const DEFAULT_SEED: u64 = 42;

crate::register_sink!(Hnsw);

impl Hnsw {
    fn params(&self) -> Params {
        let metric = match self.metric.unwrap_or(Metric::Cosine) {
            Metric::L2 => index::Metric::L2,
            Metric::Cosine => index::Metric::Cosine,
            Metric::Ip => index::Metric::Ip,
        };
        Params {
            metric,
            m: self.m.unwrap_or(DEFAULT_M),
            ef_construction: self.ef_construction.unwrap_or(DEFAULT_EF_CONSTRUCTION),
            seed: self.seed.unwrap_or(DEFAULT_SEED),
        }
    }

    /// A sink that merges indexes, with what is to be other than in the first.
    pub(crate) fn merging(indexes: Vec<PathBuf>, path: PathBuf, options: MergeOptions) -> Self {
        let MergeOptions { m, ef_construction, seed } = options;
        let mut indexes = indexes.into_iter();
        let append = indexes.next();
        let (builder, codes) = (Builder::Auto, Codes::Auto);
        Self {
            path,
            metric: None,
            m,
            ef_construction,
            seed,
            builder,
            codes,
            storage: Storage::F32,
            format: IndexFormat::Native,
            append,
            further: indexes.collect(),
            appended_to_rows: 0,
            earlier: None,
        }
    }

    /// Opens the indexes to go on with, and takes from the first what is not given.
    fn open_earlier(&mut self, input: &StreamInfo) -> Result<(), Failure> {
        if self.append.is_none() {
            return Ok(());
        }
        let earlier = Earlier::open(self.append.iter().chain(&self.further))?;
        if let Some((_, index)) = earlier.first() {
            let params = index.header().params;
            self.metric.get_or_insert(match params.metric {
                index::Metric::L2 => Metric::L2,
                index::Metric::Cosine => Metric::Cosine,
                index::Metric::Ip => Metric::Ip,
            });
            self.m.get_or_insert(params.m);
            self.ef_construction.get_or_insert(params.ef_construction);
            self.seed.get_or_insert(params.seed);
        }
        earlier.check(self.params().metric, input)?;
        self.appended_to_rows = earlier.rows();
        self.earlier = Some(Arc::new(earlier));
        Ok(())
    }

    fn builder(&self) -> &'static dyn GraphBuilder {
        match self.builder {
            Builder::Auto => &AutoBuilder,
            Builder::Partition => &PartitionBuilder,
            Builder::Insert => &InsertBuilder,
        }
    }
}

impl Sink for Hnsw {
    const NAME: &'static str = "hnsw";
    const EXTENSIONS: &'static [&'static str] = &["hnsw"];
    const MEASURES_RECALL: bool = true;
    const SUMMARY: &'static str = "a searchable HNSW index";
    const EXAMPLE: &'static str = "[sink]\ntype = \"hnsw\"\npath = \"vectors.hnsw\"\nmetric = \"cosine\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
        self.append = self.append.as_deref().map(resolve);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.append.iter().cloned().collect()
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure> {
        self.open_earlier(input)?;
        if self.append.is_some() && self.storage == Storage::Source {
            let message =
                "storage = \"source\": the vectors of the index to go on with are in no file of vectors";
            return Err(Failure::refused(message)
                .with_code(Code::Conflict)
                .with_help("keep them in the index: leave storage (--no-vectors) away"));
        }
        self.metric = Some(self.metric.or(input.metric).unwrap_or(Metric::Cosine));
        let params = self.params();
        (self.m, self.ef_construction, self.seed) =
            (Some(params.m), Some(params.ef_construction), Some(params.seed));
        params.validate().map_err(|e| {
            let refused = Failure::refused(e.to_string()).with_code(Code::WrongValue);
            refused.with_help(
                "m = 16 and ef_construction = 100 suit most vectors; higher is a better index, later",
            )
        })?;
        if self.path == Path::new("-") {
            return Err(Failure::refused(
                "an index is not written from front to back, as standard output wants",
            )
            .with_code(Code::Stdio)
            .with_help("name a file"));
        }
        refuse_zst(&self.path, "an index", "leave .zst away")?;
        if let Some(library) = self.format.library() {
            if self.storage != Storage::F32 {
                let message = format!("storage: an index of {} has vectors of f32", library.name);
                return Err(Failure::refused(message)
                    .with_code(Code::Conflict)
                    .with_help("leave storage away"));
            }
            if self.codes == Codes::I8 {
                let message = format!("codes = \"i8\": an index of {} has no codes", library.name);
                return Err(Failure::refused(message)
                    .with_code(Code::Conflict)
                    .with_help("leave codes away"));
            }
            self.codes = Codes::None;
        }
        if let Some(library) = self.format.library()
            && input.ids == IdSource::Text
        {
            let message = format!(
                "the ids of an index of {} are numbers, and those of the source are texts",
                library.name
            );
            return Err(Failure::refused(message).with_code(Code::Ids).with_help(
                "name a column of integers with --id-column (`id_column` in [source]), give a file of numbers with --ids, or \
                 count the rows: a `[[stage]]` of `type = \"ids\"` in a pipeline",
            ));
        }
        let earlier_rows = self.appended_to_rows;
        let rows = earlier_rows.saturating_add(input.rows.exact().unwrap_or_default());
        if rows > index::MAX_ROWS as u64 {
            let message = format!("expected at most {} rows for one index, found {rows}", index::MAX_ROWS);
            return Err(Failure::refused(message).with_help("build several indexes, with `rows` for each"));
        }
        let rows = earlier_rows.saturating_add(input.most_rows().unwrap_or_default());
        // Numbers once as they come, once sorted to find duplicates; of texts the hashes with the rows.
        let has_ids = self.has_ids(input);
        let ids = if has_ids { rows * 8 * 2 } else { 0 };
        // Of texts nobody knows the length before: that of a UUID, and where it begins.
        let id_bytes = match input.ids {
            _ if !has_ids => 0,
            IdSource::Text => 36 + 8,
            _ => 8,
        };
        let codes = self.codes != Codes::None;
        let mut memory_after = index::memory_parts(self.builder(), &params, rows, input.dim, codes, threads);
        if earlier_rows > 0 {
            memory_after.push(("graphs", index::join_memory_bytes(&params, rows)));
        }
        let memory = vec![("ids", ids)];
        let of_row = |values: usize, bytes: u64| values as u64 * bytes;
        let row_bytes = of_row(input.dim, self.storage.value_bytes())
            + if codes { of_row(input.dim.next_multiple_of(64), 1) + 8 } else { 0 }
            + of_row(params.m0(), 4)
            + id_bytes;
        // Levels above 0 have one row in M each.
        let upper = rows / (params.m as u64 - 1).max(1) * (of_row(params.m, 4) + 8);
        let output_bytes =
            input.rows.exact().map(|_| VECTORS_OFFSET + rows.saturating_mul(row_bytes) + upper);
        Ok(SinkPlan { memory, memory_after, output_bytes, is_positional: true, ..SinkPlan::default() })
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let source = match self.storage {
            Storage::Source => Some(SourceFile::of(&job, &self.path)?),
            _ => None,
        };
        let file = AtomicFile::create(&self.path)?;
        if let Some(rows) = job.input.rows.exact() {
            let rows = rows.saturating_add(self.appended_to_rows);
            let bytes = size_bytes(rows, job.input.dim)? / 4 * self.storage.value_bytes();
            file.reserve(VECTORS_OFFSET.saturating_add(bytes))?;
        }
        // What is narrowed at the end waits beside the index.
        let is_in_place = self.storage.is_in_place() || (job.matrix.is_some() && self.earlier.is_none());
        let wide = if is_in_place {
            None
        } else {
            let wide = tempfile::tempfile_in(folder(&self.path));
            Some(wide.map_err(|e| Failure::io("make a temporary file beside it", &self.path, &e))?)
        };
        let ids = match job.input.ids {
            _ if !self.collects_ids(&job.input) => Ids::Positions,
            IdSource::Text => Ids::Texts(TextIdSpool::beside(&self.path)?),
            _ => Ids::Numbers(IdCollector::default()),
        };
        Ok(Writer::Positional(Box::new(HnswFile {
            file,
            ids,
            job,
            params: self.params(),
            builder: self.builder(),
            codes: self.codes,
            library: self.format.library(),
            storage: self.storage,
            source,
            wide,
            earlier: self.earlier.clone(),
        })))
    }
}

impl Hnsw {
    /// Whether the ids of the stream are kept: numbers of rows behind those of an index would be others than in their file.
    fn collects_ids(&self, input: &StreamInfo) -> bool {
        match &self.earlier {
            Some(_) => !input.ids_are_row_numbers(),
            None => !input.ids_are_positions(),
        }
    }

    /// Whether the index will have ids.
    fn has_ids(&self, input: &StreamInfo) -> bool {
        self.collects_ids(input) || self.earlier.as_ref().is_some_and(|earlier| earlier.have_ids())
    }
}

/// What a merged index may have other than the first one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MergeOptions {
    pub(crate) m: Option<usize>,
    pub(crate) ef_construction: Option<usize>,
    pub(crate) seed: Option<u64>,
}
