//! Bare f32 values, a sidecar that describes them, and the ids where there are any.

use std::path::{Path, PathBuf};

use readers::formats::{Sidecar, sidecar_path_for_writing};
use readers::{Batch, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dense::{is_from_front_to_back, lost_columns, lost_texts};
use super::rows::{IdCollector, size_bytes, write_ids, write_values};
use super::stream::{self, Stream, inside_zst};
use super::{Finish, Finished, OrderedWriter, PositionalWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::pipeline::{IdSource, OutputReport, StreamInfo, is_stdio};

/// Writes f32 values without a header, little-endian, one vector after another, and beside them a `.json` with `n`, `dim`
/// and `metric`. Ids that are not just row numbers go into `ids.u64` beside it;
/// ids that are texts have no place, and are left out with a note.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawF32Sink {
    /// The file to write; `-` is standard output, without sidecar and ids. What ends in `.zst` is compressed, and its
    /// sidecar is that of the file inside.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The metric to record; that of the source where it is not given.
    metric: Option<Metric>,
}

crate::register_sink!(RawF32Sink);

/// The name that readers look for.
const IDS: &str = "ids.u64";

impl RawF32Sink {
    /// The file of the vectors, as it is called when nothing is compressed: what the sidecar is about.
    fn inner(&self) -> PathBuf {
        inside_zst(&self.path).unwrap_or_else(|| self.path.clone())
    }

    /// The file compressed, if it is not, and the other way round.
    fn other_form(&self) -> PathBuf {
        inside_zst(&self.path).unwrap_or_else(|| {
            let mut path = self.path.clone().into_os_string();
            path.push(".zst");
            path.into()
        })
    }

    /// Whether no other file of bare vectors is in the folder.
    fn is_alone(&self) -> bool {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { return true };
        self.path.exists()
            && !entries.flatten().any(|entry| {
                let path = entry.path();
                let inner = inside_zst(&path);
                let inner = inner.as_ref().unwrap_or(&path);
                let extension = inner.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
                let is_raw = extension.is_some_and(|e| Self::EXTENSIONS.contains(&e.as_str()));
                is_raw && path.file_name() != self.path.file_name()
            })
    }

    fn ids_path(&self, input: &StreamInfo) -> Option<PathBuf> {
        (!input.ids_are_positions() && input.ids != IdSource::Text).then(|| self.path.with_file_name(IDS))
    }
}

impl Sink for RawF32Sink {
    const NAME: &'static str = "raw_f32";
    const ALIASES: &'static [&'static str] = &["raw", "f32", "bin"];
    const EXTENSIONS: &'static [&'static str] = &["f32", "raw", "bin"];
    const SUMMARY: &'static str = "f32 values without a header, and a .json beside them";
    const EXAMPLE: &'static str = "[sink]\ntype = \"raw_f32\"\npath = \"vectors.f32\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf> {
        if is_stdio(&self.path) {
            return Vec::new();
        }
        let sidecar = sidecar_path_for_writing(&self.inner());
        [Some(self.path.clone()), self.ids_path(input), Some(sidecar)].into_iter().flatten().collect()
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        self.metric = self.metric.or(input.metric);
        let mut plan = stream::plan(&self.path, Some("a file of raw f32"))?;
        plan.is_positional = !is_from_front_to_back(&self.path);
        plan.notes.extend(lost_texts("a file of raw f32", input));
        plan.notes.extend(lost_columns("a file of raw f32", input));
        if plan.uses_stdout {
            if !input.ids_are_positions() {
                plan.notes.push("standard output has no place for ids: they are left out".to_owned());
            }
            return Ok(plan);
        }
        let other = self.other_form();
        if other.exists() {
            let message = format!("{}: exists, and would share its sidecar with this file", other.display());
            return Err(Failure::refused(message)
                .with_help("write under another name, or remove that file if nothing needs it"));
        }
        let stale = self.path.with_file_name(IDS);
        if self.ids_path(input).is_none() && stale.exists() {
            let message = format!("{}: would be taken for the ids of these vectors", stale.display());
            return Err(Failure::refused(message)
                .with_help("write to a folder of its own, or remove that file if nothing needs it"));
        }
        if let Some(ids) = self.ids_path(input) {
            // An id file beside another file of vectors belongs to that one.
            if ids.exists() && !self.is_alone() {
                let message = format!("{}: exists, and belongs to other vectors", ids.display());
                return Err(Failure::refused(message).with_help(
                    "write to a folder of its own: the ids of a raw file are in ids.u64 beside it",
                ));
            }
            plan.memory.push(("ids", input.most_rows().unwrap_or_default().saturating_mul(8)));
            plan.notes.push(format!("the ids go into {}", ids.display()));
        }
        if inside_zst(&self.path).is_none() {
            // Ids are written when all are there.
            plan.can_resume = self.ids_path(input).is_none();
            plan.output_bytes = input.rows.exact().map(|rows| size_bytes(rows, input.dim)).transpose()?;
        }
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let (path, input) = (&self.path, &job.input);
        let size_bytes = input.rows.exact().map(|rows| size_bytes(rows, input.dim)).transpose()?;
        if is_stdio(path) {
            let stream = Stream::create(path, size_bytes)?;
            return Ok(Writer::Ordered(Box::new(RawStream { stream, position: 0, beside: None })));
        }
        let ids = match self.ids_path(input) {
            Some(path) => Some((AtomicFile::create(&path)?, IdCollector::default())),
            None => None,
        };
        let inner = self.inner();
        let name = inner.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sidecar = AtomicFile::create(&sidecar_path_for_writing(&inner))?;
        let beside = Beside { sidecar, ids, name, dim: input.dim, metric: self.metric };
        if is_from_front_to_back(path) {
            let stream = Stream::create(path, size_bytes)?;
            return Ok(Writer::Ordered(Box::new(RawStream { stream, position: 0, beside: Some(beside) })));
        }
        let file = if job.resume { AtomicFile::resume(path)? } else { AtomicFile::create(path)? };
        if let Some(bytes) = size_bytes {
            file.reserve(bytes)?;
        }
        Ok(Writer::Positional(Box::new(RawFile { file, beside })))
    }
}

