//! The header: 4 KiB that say what the file is and where its parts are.

use twox_hash::XxHash3_64;

use super::section::{SectionInfo, SectionKind};
use super::{Corrupt, Cut, corrupt};
use crate::codes::stride_bytes;
use crate::level::MAX_LEVEL;
use crate::{Metric, Params, Storage};

pub(super) const HEADER_BYTES: usize = 4096;
pub(super) const FOOTER_BYTES: usize = 64;

/// As PNG's: a byte that no text has, the name, and line ends that a transfer in text mode would change.
pub(super) const MAGIC: [u8; 8] = *b"\x89SDB\r\n\x1a\n";
pub(super) const MAJOR: u16 = 1;
pub(super) const MINOR: u16 = 1;
/// The required feature that checksums of vectors and codes are of blocks of rows; the others say how vectors are stored.
const BLOCKS_OF_ROWS: u64 = 8;
/// Sections begin at multiples of it, so that they can be mapped and cast.
pub(super) const SECTION_ALIGNMENT: u64 = 4096;

const MAX_SECTIONS: usize = 32;
const MAX_EFFECTIVE: usize = 8;
const MAX_LEVELS: usize = MAX_LEVEL as usize + 1;
const NAME_BYTES: usize = 16;

/// Byte offsets of the header's fields.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const MAJOR: usize = 8;
    pub(super) const MINOR: usize = 10;
    pub(super) const HEADER_LENGTH: usize = 12;
    pub(super) const REQUIRED_FEATURES: usize = 16;
    pub(super) const OPTIONAL_FEATURES: usize = 24;
    pub(super) const FILE_LENGTH: usize = 32;
    pub(super) const ROWS: usize = 40;
    pub(super) const DIM: usize = 48;
    pub(super) const METRIC: usize = 52;
    pub(super) const M: usize = 56;
    pub(super) const M0: usize = 60;
    pub(super) const EF_CONSTRUCTION: usize = 64;
    pub(super) const LEVEL_COUNT: usize = 68;
    pub(super) const SEED: usize = 72;
    pub(super) const ENTRY_POINT: usize = 80;
    pub(super) const SECTION_COUNT: usize = 84;
    pub(super) const COPIES: usize = 88;
    pub(super) const REACHABLE: usize = 96;
    pub(super) const REPAIRED: usize = 104;
    pub(super) const BUILDER: usize = 112;
    pub(super) const EFFECTIVE: usize = 128;
    pub(super) const LEVELS: usize = 320;
    pub(super) const DEFAULT_EF: usize = 848;
    pub(super) const SECTIONS: usize = 1024;
    pub(super) const CHECKSUM: usize = 4088;
}

pub(super) const ENTRY_POINT_OFFSET: u64 = at::ENTRY_POINT as u64;

/// One level of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelInfo {
    /// Nodes: rows that are on the level, copies not counted.
    pub nodes: u64,
    /// Neighbours of all of them together.
    pub edges: u64,
}

/// What an index file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The file's length.
    pub file_length_bytes: u64,
    /// Rows, copies included.
    pub rows: u64,
    /// Values a row.
    pub dim: usize,
    /// How the vectors are stored.
    pub storage: Storage,
    /// Whether the checksums of vectors and codes are of blocks of rows; in files of version 1.0 they are of 64 KiB each.
    pub has_blocks_of_rows: bool,
    /// Metric, M, `ef_construction` and seed.
    pub params: Params,
    /// A node of the top level, by its position there; nothing in an empty index.
    pub entry_point: Option<u32>,
    /// Level 0 first; at least one.
    pub levels: Vec<LevelInfo>,
    /// Rows that equal an earlier row.
    pub copies: u64,
    /// Nodes of level 0 that can be reached from the entry point.
    pub reachable_nodes: u64,
    /// Links that were added because no way led to a node, or from it to the entry point.
    pub repaired_nodes: u64,
    /// With which ef to search where nobody says another; see [`super::store_default_ef`].
    pub default_ef: Option<u32>,
    /// The builder's name.
    pub builder: String,
    /// What M and `ef_construction` became in the builder.
    pub effective_parameters: Vec<(String, u64)>,
    /// The parts of the file in file order.
    pub sections: Vec<SectionInfo>,
}

