//! What becomes of the rows: they are put in their place, and in the end the graph is built and written.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use exchange::Library;
use index::file::{Contents, VECTORS_OFFSET, VectorChecksums, Vectors};
use index::{BuildError, Built, GraphBuilder, MappedMatrix, Monitor, Params, Phase, TextIdSource};
use readers::{Batch, Matrix};

use super::append::{AppendedTexts, Earlier};
use super::options::{Codes, Storage};
use super::refusals::{build_failure, refuse_duplicates, refuse_same_texts, too_large};
use super::source::SourceFile;
use super::text_ids::TextIdSpool;
use crate::output::atomic::{AtomicFile, folder, write_all_at};
use crate::output::progress::Progress;
use crate::pipeline::{Cancel, OutputReport, RecallCheck};
use crate::sinks::foreign::{Stoppable, write_for};
use crate::sinks::rows::{IdCollector, size_bytes, write_values};
use crate::sinks::{Finish, Finished, PositionalWriter, SinkJob};
use crate::{Code, Failure};

/// The ids of the rows that have come.
pub(super) enum Ids {
    /// They are the places of the rows.
    Positions,
    Numbers(IdCollector),
    Texts(TextIdSpool),
}

/// An index on its way: rows as they come, then the build.
pub(super) struct HnswFile {
    pub(super) file: AtomicFile,
    pub(super) ids: Ids,
    pub(super) job: SinkJob,
    pub(super) params: Params,
    pub(super) builder: &'static dyn GraphBuilder,
    pub(super) codes: Codes,
    /// For whom the index is written when it is built, if not for this program. The file is only on the way then.
    pub(super) library: Option<&'static Library>,
    pub(super) storage: Storage,
    pub(super) source: Option<SourceFile>,
    /// The vectors as they come, where they are not written to their place.
    pub(super) wide: Option<File>,
    /// What the rows of the stream come behind.
    pub(super) earlier: Option<Arc<Earlier>>,
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
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(finish.threads)
            .build()
            .map_err(|e| Failure::failed(format!("cannot start {} threads: {e}", finish.threads)))?;
        let ids = match &earlier {
            Some(earlier) => {
                job.matrix = None;
                let write = |bytes: &[u8], offset| match &wide {
                    None => file.write_all_at(bytes, VECTORS_OFFSET + offset),
                    Some(wide) => write_wide(wide, bytes, offset, &file),
                };
                pool.install(|| earlier.write_vectors(finish.cancel, write))?;
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
