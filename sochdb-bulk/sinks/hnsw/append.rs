//! Indexes whose rows come before those of the stream: to go on with one, and to merge several.

use std::io;
use std::path::{Path, PathBuf};

use index::file::OpenError;
use index::{Index, KnownGraph, TextIdSource};
use rayon::prelude::*;

use super::Hnsw;
use super::text_ids::SpooledTextIds;
use crate::output::atomic::AtomicFile;
use crate::output::pieces::PORTION_BYTES;
use crate::pipeline::{Cancel, IdSource, Monitoring, OutputReport, StreamInfo};
use crate::sinks::{Finish, Finished, Sink, SinkJob, Writer};
use crate::{Code, Failure};

/// Indexes, and where each is.
#[derive(Debug)]
pub(super) struct Earlier(Vec<(PathBuf, Index)>);

impl Earlier {
    /// Opens indexes, and checks that they agree with each other.
    pub(super) fn open<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<Self, Failure> {
        let mut all: Vec<(PathBuf, Index)> = Vec::new();
        for path in paths {
            let index = Index::open(path).map_err(|e| open_failure(path, &e))?;
            if let Some((first_path, first)) = all.first() {
                let (params, found) = (first.header().params, index.header().params);
                if index.dim() != first.dim() {
                    return Err(other_dimension(path, index.dim(), first_path, first.dim()));
                }
                let is_text = |index: &Index| index.text_ids().is_some();
                if is_text(first) != is_text(&index) && first.rows() > 0 && index.rows() > 0 {
                    return Err(other_ids(path, is_text(&index), first_path));
                }
                if found.metric != params.metric {
                    return Err(other_metric(path, found.metric.name(), first_path, params.metric.name()));
                }
            }
            all.push((path.clone(), index));
        }
        Ok(Self(all))
    }

    /// The first index, whose parameters are those of all.
    pub(super) fn first(&self) -> Option<(&Path, &Index)> {
        self.0.first().map(|(path, index)| (path.as_path(), index))
    }

    /// Rows of all of them.
    pub(super) fn rows(&self) -> u64 {
        self.0.iter().map(|(_, index)| index.rows() as u64).sum()
    }

