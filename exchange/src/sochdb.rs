//! SochDB: the snapshot that its own bulk tool writes, versions 0.4 to 2.
//!
//! One gzip member around little-endian numbers of fixed width; links name ids, of 128 bits, and nodes come in any order.
//! The layout was found by reading files of both versions and writing them again to the same bytes.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use readers::{DType, Error, Input, Metric, Position, Probe, Score};

use crate::Library;
use crate::bytes::{Bytes, Cursor};
use crate::foreign::{ForeignIndex, ForeignInfo, dim_of, rows_of};
use crate::gzip::Gzip;
use crate::whole::{Whole, write_all};

pub(crate) static LIBRARY: Library = Library {
    name: "sochdb",
    extensions: &["sochdb"],
    summary: "what SochDB 0.4 to 2 loads, packed by gzip; for cosine rows of length 1",
    most_id: u64::MAX,
    has_wide_ids: true,
    probe,
    open: |input| Ok(Box::new(SochDb::open(input)?)),
    write,
};

const VERSION: u32 = 1;

/// The beam of SochDB's searches at most; it takes the greater of twice k and 64 where that is less.
const EF_SEARCH: u64 = 500;

/// A node without vector and levels: id, two lengths, the level.
const NODE_BYTES: usize = 16 + 8 + 8 + 8;
const LINK_BYTES: usize = 16;

/// What stands before the nodes.
#[derive(Debug, Clone, Copy)]
struct Header {
    m: usize,
    m0: usize,
    ef_construction: u64,
    metric: Metric,
    nodes: usize,
}

impl Header {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Cursor::must(0, "version", VERSION, cursor.read("the version")?)?;
        let [m, m0]: [u64; 2] = cursor.read("M and M0")?;
        let limit = index::Params::MAX_M as u64;
        // Its own tool writes an M of 0 if it is asked to.
        if m > limit || m0 > 2 * limit {
            return Err(Error::expected(
                format!("M up to {limit} and M0 up to {}", 2 * limit),
                format!("{m} and {m0}"),
            )
            .at(Position::Byte(4)));
        }
        let _multiplier: f32 = cursor.read("the level multiplier")?;
        let [ef_construction, _ef_search]: [u64; 2] = cursor.read("ef_construction and ef_search")?;
        let metric = match cursor.read::<u32>("the metric")? {
            0 => Metric::Cosine,
            1 => Metric::L2,
            2 => Metric::Ip,
            other => return Err(Error::expected("the metric 0, 1 or 2", other).at(Position::Byte(40))),
        };
        match cursor.read::<u8>("whether vectors are rounded")? {
            0 => {}
            1 => {
                let at = cursor.at();
                let precision: u32 = cursor.read("the precision")?;
                if precision > 2 {
                    return Err(
                        Error::expected("the precision 0, 1 or 2", precision).at(Position::Byte(at as u64))
                    );
                }
            }
            other => return Err(Error::expected("0 or 1", other).at(Position::Byte(44))),
        }
        let at = cursor.at();
        let flags = cursor.take(7, "flags")?;
        if let Some(bad) = flags.iter().find(|&&flag| flag > 1) {
            return Err(Error::expected("flags of 0 or 1", bad).at(Position::Byte(at as u64)));
        }
        let _: [u64; 3] = cursor.read("numbers of quantization")?;
        let at = cursor.at();
        let nodes = rows_of(at, cursor.read("the number of nodes")?)?;
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self { m: small(m), m0: small(m0), ef_construction, metric, nodes })
    }
}

fn probe(probe: &Probe<'_>) -> Score {
    let mut cursor = Cursor::new(probe.head);
    let Ok(header) = Header::read(&mut cursor) else { return probe.by_extension(LIBRARY.extensions) };
    if (header.nodes as u64).saturating_mul(NODE_BYTES as u64) > probe.len_bytes {
        return Score::Yes(
            Score::SIZES,
            "its header is that of a SochDB index, but the file is too short".into(),
        );
    }
    Score::Yes(Score::CERTAIN, "its header is that of a SochDB index".into())
}

#[derive(Debug)]
struct SochDb {
    bytes: Bytes,
    info: ForeignInfo,
    /// Where each node begins.
    nodes: Vec<usize>,
    /// The rows of the ids, by id; nothing where ids are row numbers.
    rows: Option<Vec<(u128, u32)>>,
}

