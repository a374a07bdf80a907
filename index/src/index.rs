//! An opened index, and search in it.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::beam::{Beam, Candidate};
use crate::codes::bounds::Bounds;
use crate::codes::{CodesView, Quantizer, stride_bytes, used_bytes};
use crate::copies::CopiesView;
use crate::file::{Corrupt, Header, OpenError, Sections};
use crate::graph::{GraphAccess, LayerView, positions};
use crate::rank::{CodeErrors, RowErrors, rank};
use crate::recycled::Recycled;
use crate::search::{
    CodeScorer, NarrowRows, NarrowScorer, Score, Scorer, Scratch, descend, factor_of, search_level,
};
use crate::vectors::Rows;
use crate::{Distance, Matrix};

/// A row that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row's id: its own, or the row number where the index has no ids, or has texts: [`Index::text_id`] has that of the row.
    pub id: u64,
    /// By the index's metric; smaller is closer.
    pub distance: f32,
}

/// An index file, mapped read-only. Searches from any number of threads share it.
#[derive(Debug)]
pub struct Index {
    sections: Sections,
    distance: Distance,
    /// For each level above 0, level 1 first: the slot of its nodes on the level below.
    down: Vec<Vec<u32>>,
    /// How queries become codes, if the rows have codes.
    quantizer: Option<Quantizer>,
    /// What distances by codes say of those by the vectors, if the file has the errors of its codes.
    bounds: Option<Bounds>,
    /// All vectors, if somebody wanted them as f32 and they are stored narrower.
    widened: OnceLock<Vec<f32>>,
}

