//! faiss: what `write_index` writes of an `IndexHNSWFlat`, also within an `IndexIDMap` or `IndexIDMap2`, and of an `IndexFlat`,
//! which has vectors and no graph.
//!
//! Each index is four letters and a header; arrays are a u64 of their length and the items.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use readers::arrow_buffer::ScalarBuffer;
use readers::{DType, Error, Input, Metric, Position, Probe, Score};

use crate::Library;
use crate::bytes::{Bytes, Cursor};
use crate::foreign::{ForeignIndex, ForeignInfo, dim_of, rows_of};
use crate::whole::{Whole, write_all};

pub(crate) static LIBRARY: Library = Library {
    name: "faiss",
    extensions: &["faiss"],
    summary: "what faiss.read_index reads: an IndexHNSWFlat, within an IndexIDMap2 if ids are not row numbers; for cosine rows of length 1 and inner products",
    most_id: i64::MAX.cast_unsigned(),
    has_wide_ids: false,
    probe,
    open: |input| Ok(Box::new(Faiss::open(input)?)),
    write,
};

const ID_MAPS: [&[u8; 4]; 2] = [b"IxM2", b"IxMp"];
const HNSW_FLAT: &[u8; 4] = b"IHNf";
const FLAT_L2: &[u8; 4] = b"IxF2";
const FLAT_IP: &[u8; 4] = b"IxFI";
/// A flat index of any metric.
const FLAT: &[u8; 4] = b"IxFl";
/// In place of a storage that was left out.
const NOTHING: &[u8; 4] = b"null";

/// The bytes of a header: dimension, rows, two numbers that mean nothing, whether it is trained, the metric.
const HEADER_BYTES: usize = 4 + 3 * 8 + 1 + 4;
const MEANINGLESS: u64 = 1 << 20;

const METRIC_IP: i32 = 0;
const METRIC_L2: i32 = 1;

fn probe(probe: &Probe<'_>) -> Score {
    let known = |magic: &[u8]| {
        ID_MAPS.iter().chain(&[HNSW_FLAT, FLAT_L2, FLAT_IP, FLAT]).any(|known| *known == magic)
    };
    match probe.head.get(..4) {
        Some(magic) if known(magic) => {
            let fits = probe.head.len() >= 4 + HEADER_BYTES
                && probe.head[12..28] == [MEANINGLESS.to_le_bytes(); 2].concat()[..];
            let score = if fits { Score::CERTAIN } else { Score::MAGIC };
            Score::Yes(score, "it begins with the letters of an index of faiss".into())
        }
        // Any other of faiss's indexes, so that it is said which.
        Some([b'I', kind, ..]) if probe.extension() == "faiss" && kind.is_ascii_alphabetic() => {
            Score::Yes(Score::SIZES, "its name ends in .faiss, and it begins as its indexes do".into())
        }
        _ => probe.by_extension(LIBRARY.extensions),
    }
}

/// Dimension, rows and metric.
#[derive(Debug, Clone, Copy)]
struct Header {
    dim: usize,
    rows: usize,
    metric: Metric,
}

impl Header {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let at = cursor.at();
        let dim: i32 = cursor.read("the dimension")?;
        let rows: i64 = cursor.read("the number of rows")?;
        let _: [u64; 2] = cursor.read("two numbers")?;
        let _trained: u8 = cursor.read("whether it is trained")?;
        let metric_at = cursor.at();
        let metric: i32 = cursor.read("the metric")?;
        let metric = match metric {
            METRIC_IP => Metric::Ip,
            METRIC_L2 => Metric::L2,
            other => {
                return Err(Error::unsupported(format!(
                    "expected the metric L2 (1) or inner product (0), found {other}"
                ))
                .at(Position::Byte(metric_at as u64)));
            }
        };
        let dim = dim_of(at, u64::try_from(dim).unwrap_or(0))?;
        let rows = rows_of(at + 4, u64::try_from(rows).unwrap_or(u64::MAX))?;
        Ok(Self { dim, rows, metric })
    }
}

/// Where an array lies.
#[derive(Debug, Clone, Copy, Default)]
struct Array {
    at: usize,
    len: usize,
}