impl SochDb {
    fn open(input: &Input) -> Result<Self, Error> {
        let bytes = Bytes::of(input)?;
        let mut cursor = bytes.cursor(0);
        let header = Header::read(&mut cursor)?;
        let most = cursor.left() / NODE_BYTES;
        if header.nodes > most {
            return Err(Error::expected(format!("at most {most} nodes, as the file is long"), header.nodes)
                .at(Position::Byte(80)));
        }
        let mut dim = None;
        let mut nodes = Vec::with_capacity(header.nodes);
        let mut ids = Vec::with_capacity(header.nodes);
        let (mut longest, mut longest0) = (0, 0);
        for row in 0..header.nodes {
            let at = cursor.at();
            nodes.push(at);
            ids.push(cursor.read::<u128>("an id")?);
            let found: u64 = cursor.read("the length of a vector")?;
            let expected = *dim.get_or_insert(dim_of(at + 16, found)?);
            Cursor::must(at + 16, "values", expected as u64, found)?;
            cursor.take(expected * 4, "a vector")?;
            let levels = cursor.count(8, "levels")?;
            if !(1..=usize::from(u8::MAX)).contains(&levels) {
                return Err(Error::expected(format!("1 to 255 levels of row {row}"), levels)
                    .at(Position::Byte(at as u64)));
            }
            for level in 0..levels {
                let links = cursor.count(LINK_BYTES, "links")?;
                cursor.take(links * LINK_BYTES, "links")?;
                let longest = if level == 0 { &mut longest0 } else { &mut longest };
                *longest = links.max(*longest);
            }
            let top: u64 = cursor.read("a level")?;
            Cursor::must(cursor.at() - 8, "level", levels as u64 - 1, top)?;
        }
        let at = cursor.at();
        let entry_point = match cursor.read::<u8>("whether there is an entry point")? {
            0 => None,
            1 => Some(cursor.read::<u128>("the entry point")?),
            other => return Err(Error::expected("0 or 1", other).at(Position::Byte(at as u64))),
        };
        let _max_level: u64 = cursor.read("the highest level")?;
        let at = cursor.at();
        let said: u64 = cursor.read("the dimension")?;
        if let Some(dim) = dim {
            Cursor::must(at, "dimension", dim as u64, said)?;
        }
        let dim = dim.map_or_else(|| if said == 0 { Ok(0) } else { dim_of(at, said) }, Ok)?;
        let _time: [u8; 12] = cursor.read("the time of writing")?;
        // Version 2 may add what it knows of each id, behind a mark.
        if cursor.left() > 0 && cursor.take(8.min(cursor.left()), "a mark")? != b"SCMETA01" {
            return Err(Error::malformed(
                "expected the end of the file, or `SCMETA01`, found something else",
            )
            .at(Position::Byte(cursor.at() as u64)));
        }
        let has_wide_ids = ids.iter().any(|&id| u64::try_from(id).is_err());
        let rows = ids.iter().enumerate().any(|(row, &id)| id != row as u128).then(|| {
            let mut rows: Vec<(u128, u32)> = ids.iter().copied().zip(0..).collect();
            rows.sort_unstable();
            rows
        });
        if let Some(pair) = rows.iter().flat_map(|rows| rows.windows(2)).find(|pair| pair[0].0 == pair[1].0) {
            let (id, first, second) = (pair[0].0, pair[0].1, pair[1].1);
            return Err(Error::malformed(format!(
                "expected each id once, found {id} at rows {first} and {second}"
            )));
        }
        let mut index = Self {
            info: ForeignInfo {
                library: LIBRARY.name,
                rows: nodes.len(),
                dim,
                dtype: DType::F32,
                metric: Some(header.metric),
                // Its lists may be longer than it says by one.
                m: header.m.max(longest).min(index::Params::MAX_M),
                m0: header.m0.max(longest0).min(2 * index::Params::MAX_M),
                ef_construction: usize::try_from(header.ef_construction).ok(),
                entry_point: None,
                has_graph: true,
                has_wide_ids,
                obstacle: None,
                size_bytes: bytes.len() as u64,
            },
            bytes,
            nodes,
            rows,
        };
        index.info.entry_point = entry_point.map(|id| index.row_of(id));
        Ok(index)
    }