impl Index {
    /// Opens a file and checks it: header, footer and everything of the graph now, on the current rayon pool; the vectors when
    /// they are used.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::of_sections(Sections::open(path)?)
    }

    /// As [`Index::open`], of a file that is open already, which needs no name. If its vectors are in another file, that is
    /// looked for as from the current folder; see [`Index::of_file_in`].
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn of_file(file: File) -> Result<Self, OpenError> {
        Self::of_sections(Sections::of_file(file, None)?)
    }

    /// As [`Index::of_file`], of a file that is in this folder, or is to be.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn of_file_in(file: File, folder: &Path) -> Result<Self, OpenError> {
        Self::of_sections(Sections::of_file(file, Some(folder))?)
    }

    fn of_sections(sections: Sections) -> Result<Self, OpenError> {
        let levels = sections.header().levels.len();
        let down = (1..levels)
            .map(|level| {
                let (rows, _) = sections.upper_level(level);
                match level {
                    1 => rows.to_vec(),
                    // Checked on opening: a level's rows are on the level below.
                    _ => positions(rows, sections.upper_level(level - 1).0).unwrap_or_default(),
                }
            })
            .collect();
        let distance = Distance::new(sections.header().params.metric);
        // Checked on opening.
        let quantizer =
            sections.codes().and_then(|(values, _, _)| Quantizer::from_values(values, sections.header().dim));
        let (metric, dim) = (distance.metric(), sections.header().dim);
        let quantizer_of_errors = quantizer.as_ref().filter(|_| sections.code_errors().is_some());
        let bounds = quantizer_of_errors.and_then(|quantizer| Bounds::of(metric, dim, quantizer));
        Ok(Self { sections, distance, down, quantizer, bounds, widened: OnceLock::new() })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        self.sections.header()
    }

    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        usize::try_from(self.header().rows).unwrap_or(usize::MAX)
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.header().dim
    }

    /// Something to search with. It keeps memory that one search after the other uses, so make one a thread.
    pub fn searcher(&self) -> Searcher<'_> {
        self.searcher_with(SearchMemory::default())
    }

    /// As [`Index::searcher`], with the memory of one that is done: of this index or another.
    pub fn searcher_with(&self, memory: SearchMemory) -> Searcher<'_> {
        let SearchMemory { scratch, nearest } = memory;
        Searcher { index: self, scratch, nearest, walks_by_codes: true }
    }

    /// The pipeline that built it, as TOML; empty where the file does not say.
    pub fn recipe(&self) -> &str {
        self.sections.recipe()
    }

    /// Searches for each row of `queries` on the current rayon pool; as [`Searcher::search`], in the order of the
    /// queries.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    ///
    /// # Panics
    /// As [`Searcher::search`].
    pub fn search_all(
        &self,
        queries: Matrix<'_>,
        k: usize,
        ef_search: usize,
    ) -> Result<Vec<Vec<Hit>>, Corrupt> {
        Ok(self.search_all_counting(queries, k, ef_search)?.0)
    }

    /// The same, and how many distances were computed for all of them.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    ///
    /// # Panics
    /// As [`Searcher::search`].
    pub fn search_all_counting(
        &self,
        queries: Matrix<'_>,
        k: usize,
        ef_search: usize,
    ) -> Result<(Vec<Vec<Hit>>, u64), Corrupt> {
        /// Few enough that all threads end together: rayon by itself gives out larger parts, and threads wait for the last.
        const CHUNK_ROWS: usize = 8;
        self.check_ahead(queries.rows(), ef_search.max(k))?;
        let dim = queries.dim();
        let memories = Recycled::<SearchMemory>::default();
        let search = |queries: &[f32]| -> Result<_, Corrupt> {
            memories.with(|memory| {
                let mut searcher = self.searcher_with(std::mem::take(memory));
                let hits: Result<Vec<Vec<Hit>>, Corrupt> =
                    queries.chunks_exact(dim).map(|query| searcher.search(query, k, ef_search)).collect();
                let distances = searcher.distances_computed();
                *memory = searcher.into_memory();
                Ok((hits?, distances))
            })
        };
        let chunks = queries.values().par_chunks(CHUNK_ROWS * dim).with_max_len(1);
        // All, so that of several that fail the first is told.
        let chunks: Vec<Result<_, Corrupt>> = chunks.map(search).collect();
        let (mut hits, mut distances) = (Vec::with_capacity(queries.rows()), 0);
        for chunk in chunks {
            let (more, computed) = chunk?;
            hits.extend(more);
            distances += computed;
        }
        Ok((hits, distances))
    }

    /// The file.
    pub(crate) fn sections(&self) -> &Sections {
        &self.sections
    }

    fn codes(&self) -> Option<CodesView<'_>> {
        let (_, right, bytes) = self.sections.codes()?;
        let stride_bytes = stride_bytes(self.dim());
        let (used_bytes, products) = (used_bytes(self.dim()), self.distance.products());
        Some(CodesView { bytes, left: &[], right, stride_bytes, used_bytes, products })
    }

    /// What distances by codes say of a query, if the file has the errors of its codes.
    fn code_errors(&self, query: &[f32], quantizer: &Quantizer, codes: &[u8]) -> Option<CodeErrors<'_>> {
        let bounds = self.bounds.as_ref()?;
        let (residuals, lengths) = self.sections.code_errors()?;
        let codes = &codes[..query.len()];
        let errors = bounds.errors(query, factor_of(query, &self.distance), quantizer, codes);
        let query = bounds.query(errors, quantizer.scale, codes);
        Some(CodeErrors { bounds, query, rows: RowErrors { residuals, lengths } })
    }

    pub(crate) fn copies(&self) -> CopiesView<'_> {
        let all = self.sections.copies();
        if all.is_empty() {
            return CopiesView::default();
        }
        // Checked on opening: representatives, one start more, then the copies that the header counts.
        #[expect(clippy::cast_possible_truncation, reason = "copies are rows of the map")]
        let (representatives, rest) = all.split_at((all.len() - 1 - self.header().copies as usize) / 2);
        let (starts, rows) = rest.split_at(representatives.len() + 1);
        CopiesView { representatives, starts, rows }
    }

    /// The rows, where they are stored as f32.
    fn rows_f32(&self) -> Option<FileRows<'_>> {
        let matrix = Matrix::new(self.sections.vectors()?, self.dim());
        Some(FileRows { matrix, sections: &self.sections })
    }

    /// The rows, where they are stored narrower.
    pub(crate) fn rows_narrow(&self) -> Option<NarrowRows<'_>> {
        let (narrowing, bytes) = self.sections.narrowed()?;
        let (row_bytes, sections) = (narrowing.row_bytes(self.dim()), &self.sections);
        Some(NarrowRows { narrowing, bytes, row_bytes, inverse_norms: sections.inverse_norms(), sections })
    }

    /// All vectors as f32, unchecked: in place, or widened once for all.
    pub(crate) fn widened(&self) -> Matrix<'_> {
        let values = match (self.sections.vectors(), self.sections.narrowed()) {
            (None, Some((narrowing, bytes))) => self.widened.get_or_init(|| {
                let (dim, row_bytes) = (self.dim(), narrowing.row_bytes(self.dim()));
                let mut values = vec![0.0; self.rows() * dim];
                let rows = values.par_chunks_mut(dim).zip(bytes.par_chunks(row_bytes));
                rows.with_min_len(64).for_each(|(row, bytes)| narrowing.widen(bytes, row));
                values
            }),
            (values, _) => values.unwrap_or_default(),
        };
        Matrix::new(values, self.dim())
    }

    /// The id of a row, counted from 0.
    pub(crate) fn id_of(&self, row: u32) -> u64 {
        self.sections.ids().map_or(u64::from(row), |ids| ids[row as usize])
    }
}

