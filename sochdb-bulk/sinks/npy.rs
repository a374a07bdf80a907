//! NumPy's own file: a header of 128 bytes and the values.

use std::path::{Path, PathBuf};

use readers::Batch;
use readers::formats::npy_header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{print_values, size_bytes, write_values};
use super::{Finish, Finished, OrderedWriter, PositionalWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::stdout;
use crate::pipeline::{OutputReport, StreamInfo, is_stdio};

/// Writes a .npy file of version 1.0: `<f4`, C order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NpySink {
    /// The file to write; `-` is standard output.
    #[serde(skip_serializing)]
    path: PathBuf,
}

crate::register_sink!(NpySink);

fn header(rows: u64, dim: usize) -> Vec<u8> {
    npy_header("<f4", &[rows, dim as u64])
}

impl Sink for NpySink {
    const NAME: &'static str = "npy";
    const ALIASES: &'static [&'static str] = &["numpy"];
    const EXTENSIONS: &'static [&'static str] = &["npy"];
    const SUMMARY: &'static str = "a NumPy .npy file of f32";
    const EXAMPLE: &'static str = "[sink]\ntype = \"npy\"\npath = \"vectors.npy\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = resolve(&self.path);
    }

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        if is_stdio(&self.path) { Vec::new() } else { vec![self.path.clone()] }
    }

    fn plan(&mut self, input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        if is_stdio(&self.path) {
            stdout::refuse_terminal("a .npy file")?;
            if input.rows.exact().is_none() {
                let message = "a .npy begins with the number of rows, and nobody knows it before the end";
                return Err(Failure::refused(message).with_help("write to a file, or use raw_f32"));
            }
        }
        let mut notes = Vec::new();
        if !input.ids_are_positions() {
            notes.push("a .npy has no place for ids: they are left out".to_owned());
        }
        Ok(SinkPlan { memory: Vec::new(), notes, uses_stdout: is_stdio(&self.path) })
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let (rows, dim) = (job.input.rows.exact(), job.input.dim);
        if is_stdio(&self.path) {
            stdout::write(&header(rows.unwrap_or_default(), dim))?;
            return Ok(Writer::Ordered(Box::new(NpyStream)));
        }
        let file = AtomicFile::create(&self.path)?;
        let header_bytes = header(0, dim).len() as u64;
        if let Some(rows) = rows {
            file.reserve(size_bytes(rows, dim)?.saturating_add(header_bytes))?;
        }
        Ok(Writer::Positional(Box::new(NpyFile { file, dim, header_bytes })))
    }
}

struct NpyFile {
    file: AtomicFile,
    dim: usize,
    header_bytes: u64,
}

impl PositionalWriter for NpyFile {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        write_values(&self.file, self.header_bytes, position, batch)
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        self.file.write_all_at(&header(finish.rows, self.dim), 0)?;
        let bytes = size_bytes(finish.rows, self.dim)?.saturating_add(self.header_bytes);
        let output = OutputReport::new(self.file.target(), "npy", bytes);
        Ok(Finished { files: vec![self.file], outputs: vec![output] })
    }
}

/// The values behind a header that is written already.
struct NpyStream;

impl OrderedWriter for NpyStream {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        print_values(batch)
    }

    fn finish(self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        Ok(Finished { files: Vec::new(), outputs: Vec::new() })
    }
}
