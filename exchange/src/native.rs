//! The vectors of this program's own index files as a source.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use index::Index;
use index::file::{OpenError, SectionKind};
use readers::arrow_buffer::ScalarBuffer;
use readers::{
    DType, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input, Metric, Probe, Rows, Score, Source,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::dataset::{IndexRows, RowSource};

/// The vectors and ids of an index of sochdb-bulk, as they were given when it was built.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Hnsw {}

readers::register_format!(Hnsw);

/// The first bytes of an index file.
const MAGIC: &[u8] = b"\x89SDB\r\n\x1a\n";

impl Format for Hnsw {
    const NAME: &'static str = "hnsw";
    const EXTENSIONS: &'static [&'static str] = &["hnsw"];
    const SUMMARY: &'static str = "vectors and ids of an index of sochdb-bulk";
    const EXAMPLE: &'static str = "[source]\ntype = \"hnsw\"\npath = \"vectors.hnsw\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        if probe.head.starts_with(MAGIC) {
            return Score::Yes(Score::CERTAIN, "its first bytes are those of an index of sochdb-bulk".into());
        }
        probe.by_extension(Self::EXTENSIONS)
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let file: File = source.handle()?;
        let index = Index::of_file(file).map_err(|error| match error {
            OpenError::Io(error) => Error::io("read", error),
            OpenError::Newer { .. } => Error::unsupported(error.to_string()),
            _ => Error::malformed(error.to_string()).with_help("copy the file again, or build it again"),
        })?;
        let header = index.header();
        readers::formats::check_asked_dim(input.dim, header.dim)?;
        let metric = match header.params.metric {
            index::Metric::L2 => Metric::L2,
            index::Metric::Cosine => Metric::Cosine,
            index::Metric::Ip => Metric::Ip,
        };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(header.rows),
            dim: header.dim,
            dtype: DType::F32,
            metric: Some(metric),
            ids: ids_of(&index),
            payload: None,
            chosen: Vec::new(),
            files: vec![input.path.clone()],
            size_bytes: header.file_length_bytes,
            notes: Vec::new(),
        };
        Ok(Box::new(IndexRows(Native { source, index, info, matrix: OnceLock::new() })))
    }
}

fn ids_of(index: &Index) -> Option<IdType> {
    if index.text_ids().is_some() { Some(IdType::Text) } else { index.ids().map(|_| IdType::U64) }
}

#[derive(Debug)]
struct Native {
    source: Source,
    index: Index,
    info: DatasetInfo,
    /// The vectors in the map, once all of their checksums were compared.
    matrix: OnceLock<Option<ScalarBuffer<f32>>>,
}

impl Native {
    /// The vectors where they are, if the file is mapped and they are what their checksums say.
    fn in_place(&self) -> Option<ScalarBuffer<f32>> {
        let map = self.source.map()?;
        let header = self.index.header();
        let section = header.section(SectionKind::Vectors)?;
        let (offset, len) =
            (usize::try_from(section.offset_bytes).ok()?, usize::try_from(section.length_bytes).ok()?);
        let is_f32 = section.length_bytes == header.rows * header.dim as u64 * 4;
        if !is_f32 || self.index.vectors().is_err() {
            return None;
        }
        Some(ScalarBuffer::from(map.slice_with_length(offset, len)))
    }
}

impl RowSource for Native {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn file(&self) -> Arc<Path> {
        Arc::from(self.source.path())
    }

    #[expect(clippy::cast_possible_truncation, reason = "rows of an index are fewer than 2^31")]
    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        let copied = self.index.copy_vector(row as u32, out);
        copied.map_err(|corrupt| {
            Error::malformed(corrupt.to_string()).with_help("copy the file again, or build it again")
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "rows of an index are fewer than 2^31")]
    fn ids(&self, rows: Range<u64>) -> Ids {
        if let Some(texts) = self.index.text_ids() {
            return Ids::Text(rows.map(|row| Some(texts.get(row as usize).unwrap_or_default())).collect());
        }
        match self.index.ids() {
            Some(ids) => Ids::U64(ids[rows.start as usize..rows.end as usize].to_vec().into()),
            None => Ids::From(rows.start),
        }
    }

    fn matrix(&self) -> Option<ScalarBuffer<f32>> {
        self.matrix.get_or_init(|| self.in_place()).clone()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}
