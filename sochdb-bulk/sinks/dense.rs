//! What files of rows of one size have in common: an optional header, then row after row, to be written at any place or
//! from front to back.

use std::path::Path;

use half::f16;
use readers::formats::npy_header;
use readers::{Batch, Error, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stream::{self, Stream, inside_zst};
use super::{Finish, Finished, OrderedWriter, PositionalWriter, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::output::pieces::PORTION_BYTES;
use crate::pipeline::{IdSource, OutputReport, StreamInfo, is_stdio};

/// What becomes of values that a type does not hold exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// They are refused.
    #[default]
    Exact,
    /// They are rounded to the nearest value of the type; those beyond its range are still refused.
    Nearest,
}

/// What a value is in the file. All are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    F32,
    F16(Rounding),
    I8,
    U8,
    I32,
}

/// What is before the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    None,
    /// That of a .npy of this type of values.
    Npy(&'static str),
    /// The number of rows and of values a row, as u32.
    Counts,
}

/// How a file is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// What it is called, for reports.
    pub(super) name: &'static str,
    /// What it is called, for people: `a .npy file`.
    pub(super) what: &'static str,
    pub(super) header: Header,
    /// Whether each row begins with the number of its values, as i32.
    pub(super) rows_have_dim: bool,
    pub(super) value: Value,
}

impl Value {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16(_) => "f16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I32 => "i32",
        }
    }

    fn size_bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16(_) => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Appends `values` as this type. Fails with the position of the first that it does not hold.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is lost is found")]
    fn encode(self, values: &[f32], out: &mut Vec<u8>) -> Result<(), usize> {
        match self {
            Self::F32 => {
                out.extend_from_slice(bytemuck::cast_slice(values));
                Ok(())
            }
            Self::F16(Rounding::Exact) => {
                each(values, out, f16::from_f32, |half, value| half.to_f32() == value, f16::to_le_bytes)
            }
            Self::F16(Rounding::Nearest) => {
                each(values, out, f16::from_f32, |half, _| half.is_finite(), f16::to_le_bytes)
            }
            Self::I8 => each(values, out, |v| v as i8, |n, v| f32::from(n) == v, i8::to_le_bytes),
            Self::U8 => each(values, out, |v| v as u8, |n, v| f32::from(n) == v, u8::to_le_bytes),
            // In f64, which holds both: 2^31 would come back from the largest i32 as it went in.
            Self::I32 => {
                each(values, out, |v| v as i32, |n, v| f64::from(n) == f64::from(v), i32::to_le_bytes)
            }
        }
    }

    /// The refusal of the value at `position` of a batch.
    fn refuse(self, batch: &Batch, position: usize) -> Failure {
        let value = batch.values()[position];
        let (expected, help) = match self {
            Self::F16(rounding) if rounding == Rounding::Nearest || value.abs() > f16::MAX.to_f32() => (
                format!("a value that an f16 holds, up to {} either way", f16::MAX),
                "scale the vectors down, or write f32",
            ),
            Self::F16(_) | Self::F32 => (
                "a value that an f16 holds exactly".to_owned(),
                "write f32, or set `rounding = \"nearest\"` in the `[sink]` (--to-option rounding=nearest)",
            ),
            Self::I8 | Self::U8 | Self::I32 => (
                format!("a whole number that fits {}", self.name()),
                "scale the vectors to whole numbers of that range first, or write floats (fbin, fvecs, npy)",
            ),
        };
        Error::expected(expected, value)
            .in_file(&*batch.origin().file)
            .at(Position::Value {
                row: batch.origin().row + (position / batch.dim()) as u64,
                column: (position % batch.dim()) as u64,
            })
            .with_help(help)
            .into()
    }
}

fn each<T: Copy, const SIZE: usize>(
    values: &[f32],
    out: &mut Vec<u8>,
    narrow: impl Fn(f32) -> T,
    is_held: impl Fn(T, f32) -> bool,
    bytes: impl Fn(T) -> [u8; SIZE],
) -> Result<(), usize> {
    for (position, &value) in values.iter().enumerate() {
        let narrow = narrow(value);
        if !is_held(narrow, value) {
            return Err(position);
        }
        out.extend_from_slice(&bytes(narrow));
    }
    Ok(())
}

