//! hnswlib: what `saveIndex` writes, up to version 0.8.
//!
//! Little-endian and packed: a header of 96 bytes; for each element its list on level 0, its vector and its label; then for
//! each element its lists above. The space is not said.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use readers::{DType, Error, Input, Position, Probe, Score};

use crate::Library;
use crate::bytes::{Bytes, Cursor};
use crate::foreign::{ForeignIndex, ForeignInfo, dim_of, rows_of};
use crate::whole::{Whole, write_all};

pub(crate) static LIBRARY: Library = Library {
    name: "hnswlib",
    extensions: &["hnswlib"],
    summary: "what hnswlib's load_index reads; for cosine rows of length 1",
    most_id: u64::MAX,
    has_wide_ids: false,
    probe,
    open: |input| Ok(Box::new(Hnswlib::open(input)?)),
    write,
};

const HEADER_BYTES: usize = 96;

/// Marks a deleted element, in the third byte of its list.
const DELETED: u8 = 1;

/// The first 96 bytes.
#[derive(Debug, Clone, Copy)]
struct Header {
    rows: usize,
    record_bytes: usize,
    label_offset: usize,
    max_level: i32,
    entry_point: u32,
    m: usize,
    m0: usize,
    dim: usize,
    ef_construction: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        let offset: u64 = cursor.read("the offset of level 0")?;
        Cursor::must(0, "offset of level 0", 0, offset)?;
        let most_rows: u64 = cursor.read("the most rows")?;
        let rows = rows_of(16, cursor.read("the number of rows")?)?;
        if rows as u64 > most_rows {
            return Err(Error::expected(format!("at most {most_rows} rows, as byte 8 says"), rows)
                .at(Position::Byte(16)));
        }
        let record_bytes: u64 = cursor.read("the bytes of a row")?;
        let label_offset: u64 = cursor.read("the offset of a label")?;
        let vector_offset: u64 = cursor.read("the offset of a vector")?;
        let max_level: i32 = cursor.read("the highest level")?;
        let entry_point: u32 = cursor.read("the entry point")?;
        let m: u64 = cursor.read("M")?;
        let m0: u64 = cursor.read("M0")?;
        let _m: u64 = cursor.read("M")?;
        let _multiplier: f64 = cursor.read("the level multiplier")?;
        let ef_construction: u64 = cursor.read("ef_construction")?;
        let limit = index::Params::MAX_M as u64;
        if !(1..=limit).contains(&m) || !(m..=2 * limit).contains(&m0) {
            return Err(Error::expected(
                format!("M of 1 to {limit} and M0 from there to {}", 2 * limit),
                format!("{m} and {m0}"),
            )
            .at(Position::Byte(56)));
        }
        Cursor::must(40, "offset of a vector", 4 + 4 * m0, vector_offset)?;
        let vector_bytes = label_offset.saturating_sub(vector_offset);
        if !vector_bytes.is_multiple_of(4) {
            return Err(Error::expected("vectors of whole f32", format!("{vector_bytes} bytes each"))
                .at(Position::Byte(32)));
        }
        let dim = dim_of(32, vector_bytes / 4)?;
        Cursor::must(24, "bytes of a row", label_offset.saturating_add(8), record_bytes)?;
        // Both are small: M0 and the dimension have been looked at.
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            rows,
            record_bytes: small(record_bytes),
            label_offset: small(label_offset),
            max_level,
            entry_point,
            m: small(m),
            m0: small(m0),
            dim,
            ef_construction,
        })
    }
}

fn probe(probe: &Probe<'_>) -> Score {
    let Some(header) = probe.head.get(..HEADER_BYTES).and_then(|head| Header::read(head).ok()) else {
        return probe.by_extension(LIBRARY.extensions);
    };
    // Each element has at least the length of its upper lists behind the records.
    let least = (header.record_bytes as u64 + 4).saturating_mul(header.rows as u64);
    if probe.len_bytes < least + HEADER_BYTES as u64 {
        return Score::Yes(
            Score::SIZES,
            "its header is that of an hnswlib index, but the file is too short".into(),
        );
    }
    Score::Yes(Score::CERTAIN, "its offsets and sizes are those of an hnswlib index".into())
}

#[derive(Debug)]
struct Hnswlib {
    bytes: Bytes,
    info: ForeignInfo,
    header: Header,
    /// Elements that are not deleted, where some are.
    kept: Option<Vec<u32>>,
    /// Elements above level 0, ascending: where their lists begin, and their level.
    upper: Vec<(u32, usize, u8)>,
}