/// Rows of a file, stored as f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileRows<'a> {
    matrix: Matrix<'a>,
    sections: &'a Sections,
}

impl Rows for FileRows<'_> {
    #[inline]
    fn matrix(&self) -> Matrix<'_> {
        self.matrix
    }

    #[inline]
    fn inverse_norms(&self) -> &[f32] {
        self.sections.inverse_norms()
    }

    #[inline]
    fn check(&self, row: u32) -> Result<(), Corrupt> {
        self.sections.check_vector(row)
    }
}

impl GraphAccess for Index {
    fn top_level(&self) -> usize {
        self.down.len()
    }

    #[inline]
    fn layer(&self, level: usize) -> LayerView<'_> {
        let m = self.header().params.m;
        if level == 0 {
            return LayerView { rows: None, down: None, neighbours: self.sections.level0(), stride: 2 * m };
        }
        let (rows, neighbours) = self.sections.upper_level(level);
        LayerView { rows: Some(rows), down: Some(&self.down[level - 1]), neighbours, stride: m }
    }

    fn entry_point(&self) -> Option<u32> {
        self.header().entry_point
    }
}

/// The memory of a [`Searcher`], for the next one.
#[derive(Debug, Default)]
pub struct SearchMemory {
    scratch: Scratch,
    nearest: Beam,
}

/// Searches one index, reusing its memory.
#[derive(Debug)]
pub struct Searcher<'a> {
    index: &'a Index,
    scratch: Scratch,
    nearest: Beam,
    walks_by_codes: bool,
}

