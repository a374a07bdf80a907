//! What the nearest rows of a query are, and which hits are among them.

use std::path::Path;

use index::{Hit, Index};
use readers::formats::parse_npy_header;
use readers::{Error, Input, Position};

use super::super::exact::Found;
use super::TruthBy;
use crate::{Code, Failure};

/// The nearest rows of each query.
#[derive(Debug)]
pub(super) enum Truth {
    /// By their distances, which were computed here: of each query that of the last of them.
    Distances(Vec<f32>),
    /// By their ids, sorted.
    Ids(Vec<Vec<u64>>),
}

impl Truth {
    pub(super) fn of_distances(found: Found) -> Self {
        let last =
            |nearest: &Vec<(f32, u32)>| nearest.last().map_or(f32::INFINITY, |&(distance, _)| distance);
        Self::Distances(found.nearest.iter().map(last).collect())
    }

    /// How many of the hits are among the nearest rows of a query.
    pub(super) fn found(&self, query: usize, hits: &[Hit]) -> usize {
        match self {
            Self::Distances(last) => hits.iter().filter(|hit| hit.distance <= last[query]).count(),
            Self::Ids(ids) => hits.iter().filter(|hit| ids[query].binary_search(&hit.id).is_ok()).count(),
        }
    }
}

/// Numbers in rows of one size.
#[derive(Default)]
pub(super) struct Table {
    pub(super) width: usize,
    values: Vec<u64>,
    /// The fewest numbers that a row has, where some have fewer than others: -1 stands for none, as faiss writes it.
    fewest: Option<usize>,
}

