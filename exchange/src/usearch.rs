//! usearch: what `save` writes, major version 2.
//!
//! A matrix of the vectors behind its two sizes; a head of 64 bytes; sizes, M, M0 and entry point; the level of each node;
//! the nodes with their lists.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use readers::arrow_buffer::ScalarBuffer;
use readers::{ByteOrder, DType, Error, Input, Metric, Position, Probe, Score, widen};

use crate::Library;
use crate::bytes::{Bytes, Cursor};
use crate::foreign::{ForeignIndex, ForeignInfo, dim_of, rows_of};
use crate::whole::{Whole, write_all};

pub(crate) static LIBRARY: Library = Library {
    name: "usearch",
    extensions: &["usearch"],
    summary: "what usearch's Index.restore and Index.load read, f32",
    most_id: FREE_KEY - 1,
    has_wide_ids: false,
    probe,
    open: |input| Ok(Box::new(Usearch::open(input)?)),
    write,
};

const MAGIC: &[u8; 7] = b"usearch";
const HEAD_BYTES: usize = 64;

/// The version that is written: the first with this head is 2.10.
const VERSION: [u16; 3] = [2, 10, 0];

/// The codes of the head: keys of u64, slots of u32, values of f32.
const KEY_U64: u8 = 14;
const SLOT_U32: u8 = 15;
const VALUE_F32: u8 = 11;

/// A key that marks a deleted vector.
const FREE_KEY: u64 = u64::MAX;

fn dtype_of(code: u8) -> Option<DType> {
    Some(match code {
        4 => DType::Bf16,
        10 => DType::F64,
        VALUE_F32 => DType::F32,
        12 => DType::F16,
        23 => DType::I8,
        _ => return None,
    })
}

/// Where the head is, from the two numbers that the file begins with.
fn head_offset(head: &[u8]) -> Option<u64> {
    let (rows, row_bytes) = (head.first_chunk::<4>()?, head.get(4..8)?.first_chunk::<4>()?);
    let matrix = u64::from(u32::from_le_bytes(*rows)) * u64::from(u32::from_le_bytes(*row_bytes));
    Some(matrix + 8)
}

fn probe(probe: &Probe<'_>) -> Score {
    let Some(offset) =
        head_offset(probe.head).filter(|offset| offset.saturating_add(HEAD_BYTES as u64) <= probe.len_bytes)
    else {
        return probe.by_extension(LIBRARY.extensions);
    };
    match usize::try_from(offset).ok().and_then(|offset| probe.head.get(offset..)?.get(..MAGIC.len())) {
        Some(magic) if magic == MAGIC => {
            Score::Yes(Score::CERTAIN, "`usearch` stands behind its vectors".into())
        }
        Some(_) => Score::No,
        // The head is behind what a probe sees.
        None => probe.by_extension(LIBRARY.extensions),
    }
}

#[derive(Debug)]
struct Usearch {
    bytes: Bytes,
    info: ForeignInfo,
    row_bytes: usize,
    /// Where each node begins.
    nodes: Vec<usize>,
    /// Nodes that are not deleted, where some are.
    kept: Option<Vec<u32>>,
    m: usize,
    m0: usize,
}

/// The key and the level of a node, before its lists.
const NODE_HEAD_BYTES: usize = 10;