    /// Their graphs, as a build takes them.
    pub(super) fn known(&self) -> Vec<KnownGraph<'_>> {
        let mut first_row = 0;
        let known = |(_, index): &'_ (PathBuf, Index)| {
            first_row += index.rows();
            first_row - index.rows()
        };
        let firsts: Vec<usize> = self.0.iter().map(known).collect();
        firsts
            .into_iter()
            .zip(&self.0)
            .map(|(first_row, (_, index))| KnownGraph { first_row, index })
            .collect()
    }

    /// Fails unless the rows of a stream can follow.
    pub(super) fn check(&self, metric: index::Metric, input: &StreamInfo) -> Result<(), Failure> {
        let Some((path, first)) = self.first() else { return Ok(()) };
        if input.dim != first.dim() {
            let source = PathBuf::from(input.source.display().to_string());
            return Err(other_dimension(&source, input.dim, path, first.dim()));
        }
        let of_index = first.header().params.metric;
        if metric != of_index {
            let message =
                format!("{}: expected the metric of the index, {of_index}, found {metric}", path.display());
            return Err(Failure::refused(message)
                .with_code(Code::Conflict)
                .with_help("leave the metric away, or build a new index of all vectors"));
        }
        let is_text = input.ids == IdSource::Text;
        if first.rows() > 0
            && input.rows.exact() != Some(0)
            && !input.ids_are_row_numbers()
            && is_text != self.have_texts()
        {
            let source = PathBuf::from(input.source.display().to_string());
            return Err(other_ids(&source, is_text, path));
        }
        if self.have_ids() && input.ids_are_row_numbers() && input.rows.exact() != Some(0) {
            let message = format!(
                "{}: its rows have ids, and those of {} have none",
                path.display(),
                input.source.display()
            );
            return Err(Failure::refused(message).with_code(Code::Ids).with_help(
                "name a column of integers with --id-column (`id_column` in [source]), or give a file of numbers with --ids",
            ));
        }
        Ok(())
    }

    /// Hands over the vectors in parts, with the byte at which each belongs, after comparing them with their checksums: on the
    /// current rayon pool, in any order.
    pub(super) fn write_vectors(
        &self,
        cancel: &Cancel,
        write: impl Fn(&[u8], u64) -> Result<(), Failure> + Sync,
    ) -> Result<(), Failure> {
        let mut offset = 0;
        for (path, index) in &self.0 {
            let row_bytes = 4 * index.dim();
            let part_rows = (PORTION_BYTES / row_bytes).max(1);
            let put = |buffer: &mut Vec<f32>, first: usize| {
                cancel.check()?;
                let rows = first..(first + part_rows).min(index.rows());
                let vectors = index.vectors_of(rows, buffer).map_err(|corrupt| {
                    Failure::failed(format!("{}: {corrupt}", path.display()))
                        .with_code(Code::Malformed)
                        .with_help("the file is damaged: copy it again, or build it again")
                })?;
                write(bytemuck::cast_slice(vectors.values()), offset + (first * row_bytes) as u64)
            };
            let parts = (0..index.rows()).into_par_iter().step_by(part_rows);
            // The first that fails is told, however many threads there are.
            let failed = parts.map_init(Vec::new, |buffer, first| put(buffer, first).err());
            if let Some(failure) = failed.find_map_first(|failure| failure) {
                return Err(failure);
            }
            offset += (index.rows() * row_bytes) as u64;
        }
        Ok(())
    }

    /// The ids of all rows, those of the stream at the end; nothing if all are row numbers.
    ///
    /// Rows of the first index without ids keep their numbers. Those of a later one would get other numbers, which is an
    /// error unless no row has an id.
    fn ids(&self, of_stream: Option<Vec<u64>>) -> Result<Option<Vec<u64>>, Failure> {
        if self.have_texts() {
            return Ok(None);
        }
        if of_stream.is_none() && self.0.iter().all(|(_, index)| index.ids().is_none()) {
            return Ok(None);
        }
        let mut ids = Vec::new();
        for (at, (path, index)) in self.0.iter().enumerate() {
            match index.ids() {
                Some(of_index) => ids.extend_from_slice(of_index),
                None if at == 0 => ids.extend(0..index.rows() as u64),
                None => {
                    let message = format!(
                        "{}: its ids are row numbers, which would change, and others have ids of their own",
                        path.display()
                    );
                    return Err(Failure::refused(message).with_code(Code::Ids).with_help(
                        "name it first, where its rows keep their numbers, or build it again with ids (--ids)",
                    ));
                }
            }
        }
        ids.extend(of_stream.unwrap_or_default());
        Ok(Some(ids))
    }

    /// Whether any index has ids other than its row numbers.
    pub(super) fn have_ids(&self) -> bool {
        self.0.iter().any(|(_, index)| index.ids().is_some()) || self.have_texts()
    }

    /// Whether the ids are texts: those of all indexes, then.
    pub(super) fn have_texts(&self) -> bool {
        self.0.iter().any(|(_, index)| index.text_ids().is_some())
    }

    /// The place of a row of all of them; nothing if it is none of theirs, but so many rows behind them.
    fn place(&self, row: u64) -> Result<String, u64> {
        let mut before = 0;
        for (path, index) in &self.0 {
            let end = before + index.rows() as u64;
            if row < end {
                return Ok(format!("row {} of {}", row - before, path.display()));
            }
            before = end;
        }
        Err(row - before)
    }

    /// As [`Earlier::ids`], each once.
    pub(super) fn ids_checked(
        &self,
        of_stream: Option<Vec<u64>>,
        input: &StreamInfo,
    ) -> Result<Option<Vec<u64>>, Failure> {
        let ids = self.ids(of_stream)?;
        if let Some(ids) = &ids {
            self.refuse_duplicates(ids, input)?;
        }
        Ok(ids)
    }

    /// Fails if two rows have one id, and names both.
    fn refuse_duplicates(&self, ids: &[u64], input: &StreamInfo) -> Result<(), Failure> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) else {
            return Ok(());
        };
        let mut rows = (0u64..).zip(ids).filter(|&(_, &id)| id == twice).map(|(row, _)| row);
        let (first, second) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
        Err(self.same_id(&twice.to_string(), first, second, input))
    }

    fn same_id(&self, id: &str, first: u64, second: u64, input: &StreamInfo) -> Failure {
        let of_stream = |row: u64| match input.source.place(input.first_row + row) {
            Some((file, row)) if !input.drops_rows => format!("row {row} of {}", file.display()),
            _ => format!("row {row} of {}", input.source.display()),
        };
        let [first, second] = [first, second].map(|row| self.place(row).unwrap_or_else(of_stream));
        let message = format!("expected another id for each row, found id {id} at {first} and {second}");
        Failure::failed(message).with_code(Code::SameId).with_help(
            "an index keeps what it has: leave the row out, or build a new index of the rows that are wanted",
        )
    }
}

/// The ids of all rows, where they are texts: those of the indexes, and then those of the stream.
#[derive(Debug)]
pub(super) struct AppendedTexts<'a> {
    pub(super) earlier: &'a Earlier,
    pub(super) of_stream: Option<&'a SpooledTextIds>,
}

