//! Writing an index file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use twox_hash::XxHash3_64;

use super::header::{FOOTER_BYTES, HEADER_BYTES, Header, LevelInfo, encode_footer, set_default_ef};
use super::section::SectionKind;
use super::sections::{Portions, SectionWriter, block_checksums, cut_of};
use super::{Cut, OpenError, VECTORS_OFFSET};
use crate::build::Built;
use crate::codes::{ErrorsOfCodes, stride_bytes};
use crate::storage::Narrowing;
use crate::vectors::PlainRows;
use crate::{Distance, Matrix, Metric, Storage, TextIdSource};

/// The vectors of a file that is being written.
#[derive(Debug, Clone, Copy)]
pub enum Vectors<'a> {
    /// They are somewhere else, and are written now.
    Elsewhere(Matrix<'a>),
    /// They stand at [`VECTORS_OFFSET`] of the file already; the matrix is for their checksums.
    InPlace(Matrix<'a>),
    /// They are somewhere else, and are narrowed while they are written: to [`Storage::F16`], whose values
    /// [`crate::check_storage`] has found small enough, or [`Storage::I8`].
    Narrowed(Matrix<'a>, Storage),
    /// They stay where they are: [`Storage::Source`].
    Source(Matrix<'a>, VectorSource<'a>),
}

/// A file that has the vectors of an index, which has none then.
#[derive(Debug, Clone, Copy)]
pub struct VectorSource<'a> {
    /// Its path, seen from the folder of the index.
    pub path: &'a str,
    /// Where the vectors begin in it: f32, row-major. A multiple of 4.
    pub offset_bytes: u64,
    /// The length of the whole file.
    pub file_length_bytes: u64,
}

impl<'a> Vectors<'a> {
    fn matrix(self) -> Matrix<'a> {
        match self {
            Self::Elsewhere(matrix)
            | Self::InPlace(matrix)
            | Self::Narrowed(matrix, _)
            | Self::Source(matrix, _) => matrix,
        }
    }

    fn storage(self) -> Storage {
        match self {
            Self::Elsewhere(_) | Self::InPlace(_) => Storage::F32,
            Self::Narrowed(_, storage) => storage,
            Self::Source(..) => Storage::Source,
        }
    }
}

/// The checksums of the vectors' blocks, which can be computed before the graph is there.
#[derive(Debug, Clone)]
pub struct VectorChecksums(Vec<u64>);

impl VectorChecksums {
    /// Computes them on the current thread.
    pub fn of(matrix: Matrix<'_>) -> Self {
        let bytes: &[u8] = bytemuck::cast_slice(matrix.values());
        Self(bytes.chunks(cut_of(matrix, Storage::F32).block_bytes()).map(XxHash3_64::oneshot).collect())
    }
}

/// Everything that goes into an index file.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The graph.
    pub built: &'a Built,
    /// The rows that it was built from.
    pub vectors: Vectors<'a>,
    /// Their checksums, if they are computed already.
    pub vector_checksums: Option<&'a VectorChecksums>,
    /// The ids, if they are not just the row numbers.
    pub ids: Option<&'a [u64]>,
    /// The ids, if they are texts; `ids` is then absent.
    pub text_ids: Option<&'a dyn TextIdSource>,
    /// The pipeline that made the index, as TOML. No paths, times or host names: the same work gives the same bytes.
    pub recipe: &'a str,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The header, as it stands in the file.
    pub header: Header,
}