impl Usearch {
    fn open(input: &Input) -> Result<Self, Error> {
        let bytes = Bytes::of(input)?;
        let mut cursor = bytes.cursor(0);
        let rows: u32 = cursor.read("the number of vectors")?;
        let row_bytes: u32 = cursor.read("the bytes of a vector")?;
        let (rows, row_bytes) = (rows_of(0, u64::from(rows))?, row_bytes as usize);
        cursor.take(rows.saturating_mul(row_bytes), "vectors")?;
        let head_at = cursor.at();
        let mut head = Cursor::new(cursor.take(HEAD_BYTES, "the head")?);
        if head.take(MAGIC.len(), "the magic")? != MAGIC {
            return Err(Error::malformed("expected `usearch` behind the vectors, found something else")
                .at(Position::Byte(head_at as u64))
                .with_help("it was saved without its vectors, or is no index of usearch"));
        }
        let version: [u16; 3] = head.read("the version")?;
        if version[0] != 2 {
            let found = version.map(|part| part.to_string()).join(".");
            return Err(Error::unsupported(format!("expected an index of usearch 2, found {found}"))
                .with_help("load it with the usearch that wrote it, and save it with usearch 2"));
        }
        let [metric, value, key, slot]: [u8; 4] = head.read("types")?;
        let metric = match metric {
            b'c' => Metric::Cosine,
            b'e' => Metric::L2,
            b'i' => Metric::Ip,
            other => {
                let name = char::from(other).escape_default();
                return Err(Error::unsupported(format!(
                    "expected the metric cos, l2sq or ip, found `{name}`"
                )));
            }
        };
        let Some(dtype) = dtype_of(value) else {
            return Err(Error::unsupported(format!(
                "expected values of f64, f32, f16, bf16 or i8, found type {value}"
            ))
            .with_help("copy the vectors into an index of dtype='f32'"));
        };
        if (key, slot) != (KEY_U64, SLOT_U32) {
            let message = format!("expected keys of 64 bits and slots of 32, found types {key} and {slot}");
            return Err(Error::unsupported(message));
        }
        let _present: u64 = head.read("the number of vectors")?;
        let _deleted: u64 = head.read("the number of deleted vectors")?;
        let dim = dim_of(head_at + 33, head.read("the dimension")?)?;
        if row_bytes != dim * dtype.size_bytes() && rows > 0 {
            return Err(Error::expected(
                format!("{} bytes a vector, as the head says", dim * dtype.size_bytes()),
                row_bytes,
            )
            .at(Position::Byte(4)));
        }
        let at = cursor.at();
        let [nodes, m, m0, max_level, entry_point]: [u64; 5] = cursor.read("the sizes of the graph")?;
        Cursor::must(at, "nodes", rows as u64, nodes)?;
        let limit = index::Params::MAX_M as u64;
        if !(1..=limit).contains(&m) || !(1..=2 * limit).contains(&m0) {
            return Err(Error::expected(
                format!("M of 1 to {limit} and M0 of 1 to {}", 2 * limit),
                format!("{m} and {m0}"),
            )
            .at(Position::Byte(at as u64 + 8)));
        }
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (m, m0) = (small(m), small(m0));
        let levels = cursor.take(rows * 2, "levels")?;
        let mut nodes = Vec::with_capacity(rows);
        let mut kept = Vec::with_capacity(rows);
        for (row, level) in (0u32..).zip(levels.chunks_exact(2)) {
            let level: i16 = bytemuck::pod_read_unaligned(level);
            let Ok(level) = u8::try_from(level) else {
                return Err(Error::expected(format!("a level of 0 to 255 for node {row}"), level));
            };
            let at = cursor.at();
            let list = |places: usize| 4 + 4 * places;
            let node = cursor.take(NODE_HEAD_BYTES + list(m0) + usize::from(level) * list(m), "nodes")?;
            let said: i16 = bytemuck::pod_read_unaligned(&node[8..NODE_HEAD_BYTES]);
            Cursor::must(at + 8, "level", i16::from(level), said)?;
            nodes.push(at);
            if bytemuck::pod_read_unaligned::<u64>(&node[..8]) != FREE_KEY {
                kept.push(row);
            }
        }
        cursor.end()?;
        let gone = rows - kept.len();
        let info = ForeignInfo {
            library: LIBRARY.name,
            rows: kept.len(),
            dim,
            dtype,
            metric: Some(metric),
            m,
            m0,
            ef_construction: None,
            entry_point: (rows > 0 && max_level < 256).then_some(entry_point),
            has_graph: true,
            has_wide_ids: false,
            obstacle: (gone > 0)
                .then(|| format!("{gone} of its vectors are deleted, and its graph leads over them")),
            size_bytes: bytes.len() as u64,
        };
        let kept = (gone > 0).then_some(kept);
        Ok(Self { bytes, info, row_bytes, nodes, kept, m, m0 })
    }