impl Header {
    /// The section of that kind.
    pub fn section(&self, kind: SectionKind) -> Option<&SectionInfo> {
        self.sections.iter().find(|section| section.kind == kind)
    }

    /// The share of the nodes of level 0 that can be reached there from the entry point, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn reachable_share(&self) -> f64 {
        let nodes = self.levels[0].nodes;
        if nodes == 0 { 1.0 } else { self.reachable_nodes as f64 / nodes as f64 }
    }

    /// How many neighbours a node of level 0 has on average.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    pub fn mean_degree(&self) -> f64 {
        let level0 = self.levels[0];
        if level0.nodes == 0 { 0.0 } else { level0.edges as f64 / level0.nodes as f64 }
    }

    /// Writes the header and its checksum.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        put(at::MAGIC, &MAGIC);
        put(at::MAJOR, &MAJOR.to_le_bytes());
        put(at::MINOR, &MINOR.to_le_bytes());
        put(at::HEADER_LENGTH, &count(HEADER_BYTES));
        let blocks = if self.has_blocks_of_rows { BLOCKS_OF_ROWS } else { 0 };
        put(at::REQUIRED_FEATURES, &(self.storage.feature() | blocks).to_le_bytes());
        put(at::FILE_LENGTH, &self.file_length_bytes.to_le_bytes());
        put(at::ROWS, &self.rows.to_le_bytes());
        put(at::DIM, &count(self.dim));
        put(at::METRIC, &[self.params.metric as u8]);
        put(at::M, &count(self.params.m));
        put(at::M0, &count(self.params.m0()));
        put(at::EF_CONSTRUCTION, &count(self.params.ef_construction));
        put(at::LEVEL_COUNT, &count(self.levels.len()));
        put(at::SEED, &self.params.seed.to_le_bytes());
        put(at::ENTRY_POINT, &self.entry_point.unwrap_or(u32::MAX).to_le_bytes());
        put(at::SECTION_COUNT, &count(self.sections.len()));
        put(at::COPIES, &self.copies.to_le_bytes());
        put(at::REACHABLE, &self.reachable_nodes.to_le_bytes());
        put(at::REPAIRED, &self.repaired_nodes.to_le_bytes());
        put(at::DEFAULT_EF, &self.default_ef.unwrap_or(0).to_le_bytes());
        put(at::BUILDER, self.builder.as_bytes());
        for (i, (name, value)) in self.effective_parameters.iter().enumerate() {
            let start = at::EFFECTIVE + i * (NAME_BYTES + 8);
            put(start, name.as_bytes());
            put(start + NAME_BYTES, &value.to_le_bytes());
        }
        for (i, level) in self.levels.iter().enumerate() {
            put(at::LEVELS + i * 16, &level.nodes.to_le_bytes());
            put(at::LEVELS + i * 16 + 8, &level.edges.to_le_bytes());
        }
        for (i, section) in self.sections.iter().enumerate() {
            let start = at::SECTIONS + i * 32;
            put(start, &(section.kind as u32).to_le_bytes());
            put(start + 8, &section.offset_bytes.to_le_bytes());
            put(start + 16, &section.length_bytes.to_le_bytes());
            put(start + 24, &section.checksum.to_le_bytes());
        }
        let checksum = XxHash3_64::oneshot(&out[..at::CHECKSUM]);
        out[at::CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header whose magic number, version and checksum are right, and checks every field of it.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], file_length_bytes: u64) -> Result<Self, Corrupt> {
        let fields = Fields(bytes);
        let in_range = |name: &str, at: usize, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(usize::try_from(value).unwrap_or(usize::MAX));
            }
            let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            Err(corrupt(format!("header, {name}"), at as u64, range, value))
        };
        let known = |name: &str, at: usize, expected: u64| {
            in_range(name, at, fields.u64(at), expected, expected).map(|_| ())
        };
        in_range("major version", at::MAJOR, version(bytes).0.into(), MAJOR.into(), MAJOR.into())?;
        in_range(
            "header length",
            at::HEADER_LENGTH,
            fields.u32(at::HEADER_LENGTH).into(),
            HEADER_BYTES as u64,
            HEADER_BYTES as u64,
        )?;
        let features = fields.u64(at::REQUIRED_FEATURES);
        let (storage, has_blocks_of_rows) = known_features(features).ok_or_else(|| {
            let expected = "0, 1, 2 or 4, or 8 more";
            corrupt("header, required features", at::REQUIRED_FEATURES as u64, expected, features)
        })?;
        known("optional features", at::OPTIONAL_FEATURES, 0)?;
        let said = fields.u64(at::FILE_LENGTH);
        if said != file_length_bytes {
            let expected = format!("a file of {said} bytes, as it says");
            return Err(corrupt("header, file length", at::FILE_LENGTH as u64, expected, file_length_bytes));
        }
        let rows = in_range("rows", at::ROWS, fields.u64(at::ROWS), 0, crate::graph::MAX_ROWS as u64)? as u64;
        let dim = in_range("dim", at::DIM, fields.u32(at::DIM).into(), 1, 65_536)?;
        let metric = Metric::from_code(bytes[at::METRIC])
            .ok_or_else(|| corrupt("header, metric", at::METRIC as u64, "0, 1 or 2", bytes[at::METRIC]))?;
        let (least_m, most_m) = (Params::MIN_M as u64, Params::MAX_M as u64);
        let m = in_range("M", at::M, fields.u32(at::M).into(), least_m, most_m)?;
        in_range("M0", at::M0, fields.u32(at::M0).into(), 2 * m as u64, 2 * m as u64)?;
        let ef_construction = in_range(
            "ef_construction",
            at::EF_CONSTRUCTION,
            fields.u32(at::EF_CONSTRUCTION).into(),
            1,
            Params::MAX_EF_CONSTRUCTION as u64,
        )?;
        let level_count =
            in_range("levels", at::LEVEL_COUNT, fields.u32(at::LEVEL_COUNT).into(), 1, MAX_LEVELS as u64)?;
        let copies = fields.u64(at::COPIES);
        let mut levels = Vec::with_capacity(level_count);
        let mut most = rows;
        for level in 0..level_count {
            let start = at::LEVELS + level * 16;
            let nodes = fields.u64(start);
            let least = if level == 0 { rows.saturating_sub(copies) } else { 1 };
            in_range("nodes of a level", start, nodes, least, most)?;
            let places = nodes * (if level == 0 { 2 * m } else { m }) as u64;
            let edges = in_range("edges of a level", start + 8, fields.u64(start + 8), 0, places)? as u64;
            most = nodes;
            levels.push(LevelInfo { nodes, edges });
        }
        let nodes = levels[0].nodes;
        in_range("copies", at::COPIES, copies, rows - nodes, rows - nodes)?;
        let reachable =
            in_range("reachable nodes", at::REACHABLE, fields.u64(at::REACHABLE), 0, nodes)? as u64;
        let entry_point = match (fields.u32(at::ENTRY_POINT), most) {
            (u32::MAX, 0) => None,
            (slot, nodes) => {
                // The nodes of level 0 are numbered by row, past the copies that are none.
                let slots = if level_count == 1 { rows } else { nodes };
                let last = slots.saturating_sub(1);
                in_range("entry point", at::ENTRY_POINT, slot.into(), 0, last)?;
                Some(slot)
            }
        };
        let section_count = fields.u32(at::SECTION_COUNT).into();
        let section_count = in_range("sections", at::SECTION_COUNT, section_count, 1, MAX_SECTIONS as u64)?;
        let header = Self {
            file_length_bytes,
            rows,
            dim,
            storage,
            has_blocks_of_rows,
            params: Params { metric, m, ef_construction, seed: fields.u64(at::SEED) },
            entry_point,
            levels,
            copies,
            reachable_nodes: reachable,
            repaired_nodes: fields.u64(at::REPAIRED),
            default_ef: match fields.u32(at::DEFAULT_EF) {
                0 => None,
                ef => Some(ef),
            },
            builder: fields.name(at::BUILDER)?,
            effective_parameters: (0..MAX_EFFECTIVE)
                .map(|i| at::EFFECTIVE + i * (NAME_BYTES + 8))
                .take_while(|&start| bytes[start] != 0)
                .map(|start| Ok((fields.name(start)?, fields.u64(start + NAME_BYTES))))
                .collect::<Result<_, Corrupt>>()?,
            sections: (0..section_count).map(|i| fields.section(i)).collect::<Result<_, Corrupt>>()?,
        };
        header.check_sections()?;
        Ok(header)
    }

    /// Sections are in file order, aligned, apart, inside the file, one of a kind, and as long as the counts say.
    fn check_sections(&self) -> Result<(), Corrupt> {
        let mut free_from = HEADER_BYTES as u64;
        let end_of_sections = self.file_length_bytes.saturating_sub(FOOTER_BYTES as u64);
        for (i, section) in self.sections.iter().enumerate() {
            let at = (at::SECTIONS + i * 32) as u64;
            let name = section.kind.name();
            let bad =
                |expected: String, found: u64| Err(corrupt(format!("header, {name}"), at, expected, found));
            if section.offset_bytes % SECTION_ALIGNMENT != 0 || section.offset_bytes < free_from {
                return bad(format!("an offset of {free_from} or more, aligned"), section.offset_bytes);
            }
            let end = section.offset_bytes.checked_add(section.length_bytes);
            let Some(end) = end.filter(|&end| end <= end_of_sections) else {
                return bad(format!("an end up to byte {end_of_sections}"), section.length_bytes);
            };
            free_from = end;
            if self.sections[..i].iter().any(|other| other.kind == section.kind) {
                return Err(corrupt("header", at, "one section of a kind", format!("two of {name}")));
            }
            if let Some(expected) = self.section_length(section.kind)
                && expected != section.length_bytes
            {
                return bad(format!("{expected} bytes"), section.length_bytes);
            }
            if section.kind == SectionKind::Copies && section.length_bytes % 4 != 0 {
                return bad("a multiple of 4 bytes".to_owned(), section.length_bytes);
            }
            if section.kind == SectionKind::Vectors && self.storage == Storage::Source {
                return Err(corrupt("header", at, "no vectors, as they are in another file", "some"));
            }
            if section.kind == SectionKind::TextIds {
                let least = (self.rows + 1) * 8;
                if section.length_bytes < least {
                    return bad(format!("at least {least} bytes"), section.length_bytes);
                }
                if self.section(SectionKind::Ids).is_some() {
                    return Err(corrupt("header", at, "ids that are numbers or texts", "both"));
                }
            }
        }
        let cosine = self.params.metric == Metric::Cosine;
        let has_codes = self.section(SectionKind::Codes).is_some();
        for (kind, needed) in [
            (SectionKind::Vectors, self.storage != Storage::Source),
            (SectionKind::Source, self.storage == Storage::Source),
            (SectionKind::ValueSteps, self.storage == Storage::I8),
            (SectionKind::VectorChecksums, true),
            (SectionKind::Level0, true),
            (SectionKind::UpperLevels, self.levels.len() > 1),
            (SectionKind::InverseNorms, cosine),
            (SectionKind::Copies, self.copies > 0),
            (SectionKind::Quantizer, has_codes),
            (SectionKind::CodeTerms, has_codes),
            (SectionKind::CodeChecksums, has_codes),
            (SectionKind::Codes, self.section(SectionKind::CodeErrors).is_some()),
        ] {
            if needed && self.section(kind).is_none() {
                let expected = format!("a section with the {}", kind.name());
                return Err(corrupt("header", at::SECTIONS as u64, expected, "none"));
            }
        }
        Ok(())
    }

    /// The blocks of the vectors.
    pub(crate) fn cut_of_vectors(&self) -> Cut {
        self.cut(self.dim * self.storage.value_bytes())
    }

    /// The blocks of the codes.
    pub(crate) fn cut_of_codes(&self) -> Cut {
        self.cut(stride_bytes(self.dim))
    }

    fn cut(&self, row_bytes: usize) -> Cut {
        if self.has_blocks_of_rows { Cut::by_rows(row_bytes) } else { Cut::by_bytes(row_bytes) }
    }

    /// The length that the counts of the header give a section, where they give one.
    fn section_length(&self, kind: SectionKind) -> Option<u64> {
        let (m, rows) = (self.params.m as u64, self.rows);
        let codes = rows * stride_bytes(self.dim) as u64;
        let vectors = rows * self.dim as u64 * self.storage.value_bytes() as u64;
        let checksums = |bytes: u64, cut: Cut| cut.count(bytes) * 8;
        Some(match kind {
            SectionKind::Vectors => vectors,
            SectionKind::VectorChecksums => checksums(vectors, self.cut_of_vectors()),
            SectionKind::Ids => rows * 8,
            SectionKind::Level0 => rows * 2 * m * 4,
            SectionKind::UpperLevels => self.levels[1..].iter().map(|level| level.nodes * (1 + m) * 4).sum(),
            SectionKind::InverseNorms | SectionKind::CodeTerms => rows * 4,
            SectionKind::ValueSteps => 2 * self.dim as u64 * 4,
            SectionKind::Quantizer => (2 + self.dim as u64) * 4,
            SectionKind::Codes => codes,
            SectionKind::CodeChecksums => checksums(codes, self.cut_of_codes()),
            SectionKind::CodeErrors if self.params.metric == Metric::Ip => rows * 8,
            SectionKind::CodeErrors => rows * 4,
            SectionKind::Copies | SectionKind::Recipe | SectionKind::TextIds | SectionKind::Source => {
                return None;
            }
        })
    }
}