impl Searcher<'_> {
    /// The same, walking by the vectors even where there are codes.
    #[must_use]
    pub fn by_vectors(self) -> Self {
        Self { walks_by_codes: false, ..self }
    }

    /// The `k` nearest rows of `query` that a beam of `ef_search` finds (Algorithm 5 of the HNSW paper), nearest first,
    /// equal distances by row. `ef_search` below `k` counts as `k`. There are always `min(k, rows)` hits, and where
    /// `ef_search` covers all rows they are exact. Distances are those of the vectors that the index has, which are rounded if it
    /// stores them as f16 or i8.
    ///
    /// # Errors
    /// If a block of vectors is not what its checksum says.
    ///
    /// # Panics
    /// If the query has another dimension than the index.
    pub fn search(&mut self, query: &[f32], k: usize, ef_search: usize) -> Result<Vec<Hit>, Corrupt> {
        let rows = self.search_rows(query, k, ef_search)?;
        let hit = |row: Candidate| Hit { id: self.index.id_of(row.node()), distance: row.distance() };
        Ok(rows.into_iter().map(hit).collect())
    }

    /// The same, as rows.
    pub(crate) fn search_rows(
        &mut self,
        query: &[f32],
        k: usize,
        ef_search: usize,
    ) -> Result<Vec<Candidate>, Corrupt> {
        let index = self.index;
        assert_eq!(query.len(), index.dim(), "a query has the index's dimension");
        let wanted = k.min(index.rows());
        let ef = ef_search.max(k);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        if let Some(rows) = index.rows_f32() {
            return self.search_by(query, &Scorer::new(query, &index.distance, &rows), wanted, ef);
        }
        let Some(rows) = index.rows_narrow() else { return Ok(Vec::new()) };
        let wide = std::mem::take(&mut self.scratch.wide);
        let scorer = NarrowScorer::new(query, &index.distance, rows, wide);
        let found = self.search_by(query, &scorer, wanted, ef);
        self.scratch.wide = scorer.into_wide();
        found
    }

    fn search_by(
        &mut self,
        query: &[f32],
        scorer: &impl Score,
        wanted: usize,
        ef: usize,
    ) -> Result<Vec<Candidate>, Corrupt> {
        if ef < self.index.rows() {
            self.walk(query, scorer, wanted, ef)?;
            let hits = self.hits(self.nearest.candidates(), wanted);
            if hits.len() == wanted {
                return Ok(hits);
            }
        }
        // A beam as wide as the index is a walk over all of it; and where a walk found too little, nothing is left out.
        self.search_exactly(scorer, wanted)
    }

    /// The `wanted` nearest of the `ef` nodes that a walk finds, with their exact distances, nearest first: into `self.nearest`.
    /// Where there are codes, the walk goes by them.
    fn walk(&mut self, query: &[f32], scorer: &impl Score, wanted: usize, ef: usize) -> Result<(), Corrupt> {
        let Self { index, scratch, nearest, walks_by_codes } = self;
        let codes = walks_by_codes.then(|| index.codes()).flatten();
        let (Some(quantizer), Some(rows)) = (&index.quantizer, codes) else {
            let entry = descend(*index, scorer, 0, &mut scratch.distances)?;
            search_level(index.layer(0), scorer, entry, ef, scratch)?;
            nearest.reset(wanted);
            scratch.beam.candidates().iter().take(wanted).for_each(|&found| nearest.insert(found));
            return Ok(());
        };
        let mut codes = std::mem::take(&mut scratch.codes);
        let check = |row| index.sections.check_codes(row);
        let by_codes = CodeScorer::new(query, &index.distance, quantizer, rows, &mut codes, check);
        let entry = descend(*index, &by_codes, 0, &mut scratch.distances)?;
        search_level(index.layer(0), &by_codes, entry, ef, scratch)?;
        let found = scratch.beam.candidates();
        let errors = if found.len() > wanted { index.code_errors(query, quantizer, &codes) } else { None };
        scratch.distances += rank(found, wanted, scorer, errors.as_ref(), nearest)?;
        scratch.codes = codes;
        Ok(())
    }

    /// Ends it, and keeps its memory for another.
    pub fn into_memory(mut self) -> SearchMemory {
        self.scratch.distances = 0;
        SearchMemory { scratch: self.scratch, nearest: self.nearest }
    }

    /// Distances computed by the searches of this searcher so far.
    pub fn distances_computed(&self) -> u64 {
        self.scratch.distances
    }

    fn search_exactly(&mut self, scorer: &impl Score, wanted: usize) -> Result<Vec<Candidate>, Corrupt> {
        let index = self.index;
        let mut all = Vec::with_capacity(index.rows());
        let rows = 0..u32::try_from(index.rows()).unwrap_or(u32::MAX);
        self.scratch.distances += u64::from(rows.end);
        scorer.each(rows.map(|row| (row, row)), |distance, row| all.push(Candidate::new(distance, row)))?;
        all.sort_unstable();
        all.truncate(wanted);
        Ok(all)
    }

    /// The first `wanted` of the candidates with their copies.
    fn hits(&self, candidates: &[Candidate], wanted: usize) -> Vec<Candidate> {
        let copies = self.index.copies();
        let mut rows: Vec<Candidate> = Vec::with_capacity(wanted);
        for candidate in candidates {
            // Candidates of one distance are put in the order of their rows together with their copies.
            if rows.len() >= wanted && rows.last().is_some_and(|last| last.distance() < candidate.distance())
            {
                break;
            }
            rows.push(*candidate);
            let copies = copies.of(candidate.node());
            rows.extend(copies.iter().map(|&copy| Candidate::new(candidate.distance(), copy)));
        }
        rows.sort_unstable();
        rows.truncate(wanted);
        rows
    }
}