    fn slot(&self, row: usize) -> usize {
        self.kept.as_ref().map_or(row, |kept| kept[row] as usize)
    }
}

impl ForeignIndex for Usearch {
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
        u128::from(self.bytes.read::<u64>(self.nodes[self.slot(row)]))
    }

    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        let bytes = self.bytes.slice(8 + self.slot(row) * self.row_bytes, self.row_bytes);
        widen(self.info.dtype, ByteOrder::Little, bytes, out)
            .map_err(|bad| Error::malformed(bad.to_string()).at(Position::Row(row as u64)))?;
        if self.info.dtype == DType::I8 {
            // As usearch casts: 127 is 1.
            out.iter_mut().for_each(|value| *value /= 127.0);
        }
        Ok(())
    }

    fn matrix(&self) -> Option<ScalarBuffer<f32>> {
        let is_whole = self.info.dtype == DType::F32 && self.kept.is_none();
        is_whole.then(|| self.bytes.in_place(8, self.info.rows * self.info.dim))?
    }

    fn top_level(&self, row: usize) -> u8 {
        // Looked at when the file was opened.
        u8::try_from(self.bytes.read::<i16>(self.nodes[row] + 8)).unwrap_or(0)
    }

    fn neighbours(&self, row: usize, level: u8, out: &mut Vec<u64>) {
        let lists = self.nodes[row] + NODE_HEAD_BYTES;
        let (at, most) = match usize::from(level) {
            0 => (lists, self.m0),
            level => (lists + 4 + 4 * self.m0 + (level - 1) * (4 + 4 * self.m), self.m),
        };
        let count = self.bytes.read::<u32>(at) as usize;
        let numbers = self.bytes.slice(at + 4, count.min(most) * 4).chunks_exact(4);
        out.extend(numbers.map(|number| u64::from(bytemuck::pod_read_unaligned::<u32>(number))));
    }
}

fn write(whole: &Whole<'_>, out: &mut dyn Write) -> Result<(), Error> {
    let (dim, m, m0) = (whole.dim(), whole.m(), 2 * whole.m());
    let rows = u32::try_from(whole.rows()).unwrap_or(u32::MAX);
    let row_bytes = u32::try_from(dim * 4).unwrap_or(u32::MAX);
    write_all(out, bytemuck::cast_slice(&[rows, row_bytes]))?;
    let mut vector = vec![0.0; dim];
    for row in whole.all_rows() {
        whole.vector(row, &mut vector)?;
        write_all(out, bytemuck::cast_slice(&vector))?;
    }
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(bytemuck::cast_slice(&VERSION));
    let metric = match whole.metric() {
        index::Metric::Cosine => b'c',
        index::Metric::L2 => b'e',
        index::Metric::Ip => b'i',
    };
    head.extend_from_slice(&[metric, VALUE_F32, KEY_U64, SLOT_U32]);
    for number in [u64::from(rows), 0, dim as u64] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.resize(HEAD_BYTES, 0);
    let entry_point = whole.entry_row();
    let max_level = entry_point.map_or(u64::MAX, |_| whole.levels() as u64 - 1);
    for number in [u64::from(rows), m as u64, m0 as u64, max_level, u64::from(entry_point.unwrap_or(0))] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    for row in whole.all_rows() {
        head.extend_from_slice(&i16::from(whole.top_level(row)).to_le_bytes());
    }
    write_all(out, &head)?;
    let (mut node, mut list) = (Vec::new(), Vec::new());
    for row in whole.all_rows() {
        node.clear();
        let top = whole.top_level(row);
        node.extend_from_slice(&whole.number(row).to_le_bytes());
        node.extend_from_slice(&i16::from(top).to_le_bytes());
        for level in 0..=top {
            list.clear();
            whole.neighbours(level, row, &mut list);
            let places = if level == 0 { m0 } else { m };
            node.extend_from_slice(&u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes());
            node.extend_from_slice(bytemuck::cast_slice(&list));
            node.resize(node.len() + (places - list.len()) * 4, 0);
        }
        write_all(out, &node)?;
    }
    Ok(())
}
