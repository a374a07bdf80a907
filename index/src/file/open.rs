//! Opening an index file: maps it, and trusts nothing in it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;
use twox_hash::XxHash3_64;

use super::blocks::{Blocks, Maps};
use super::header::{
    FOOTER_BYTES, HEADER_BYTES, Header, MAGIC, MAJOR, MINOR, check_checksum, encode_footer, known_features,
    required_features, version,
};
use super::section::{SectionInfo, SectionKind};
use super::source::Source;
use super::validate::validate;
use super::{Corrupt, corrupt};
use crate::Storage;
use crate::check::BlockCheck;
use crate::storage::Narrowing;

/// Why an index file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    Io(io::Error),
    /// Not an index file at all.
    NotAnIndex,
    /// Written for a later version of the format.
    Newer {
        /// Major and minor version of the file.
        version: (u16, u16),
    },
    /// The index has no vectors of its own, and those of the file that it was built from cannot be used.
    Source {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it: what was expected, and what was found.
        problem: String,
    },
    /// The file is damaged.
    Corrupt(Corrupt),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotAnIndex => f.write_str("byte 0: expected an index file, found another magic number"),
            Self::Newer { version: (major, minor) } => {
                write!(f, "written in format {major}.{minor}; this program reads up to {MAJOR}.{MINOR}")
            }
            Self::Source { path, problem } => {
                write!(f, "its vectors are in {}: {problem}", path.display())
            }
            Self::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Corrupt(corrupt) => Some(corrupt),
            Self::NotAnIndex | Self::Newer { .. } | Self::Source { .. } => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Corrupt> for OpenError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

/// Reads and checks header and footer, and returns them with the recipe: all that a description of the file needs.
///
/// # Errors
/// See [`OpenError`].
pub fn read_header(path: &Path) -> Result<(Header, String), OpenError> {
    let mut file = open_regular(path)?;
    let header = header_of(&mut file)?;
    let mut recipe = String::new();
    if let Some(section) = header.section(SectionKind::Recipe) {
        let mut bytes = vec![0; usize::try_from(section.length_bytes).unwrap_or(0)];
        file.seek(SeekFrom::Start(section.offset_bytes))?;
        file.read_exact(&mut bytes)?;
        check_section(&header, SectionKind::Recipe, &bytes)?;
        recipe = String::from_utf8(bytes)
            .map_err(|e| corrupt("recipe", section.offset_bytes, "UTF-8", e.utf8_error()))?;
    }
    Ok((header, recipe))
}

pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    // Looked at before it is opened: opening a FIFO that nobody writes to would wait for ever.
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a regular file"))
    }
}

pub(super) fn header_of(file: &mut File) -> Result<Header, OpenError> {
    let length = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    if length < magic.len() as u64 {
        return Err(OpenError::NotAnIndex);
    }
    file.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(OpenError::NotAnIndex);
    }
    let least = (HEADER_BYTES + FOOTER_BYTES) as u64;
    if length < least {
        return Err(corrupt("file", length, format!("at least {least} bytes"), length).into());
    }
    let mut bytes = [0; HEADER_BYTES];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut bytes)?;
    let (major, minor) = version(&bytes);
    if major > MAJOR || known_features(required_features(&bytes)).is_none() {
        check_checksum(&bytes)?;
        return Err(OpenError::Newer { version: (major, minor) });
    }
    check_checksum(&bytes)?;
    let header = Header::decode(&bytes, length)?;
    let mut footer = [0; FOOTER_BYTES];
    file.seek(SeekFrom::Start(length - FOOTER_BYTES as u64))?;
    file.read_exact(&mut footer)?;
    if footer != encode_footer(&bytes, length) {
        let at = length - FOOTER_BYTES as u64;
        return Err(corrupt("footer", at, "the header's checksum and the file's length", "others").into());
    }
    Ok(header)
}

fn check_section(header: &Header, kind: SectionKind, bytes: &[u8]) -> Result<(), Corrupt> {
    let Some(section) = header.section(kind) else { return Ok(()) };
    let computed = XxHash3_64::oneshot(bytes);
    if computed == section.checksum {
        return Ok(());
    }
    let (expected, found) = (format!("checksum {:016x}", section.checksum), format!("{computed:016x}"));
    Err(corrupt(kind.name(), section.offset_bytes, expected, found))
}