impl Table {
    pub(super) fn of(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Adds the next number, which is at a byte of the file.
    fn push(&mut self, number: i64, byte: usize) -> Result<(), Error> {
        self.push_at(number, || Position::Byte(byte as u64))
    }

    /// Adds the next number, which is at a place of the file.
    pub(super) fn push_at(&mut self, number: i64, place: impl FnOnce() -> Position) -> Result<(), Error> {
        let at = self.values.len() % self.width.max(1);
        if number == -1 {
            self.fewest = Some(self.fewest.map_or(at, |fewest| fewest.min(at)));
        } else if number < 0 {
            let expected = "a number from 0, or -1 for none";
            return Err(Error::expected(expected, number).at(place()));
        }
        self.values.push(u64::try_from(number).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Adds numbers of 32 bits, of which the first is at the byte `from` of the file.
    fn push_i32(&mut self, bytes: &[u8], from: usize) -> Result<(), Error> {
        let mut numbers = bytes.as_chunks::<4>().0.iter().enumerate();
        numbers.try_for_each(|(at, number)| self.push(i32::from_le_bytes(*number).into(), from + 4 * at))
    }
}

/// Reads the `k` nearest rows of the first `queries` of `all_queries`. The second value is what a person should hear.
pub(super) fn read(
    path: &Path,
    index: &Index,
    by: Option<TruthBy>,
    k: usize,
    all_queries: usize,
    queries: usize,
) -> Result<(Truth, Option<String>), Failure> {
    let name = path.display();
    let table = read_table(path)?;
    let rows = table.values.len().checked_div(table.width).unwrap_or(0);
    if rows != all_queries {
        let message = format!("{name}: expected {all_queries} rows, one for each query, found {rows}");
        return Err(Failure::refused(message)
            .with_code(Code::Rows)
            .with_help("name the queries that it was made of, or leave it out: then it is computed"));
    }
    let fewest = table.fewest.unwrap_or(table.width);
    if fewest < k {
        let none = if table.fewest.is_some() { " (-1 stands for none)" } else { "" };
        let message = format!("{name}: expected at least {k} neighbours of each query, found {fewest}{none}");
        let failure = Failure::refused(message).with_code(Code::Request);
        return Err(match fewest {
            0 => failure.with_help("leave --ground-truth away: then it is computed"),
            fewest => failure.with_help(format!("ask for fewer: -k {fewest}")),
        });
    }
    let nearest: Vec<&[u64]> =
        table.values.chunks_exact(table.width).take(queries).map(|row| &row[..k]).collect();
    let (by, note) = meaning(path, index, by, &nearest)?;
    let of = |row: &[u64]| {
        let mut ids: Vec<u64> = match (by, index.ids()) {
            #[expect(clippy::cast_possible_truncation, reason = "numbers of rows of the index")]
            (TruthBy::Rows, Some(ids)) => row.iter().map(|&row| ids[row as usize]).collect(),
            _ => row.to_vec(),
        };
        ids.sort_unstable();
        ids
    };
    Ok((Truth::Ids(nearest.into_iter().map(of).collect()), note))
}

/// Whether numbers are those of rows or ids, and what to say about it.
fn meaning(
    path: &Path,
    index: &Index,
    by: Option<TruthBy>,
    nearest: &[&[u64]],
) -> Result<(TruthBy, Option<String>), Failure> {
    let name = path.display();
    let rows = index.rows() as u64;
    let no_row = nearest.iter().copied().flatten().find(|&&number| number >= rows);
    let refuse = |what: String| {
        Err(Failure::refused(format!("{name}: {what}"))
            .with_code(Code::Ids)
            .with_help("the ground truth has to be of the rows that the index was built from"))
    };
    let Some(ids) = index.ids() else {
        return match no_row {
            Some(number) => {
                refuse(format!("expected row numbers below {rows}, as the index has no ids, found {number}"))
            }
            None => Ok((TruthBy::Rows, None)),
        };
    };
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let no_id = nearest.iter().copied().flatten().find(|&number| sorted.binary_search(number).is_err());
    match (by, no_row, no_id) {
        (Some(TruthBy::Rows), Some(number), _) => {
            refuse(format!("expected row numbers below {rows}, found {number}"))
        }
        (Some(TruthBy::Ids), _, Some(number)) => refuse(format!("expected ids of the index, found {number}")),
        (None, Some(row), Some(id)) => refuse(format!(
            "expected row numbers below {rows} or ids of the index, found {row}, which is no row, and {id}, which is no id"
        )),
        (None, None, None) => {
            let note = "could be row numbers or ids, and is taken for row numbers; --truth-by says which";
            Ok((TruthBy::Rows, Some(format!("{name}: {note}"))))
        }
        (None, Some(_), None) => Ok((TruthBy::Ids, None)),
        (None, None, Some(_)) => Ok((TruthBy::Rows, None)),
        (Some(by), ..) => Ok((by, None)),
    }
}

fn read_table(path: &Path) -> Result<Table, Failure> {
    // Not by a reader of vectors: f32 does not hold all numbers of rows.
    let source = Input::new(path).unpacked()?.source()?;
    let length = usize::try_from(source.len_bytes()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    source.read_at(0, &mut bytes)?;
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let table = if bytes.starts_with(b"\x93NUMPY") {
        of_npy(&bytes)
    } else if bytes.starts_with(b"PAR1") || bytes.starts_with(b"ARROW1") {
        super::truth_columns::read(path)
    } else if name.ends_with(".ivecs") {
        of_ivecs(&bytes)
    } else if name.ends_with(".ibin") || name.ends_with(".i32bin") {
        of_ibin(&bytes)
    } else {
        return Err(Failure::refused(format!(
            "{}: neither content nor name tells its format",
            path.display()
        ))
        .with_code(Code::Format)
        .with_help("a ground truth is a .npy of whole numbers, .ivecs, .ibin, or Parquet or Arrow with a column `neighbors`"));
    };
    table.map_err(|e| Failure::from(e.in_file(path)))
}

fn of_ivecs(bytes: &[u8]) -> Result<Table, Error> {
    let Some(&first) = bytes.first_chunk::<4>() else { return Ok(Table::default()) };
    let width = u32::from_le_bytes(first) as usize;
    let row_bytes = 4 + 4 * width;
    let mut table = Table::of(width);
    for (row, part) in bytes.chunks(row_bytes).enumerate() {
        let at = Position::Byte((row * row_bytes) as u64);
        if part.first_chunk() != Some(&first) {
            let found = part.first_chunk().map(|&size| u32::from_le_bytes(size).to_string());
            let found = found.unwrap_or_else(|| "the end of the file".to_owned());
            return Err(Error::expected(format!("{width} neighbours, as in the first row"), found).at(at));
        }
        if part.len() < row_bytes {
            return Err(Error::expected(format!("{row_bytes} bytes of a row"), part.len()).at(at));
        }
        table.push_i32(&part[4..], row * row_bytes + 4)?;
    }
    Ok(table)
}

/// Behind the numbers the distances may stand, as big-ann-benchmarks has them.
fn of_ibin(bytes: &[u8]) -> Result<Table, Error> {
    let Some(&[a, b, c, d, e, f, g, h]) = bytes.first_chunk::<8>() else {
        return Err(Error::expected("8 bytes of a header", bytes.len()).at(Position::Byte(0)));
    };
    let (rows, width) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let expected = 4 * u128::from(rows) * u128::from(width);
    let rest = &bytes[8..];
    if rest.len() as u128 != expected && rest.len() as u128 != 2 * expected {
        let expected =
            format!("{expected} bytes for {rows} x {width} numbers, or twice as many with distances");
        return Err(Error::expected(expected, rest.len()).at(Position::Byte(8)));
    }
    let numbers = if rest.len() as u128 == expected { rest } else { &rest[..rest.len() / 2] };
    let mut table = Table::of(width as usize);
    table.push_i32(numbers, 8)?;
    Ok(table)
}

fn of_npy(bytes: &[u8]) -> Result<Table, Error> {
    let header = parse_npy_header(bytes)?;
    let &[rows, width] = header.shape.as_slice() else {
        return Err(Error::request(format!("expected (queries, k), found {} sizes", header.shape.len())));
    };
    if header.fortran_order {
        return Err(Error::request("expected numbers row by row, found them in Fortran order")
            .with_help("save numpy.ascontiguousarray of it"));
    }
    let size: usize = match header.descr.as_str() {
        "<i4" | "<u4" => 4,
        "<i8" | "<u8" => 8,
        other => {
            let message =
                format!("expected whole numbers of 32 or 64 bits (<i4, <u4, <i8, <u8), found {other}");
            return Err(Error::request(message).with_help("save it with .astype(numpy.int64)"));
        }
    };
    let from = usize::try_from(header.data_offset).unwrap_or(usize::MAX).min(bytes.len());
    let data = &bytes[from..];
    let expected = u128::from(rows) * u128::from(width) * size as u128;
    if data.len() as u128 != expected {
        let position = Position::Byte(from as u64);
        return Err(Error::expected(format!("{expected} bytes of numbers"), data.len()).at(position));
    }
    let is_signed = header.descr.contains('i');
    #[expect(clippy::cast_possible_truncation, reason = "all values are in memory, if there are any")]
    let mut table = Table::of(width as usize);
    for (at, number) in data.chunks_exact(size).enumerate() {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(number);
        if is_signed && number[size - 1] >> 7 == 1 {
            wide[size..].fill(0xff);
            table.push(i64::from_le_bytes(wide), from + at * size)?;
        } else {
            table.values.push(u64::from_le_bytes(wide));
        }
    }
    Ok(table)
}