/// Puts an ef, or 0, into a header.
pub(super) fn set_default_ef(bytes: &mut [u8; HEADER_BYTES], ef: u32) {
    bytes[at::DEFAULT_EF..at::DEFAULT_EF + 4].copy_from_slice(&ef.to_le_bytes());
    let checksum = XxHash3_64::oneshot(&bytes[..at::CHECKSUM]);
    bytes[at::CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
}

/// The footer: proof that the file has its end.
pub(super) fn encode_footer(header: &[u8; HEADER_BYTES], file_length_bytes: u64) -> [u8; FOOTER_BYTES] {
    let mut out = [0; FOOTER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..16].copy_from_slice(&header[at::CHECKSUM..]);
    out[16..24].copy_from_slice(&file_length_bytes.to_le_bytes());
    let checksum = XxHash3_64::oneshot(&out[..56]);
    out[56..].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Major and minor version of a header.
pub(super) fn version(bytes: &[u8; HEADER_BYTES]) -> (u16, u16) {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    (u16_at(at::MAJOR), u16_at(at::MINOR))
}

/// The features that a reader must know.
pub(super) fn required_features(bytes: &[u8; HEADER_BYTES]) -> u64 {
    Fields(bytes).u64(at::REQUIRED_FEATURES)
}

/// How the vectors are stored, and whether checksums are of blocks of rows: what required features say, if this program knows
/// all of them.
pub(super) fn known_features(features: u64) -> Option<(Storage, bool)> {
    let storage = Storage::of_features(features & !BLOCKS_OF_ROWS)?;
    Some((storage, features & BLOCKS_OF_ROWS != 0))
}

/// Compares the header with its checksum.
pub(super) fn check_checksum(bytes: &[u8; HEADER_BYTES]) -> Result<(), Corrupt> {
    let (stored, computed) = (Fields(bytes).u64(at::CHECKSUM), XxHash3_64::oneshot(&bytes[..at::CHECKSUM]));
    if stored == computed {
        return Ok(());
    }
    let (expected, found) = (format!("checksum {stored:016x}"), format!("{computed:016x}"));
    Err(corrupt("header", at::CHECKSUM as u64, expected, found))
}

struct Fields<'a>(&'a [u8; HEADER_BYTES]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.0[at + i])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    /// A name of printable ASCII, padded with zeros.
    fn name(&self, at: usize) -> Result<String, Corrupt> {
        let bytes: [u8; NAME_BYTES] = self.array(at);
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
        let printable = bytes[..len].iter().all(|byte| byte.is_ascii_graphic());
        if printable && bytes[len..].iter().all(|&byte| byte == 0) {
            return Ok(bytes[..len].iter().map(|&byte| char::from(byte)).collect());
        }
        Err(corrupt("header", at as u64, "a name of ASCII characters", format!("{bytes:?}")))
    }

    fn section(&self, i: usize) -> Result<SectionInfo, Corrupt> {
        let start = at::SECTIONS + i * 32;
        let code = self.u32(start);
        let kind = SectionKind::ALL.into_iter().find(|&kind| kind as u32 == code);
        let kind = kind.ok_or_else(|| corrupt("header", start as u64, "a known kind of section", code))?;
        Ok(SectionInfo {
            kind,
            offset_bytes: self.u64(start + 8),
            length_bytes: self.u64(start + 16),
            checksum: self.u64(start + 24),
        })
    }
}