impl Layout {
    fn header(&self, rows: u64, dim: usize) -> Result<Vec<u8>, Failure> {
        match self.header {
            Header::None => Ok(Vec::new()),
            Header::Npy(descr) => Ok(npy_header(descr, &[rows, dim as u64])),
            Header::Counts => match (u32::try_from(rows), u32::try_from(dim)) {
                (Ok(rows), Ok(dim)) => Ok([rows.to_le_bytes(), dim.to_le_bytes()].concat()),
                _ => Err(Failure::refused(format!(
                    "{} counts rows and dimensions up to {}, found {rows} x {dim}",
                    self.what,
                    u32::MAX
                ))
                .with_help("write several files, with `rows` for each, or npy")),
            },
        }
    }

    fn header_bytes(&self) -> u64 {
        match self.header {
            Header::None => 0,
            Header::Npy(_) => npy_header("<f4", &[0, 0]).len() as u64,
            Header::Counts => 8,
        }
    }

    /// Whether rows are other bytes in the file than in memory.
    fn is_encoded(&self) -> bool {
        self.value != Value::F32 || self.rows_have_dim
    }

    fn row_bytes(&self, dim: usize) -> usize {
        dim.saturating_mul(self.value.size_bytes()).saturating_add(if self.rows_have_dim { 4 } else { 0 })
    }

    /// Where the row at `position` begins.
    fn offset(&self, position: u64, dim: usize) -> Result<u64, Failure> {
        let rows = position.checked_mul(self.row_bytes(dim) as u64);
        rows.and_then(|rows| rows.checked_add(self.header_bytes())).ok_or_else(|| {
            Failure::refused(format!("{position} rows of {dim} values are more than any file can hold"))
        })
    }

    /// Hands a batch as bytes of the file to `write`, portion after portion of whole rows: the number of the first in the
    /// batch, and the bytes.
    fn encode(
        &self,
        batch: &Batch,
        mut write: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let dim = batch.dim();
        if !self.is_encoded() {
            return write(0, bytemuck::cast_slice(batch.values()));
        }
        let count = i32::try_from(dim)
            .map_err(|_| Failure::refused(format!("{} has rows of up to {} values", self.what, i32::MAX)))?;
        let rows = (PORTION_BYTES / self.row_bytes(dim)).clamp(1, batch.rows().max(1));
        let mut bytes = Vec::with_capacity(rows * self.row_bytes(dim));
        for (portion, values) in batch.values().chunks(rows * dim).enumerate() {
            bytes.clear();
            for (row, values) in values.chunks_exact(dim).enumerate() {
                if self.rows_have_dim {
                    bytes.extend_from_slice(&count.to_le_bytes());
                }
                let first = (portion * rows + row) * dim;
                self.value.encode(values, &mut bytes).map_err(|at| self.value.refuse(batch, first + at))?;
            }
            write((portion * rows) as u64, &bytes)?;
        }
        Ok(())
    }