impl Hnswlib {
    fn open(input: &Input) -> Result<Self, Error> {
        let bytes = Bytes::of(input)?;
        let mut cursor = bytes.cursor(0);
        let header = Header::read(cursor.take(HEADER_BYTES, "the header")?)?;
        let records = header.rows.saturating_mul(header.record_bytes);
        cursor.take(records, "rows")?;
        let list_bytes = 4 * header.m + 4;
        let mut upper = Vec::new();
        for row in 0..header.rows {
            let at = cursor.at();
            let len: u32 = cursor.read("the length of upper lists")?;
            let len = len as usize;
            if len == 0 {
                continue;
            }
            let level = u8::try_from(len / list_bytes).ok().filter(|_| len.is_multiple_of(list_bytes));
            let Some(level) = level else {
                return Err(Error::expected(
                    format!("a multiple of {list_bytes}, at most 255 times that, for row {row}"),
                    len,
                )
                .at(Position::Byte(at as u64)));
            };
            let at = cursor.at();
            cursor.take(len, "upper lists")?;
            upper.push((u32::try_from(row).unwrap_or(u32::MAX), at, level));
        }
        cursor.end()?;
        let deleted = |row: &u32| {
            bytes.slice(HEADER_BYTES + *row as usize * header.record_bytes + 2, 1)[0] & DELETED != 0
        };
        let all = 0..u32::try_from(header.rows).unwrap_or(u32::MAX);
        let kept: Vec<u32> = all.filter(|row| !deleted(row)).collect();
        let gone = header.rows - kept.len();
        let info = ForeignInfo {
            library: LIBRARY.name,
            rows: kept.len(),
            dim: header.dim,
            dtype: DType::F32,
            metric: None,
            m: header.m,
            m0: header.m0,
            ef_construction: usize::try_from(header.ef_construction).ok(),
            entry_point: (header.max_level >= 0).then_some(u64::from(header.entry_point)),
            has_graph: true,
            has_wide_ids: false,
            obstacle: (gone > 0)
                .then(|| format!("{gone} of its rows are marked as deleted, and its graph leads over them")),
            size_bytes: bytes.len() as u64,
        };
        let kept = (gone > 0).then_some(kept);
        Ok(Self { bytes, info, header, kept, upper })
    }

    fn record(&self, row: usize) -> usize {
        let element = self.kept.as_ref().map_or(row, |kept| kept[row] as usize);
        HEADER_BYTES + element * self.header.record_bytes
    }

    fn upper_of(&self, row: usize) -> Option<&(u32, usize, u8)> {
        let at = self.upper.binary_search_by_key(&row, |(row, ..)| *row as usize).ok()?;
        self.upper.get(at)
    }
}

impl ForeignIndex for Hnswlib {
    fn info(&self) -> &ForeignInfo {
        &self.info
    }

    fn path(&self) -> Arc<Path> {
        self.bytes.path()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.bytes.check_unchanged()
    }

    fn id(&self, row: usize) -> u128 {
        u128::from(self.bytes.read::<u64>(self.record(row) + self.header.label_offset))
    }

    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        let at = self.record(row) + 4 + 4 * self.header.m0;
        bytemuck::cast_slice_mut(out).copy_from_slice(self.bytes.slice(at, self.header.dim * 4));
        Ok(())
    }

    fn top_level(&self, row: usize) -> u8 {
        self.upper_of(row).map_or(0, |(_, _, level)| *level)
    }

    fn neighbours(&self, row: usize, level: u8, out: &mut Vec<u64>) {
        let (at, count, most) = match level {
            0 => {
                let at = self.record(row);
                (at, usize::from(self.bytes.read::<u16>(at)), self.header.m0)
            }
            _ => {
                let Some((_, start, _)) = self.upper_of(row) else { return };
                let at = start + (usize::from(level) - 1) * (4 * self.header.m + 4);
                (at, usize::from(self.bytes.read::<u16>(at)), self.header.m)
            }
        };
        let numbers = self.bytes.slice(at + 4, count.min(most) * 4).chunks_exact(4);
        out.extend(numbers.map(|number| u64::from(bytemuck::pod_read_unaligned::<u32>(number))));
    }
}

fn write(whole: &Whole<'_>, out: &mut dyn Write) -> Result<(), Error> {
    let (rows, dim, m, m0) = (whole.rows() as u64, whole.dim(), whole.m(), 2 * whole.m());
    let vector_offset = 4 + 4 * m0;
    let label_offset = vector_offset + 4 * dim;
    let entry_point = whole.entry_row();
    let max_level = entry_point.map_or(-1, |_| i32::try_from(whole.levels()).unwrap_or(i32::MAX) - 1);
    let mut header = Vec::with_capacity(HEADER_BYTES);
    for number in [0, rows, rows, label_offset as u64 + 8, label_offset as u64, vector_offset as u64] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&max_level.to_le_bytes());
    header.extend_from_slice(&entry_point.unwrap_or(u32::MAX).to_le_bytes());
    for number in [m, m0, m] {
        header.extend_from_slice(&(number as u64).to_le_bytes());
    }
    header.extend_from_slice(&whole.level_multiplier().to_le_bytes());
    header.extend_from_slice(&(whole.ef_construction() as u64).to_le_bytes());
    write_all(out, &header)?;
    let level_bytes = u32::try_from(4 * m + 4).unwrap_or(u32::MAX);
    let (mut list, mut record) = (Vec::new(), Vec::with_capacity(label_offset + 8));
    let mut vector = vec![0.0; dim];
    for row in whole.all_rows() {
        record.clear();
        list.clear();
        whole.neighbours(0, row, &mut list);
        push_list(&mut record, &list, m0);
        whole.unit_vector(row, &mut vector)?;
        record.extend_from_slice(bytemuck::cast_slice(&vector));
        record.extend_from_slice(&whole.number(row).to_le_bytes());
        write_all(out, &record)?;
    }
    for row in whole.all_rows() {
        record.clear();
        let levels = whole.top_level(row);
        record.extend_from_slice(&(u32::from(levels) * level_bytes).to_le_bytes());
        for level in 1..=levels {
            list.clear();
            whole.neighbours(level, row, &mut list);
            push_list(&mut record, &list, m);
        }
        write_all(out, &record)?;
    }
    Ok(())
}

/// A count of four bytes, and `places` numbers.
fn push_list(out: &mut Vec<u8>, list: &[u32], places: usize) {
    let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(bytemuck::cast_slice(list));
    out.resize(out.len() + (places - list.len()) * 4, 0);
}