impl Array {
    fn read(cursor: &mut Cursor<'_>, each: usize, what: &str) -> Result<Self, Error> {
        let len = cursor.count(each, what)?;
        let at = cursor.at();
        cursor.take(len * each, what)?;
        Ok(Self { at, len })
    }

    fn must_have(&self, len: usize, what: &str) -> Result<(), Error> {
        Cursor::must(self.at - 8, what, len, self.len)
    }
}

#[derive(Debug)]
struct GraphPart {
    levels: Array,
    offsets: Array,
    neighbours: Array,
    /// Of each level, where its places begin among those of a row, and at last their end.
    places: Vec<usize>,
}

#[derive(Debug)]
struct Faiss {
    bytes: Bytes,
    info: ForeignInfo,
    /// Where the vectors begin.
    vectors: usize,
    ids: Option<Array>,
    graph: Option<GraphPart>,
}

/// What stands before the vectors of an `IndexHNSWFlat`.
struct Graph {
    part: GraphPart,
    entry_point: i32,
    ef_construction: i32,
}

fn read_graph(cursor: &mut Cursor<'_>, rows: usize, bytes: &Bytes) -> Result<Graph, Error> {
    let _probabilities = Array::read(cursor, 8, "probabilities of levels")?;
    let places = Array::read(cursor, 4, "places of levels")?;
    let levels = Array::read(cursor, 4, "levels of rows")?;
    levels.must_have(rows, "levels")?;
    let offsets = Array::read(cursor, 8, "offsets of lists")?;
    offsets.must_have(rows + 1, "offsets")?;
    let neighbours = Array::read(cursor, 4, "neighbours")?;
    let entry_point: i32 = cursor.read("the entry point")?;
    let _max_level: i32 = cursor.read("the highest level")?;
    let ef_construction: i32 = cursor.read("ef_construction")?;
    let _ef_search: i32 = cursor.read("ef_search")?;
    let _upper_beam: i32 = cursor.read("the beam of upper levels")?;
    let at = places.at;
    let places: Vec<usize> = (0..places.len)
        .map(|level| usize::try_from(bytes.read::<i32>(places.at + level * 4)).unwrap_or(usize::MAX))
        .collect();
    let limit = 2 * index::Params::MAX_M;
    let widths = places
        .windows(2)
        .all(|pair| pair[1].checked_sub(pair[0]).is_some_and(|width| (1..=limit).contains(&width)));
    if places.len() < 2 || places[0] != 0 || !widths {
        return Err(Error::expected(
            format!("places of levels that rise from 0, by up to {limit}"),
            "others",
        )
        .at(Position::Byte(at as u64)));
    }
    let mut expected = 0u64;
    for row in 0..rows {
        let offset: u64 = bytes.read(offsets.at + row * 8);
        Cursor::must(offsets.at + row * 8, "offset of a list", expected, offset)?;
        let count: i32 = bytes.read(levels.at + row * 4);
        let end = usize::try_from(count).ok().filter(|&count| count >= 1).and_then(|count| places.get(count));
        let Some(end) = end else {
            return Err(Error::expected(format!("1 to {} levels for row {row}", places.len() - 1), count)
                .at(Position::Byte((levels.at + row * 4) as u64)));
        };
        expected = expected.saturating_add(*end as u64);
    }
    Cursor::must(offsets.at + rows * 8, "end of the lists", expected, bytes.read(offsets.at + rows * 8))?;
    Cursor::must(neighbours.at - 8, "neighbours", expected, neighbours.len as u64)?;
    Ok(Graph { part: GraphPart { levels, offsets, neighbours, places }, entry_point, ef_construction })
}

