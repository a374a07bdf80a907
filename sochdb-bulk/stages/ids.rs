//! Gives every row an id.

use std::path::{Path, PathBuf};

use readers::arrow_array::builder::StringBuilder;
use readers::arrow_buffer::ScalarBuffer;
use readers::formats::{TextIdFile, read_npy_ids, read_u64_ids};
use readers::{Batch, BufferPool, Ids as BatchIds, Input, Io, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::{IdSource, StreamInfo};

/// Gives every row an id: from a file, or by counting.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ids {
    /// A file with one id for each row of the source: bare u64, little-endian; a .npy of integers or of strings (told by its
    /// first bytes); or texts, a line each, if its name ends in .txt. Without it rows are counted.
    #[serde(
        rename(serialize = "from_file"),
        serialize_with = "is_given",
        skip_serializing_if = "Option::is_none"
    )]
    path: Option<PathBuf>,
    /// What is added to the row number where rows are counted.
    offset: u64,
}

/// A recipe has no paths, but says that there was one.
fn is_given<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(path.is_some())
}

crate::register_stage!(Ids);

const ID_BYTES: u64 = 8;

impl Stage for Ids {
    const NAME: &'static str = "ids";
    const SUMMARY: &'static str =
        "give every row an id: from a u64, .npy or .txt file, or by counting from an offset";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"ids\"\npath = \"ids.u64\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.path = self.path.as_deref().map(resolve);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.path.iter().cloned().collect()
    }

    fn replaces_ids(&self) -> bool {
        true
    }

    fn non_finite(&self) -> NonFinite {
        NonFinite::Passed
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        let listed = self.path.as_ref().and(input.source_rows.exact()).unwrap_or_default();
        listed.saturating_mul(ID_BYTES)
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let output = StreamInfo { ids: IdSource::Given, ids_file: None, ..input.clone() };
        match &self.path {
            None if self.offset == 0 => {
                Ok((StreamInfo { ids: IdSource::RowNumbers, ..output }, Action::map(Counted { offset: 0 })))
            }
            None => {
                let most = input.rows.exact().and_then(|rows| input.first_row.checked_add(rows));
                if most.is_some_and(|most| self.offset.checked_add(most).is_none()) {
                    let message = format!("ids from {} on go past the largest u64", self.offset);
                    return Err(Failure::refused(message).with_help("take a smaller `offset`"));
                }
                Ok((output, Action::map(Counted { offset: self.offset })))
            }
            Some(_) if self.offset != 0 => {
                let message =
                    "ids come from a file or from counting, not both: `path` and `offset` are given";
                Err(Failure::refused(message).with_help("remove one of the two"))
            }
            Some(path) => {
                let output = StreamInfo { ids_file: Some(path.as_path().into()), ..output };
                if let Some(file) = TextIdFile::open(&Input::new(path))? {
                    check_count(path, file.rows(), input)?;
                    let output = StreamInfo { ids: IdSource::Text, ..output };
                    return Ok((output, Action::map(Texts { file })));
                }
                let ids = read_ids(path)?;
                check_count(path, ids.len() as u64, input)?;
                Ok((output, Action::map(Listed { ids: ScalarBuffer::from(ids) })))
            }
        }
    }
}

/// Reads a file of ids.
fn read_ids(path: &Path) -> Result<Vec<u64>, Failure> {
    let input = Input::new(path);
    let is_npy = Source::open(path, Io::Read)?.head(6)?.starts_with(b"\x93NUMPY");
    Ok(if is_npy { read_npy_ids(&input)? } else { read_u64_ids(&input)? })
}

/// There is one id for each row of the source: rows that are not wanted have theirs, too.
fn check_count(path: &Path, ids: u64, input: &StreamInfo) -> Result<(), Failure> {
    let needed = match input.source_rows.exact() {
        Some(rows) => rows,
        None => return Ok(()),
    };
    if ids == needed {
        return Ok(());
    }
    Err(Failure::refused(format!("{}: expected {needed} ids, one for each row, found {ids}", path.display()))
        .with_help("ids and vectors must come from the same run: write the file again with one id a row"))
}

struct Counted {
    offset: u64,
}

impl Map for Counted {
    fn map(&self, batch: Batch, _pool: &BufferPool) -> Result<Batch, Failure> {
        let too_large = || Failure::failed("ids go past the largest u64");
        let last = batch.row_range().end.checked_add(self.offset).ok_or_else(too_large)?;
        if batch.is_consecutive() {
            let first = last - batch.rows() as u64;
            return Ok(batch.with_ids(BatchIds::From(first)));
        }
        let ids: Vec<u64> = (0..batch.rows()).map(|at| batch.row_number(at) + self.offset).collect();
        Ok(batch.with_ids(BatchIds::U64(ids.into())))
    }
}

struct Listed {
    ids: ScalarBuffer<u64>,
}

impl Map for Listed {
    fn map(&self, batch: Batch, _pool: &BufferPool) -> Result<Batch, Failure> {
        let range = batch.row_range();
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        if range.end > self.ids.len() as u64 {
            let found = format!("{} ids, too few for row {}", self.ids.len(), range.end - 1);
            return Err(Failure::failed(format!("expected one id for each row, found {found}")));
        }
        let ids = if batch.is_consecutive() {
            self.ids.slice(start, batch.rows())
        } else {
            let offset = |at| usize::try_from(batch.row_number(at) - range.start).unwrap_or(usize::MAX);
            (0..batch.rows()).map(|at| self.ids[start + offset(at)]).collect::<Vec<u64>>().into()
        };
        Ok(batch.with_ids(BatchIds::U64(ids)))
    }
}

/// Rows that are far from each other are read one by one, rather than with so many times their number.
const MOST_UNWANTED: u64 = 8;

/// Texts stay in their file: of a batch those of its rows are read.
struct Texts {
    file: TextIdFile,
}

impl Map for Texts {
    fn map(&self, batch: Batch, _pool: &BufferPool) -> Result<Batch, Failure> {
        let range = batch.row_range();
        if batch.is_consecutive() {
            let texts = self.file.read(range)?;
            return Ok(batch.with_ids(BatchIds::Text(texts)));
        }
        let rows = batch.rows();
        let texts = if range.end - range.start <= MOST_UNWANTED * rows as u64 {
            let texts = self.file.read(range.clone())?;
            let at = |row| usize::try_from(batch.row_number(row) - range.start).unwrap_or(usize::MAX);
            (0..rows).map(|row| Some(texts.value(at(row)))).collect()
        } else {
            let mut texts = StringBuilder::new();
            for row in (0..rows).map(|at| batch.row_number(at)) {
                texts.append_value(self.file.read(row..row + 1)?.value(0));
            }
            texts.finish()
        };
        Ok(batch.with_ids(BatchIds::Text(texts)))
    }

    fn check(&self) -> Result<(), Failure> {
        Ok(self.file.check_unchanged()?)
    }
}