/// What lies beside the values.
struct Beside {
    sidecar: AtomicFile,
    ids: Option<(AtomicFile, IdCollector)>,
    /// The name of the file of the values, in the sidecar.
    name: String,
    dim: usize,
    metric: Option<Metric>,
}

impl Beside {
    fn put(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        match &self.ids {
            Some((_, ids)) => ids.put(position, batch),
            None => Ok(()),
        }
    }

    /// Adds ids and sidecar to the values of `rows` rows.
    fn finish(self, mut values: Finished, rows: u64) -> Result<Finished, Failure> {
        if let Some((file, ids)) = self.ids {
            let ids = ids.into_ids();
            write_ids(&file, &ids)?;
            values.outputs.push(OutputReport::new(file.target(), "ids", ids.len() as u64 * 8));
            values.files.push(file);
        }
        let sidecar = Sidecar { n: Some(rows), dim: Some(self.dim), metric: self.metric };
        let json = sidecar.to_json(&self.name);
        self.sidecar.write_all_at(json.as_bytes(), 0)?;
        values.outputs.push(OutputReport::new(self.sidecar.target(), "sidecar", json.len() as u64));
        values.files.push(self.sidecar);
        Ok(values)
    }
}

struct RawFile {
    file: AtomicFile,
    beside: Beside,
}

impl PositionalWriter for RawFile {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        write_values(&self.file, 0, position, batch)?;
        self.beside.put(position, batch)
    }

    fn commit(&self) -> Result<(), Failure> {
        self.file.commit()
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        let Self { file, beside } = *self;
        let bytes = size_bytes(finish.rows, beside.dim)?;
        let outputs = vec![OutputReport::new(file.target(), RawF32Sink::NAME, bytes)];
        beside.finish(Finished { files: vec![file], outputs }, finish.rows)
    }
}

struct RawStream {
    stream: Stream,
    position: u64,
    /// None on standard output.
    beside: Option<Beside>,
}

impl OrderedWriter for RawStream {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.stream.put(bytemuck::cast_slice(batch.values()))?;
        if let Some(beside) = &self.beside {
            beside.put(self.position, batch)?;
        }
        self.position += batch.rows() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        let Self { stream, beside, .. } = *self;
        let values = stream.finish(RawF32Sink::NAME)?;
        match beside {
            Some(beside) => beside.finish(values, finish.rows),
            None => Ok(values),
        }
    }
}
