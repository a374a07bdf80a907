//! An index as other libraries hold one: every row is a node.

use std::collections::HashMap;
use std::io::Write;

use index::Index;
use readers::{Error, Topic};

use crate::Library;

/// What another library is told as ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// Those of the index.
    #[default]
    Own,
    /// The row numbers, whatever ids there are.
    Rows,
}

/// An index to be written for another library. Rows that equal an earlier row are no nodes of the graph of an index; here they
/// are, on level 0, in a chain behind the first of them.
pub struct Whole<'a> {
    index: &'a Index,
    ids: Ids,
    /// The highest level of each row.
    levels: Vec<u8>,
    /// Lists of level 0 that differ from those of the index: of copies, and of the rows that they equal.
    lists: HashMap<u32, Vec<u32>>,
    /// For cosine, what rows are multiplied with.
    is_cosine: bool,
}

impl<'a> Whole<'a> {
    /// The whole of an index. Takes a byte a row, and a list for each row that is a copy or has one.
    pub fn new(index: &'a Index, ids: Ids) -> Self {
        let mut levels = vec![0; index.rows()];
        for level in 1..index.levels() {
            for &row in index.rows_of_level(level).unwrap_or_default() {
                levels[row as usize] = u8::try_from(level).unwrap_or(u8::MAX);
            }
        }
        let places = 2 * index.header().params.m;
        let mut lists = HashMap::new();
        for (first, copies) in index.copied_rows() {
            let own = index.neighbours(0, first);
            // The first of the copies takes the place of the farthest neighbour, which it has itself: who was found by
            // that link still is.
            let kept = &own[..own.len().min(places - 1)];
            let displaced = &own[kept.len()..];
            lists.insert(first, [&copies[..1], kept].concat());
            for (at, &copy) in copies.iter().enumerate() {
                let before = if at == 0 { first } else { copies[at - 1] };
                let mut list = vec![before];
                list.extend(copies.get(at + 1));
                if at == 0 {
                    list.extend_from_slice(displaced);
                }
                list.extend_from_slice(&kept[..kept.len().min(places - list.len())]);
                lists.insert(copy, list);
            }
        }
        let is_cosine = index.header().params.metric == index::Metric::Cosine;
        Self { index, ids, levels, lists, is_cosine }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn all_rows(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.rows()).unwrap_or(u32::MAX)
    }

    pub(crate) fn dim(&self) -> usize {
        self.index.dim()
    }

    pub(crate) fn metric(&self) -> index::Metric {
        self.index.header().params.metric
    }

    pub(crate) fn m(&self) -> usize {
        self.index.header().params.m
    }

    pub(crate) fn ef_construction(&self) -> usize {
        self.index.header().params.ef_construction
    }

    /// 1 / ln M, with which all libraries draw the levels of rows that are added later.
    #[expect(clippy::cast_precision_loss, reason = "M is small")]
    pub(crate) fn level_multiplier(&self) -> f64 {
        1.0 / (self.m() as f64).ln()
    }

    pub(crate) fn levels(&self) -> usize {
        self.index.levels()
    }

    pub(crate) fn entry_row(&self) -> Option<u32> {
        self.index.entry_row()
    }

    pub(crate) fn top_level(&self, row: u32) -> u8 {
        self.levels[row as usize]
    }

    /// Appends the neighbours of a row on one of its levels, as rows.
    pub(crate) fn neighbours(&self, level: u8, row: u32, out: &mut Vec<u32>) {
        let level = usize::from(level);
        match self.index.rows_of_level(level) {
            None => match self.lists.get(&row) {
                Some(list) => out.extend_from_slice(list),
                None => out.extend_from_slice(self.index.neighbours(0, row)),
            },
            Some(rows) => {
                let Ok(slot) = rows.binary_search(&row) else { return };
                let slots = self.index.neighbours(level, u32::try_from(slot).unwrap_or(u32::MAX));
                out.extend(slots.iter().map(|&slot| rows[slot as usize]));
            }
        }
    }

    /// The vector of a row as it was given.
    pub(crate) fn vector(&self, row: u32, out: &mut [f32]) -> Result<(), Error> {
        self.index.copy_vector(row, out).map_err(|corrupt| Error::malformed(corrupt.to_string()))
    }