    /// As [`super::Sink::plan`].
    pub(super) fn plan(&self, path: &Path, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure> {
        let mut plan = stream::plan(path, Some(self.what))?;
        plan.is_positional = !is_from_front_to_back(path);
        if self.is_encoded() {
            let writers = if plan.is_positional { threads } else { 1 };
            plan.memory.push(("encoding", (writers * PORTION_BYTES.max(self.row_bytes(input.dim))) as u64));
        }
        self.header(input.rows.exact().unwrap_or_default(), input.dim)?;
        if inside_zst(path).is_none() {
            plan.can_resume = !plan.uses_stdout;
            plan.output_bytes = input.rows.exact().map(|rows| self.offset(rows, input.dim)).transpose()?;
        }
        if self.header != Header::None && input.rows.exact().is_none() && is_from_front_to_back(path) {
            let message =
                format!("{} begins with the number of rows, and nobody knows it before the end", self.what);
            return Err(Failure::refused(message)
                .with_help("write to a file without .zst, or use raw_f32 or fvecs, which do not begin so"));
        }
        if input.ids == IdSource::Text {
            plan.notes.extend(lost_texts(self.what, input));
        } else if !input.ids_are_positions() {
            plan.notes.push(format!("{} has no place for ids: they are left out", self.what));
        }
        plan.notes.extend(lost_columns(self.what, input));
        Ok(plan)
    }

    /// As [`super::Sink::open`].
    pub(super) fn open(self, path: &Path, job: &SinkJob) -> Result<Writer, Failure> {
        let (rows, dim) = (job.input.rows.exact(), job.input.dim);
        let size_bytes = rows.map(|rows| self.offset(rows, dim)).transpose()?;
        if is_from_front_to_back(path) {
            let mut stream = Stream::create(path, size_bytes)?;
            stream.put(&self.header(rows.unwrap_or_default(), dim)?)?;
            return Ok(Writer::Ordered(Box::new(DenseStream { stream, layout: self })));
        }
        let file = if job.resume { AtomicFile::resume(path)? } else { AtomicFile::create(path)? };
        if let Some(bytes) = size_bytes {
            file.reserve(bytes)?;
        }
        Ok(Writer::Positional(Box::new(DenseFile { file, dim, layout: self })))
    }
}

/// Whether a path can only be written from front to back.
pub(super) fn is_from_front_to_back(path: &Path) -> bool {
    is_stdio(path) || inside_zst(path).is_some()
}

/// What to say of the further columns of a stream that `what` has no place for.
pub(super) fn lost_columns(what: &str, input: &StreamInfo) -> Option<String> {
    let schema = input.payload.as_ref().filter(|schema| !schema.fields().is_empty())?;
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Some(format!("{what} has no place for further columns: {} are left out", names.join(", ")))
}

/// What to say of ids that are texts, where there are any and they have no place.
pub(super) fn lost_texts(what: &str, input: &StreamInfo) -> Option<String> {
    let has_texts = input.ids == IdSource::Text;
    has_texts.then(|| {
        format!("{what} has no place for ids that are texts: they are left out, the rows keep their order")
    })
}

struct DenseFile {
    file: AtomicFile,
    dim: usize,
    layout: Layout,
}

impl PositionalWriter for DenseFile {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        self.layout.encode(batch, |first, bytes| {
            self.file.write_all_at(bytes, self.layout.offset(position + first, self.dim)?)
        })
    }

    fn commit(&self) -> Result<(), Failure> {
        self.file.commit()
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        // Only now is the number of rows known in any case.
        self.file.write_all_at(&self.layout.header(finish.rows, self.dim)?, 0)?;
        let bytes = self.layout.offset(finish.rows, self.dim)?;
        let output = OutputReport::new(self.file.target(), self.layout.name, bytes);
        Ok(Finished { files: vec![self.file], outputs: vec![output] })
    }
}

/// Rows behind a header that is written already.
struct DenseStream {
    stream: Stream,
    layout: Layout,
}

impl OrderedWriter for DenseStream {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.layout.encode(batch, |_, bytes| self.stream.put(bytes))
    }

    fn finish(self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        self.stream.finish(self.layout.name)
    }
}

/// A sink that is a [`Layout`]: `|self| layout` for a type with a `path` and the rest of [`super::Sink`]'s constants.
macro_rules! dense_sink {
    ($sink:ty, $layout:expr, { $($constant:item)* }) => {
        crate::register_sink!($sink);

        impl crate::sinks::Sink for $sink {
            $($constant)*

            fn resolve_paths(&mut self, resolve: &dyn Fn(&std::path::Path) -> std::path::PathBuf) {
                self.path = resolve(&self.path);
            }

            fn outputs(&self, _input: &crate::pipeline::StreamInfo) -> Vec<std::path::PathBuf> {
                crate::sinks::stream::outputs(&self.path)
            }

            fn plan(
                &mut self,
                input: &crate::pipeline::StreamInfo,
                threads: usize,
            ) -> Result<crate::sinks::SinkPlan, crate::Failure> {
                let layout: fn(&Self) -> crate::sinks::dense::Layout = $layout;
                layout(self).plan(&self.path, input, threads)
            }

            fn open(
                &self,
                job: crate::sinks::SinkJob,
            ) -> Result<crate::sinks::Writer, crate::Failure> {
                let layout: fn(&Self) -> crate::sinks::dense::Layout = $layout;
                layout(self).open(&self.path, &job)
            }
        }
    };
}
pub(super) use dense_sink;