    /// The row of an id, or `u64::MAX`.
    fn row_of(&self, id: u128) -> u64 {
        match &self.rows {
            None => u64::try_from(id).unwrap_or(u64::MAX),
            Some(rows) => match rows.binary_search_by_key(&id, |(id, _)| *id) {
                Ok(at) => u64::from(rows[at].1),
                Err(_) => u64::MAX,
            },
        }
    }

    /// Where the number of a row's levels stands.
    fn levels_at(&self, row: usize) -> usize {
        self.nodes[row] + 16 + 8 + self.info.dim * 4
    }
}

impl ForeignIndex for SochDb {
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
        self.bytes.read(self.nodes[row])
    }

    fn copy_vector(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        let bytes = self.bytes.slice(self.nodes[row] + 24, self.info.dim * 4);
        bytemuck::cast_slice_mut(out).copy_from_slice(bytes);
        Ok(())
    }

    fn top_level(&self, row: usize) -> u8 {
        u8::try_from(self.bytes.read::<u64>(self.levels_at(row)).saturating_sub(1)).unwrap_or(0)
    }

    fn neighbours(&self, row: usize, level: u8, out: &mut Vec<u64>) {
        let mut at = self.levels_at(row) + 8;
        // All of this was found to be there when the file was opened.
        let links = |at: usize| usize::try_from(self.bytes.read::<u64>(at)).unwrap_or(0);
        for _ in 0..level {
            at += 8 + links(at) * LINK_BYTES;
        }
        let ids = self.bytes.slice(at + 8, links(at) * LINK_BYTES).chunks_exact(LINK_BYTES);
        out.extend(ids.map(|id| self.row_of(bytemuck::pod_read_unaligned(id))));
    }
}

fn write(whole: &Whole<'_>, out: &mut dyn Write) -> Result<(), Error> {
    let is_cosine = whole.metric() == index::Metric::Cosine;
    let metric: u32 = match whole.metric() {
        index::Metric::Cosine => 0,
        index::Metric::L2 => 1,
        index::Metric::Ip => 2,
    };
    let m = whole.m() as u64;
    let mut head = Vec::new();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&m.to_le_bytes());
    head.extend_from_slice(&(2 * m).to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "rounded")]
    head.extend_from_slice(&(whole.level_multiplier() as f32).to_le_bytes());
    head.extend_from_slice(&(whole.ef_construction() as u64).to_le_bytes());
    head.extend_from_slice(&EF_SEARCH.to_le_bytes());
    head.extend_from_slice(&metric.to_le_bytes());
    // Vectors are f32, which is precision 0; then flags, of which the fourth says that vectors were made to length 1.
    head.extend_from_slice(&[1, 0, 0, 0, 0, 1, 1, 1, u8::from(is_cosine), 0, 0, 0]);
    for number in [8, 8, 50_000, whole.rows() as u64] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    let mut out = Gzip::new(out);
    write_all(&mut out, &head)?;
    let (mut node, mut list, mut vector) = (Vec::new(), Vec::new(), vec![0.0; whole.dim()]);
    for row in whole.all_rows() {
        node.clear();
        node.extend_from_slice(&whole.wide_number(row).to_le_bytes());
        node.extend_from_slice(&(whole.dim() as u64).to_le_bytes());
        whole.unit_vector(row, &mut vector)?;
        node.extend_from_slice(bytemuck::cast_slice(&vector));
        let top = whole.top_level(row);
        node.extend_from_slice(&(u64::from(top) + 1).to_le_bytes());
        for level in 0..=top {
            list.clear();
            whole.neighbours(level, row, &mut list);
            node.extend_from_slice(&(list.len() as u64).to_le_bytes());
            for &neighbour in &list {
                node.extend_from_slice(&whole.wide_number(neighbour).to_le_bytes());
            }
        }
        node.extend_from_slice(&u64::from(top).to_le_bytes());
        write_all(&mut out, &node)?;
    }
    let mut tail = Vec::new();
    match whole.entry_row() {
        Some(row) => {
            tail.push(1);
            tail.extend_from_slice(&whole.wide_number(row).to_le_bytes());
        }
        None => tail.push(0),
    }
    tail.extend_from_slice(&(whole.levels() as u64 - 1).to_le_bytes());
    tail.extend_from_slice(&(whole.dim() as u64).to_le_bytes());
    // The time of writing: none, so that the same index gives the same bytes.
    tail.extend_from_slice(&[0; 12]);
    write_all(&mut out, &tail)?;
    out.finish().map_err(|e| Error::io("write", e))
}