    /// The vector of a row; for cosine with length 1, unless it is all zeros.
    pub(crate) fn unit_vector(&self, row: u32, out: &mut [f32]) -> Result<(), Error> {
        self.vector(row, out)?;
        if self.is_cosine {
            let norm = out.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
            if norm > 0.0 {
                #[expect(clippy::cast_possible_truncation, reason = "rounded")]
                out.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
            }
        }
        Ok(())
    }

    /// Whether ids are row numbers.
    pub(crate) fn numbers_are_rows(&self) -> bool {
        self.ids == Ids::Rows || (self.index.ids().is_none() && self.index.text_ids().is_none())
    }

    /// The id of a row that [`Whole::numbers`] found to be a number.
    pub(crate) fn number(&self, row: u32) -> u64 {
        match self.ids {
            Ids::Rows => u64::from(row),
            Ids::Own => self.index.id(row),
        }
    }

    /// The id of a row that [`Whole::numbers`] found to be a number.
    pub(crate) fn wide_number(&self, row: u32) -> u128 {
        let text = (self.ids == Ids::Own).then(|| self.index.text_id(u64::from(row))).flatten();
        text.and_then(wide_of).unwrap_or_else(|| u128::from(self.number(row)))
    }

    /// Fails unless all ids are numbers that the library holds.
    pub(crate) fn numbers(&self, library: &Library) -> Result<(), Error> {
        if self.ids == Ids::Rows {
            return Ok(());
        }
        if let Some(texts) = self.index.text_ids() {
            let wide = |row: &usize| {
                library.has_wide_ids && texts.get(*row).is_some_and(|text| wide_of(text).is_some())
            };
            return match (0..self.rows()).find(|row| !wide(row)) {
                None => Ok(()),
                Some(row) => Err(library.no_text(row, texts.get(row).unwrap_or_default())),
            };
        }
        self.index.ids().map_or(Ok(()), |ids| library.check_ids(ids))
    }
}

/// The 128 bits of a UUID.
pub(crate) fn wide_of(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split('-').collect();
    let is_uuid = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    is_uuid.then(|| u128::from_str_radix(&parts.concat(), 16).ok()).flatten()
}

impl Library {
    fn no_text(&self, row: usize, text: &str) -> Error {
        let what = if self.has_wide_ids { "numbers and UUIDs" } else { "numbers" };
        let message =
            format!("row {row}: expected {what} as ids, as {} holds no texts, found {text:?}", self.name);
        Error::request(message).about(Topic::Ids).with_help(
            "write row numbers with --ids rows; `query` on this index, or its `convert`, tells which id a row has",
        )
    }

    /// Fails unless the library can hold all of these ids.
    ///
    /// # Errors
    /// [`readers::ErrorKind::Request`] naming the first that it cannot hold.
    pub fn check_ids(&self, ids: &[u64]) -> Result<(), Error> {
        let most = self.most_id;
        match ids.iter().enumerate().find(|(_, id)| **id > most) {
            None => Ok(()),
            Some((row, id)) => Err(Error::request(format!(
                "row {row}: expected an id up to {most}, as {} holds no greater, found {id}",
                self.name
            ))
            .about(Topic::Ids)
            .with_help("give it other ids, or write row numbers: `export` with --ids rows")),
        }
    }
}

impl std::fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Whole({} rows)", self.rows())
    }
}

pub(crate) fn write_all(out: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    out.write_all(bytes).map_err(|e| Error::io("write", e))
}

#[cfg(test)]
mod tests {
    use super::wide_of;

    #[test]
    fn only_uuids_are_wide_numbers() {
        assert_eq!(wide_of("00000000-0000-0000-0000-00000000002a"), Some(42));
        assert_eq!(wide_of("FFFFFFFF-ffff-ffff-ffff-ffffffffffff"), Some(u128::MAX));
        for text in [
            "",
            "42",
            "00000000-0000-0000-0000-0000000000",
            "+0000000-0000-0000-0000-00000000002a",
            "zz000000-0000-0000-0000-00000000002a",
        ] {
            assert_eq!(wide_of(text), None, "{text}");
        }
    }
}