/// Writes an index file into `out`, on the current rayon pool for the checksums. The position of `out` does not matter.
/// It is the caller's part to make the file durable and to give it its name.
///
/// # Errors
/// What `out` says.
///
/// # Panics
/// If vectors, their checksums or ids are not as many as the rows of the graph have, or there are ids of both kinds.
pub fn write(out: &mut (impl Write + Seek), contents: &Contents<'_>) -> io::Result<Written> {
    let Contents { built, vectors, vector_checksums, ids, text_ids, recipe } = *contents;
    let (matrix, storage) = (vectors.matrix(), vectors.storage());
    let narrowing = Narrowing::of(storage, matrix);
    assert_eq!(matrix.rows(), built.rows, "the graph's own rows");
    assert!(ids.is_none_or(|ids| ids.len() == built.rows), "one id a row");
    assert!(text_ids.is_none_or(|ids| ids.rows() == built.rows), "one id a row");
    assert!(ids.is_none() || text_ids.is_none(), "ids are numbers or texts");

    let mut sections = SectionWriter { out, sections: Vec::new(), end: HEADER_BYTES as u64 };
    let cut = cut_of(matrix, storage);
    let metric = built.params.metric;
    let errors_of = built.codes.as_ref().and_then(|codes| ErrorsOfCodes::new(codes, metric, matrix.dim()));
    let mut narrowed = None;
    let checksums = match &narrowing {
        Some(narrowing) => {
            sections.seek_to(VECTORS_OFFSET)?;
            let portions =
                Portions { narrowing, cut, distance: Distance::new(metric), errors_of: errors_of.as_ref() };
            let written = sections.narrowed(matrix, &portions)?;
            &narrowed.insert(written).checksums
        }
        None => match vector_checksums {
            Some(VectorChecksums(checksums)) => checksums,
            None => &block_checksums(bytemuck::cast_slice(matrix.values()), cut),
        },
    };
    let vector_bytes = matrix.values().len() * storage.value_bytes();
    assert_eq!(checksums.len(), vector_bytes.div_ceil(cut.block_bytes()), "the vectors' own checksums");
    let checksum = XxHash3_64::oneshot(bytemuck::cast_slice(checksums));
    match vectors {
        Vectors::Elsewhere(matrix) => {
            sections.seek_to(VECTORS_OFFSET)?;
            sections.put(&[bytemuck::cast_slice(matrix.values())])?;
        }
        Vectors::InPlace(matrix) => sections.end += size_of_val(matrix.values()) as u64,
        Vectors::Narrowed(..) | Vectors::Source(..) => {}
    }
    if storage != Storage::Source {
        sections.record(SectionKind::Vectors, VECTORS_OFFSET, checksum);
    }
    sections.section(SectionKind::VectorChecksums, &[bytemuck::cast_slice(checksums)])?;
    if let Some(values) = narrowing.map(|narrowing| narrowing.values()).filter(|values| !values.is_empty()) {
        sections.section(SectionKind::ValueSteps, &[bytemuck::cast_slice(&values)])?;
    }
    if let Vectors::Source(_, source) = vectors {
        let numbers = [source.offset_bytes, source.file_length_bytes].map(u64::to_le_bytes);
        sections.section(SectionKind::Source, &[numbers.as_flattened(), source.path.as_bytes()])?;
    }
    if let Some(ids) = ids {
        sections.section(SectionKind::Ids, &[bytemuck::cast_slice(ids)])?;
    }
    if let Some(ids) = text_ids {
        sections.text_ids(ids)?;
    }
    let [level0, upper @ ..] = built.graph.layers.as_slice() else { unreachable!("a graph has a level 0") };
    sections.section(SectionKind::Level0, &[bytemuck::cast_slice(&level0.neighbours)])?;
    if !upper.is_empty() {
        let parts: Vec<&[u8]> = upper
            .iter()
            .flat_map(|layer| {
                let rows = layer.rows.as_deref().unwrap_or_default();
                [bytemuck::cast_slice(rows), bytemuck::cast_slice(&layer.neighbours)]
            })
            .collect();
        sections.section(SectionKind::UpperLevels, &parts)?;
    }
    if metric == Metric::Cosine {
        // Those of the vectors that are stored.
        let norms = narrowed.as_ref().map_or(&built.inverse_norms, |narrowed| &narrowed.norms);
        sections.section(SectionKind::InverseNorms, &[bytemuck::cast_slice(norms)])?;
    }
    let copies = &built.copies;
    if !copies.rows.is_empty() {
        let parts = [&copies.representatives, &copies.starts, &copies.rows];
        sections.section(SectionKind::Copies, &parts.map(|part| bytemuck::cast_slice(part)))?;
    }
    if let Some(codes) = &built.codes {
        sections.section(SectionKind::Quantizer, &[bytemuck::cast_slice(&codes.quantizer.to_values())])?;
        let codes = codes.view();
        sections.section(SectionKind::CodeTerms, &[bytemuck::cast_slice(codes.right)])?;
        if let Some(errors_of) = &errors_of {
            let rows = PlainRows { matrix, inverse_norms: &built.inverse_norms };
            let errors = narrowed.take().map_or_else(|| errors_of.of_all(&rows), |narrowed| narrowed.errors);
            sections.code_errors(&errors, metric)?;
        }
        let checksums = block_checksums(codes.bytes, Cut::by_rows(stride_bytes(matrix.dim())));
        let offset = sections.begin()?;
        sections.put(&[codes.bytes])?;
        sections.record(SectionKind::Codes, offset, XxHash3_64::oneshot(bytemuck::cast_slice(&checksums)));
        sections.section(SectionKind::CodeChecksums, &[bytemuck::cast_slice(&checksums)])?;
    }
    if !recipe.is_empty() {
        sections.section(SectionKind::Recipe, &[recipe.as_bytes()])?;
    }
    let file_length_bytes = sections.end + FOOTER_BYTES as u64;
    let SectionWriter { out, sections, .. } = sections;
    let header = Header {
        file_length_bytes,
        rows: built.rows as u64,
        dim: matrix.dim(),
        storage,
        has_blocks_of_rows: true,
        params: built.params,
        entry_point: built.graph.entry_point,
        levels: built
            .level_rows()
            .into_iter()
            .enumerate()
            .map(|(level, nodes)| LevelInfo { nodes, edges: built.graph.edges(level) })
            .collect(),
        copies: copies.rows.len() as u64,
        reachable_nodes: built.reachable_nodes,
        repaired_nodes: built.repaired_nodes,
        default_ef: None,
        builder: built.builder.to_owned(),
        effective_parameters: built
            .effective_parameters
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect(),
        sections,
    };
    let encoded = header.encode();
    out.write_all(&encode_footer(&encoded, file_length_bytes))?;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&encoded)?;
    out.flush()?;
    Ok(Written { header })
}

/// Writes into an index file with which ef to search where nobody says another, 0 for none: in the header, whose checksum is
/// computed anew, and the footer. The two are not written at once, so it is for a copy that nobody uses yet.
///
/// # Errors
/// If header or footer are not those of an index file; what the operating system says.
pub fn store_default_ef(file: &mut File, ef: u32) -> Result<(), OpenError> {
    file.seek(SeekFrom::Start(0))?;
    let header = super::open::header_of(file)?;
    let mut bytes = [0; HEADER_BYTES];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut bytes)?;
    // Whatever else a later minor version has there stays.
    set_default_ef(&mut bytes, ef);
    file.seek(SeekFrom::Start(header.file_length_bytes - FOOTER_BYTES as u64))?;
    file.write_all(&encode_footer(&bytes, header.file_length_bytes))?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)?;
    Ok(())
}
