//! The index: the one sink that builds.

pub(super) mod append;
mod options;
mod refusals;
mod source;
mod text_ids;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use exchange::Library;
use index::file::{Contents, VECTORS_OFFSET, VectorChecksums, Vectors};
use index::{
    AutoBuilder, BuildError, Built, GraphBuilder, InsertBuilder, MappedMatrix, Monitor, Params,
    PartitionBuilder, Phase, TextIdSource,
};
use readers::{Batch, Matrix, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::append::{AppendedTexts, Earlier};
use self::options::{Builder, Codes, Storage};
use self::refusals::{build_failure, refuse_duplicates, refuse_same_texts, too_large};
use super::foreign::{IndexFormat, Stoppable, write_for};
use super::rows::{IdCollector, size_bytes, write_values};
use super::stream::refuse_zst;
use super::{Finish, Finished, PositionalWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::output::atomic::{AtomicFile, folder, write_all_at};
use crate::output::progress::Progress;
use crate::pipeline::{Cancel, IdSource, OutputReport, RecallCheck, StreamInfo};
use crate::{Code, Failure};
use source::SourceFile;
use text_ids::TextIdSpool;

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

/// The ids of the rows that have come.
enum Ids {
    /// They are the places of the rows.
    Positions,
    Numbers(IdCollector),
    Texts(TextIdSpool),
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

struct HnswFile {
    file: AtomicFile,
    ids: Ids,
    job: SinkJob,
    params: Params,
    builder: &'static dyn GraphBuilder,
    codes: Codes,
    /// For whom the index is written when it is built, if not for this program. The file is only on the way then.
    library: Option<&'static Library>,
    storage: Storage,
    source: Option<SourceFile>,
    /// The vectors as they come, where they are not written to their place.
    wide: Option<File>,
    /// What the rows of the stream come behind.
    earlier: Option<Arc<Earlier>>,
}

impl PositionalWriter for HnswFile {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        if self.job.matrix.is_none() || self.earlier.is_some() {
            let earlier_rows = self.earlier.as_ref().map_or(0, |earlier| earlier.rows());
            let position = earlier_rows.saturating_add(position);
            match &self.wide {
                None => write_values(&self.file, VECTORS_OFFSET, position, batch)?,
                Some(wide) => {
                    let offset = size_bytes(position, batch.dim())?;
                    write_wide(wide, bytemuck::cast_slice(batch.values()), offset, &self.file)?;
                }
            }
        }
        match &self.ids {
            Ids::Positions => Ok(()),
            Ids::Numbers(ids) => ids.put(position, batch),
            Ids::Texts(ids) => ids.put(position, batch),
        }
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        let Self { file, ids, mut job, params, builder, codes, storage, source, wide, library, earlier } =
            *self;
        let (ids, texts) = match ids {
            Ids::Positions => (None, None),
            Ids::Numbers(ids) => (Some(ids.into_ids()), None),
            Ids::Texts(ids) => (None, Some(ids.finish()?)),
        };
        let ids = match &earlier {
            Some(earlier) => {
                job.matrix = None;
                earlier.write_vectors(finish.cancel, |bytes, offset| match &wide {
                    None => file.write_all_at(bytes, VECTORS_OFFSET + offset),
                    Some(wide) => write_wide(wide, bytes, offset, &file),
                })?;
                earlier.ids_checked(ids, &job.input)?
            }
            None => ids,
        };
        if let (Some(ids), None) = (&ids, &earlier) {
            refuse_duplicates(ids, &job.input)?;
        }
        if let (Some(ids), Some(library)) = (&ids, library) {
            library.check_ids(ids)?;
        }
        let known = earlier.as_ref().map(|earlier| earlier.known()).unwrap_or_default();
        let earlier_rows = earlier.as_ref().map_or(0, |earlier| earlier.rows());
        let rows = usize::try_from(earlier_rows.saturating_add(finish.rows))
            .map_err(|_| Failure::failed("there are more rows than memory has addresses"))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(finish.threads)
            .build()
            .map_err(|e| Failure::failed(format!("cannot start {} threads: {e}", finish.threads)))?;
        let appended = earlier.as_ref().filter(|earlier| earlier.have_texts());
        let appended = appended.map(|earlier| AppendedTexts { earlier, of_stream: texts.as_ref() });
        let all_texts = match (&appended, &texts) {
            (Some(appended), _) => Some(appended as &dyn TextIdSource),
            (None, texts) => texts.as_ref().map(|texts| texts as &dyn TextIdSource),
        };
        match (&appended, &texts) {
            (Some(appended), _) => pool.install(|| appended.refuse_duplicates(&job.input))?,
            (None, Some(texts)) => pool.install(|| refuse_same_texts(texts, &job.input))?,
            (None, None) => {}
        }
        let watch = Watch { progress: finish.progress, cancel: finish.cancel };
        let build = |matrix: index::Matrix<'_>, early: &[u8]| {
            pool.install(|| index::check_storage(matrix, storage.of_index()))
                .map_err(|invalid| too_large(&invalid, &job.input))?;
            let start = Instant::now();
            // The vectors go to the disk while the graph is built.
            let (vector_checksums, built) = beside(
                |is_abandoned| {
                    let stop = || is_abandoned.load(Ordering::Relaxed) || finish.cancel.is_set();
                    match (library, storage) {
                        (None, Storage::F32) => file.write_early(early, VECTORS_OFFSET, stop)?,
                        (Some(_), Storage::F32) if early.is_empty() => {}
                        (Some(_), Storage::F32) => file.write_all_at(early, VECTORS_OFFSET)?,
                        (_, Storage::Source) => {}
                        // Of what is narrowed they are computed when it is written.
                        (_, Storage::F16 | Storage::I8) => return Ok(None),
                    }
                    Ok(Some(VectorChecksums::of(matrix)))
                },
                || {
                    pool.install(|| index::build_from(matrix, &params, builder, &known, &watch)).map_err(
                        |mut e| {
                            // Rows of an index were accepted before; messages count those of the stream.
                            if let BuildError::Row(invalid) = &mut e {
                                invalid.row = invalid.row.saturating_sub(earlier_rows);
                            }
                            build_failure(&e, &job.input, finish.cancel)
                        },
                    )
                },
            )?;
            let build_secs = start.elapsed().as_secs_f64();
            let start = Instant::now();
            finish.cancel.check()?;
            let built = match codes {
                Codes::Auto => pool.install(|| built.with_faithful_codes(matrix)),
                Codes::I8 => pool.install(|| built.with_codes(matrix)),
                Codes::None => built.without_codes(),
            };
            finish.progress.begin("writing", None);
            let contents = Contents {
                built: &built,
                vectors: match (storage, &source) {
                    (Storage::Source, Some(source)) => Vectors::Source(matrix, source.for_index()),
                    (Storage::F16 | Storage::I8, _) => Vectors::Narrowed(matrix, storage.of_index()),
                    _ => Vectors::InPlace(matrix),
                },
                vector_checksums: vector_checksums.as_ref(),
                ids: ids.as_deref(),
                text_ids: all_texts,
                recipe: &job.recipe,
            };
            let mut out = Stoppable { file: file.file(), cancel: finish.cancel };
            let written = pool
                .install(|| index::file::write(&mut out, &contents))
                .map_err(|e| finish.cancel.check().err().unwrap_or_else(|| file.failure(&e)))?;
            let mut more =
                vec![("build_secs", build_secs.into()), ("write_secs", start.elapsed().as_secs_f64().into())];
            if let Some(check) = &job.check {
                finish.progress.begin("checking", None);
                more.push(("recall", pool.install(|| measure(&file, check, matrix))?));
            }
            Ok::<_, Failure>((built, written.header, more))
        };
        let (built, header, more) = match &job.matrix {
            Some(Matrix { values, dim }) => {
                build(index::Matrix::new(values, *dim), bytemuck::cast_slice(values))
            }
            None if rows == 0 => build(index::Matrix::new(&[], job.input.dim), &[]),
            None => {
                let (from, offset) = wide.as_ref().map_or((file.file(), VECTORS_OFFSET), |wide| (wide, 0));
                let mapped =
                    MappedMatrix::new(from, offset, rows, job.input.dim).map_err(|e| file.failure(&e))?;
                build(mapped.matrix(), &[])
            }
        }?;
        let (file, bytes) = match library {
            None => (file, header.file_length_bytes),
            Some(library) => {
                finish.progress.begin("writing", None);
                let file = pool.install(|| translate(&file, library, finish.cancel))?;
                let bytes = file.len_bytes()?;
                (file, bytes)
            }
        };
        let mut output = OutputReport::new(file.target(), "hnsw", bytes);
        output.details = details(&params, &built, &header);
        output.details.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(Finished { files: vec![file], outputs: vec![output] })
    }
}

/// Puts vectors where they wait to be narrowed.
fn write_wide(wide: &File, bytes: &[u8], offset: u64, file: &AtomicFile) -> Result<(), Failure> {
    let failed = |e| Failure::io("write vectors to a temporary file beside it", file.target(), &e);
    write_all_at(wide, bytes, offset).map_err(failed)
}

/// The index that is in a file, for another library, in a new file for the same output.
fn translate(file: &AtomicFile, library: &Library, cancel: &Cancel) -> Result<AtomicFile, Failure> {
    let again = file.file().try_clone().map_err(|e| file.failure(&e))?;
    let name = file.target().display();
    let index = index::Index::of_file(again).map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    let out = AtomicFile::create(file.target())?;
    write_for(library, &index, exchange::Ids::Own, &out, cancel)?;
    Ok(out)
}

/// Fails unless the index that was written has the recall that it must have.
fn measure(
    file: &AtomicFile,
    check: &RecallCheck,
    originals: index::Matrix<'_>,
) -> Result<serde_json::Value, Failure> {
    let RecallCheck { min, k, sample, ef } = *check;
    // A search keeps as many candidates as it is to find.
    let ef = ef.max(k);
    let name = file.target().display();
    let again = file.file().try_clone().map_err(|e| file.failure(&e))?;
    let index = index::Index::of_file_in(again, folder(file.target()))
        .map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    let recall = index
        // Where vectors are rounded, that is an error, too.
        .recall_of_sample_in(originals, k as usize, sample as usize, ef as usize)
        .map_err(|e| Failure::failed(format!("{name}: {e}")))?;
    if recall < min {
        let rows = (sample as usize).min(index.rows());
        let message = format!(
            "{name}: expected recall@{k} of at least {min}, found {recall:.4} for {rows} of its rows at ef {ef}"
        );
        return Err(Failure::failed(message).with_code(Code::Recall).with_help(
            "raise ef_construction or m in [sink], or ef in [check] if searches may take longer",
        ));
    }
    Ok(serde_json::json!({ "value": recall, "k": k, "ef": ef, "sample": sample, "min": min }))
}

/// What `--stats` and the summary say of an index.
fn details(
    params: &Params,
    built: &Built,
    header: &index::file::Header,
) -> serde_json::Map<String, serde_json::Value> {
    let level_rows = built.level_rows();
    let mut details = serde_json::Map::new();
    let mut put = |name: &str, value: serde_json::Value| details.insert(name.to_owned(), value);
    put("metric", params.metric.name().into());
    put("m", params.m.into());
    put("ef_construction", params.ef_construction.into());
    put("seed", params.seed.into());
    put("builder", header.builder.clone().into());
    for (name, value) in &header.effective_parameters {
        put(&format!("{}_{name}", header.builder), (*value).into());
    }
    put("levels", level_rows.into());
    put("mean_degree", header.mean_degree().into());
    put("reachable_share", header.reachable_share().into());
    put("repaired", built.repaired_nodes().into());
    put("copies", built.copies().into());
    put("storage", header.storage.name().into());
    put("codes", if built.has_codes() { "i8" } else { "none" }.into());
    details
}

/// Does `other` on a thread of its own beside `work`, which may tell it that it is not wanted any more. The first error
/// counts, that of `work` before that of `other`.
fn beside<T: Send, U>(
    other: impl FnOnce(&AtomicBool) -> Result<T, Failure> + Send,
    work: impl FnOnce() -> Result<U, Failure>,
) -> Result<(T, U), Failure> {
    let is_abandoned = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| other(&is_abandoned));
        let done = work();
        is_abandoned.store(done.is_err(), Ordering::Relaxed);
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.and_then(|done| Ok((other?, done)))
    })
}

/// Tells the index engine's progress to the person, and the person's Ctrl-C to the engine.
struct Watch<'a> {
    progress: &'a Progress,
    cancel: &'a Cancel,
}

impl Monitor for Watch<'_> {
    fn begin(&self, phase: Phase, rows: u64) {
        self.progress.begin(phase.name(), Some(rows));
    }

    fn advance(&self, rows: u64) {
        self.progress.advance(rows);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_set()
    }
}