/// A mapped index file whose parts, vectors and codes excepted, have been checked.
#[derive(Debug)]
pub(crate) struct Sections {
    map: Mmap,
    /// The file of the vectors, where the index has none.
    source: Option<Source>,
    /// How numbers become values, where the vectors are not f32.
    narrowing: Option<Narrowing>,
    header: Header,
    vectors: Blocks,
    codes: Option<Blocks>,
    quantizer: Range<usize>,
    code_terms: Range<usize>,
    code_errors: Range<usize>,
    level0: Range<usize>,
    upper: Range<usize>,
    ids: Range<usize>,
    text_ids: Range<usize>,
    inverse_norms: Range<usize>,
    copies: Range<usize>,
    recipe: Range<usize>,
}

impl Sections {
    /// Maps a file and checks everything but vectors and codes, whose blocks are checked when they are first used.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        Self::of_file(open_regular(path)?, path.parent())
    }

    /// The same of a file that is open already, in this folder.
    pub(crate) fn of_file(mut file: File, folder: Option<&Path>) -> Result<Self, OpenError> {
        file.seek(SeekFrom::Start(0))?;
        let header = header_of(&mut file)?;
        let map = crate::mmap::map(&file)?;
        if map.len() as u64 != header.file_length_bytes {
            let found = format!("{} bytes", map.len());
            return Err(corrupt("file", 0, format!("{} bytes", header.file_length_bytes), found).into());
        }
        let range = |kind| -> Range<usize> {
            header.section(kind).map_or(0..0, |section| {
                // Inside the file, as the header's checks made sure, and the file is in memory.
                #[expect(clippy::cast_possible_truncation, reason = "see above")]
                let (start, length) = (section.offset_bytes as usize, section.length_bytes as usize);
                start..start + length
            })
        };
        let blocks = |kind, cut, checksums| Blocks::new(kind, cut, range(kind), range(checksums));
        let vectors = blocks(SectionKind::Vectors, header.cut_of_vectors(), SectionKind::VectorChecksums);
        let mut sections = Self {
            source: None,
            narrowing: (header.storage == Storage::F16).then_some(Narrowing::F16),
            vectors,
            codes: header
                .section(SectionKind::Codes)
                .map(|_| blocks(SectionKind::Codes, header.cut_of_codes(), SectionKind::CodeChecksums)),
            quantizer: range(SectionKind::Quantizer),
            code_terms: range(SectionKind::CodeTerms),
            code_errors: range(SectionKind::CodeErrors),
            level0: range(SectionKind::Level0),
            upper: range(SectionKind::UpperLevels),
            ids: range(SectionKind::Ids),
            text_ids: range(SectionKind::TextIds),
            inverse_norms: range(SectionKind::InverseNorms),
            copies: range(SectionKind::Copies),
            recipe: range(SectionKind::Recipe),
            header,
            map,
        };
        sections.wish_huge_pages();
        // Both in any order, as the rules trust no checksum; what is damaged is told before what breaks the rules.
        let (whole, ruled) = rayon::join(|| sections.check_all_but_blocks(), || validate(&sections));
        whole.and(ruled)?;
        if sections.header.storage == Storage::I8 {
            // Checked just now.
            sections.narrowing = sections.value_steps().and_then(Narrowing::of_values);
        }
        sections.open_source(folder)?;
        Ok(sections)
    }

    /// The graph is read now, and a file that is not large sooner or later: a few searches in a larger one are not to read what lies around
    /// each row.
    fn wish_huge_pages(&self) {
        const NOT_LARGE_BYTES: usize = 1 << 30;
        if self.map.len() <= NOT_LARGE_BYTES {
            return crate::mmap::wish_huge_pages(&self.map, 0..self.map.len());
        }
        for range in [&self.level0, &self.upper] {
            crate::mmap::wish_huge_pages(&self.map, range.clone());
        }
    }

    /// Opens the file that has the vectors, if the index has none, and makes sure that it is the one that was there.
    fn open_source(&mut self, folder: Option<&Path>) -> Result<(), OpenError> {
        let Some(section) = self.header.section(SectionKind::Source).filter(|_| self.is_elsewhere()) else {
            return Ok(());
        };
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let (start, length) = (section.offset_bytes as usize, section.length_bytes as usize);
        let bytes = &self.map[start..start + length];
        let values = self.header.rows * self.header.dim as u64 * 4;
        let source = Source::open(bytes, section.offset_bytes, values, folder)?;
        self.vectors = self.vectors.elsewhere(source.range());
        self.source = Some(source);
        // The first block and the last now, the others as always when they are used.
        let last = self.header.rows.saturating_sub(1);
        for row in [0, last] {
            #[expect(clippy::cast_possible_truncation, reason = "rows have 31 bits")]
            let checked = if self.header.rows > 0 { self.check_vector(row as u32) } else { Ok(()) };
            if let (Err(corrupt), Some(source)) = (checked, &self.source) {
                let problem =
                    format!("expected the vectors that the index was built from, found others: {corrupt}");
                return Err(OpenError::Source { path: source.path().to_owned(), problem });
            }
        }
        Ok(())
    }

    fn is_elsewhere(&self) -> bool {
        self.header.storage == Storage::Source
    }

    fn vector_maps(&self) -> Maps<'_> {
        match &self.source {
            Some(source) => Maps { blocks: source.map(), index: &self.map, source: Some(source.path()) },
            None => self.code_maps(),
        }
    }

    fn code_maps(&self) -> Maps<'_> {
        Maps { blocks: &self.map, index: &self.map, source: None }
    }

    fn check_all_but_blocks(&self) -> Result<(), Corrupt> {
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let end_of = |section: &SectionInfo| (section.offset_bytes + section.length_bytes) as usize;
        let sections = &self.header.sections;
        let check = |at: usize| {
            let (section, end) = (&sections[at], end_of(&sections[at]));
            let before = at.checked_sub(1).map_or(HEADER_BYTES, |before| end_of(&sections[before]));
            #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
            let start = section.offset_bytes as usize;
            self.check_padding(before..start)?;
            let bytes = match section.kind {
                // Their checksum covers their block checksums; the blocks are checked one by one.
                SectionKind::Vectors => &self.map[self.vectors.checksums.clone()],
                SectionKind::Codes => {
                    self.codes.as_ref().map_or(&[][..], |codes| &self.map[codes.checksums.clone()])
                }
                _ => &self.map[start..end],
            };
            check_section(&self.header, section.kind, bytes)
        };
        let checks: Vec<Result<(), Corrupt>> = (0..sections.len()).into_par_iter().map(check).collect();
        checks.into_iter().collect::<Result<(), Corrupt>>()?;
        let end = sections.last().map_or(HEADER_BYTES, end_of);
        self.check_padding(end..self.map.len() - FOOTER_BYTES)
    }

    fn check_padding(&self, range: Range<usize>) -> Result<(), Corrupt> {
        match self.map[range.clone()].iter().position(|&byte| byte != 0) {
            Some(at) => {
                let byte = self.map[range.start + at];
                Err(corrupt("padding", (range.start + at) as u64, "zeros", format!("{byte:#04x}")))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The vectors, where they are stored as f32.
    pub(crate) fn vectors(&self) -> Option<&[f32]> {
        if self.narrowing.is_some() {
            return None;
        }
        Some(bytemuck::cast_slice(self.vectors.get(self.vector_maps().blocks)))
    }

    /// How the vectors are stored, and their bytes, where they are not f32.
    pub(crate) fn narrowed(&self) -> Option<(&Narrowing, &[u8])> {
        Some((self.narrowing.as_ref()?, self.vectors.get(&self.map)))
    }

    /// The middles and the steps of vectors stored as i8.
    pub(crate) fn value_steps(&self) -> Option<&[f32]> {
        let section = self.header.section(SectionKind::ValueSteps)?;
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let (start, length) = (section.offset_bytes as usize, section.length_bytes as usize);
        Some(bytemuck::cast_slice(&self.map[start..start + length]))
    }

    pub(crate) fn level0(&self) -> &[u32] {
        bytemuck::cast_slice(&self.map[self.level0.clone()])
    }

    /// Rows and neighbours of a level above 0.
    pub(crate) fn upper_level(&self, level: usize) -> (&[u32], &[u32]) {
        let all: &[u32] = bytemuck::cast_slice(&self.map[self.upper.clone()]);
        let m = self.header.params.m;
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let nodes = |level: usize| self.header.levels[level].nodes as usize;
        let start: usize = (1..level).map(|below| nodes(below) * (1 + m)).sum();
        let (rows, rest) = all[start..].split_at(nodes(level));
        (rows, &rest[..nodes(level) * m])
    }

    pub(crate) fn ids(&self) -> Option<&[u64]> {
        self.header.section(SectionKind::Ids).map(|_| bytemuck::cast_slice(&self.map[self.ids.clone()]))
    }

    /// The text of the recipe. Where it is no UTF-8, whose checksum is right, nobody can read it.
    pub(crate) fn recipe(&self) -> &str {
        std::str::from_utf8(&self.map[self.recipe.clone()]).unwrap_or_default()
    }

    /// Where each text id begins among the texts and where the last ends, and the texts.
    pub(crate) fn text_ids(&self) -> Option<(&[u64], &[u8])> {
        self.header.section(SectionKind::TextIds)?;
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let offsets_bytes = (self.header.rows as usize + 1) * 8;
        // At least as long, as the header's checks made sure.
        let (offsets, texts) = self.map[self.text_ids.clone()].split_at(offsets_bytes);
        Some((bytemuck::cast_slice(offsets), texts))
    }

    pub(crate) fn inverse_norms(&self) -> &[f32] {
        bytemuck::cast_slice(&self.map[self.inverse_norms.clone()])
    }

    /// The section of copies: representatives, starts, rows.
    pub(crate) fn copies(&self) -> &[u32] {
        bytemuck::cast_slice(&self.map[self.copies.clone()])
    }

    /// Makes sure that a row's vector is what was written.
    #[inline]
    pub(crate) fn check_vector(&self, row: u32) -> Result<(), Corrupt> {
        self.check_vectors(row as usize..row as usize + 1)
    }

    /// The same of several rows.
    #[inline]
    pub(crate) fn check_vectors(&self, rows: Range<usize>) -> Result<(), Corrupt> {
        self.vectors.check(self.vector_maps(), rows)
    }

    /// Compares all blocks of vectors and codes with their checksums.
    pub(crate) fn check_blocks(&self) -> Vec<BlockCheck> {
        let codes = self.codes.as_ref().map(|codes| codes.check_all(self.code_maps()));
        [self.vectors.check_all(self.vector_maps())].into_iter().chain(codes).collect()
    }

    /// How often so many searches with a beam of `ef_search` come to codes, and to vectors.
    fn uses(&self, searches: u64, ef_search: u64) -> (u64, u64) {
        /// A walk computes ten to forty distances for each candidate that it keeps.
        const DISTANCES_A_CANDIDATE: u64 = 8;
        /// Of the candidates, where codes say which ones may be among the nearest.
        const ONE_IN: u64 = 4;
        let kept = searches.saturating_mul(ef_search);
        let computed = kept.saturating_mul(DISTANCES_A_CANDIDATE);
        match (&self.codes, self.code_errors()) {
            (None, _) => (0, computed),
            (Some(_), None) => (computed, kept),
            (Some(_), Some(_)) => (computed, kept / ONE_IN),
        }
    }

    /// Whether there is something that [`Sections::check_ahead`] would check.
    pub(crate) fn wants_check_ahead(&self, searches: u64, ef_search: u64) -> bool {
        let (of_codes, of_vectors) = self.uses(searches, ef_search);
        let codes = self.codes.as_ref().is_some_and(|codes| codes.wants_check_ahead(of_codes));
        codes || self.vectors.wants_check_ahead(of_vectors)
    }

    /// Checks codes and vectors now, each if so many searches with a beam of `ef_search` would come to nearly all of its
    /// blocks.
    pub(crate) fn check_ahead(&self, searches: u64, ef_search: u64) -> Result<(), Corrupt> {
        let (of_codes, of_vectors) = self.uses(searches, ef_search);
        if let Some(codes) = &self.codes {
            codes.check_ahead(self.code_maps(), of_codes)?;
        }
        self.vectors.check_ahead(self.vector_maps(), of_vectors)
    }

    /// Makes sure that all vectors are what was written.
    pub(crate) fn check_all_vectors(&self) -> Result<(), Corrupt> {
        self.vectors.check_all(self.vector_maps()).first.map_or(Ok(()), Err)
    }

    /// The numbers of the quantizer, and of each row the term and the codes; nothing if the file has no codes.
    pub(crate) fn codes(&self) -> Option<(&[f32], &[i32], &[u8])> {
        let codes = self.codes.as_ref()?.get(&self.map);
        let cast = |range: &Range<usize>| &self.map[range.clone()];
        let (quantizer, terms) = (cast(&self.quantizer), cast(&self.code_terms));
        Some((bytemuck::cast_slice(quantizer), bytemuck::cast_slice(terms), codes))
    }

    /// How far rows are from their codes at most, and how long they are where that counts; nothing if the file does not say it.
    pub(crate) fn code_errors(&self) -> Option<(&[f32], &[f32])> {
        self.header.section(SectionKind::CodeErrors)?;
        let all: &[f32] = bytemuck::cast_slice(&self.map[self.code_errors.clone()]);
        // As long as that for inner products, and empty for the others.
        #[expect(clippy::cast_possible_truncation, reason = "inside the map")]
        let rows = self.header.rows as usize;
        Some(all.split_at(rows))
    }

    /// Makes sure that a row's codes are what was written.
    #[inline]
    pub(crate) fn check_codes(&self, row: u32) -> Result<(), Corrupt> {
        let Some(codes) = &self.codes else { return Ok(()) };
        codes.check(self.code_maps(), row as usize..row as usize + 1)
    }
}