impl Faiss {
    fn open(input: &Input) -> Result<Self, Error> {
        let bytes = Bytes::of(input)?;
        let mut cursor = bytes.cursor(0);
        let mut magic = read_magic(&mut cursor)?;
        let outer = ID_MAPS.iter().any(|map| **map == magic);
        if outer {
            Header::read(&mut cursor)?;
            magic = read_magic(&mut cursor)?;
        }
        let header = Header::read(&mut cursor)?;
        let mut graph = None;
        if &magic == HNSW_FLAT {
            graph = Some(read_graph(&mut cursor, header.rows, &bytes)?);
            magic = read_magic(&mut cursor)?;
            if &magic == NOTHING {
                return Err(Error::unsupported(
                    "expected the vectors of the index, found that it was written without",
                )
                .with_help("write it with its storage"));
            }
            let storage = Header::read(&mut cursor)?;
            if (storage.dim, storage.rows) != (header.dim, header.rows) {
                let found = format!("{} x {}", storage.rows, storage.dim);
                return Err(Error::expected(format!("vectors of {} x {}", header.rows, header.dim), found));
            }
        }
        if ![FLAT_L2, FLAT_IP, FLAT].contains(&&magic) {
            let found = magic.escape_ascii();
            return Err(Error::unsupported(format!(
                "expected vectors as they are (`IxF2` or `IxFI`), found `{found}`"
            ))
            .with_help("its vectors are compressed: build the index from the vectors that it was made of"));
        }
        let values = Array::read(&mut cursor, 4, "values")?;
        values.must_have(header.rows * header.dim, "values")?;
        let mut ids = None;
        if outer {
            let array = Array::read(&mut cursor, 8, "ids")?;
            array.must_have(header.rows, "ids")?;
            ids = Some(array);
        }
        cursor.end()?;
        let places = graph.as_ref().map_or(&[][..], |graph| &graph.part.places);
        let m0 = places.get(1).copied().unwrap_or(0);
        let m = places.windows(2).skip(1).map(|pair| pair[1] - pair[0]).max().unwrap_or(m0.div_ceil(2));
        let info = ForeignInfo {
            library: LIBRARY.name,
            rows: header.rows,
            dim: header.dim,
            dtype: DType::F32,
            metric: Some(header.metric),
            m,
            m0,
            ef_construction: graph.as_ref().and_then(|graph| usize::try_from(graph.ef_construction).ok()),
            entry_point: graph.as_ref().and_then(|graph| u64::try_from(graph.entry_point).ok()),
            has_graph: graph.is_some(),
            has_wide_ids: false,
            obstacle: None,
            size_bytes: bytes.len() as u64,
        };
        Ok(Self { bytes, info, vectors: values.at, ids, graph: graph.map(|graph| graph.part) })
    }
}

fn read_magic(cursor: &mut Cursor<'_>) -> Result<[u8; 4], Error> {
    cursor.read("the four letters of an index")
}

impl ForeignIndex for Faiss {
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
        match self.ids {
            // Negative ids are the u64 of the same bits.
            Some(ids) => u128::from(self.bytes.read::<u64>(ids.at + row * 8)),
            None => row as u128,
        }
    }

    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        let len = self.info.dim * 4;
        bytemuck::cast_slice_mut(out).copy_from_slice(self.bytes.slice(self.vectors + row * len, len));
        Ok(())
    }

    fn matrix(&self) -> Option<ScalarBuffer<f32>> {
        self.bytes.in_place(self.vectors, self.info.rows * self.info.dim)
    }

    fn top_level(&self, row: usize) -> u8 {
        let Some(graph) = &self.graph else { return 0 };
        u8::try_from(self.bytes.read::<i32>(graph.levels.at + row * 4) - 1).unwrap_or(0)
    }

    fn neighbours(&self, row: usize, level: u8, out: &mut Vec<u64>) {
        let Some(graph) = &self.graph else { return };
        let level = usize::from(level);
        let places = graph.places[level]..graph.places[level + 1];
        let offset: u64 = self.bytes.read(graph.offsets.at + row * 8);
        // Looked at when the file was opened.
        let at = graph.neighbours.at + (usize::try_from(offset).unwrap_or(0) + places.start) * 4;
        let numbers =
            self.bytes.slice(at, places.len() * 4).chunks_exact(4).map(bytemuck::pod_read_unaligned::<i32>);
        out.extend(
            numbers
                .take_while(|&number| number != -1)
                .map(|number| u64::try_from(number).unwrap_or(u64::MAX)),
        );
    }
}