impl AppendedTexts<'_> {
    /// Fails if two rows have one id, and names both.
    pub(super) fn refuse_duplicates(&self, input: &StreamInfo) -> Result<(), Failure> {
        let io = |e: io::Error| Failure::failed(format!("{}: {e}", input.source.display()));
        let Some((first, second)) = index::same_text_ids(self).map_err(io)? else { return Ok(()) };
        let id = format!("\"{}\"", self.text_id(first).map_err(io)?.escape_debug());
        Err(self.earlier.same_id(&id, first as u64, second as u64, input))
    }
}

impl TextIdSource for AppendedTexts<'_> {
    fn rows(&self) -> usize {
        let earlier: usize = self.earlier.0.iter().map(|(_, index)| index.rows()).sum();
        earlier + self.of_stream.map_or(0, TextIdSource::rows)
    }

    fn text_id(&self, row: usize) -> io::Result<&str> {
        let mut row = row;
        for (path, index) in &self.earlier.0 {
            if row < index.rows() {
                let changed = || io::Error::other(format!("{} was written to meanwhile", path.display()));
                return index.text_id(row as u64).ok_or_else(changed);
            }
            row -= index.rows();
        }
        let none = || io::Error::other("there are fewer ids than rows");
        self.of_stream.ok_or_else(none)?.text_id(row)
    }
}

/// Merges indexes into one. `sink` says where, and what is to be other than in the first of them.
pub(crate) fn merge(
    mut sink: Hnsw,
    threads: usize,
    monitoring: &Monitoring,
) -> Result<OutputReport, Failure> {
    let earlier = Earlier::open(sink.append.iter().chain(&sink.further))?;
    let dim = earlier.first().map_or(1, |(_, index)| index.dim());
    drop(earlier);
    let input = StreamInfo::empty(&sink.path, dim);
    sink.plan(&input, threads)?;
    let mut recipe = toml::Table::new();
    recipe.insert("version".to_owned(), 1.into());
    recipe.insert("sink".to_owned(), crate::stages::recipe_of(Hnsw::NAME, &sink).into());
    let job = SinkJob { input, matrix: None, recipe: recipe.to_string(), check: None, resume: false };
    let Writer::Positional(writer) = Sink::open(&sink, job)? else {
        return Err(Failure::failed("an index is written anywhere"));
    };
    let finish = Finish { rows: 0, threads, cancel: &monitoring.cancel, progress: &monitoring.progress };
    let Finished { files, outputs } = writer.finish(&finish)?;
    monitoring.cancel.check()?;
    files.into_iter().try_for_each(AtomicFile::publish)?;
    outputs.into_iter().next().ok_or_else(|| Failure::failed("an index is one file"))
}

fn other_dimension(path: &Path, found: usize, first: &Path, expected: usize) -> Failure {
    let message = format!(
        "{}: expected vectors of dimension {expected}, as those of {}, found {found}",
        path.display(),
        first.display()
    );
    Failure::refused(message).with_code(Code::Dimension).with_help("vectors of one index come from one model")
}

fn other_ids(path: &Path, are_texts: bool, first: &Path) -> Failure {
    let (found, expected) = if are_texts { ("texts", "numbers") } else { ("numbers", "texts") };
    let message = format!(
        "{}: expected ids that are {expected}, as those of {}, found {found}",
        path.display(),
        first.display()
    );
    Failure::refused(message)
        .with_code(Code::Ids)
        .with_help("ids of one index are of one kind: build one of them again with other ids")
}

fn other_metric(path: &Path, found: &str, first: &Path, expected: &str) -> Failure {
    let message = format!(
        "{}: expected the metric {expected}, as that of {}, found {found}",
        path.display(),
        first.display()
    );
    Failure::refused(message)
        .with_code(Code::Conflict)
        .with_help("a graph of one metric is none of another: build one of them again")
}

/// What it means that an index cannot be opened.
fn open_failure(path: &Path, error: &OpenError) -> Failure {
    let (code, help) = match error {
        OpenError::Io(error) if error.kind() == io::ErrorKind::NotFound => (Code::NoFile, "check its name"),
        OpenError::Io(_) => (Code::Io, "name an index file, and check who may read it"),
        OpenError::NotAnIndex => {
            (Code::Malformed, "name an index; `sochdb-bulk build-index` makes one of a file of vectors")
        }
        OpenError::Newer { .. } => {
            (Code::Malformed, "use a newer sochdb-bulk, or build the index again with this one")
        }
        _ => (Code::Malformed, "the file is damaged: copy it again, or build it again"),
    };
    Failure::failed(format!("{}: {error}", path.display())).with_code(code).with_help(help)
}
