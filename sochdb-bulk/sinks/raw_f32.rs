//! Bare f32 values, a sidecar that describes them, and the ids where there are any.

use std::path::{Path, PathBuf};

use readers::formats::{Sidecar, sidecar_path_for_writing};
use readers::{Batch, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{IdCollector, print_values, size_bytes, write_ids, write_values};
use super::{Finish, Finished, OrderedWriter, PositionalWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::stdout;
use crate::pipeline::{OutputReport, StreamInfo, is_stdio};

/// Writes f32 values without a header, little-endian, one vector after another, and beside them a `.json` with `n`, `dim`
/// and `metric`. Ids that are not just row numbers go into `ids.u64` beside it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawF32Sink {
    /// The file to write; `-` is standard output, without sidecar and ids.
    #[serde(skip_serializing)]
    path: PathBuf,
    /// The metric to record; that of the source where it is not given.
    metric: Option<Metric>,
}

crate::register_sink!(RawF32Sink);

/// The name that readers look for.
const IDS: &str = "ids.u64";

impl RawF32Sink {
    /// Whether no other file of bare vectors is in the folder.
    fn is_alone(&self) -> bool {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { return true };
        self.path.exists()
            && !entries.flatten().any(|entry| {
                let path = entry.path();
                let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
                let is_raw = extension.is_some_and(|e| Self::EXTENSIONS.contains(&e.as_str()));
                is_raw && path.file_name() != self.path.file_name()
            })
    }

    fn ids_path(&self, input: &StreamInfo) -> Option<PathBuf> {
        (!input.ids_are_positions()).then(|| self.path.with_file_name(IDS))
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
        let sidecar = sidecar_path_for_writing(&self.path);
        [Some(self.path.clone()), self.ids_path(input), Some(sidecar)].into_iter().flatten().collect()
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        self.metric = self.metric.or(input.metric);
        if is_stdio(&self.path) {
            stdout::refuse_terminal("a file of raw f32")?;
            return Ok(SinkPlan { uses_stdout: true, ..SinkPlan::default() });
        }
        let mut plan = SinkPlan::default();
        let stale = self.path.with_file_name(IDS);
        if input.ids_are_positions() && stale.exists() {
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
            plan.memory.push(("ids", input.rows.exact().unwrap_or_default().saturating_mul(8)));
            plan.notes.push(format!("the ids go into {}", ids.display()));
        }
        Ok(plan)
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        if is_stdio(&self.path) {
            return Ok(Writer::Ordered(Box::new(RawStream)));
        }
        let file = AtomicFile::create(&self.path)?;
        if let Some(rows) = job.input.rows.exact() {
            file.reserve(size_bytes(rows, job.input.dim)?)?;
        }
        let ids = match self.ids_path(&job.input) {
            Some(path) => Some((AtomicFile::create(&path)?, IdCollector::default())),
            None => None,
        };
        let sidecar = AtomicFile::create(&sidecar_path_for_writing(&self.path))?;
        let (dim, metric) = (job.input.dim, self.metric);
        Ok(Writer::Positional(Box::new(RawFile { file, sidecar, ids, dim, metric })))
    }
}

struct RawFile {
    file: AtomicFile,
    sidecar: AtomicFile,
    ids: Option<(AtomicFile, IdCollector)>,
    dim: usize,
    metric: Option<Metric>,
}

impl PositionalWriter for RawFile {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        write_values(&self.file, 0, position, batch)?;
        match &self.ids {
            Some((_, ids)) => ids.put(position, batch),
            None => Ok(()),
        }
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        let Self { file, sidecar, ids, dim, metric } = *self;
        let name = file.target().file_name().map(|name| name.to_string_lossy().into_owned());
        let json =
            Sidecar { n: Some(finish.rows), dim: Some(dim), metric }.to_json(&name.unwrap_or_default());
        sidecar.write_all_at(json.as_bytes(), 0)?;
        let mut outputs = vec![OutputReport::new(file.target(), "raw_f32", size_bytes(finish.rows, dim)?)];
        let mut files = vec![file];
        if let Some((file, ids)) = ids {
            let ids = ids.into_ids();
            write_ids(&file, &ids)?;
            outputs.push(OutputReport::new(file.target(), "ids", ids.len() as u64 * 8));
            files.push(file);
        }
        outputs.push(OutputReport::new(sidecar.target(), "sidecar", json.len() as u64));
        files.push(sidecar);
        Ok(Finished { files, outputs })
    }
}

struct RawStream;

impl OrderedWriter for RawStream {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        print_values(batch)
    }

    fn finish(self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        Ok(Finished { files: Vec::new(), outputs: Vec::new() })
    }
}