fn push_header(out: &mut Vec<u8>, magic: &[u8; 4], whole: &Whole<'_>) {
    out.extend_from_slice(magic);
    out.extend_from_slice(&u32::try_from(whole.dim()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&(whole.rows() as u64).to_le_bytes());
    out.extend_from_slice(bytemuck::cast_slice(&[MEANINGLESS; 2]));
    out.push(1);
    let metric = if whole.metric() == index::Metric::L2 { METRIC_L2 } else { METRIC_IP };
    out.extend_from_slice(&metric.to_le_bytes());
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

/// The probability of each level, as faiss's `set_default_probas` lists them: those of at least 1e-9.
fn probabilities(m: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "M is small")]
    let of = |level: u32| (m as f64).powi(-level.cast_signed()) * (1.0 - 1.0 / m as f64);
    (0..).map(of).take_while(|&probability| probability >= 1e-9).collect()
}

fn write(whole: &Whole<'_>, out: &mut dyn Write) -> Result<(), Error> {
    let (m, m0) = (whole.m(), 2 * whole.m());
    let mut head = Vec::new();
    let has_ids = !whole.numbers_are_rows();
    if has_ids {
        push_header(&mut head, b"IxM2", whole);
    }
    push_header(&mut head, HNSW_FLAT, whole);
    let probabilities = probabilities(m);
    // A level more than any row has, as faiss reads places by level.
    let levels = probabilities.len().max(whole.levels());
    push_count(&mut head, probabilities.len());
    head.extend_from_slice(bytemuck::cast_slice(&probabilities));
    push_count(&mut head, levels + 1);
    let places = |level: usize| if level == 0 { 0 } else { m0 + (level - 1) * m };
    for level in 0..=levels {
        head.extend_from_slice(&u32::try_from(places(level)).unwrap_or(u32::MAX).to_le_bytes());
    }
    push_count(&mut head, whole.rows());
    for row in whole.all_rows() {
        head.extend_from_slice(&(u32::from(whole.top_level(row)) + 1).to_le_bytes());
    }
    push_count(&mut head, whole.rows() + 1);
    let mut offset = 0u64;
    head.extend_from_slice(&offset.to_le_bytes());
    for row in whole.all_rows() {
        offset += places(usize::from(whole.top_level(row)) + 1) as u64;
        head.extend_from_slice(&offset.to_le_bytes());
    }
    head.extend_from_slice(&offset.to_le_bytes());
    write_all(out, &head)?;
    let (mut lists, mut list) = (Vec::new(), Vec::new());
    for row in whole.all_rows() {
        lists.clear();
        for level in 0..=whole.top_level(row) {
            list.clear();
            whole.neighbours(level, row, &mut list);
            lists.extend_from_slice(&list);
            // -1 is no neighbour.
            lists.resize(places(usize::from(level) + 1), u32::MAX);
        }
        write_all(out, bytemuck::cast_slice(&lists))?;
    }
    head.clear();
    // -1 is no entry point.
    head.extend_from_slice(&whole.entry_row().unwrap_or(u32::MAX).to_le_bytes());
    let max_level = whole.entry_row().map_or(u32::MAX, |_| u32::try_from(whole.levels() - 1).unwrap_or(0));
    let ef_construction = u32::try_from(whole.ef_construction()).unwrap_or(u32::MAX);
    for number in [max_level, ef_construction, 16, 1] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    let storage = if whole.metric() == index::Metric::L2 { FLAT_L2 } else { FLAT_IP };
    push_header(&mut head, storage, whole);
    push_count(&mut head, whole.rows() * whole.dim());
    write_all(out, &head)?;
    let mut vector = vec![0.0; whole.dim()];
    for row in whole.all_rows() {
        whole.unit_vector(row, &mut vector)?;
        write_all(out, bytemuck::cast_slice(&vector))?;
    }
    if has_ids {
        write_all(out, &(whole.rows() as u64).to_le_bytes())?;
        for row in whole.all_rows() {
            write_all(out, &whole.number(row).to_le_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn probabilities_are_those_of_faiss() {
        // faiss.IndexHNSWFlat(8, 16).hnsw.assign_probas
        let found = super::probabilities(16);
        assert_eq!(found.len(), 8);
        assert!((found[1] - 0.058_593_75).abs() < 1e-12);
    }
}
