//! The parts of the file.

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum SectionKind {
    /// `rows * dim` f32, row-major; or f16, or i8. See [`crate::Storage`].
    Vectors = 1,
    /// xxh3-64 of each block of the vectors.
    VectorChecksums = 2,
    /// One u64 a row; absent where ids are row numbers.
    Ids = 3,
    /// Level 0: `rows * M0` u32.
    Level0 = 4,
    /// The levels above, level 1 first: row numbers, then neighbours.
    UpperLevels = 5,
    /// One f32 a row; only for cosine.
    InverseNorms = 6,
    /// Rows that equal an earlier row.
    Copies = 7,
    /// The pipeline that made the file, as TOML.
    Recipe = 8,
    /// How vectors become codes: f32 scale, f32 limit, then one f32 a column.
    Quantizer = 9,
    /// One i32 a row: what its codes add to a distance.
    CodeTerms = 10,
    /// `rows` times `dim` bytes, each row padded to a multiple of 64.
    Codes = 11,
    /// xxh3-64 of each block of the codes.
    CodeChecksums = 12,
    /// Where each text begins, and where the last ends: `rows + 1` u64; then the texts. In the place of the ids.
    TextIds = 13,
    /// What the numbers of vectors stored as i8 stand for: the middle of each column, then the step of each; f32.
    ValueSteps = 14,
    /// The file that has the vectors, where the index has none: u64 offset, u64 length of the file, its path.
    Source = 15,
    /// How far each row is from its codes at most, in code units: f32 a row; for inner products then f32 a row, at most how long.
    CodeErrors = 16,
}

impl SectionKind {
    pub(super) const ALL: [Self; 16] = [
        Self::Vectors,
        Self::VectorChecksums,
        Self::Ids,
        Self::Level0,
        Self::UpperLevels,
        Self::InverseNorms,
        Self::Copies,
        Self::Recipe,
        Self::Quantizer,
        Self::CodeTerms,
        Self::Codes,
        Self::CodeChecksums,
        Self::TextIds,
        Self::ValueSteps,
        Self::Source,
        Self::CodeErrors,
    ];

    /// The name that is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vectors => "vectors",
            Self::VectorChecksums => "vector checksums",
            Self::Ids => "ids",
            Self::Level0 => "level-0 neighbours",
            Self::UpperLevels => "upper levels",
            Self::InverseNorms => "inverse norms",
            Self::Copies => "copies",
            Self::Recipe => "recipe",
            Self::Quantizer => "quantizer",
            Self::CodeTerms => "code terms",
            Self::Codes => "codes",
            Self::CodeChecksums => "code checksums",
            Self::TextIds => "text ids",
            Self::ValueSteps => "value steps",
            Self::Source => "source",
            Self::CodeErrors => "code errors",
        }
    }
}

/// Where a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SectionInfo {
    pub kind: SectionKind,
    pub offset_bytes: u64,
    pub length_bytes: u64,
    /// xxh3-64 of the section's bytes; for vectors and codes, of the section with their block checksums.
    pub checksum: u64,
}
