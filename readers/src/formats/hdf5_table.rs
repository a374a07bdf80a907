//! One dataset of an HDF5 file: where its values lie, and how they are taken out of chunks.

use std::ops::Range;

use hdf5_reader::btree_v1::{BTreeV1Key, collect_btree_v1_leaves_storage};
use hdf5_reader::chunk_index::{
    ChunkEntry, collect_implicit_chunk_entries, collect_v2_chunk_entries_storage, single_chunk_entry,
};
use hdf5_reader::extensible_array::collect_extensible_array_chunk_entries_storage;
use hdf5_reader::filters::apply_pipeline_with_limit;
use hdf5_reader::fixed_array::collect_fixed_array_chunk_entries_storage;
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::filter_pipeline::FilterDescription;
use hdf5_reader::messages::layout::{ChunkIndexing, DataLayout};
use hdf5_reader::{Dataset, Datatype, Hdf5File};

use super::contained::{contained, one_line};
use super::quoted;
use crate::{ByteOrder, DType, Error, Source};

/// Takes bytes, and where in the chunk they begin.
type Each<'e> = dyn FnMut(usize, &[u8]) -> Result<(), Error> + 'e;

/// What is decoded, in errors.
pub(super) const WHAT: &str = "the HDF5 data";

/// Larger chunks are not decoded. Writers make chunks of a few MiB at most.
const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// The chunks of one row of chunks are kept while its rows are read, if they are not larger in all.
const MAX_KEPT_BYTES: u64 = 64 << 20;

/// What one byte of deflate can become.
const UNPACKED_RATIO: u64 = 1032;

/// How many bytes are read at a time where they are in one piece.
const READ_BYTES: usize = 64 * 1024;

/// The filters that are undone: deflate, shuffle, fletcher32.
const FILTERS: [u16; 3] = [1, 2, 3];

/// What the library says, in one line.
pub(super) fn undecodable(error: &hdf5_reader::error::Error) -> Error {
    let text = one_line(&error.to_string());
    let message = format!("{WHAT} cannot be decoded: {text}");
    if text.contains("unsupported") {
        return Error::unsupported(message).with_help("write it again with h5py and its defaults");
    }
    Error::malformed(message).with_help("the file is damaged: copy or write it again")
}

/// A dataset of one or two dimensions whose place in the file is known.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: u64,
    /// Values a row; 1 for a dataset of one dimension.
    pub(super) dim: u64,
    pub(super) dtype: DType,
    pub(super) order: ByteOrder,
    pub(super) place: Place,
    name: String,
}

#[derive(Debug)]
pub(super) enum Place {
    /// One behind the other, from this byte of the file on.
    At(u64),
    /// In the header itself.
    Header(Vec<u8>),
    Chunks(Chunks),
}

#[derive(Debug)]
pub(super) struct Chunks {
    /// The shape of a chunk.
    rows: u64,
    columns: u64,
    /// How many of them are beside each other.
    across: u64,
    /// All of them, row by row.
    entries: Vec<ChunkEntry>,
    filters: Vec<FilterDescription>,
    /// What addresses are counted from.
    base: u64,
}

/// Chunks of one row of chunks, decoded.
#[derive(Debug, Default)]
pub(super) struct Kept {
    row: u64,
    chunks: Vec<(u64, Vec<u8>)>,
}

/// The type of the values, if they are numbers as this crate knows them; what they are for people otherwise. `raw` is the
/// message of the type: what the library makes of it tells no bf16 from f16.
pub(super) fn number(raw: &[u8], known: &Datatype) -> Result<(DType, ByteOrder), String> {
    let u16_at = |at: usize| raw.get(at..at + 2).map(|b| u16::from(b[0]) | u16::from(b[1]) << 8);
    let other = || Err(kind(known).to_owned());
    let (Some(&[class, bits, sign, _]), Some(size)) = (raw.first_chunk(), u16_at(4)) else { return other() };
    let order = match (bits & 1, bits & 0x40) {
        (0, 0) => ByteOrder::Little,
        (1, 0) => ByteOrder::Big,
        _ => return other(),
    };
    if u16_at(8) != Some(0) || u16_at(10) != Some(size.saturating_mul(8)) {
        return other();
    }
    let dtype = match (class & 0xf, size, bits & 8 != 0) {
        (0, 1, true) => DType::I8,
        (0, 1, false) => DType::U8,
        (0, 2, true) => DType::I16,
        (0, 2, false) => DType::U16,
        (0, 4, true) => DType::I32,
        (0, 4, false) => DType::U32,
        (0, 8, true) => DType::I64,
        (0, 8, false) => DType::U64,
        (1, ..) => match (size, sign, raw.get(12..18)) {
            // Exponent and mantissa: first bit and bits each; the bias.
            (2, 15, Some([10, 5, 0, 10, 15, 0])) => DType::F16,
            (2, 15, Some([7, 8, 0, 7, 127, 0])) => DType::Bf16,
            (4, 31, Some([23, 8, 0, 23, 127, 0])) => DType::F32,
            (8, 63, Some([52, 11, 0, 52, 0xff, 3])) => DType::F64,
            _ => return Err("floats of an unusual kind".to_owned()),
        },
        _ => return other(),
    };
    Ok((dtype, order))
}

fn kind(known: &Datatype) -> &'static str {
    match known {
        Datatype::FixedPoint { .. } => "integers of an unusual kind",
        Datatype::FloatingPoint { .. } => "floats of an unusual kind",
        Datatype::String { .. } => "strings",
        Datatype::Compound { .. } => "a compound type",
        Datatype::Array { .. } => "an array type",
        Datatype::Enum { .. } => "an enumeration",
        Datatype::VarLen { .. } => "lists of any length",
        Datatype::Opaque { .. } => "opaque bytes",
        Datatype::Reference { .. } => "references",
        Datatype::Bitfield { .. } => "bits",
    }
}

fn filter_name(filter: &FilterDescription) -> String {
    let known = match filter.id {
        4 => "szip",
        5 => "nbit",
        6 => "scaleoffset",
        307 => "bzip2",
        32_000 => "lzf",
        32_001 => "blosc",
        32_004 => "lz4",
        32_008 => "bitshuffle",
        32_013 => "zfp",
        32_015 => "zstd",
        32_026 => "blosc2",
        id => return format!("the filter {id}"),
    };
    known.to_owned()
}

impl Table {
    /// Finds the values of `dataset`, which is called `name`, in a file of `len` bytes.
    pub(super) fn find(
        file: &Hdf5File,
        dataset: &Dataset,
        name: &str,
        (dtype, order): (DType, ByteOrder),
        len: u64,
    ) -> Result<Self, Error> {
        let (rows, dim) = match *dataset.shape() {
            [rows] => (rows, 1),
            [rows, dim] => (rows, dim),
            _ => return Err(Error::unsupported("expected one or two dimensions")),
        };
        let header = file.get_or_parse_header(dataset.address()).map_err(|e| undecodable(&e))?;
        let (mut layout, mut filters) = (None, Vec::new());
        for message in &header.messages {
            match message {
                HdfMessage::DataLayout(found) => layout = Some(&found.layout),
                HdfMessage::FilterPipeline(found) => filters.clone_from(&found.filters),
                HdfMessage::ExternalFiles(_) => {
                    return Err(Error::unsupported(
                        "expected values in the file, found them in another file",
                    )
                    .with_help("write them into the file itself: h5repack, or h5py without external"));
                }
                _ => {}
            }
        }
        let table =
            |place| Ok(Self { rows, dim, dtype, order, place, name: format!("dataset {}", quoted(name)) });
        let bytes = rows.checked_mul(dim).and_then(|values| values.checked_mul(dtype.size_bytes() as u64));
        let Some(bytes) = bytes else {
            return Err(Error::expected("a believable size", format!("{rows} rows of {dim} values")));
        };
        let undefined = |address| Cursor::is_undefined_offset(address, file.superblock().offset_size);
        if bytes == 0 {
            return table(Place::Header(Vec::new()));
        }
        let base = file.superblock().base_address;
        match layout {
            Some(DataLayout::Compact { data }) if data.len() as u64 == bytes => {
                table(Place::Header(data.clone()))
            }
            Some(&DataLayout::Contiguous { address, .. }) if !undefined(address) => {
                let start = base.checked_add(address);
                let end = start.and_then(|start| start.checked_add(bytes)).filter(|&end| end <= len);
                let (Some(start), Some(_)) = (start, end) else {
                    let found = format!("the end of the file, which has {len}");
                    return Err(Error::expected(format!("{bytes} bytes from byte {address}"), found)
                        .with_help("the file was cut short: copy it again"));
                };
                table(Place::At(start))
            }
            Some(DataLayout::Chunked { address, chunk_indexing, .. }) if !undefined(*address) => {
                let unknown = filters.iter().find(|filter| !FILTERS.contains(&filter.id));
                if let Some(filter) = unknown {
                    let message =
                        format!("expected gzip, shuffle or fletcher32, found {}", filter_name(filter));
                    return Err(Error::unsupported(message).with_help(
                        "write it again with compression=\"gzip\" or none; h5repack -f GZIP=1 OLD NEW does it as well",
                    ));
                }
                let shape = dataset.chunks().unwrap_or_default();
                let found = entries(file, dataset, *address, chunk_indexing.as_ref(), &shape, dtype)?;
                table(Place::Chunks(Chunks::new(
                    found,
                    filters,
                    &shape,
                    (rows, dim),
                    (bytes, dtype),
                    (len, base),
                )?))
            }
            Some(DataLayout::Compact { .. }) => Err(Error::expected(format!("{bytes} bytes"), "others")),
            Some(_) => Err(unwritten("none of its values")),
            None => Err(Error::expected("a layout", "none")),
        }
    }

    /// Hands the values of `rows` on, row by row in parts or in runs of rows: the position of the first value, counted from
    /// the first of these rows, and the bytes.
    pub(super) fn each(
        &self,
        source: &Source,
        rows: &Range<u64>,
        kept: &mut Kept,
        each: &mut Each<'_>,
    ) -> Result<(), Error> {
        let size = self.dtype.size_bytes();
        let row_bytes = self.dim * size as u64;
        match &self.place {
            Place::Chunks(chunks) => chunks.each(self, source, rows, kept, each),
            Place::Header(data) => {
                let range = to_usize(rows.start * row_bytes)..to_usize(rows.end * row_bytes);
                each(0, data.get(range).unwrap_or_default())
            }
            Place::At(start) => {
                let (mut next, end) = (start + rows.start * row_bytes, start + rows.end * row_bytes);
                let mut chunk = vec![0; READ_BYTES.min(to_usize(end - next))];
                let mut done = 0;
                while next < end {
                    let bytes = &mut chunk[..READ_BYTES.min(to_usize(end - next))];
                    source.read_at(next, bytes)?;
                    each(done, bytes)?;
                    done += bytes.len() / size;
                    next += bytes.len() as u64;
                }
                Ok(())
            }
        }
        .map_err(|error| error.within(&self.name))
    }

    /// How many rows are read best in one go, if so many are wanted at least.
    pub(super) fn step_rows(&self, wanted: u64) -> u64 {
        match &self.place {
            Place::Chunks(chunks) => chunks.rows.saturating_mul(wanted.max(1).div_ceil(chunks.rows)),
            _ => wanted,
        }
    }
}

/// What was checked to be within memory or a file of this machine.
#[expect(clippy::cast_possible_truncation, reason = "sizes of what is in memory")]
fn to_usize(bytes: u64) -> usize {
    bytes as usize
}

fn unwritten(what: &str) -> Error {
    Error::malformed(format!("expected values, found that {what} were ever written")).with_help(
        "the program that wrote the file did not finish: write it again, without rows that are to come",
    )
}

/// Walks over the index of the chunks.
fn entries(
    file: &Hdf5File,
    dataset: &Dataset,
    address: u64,
    indexing: Option<&ChunkIndexing>,
    chunk: &[u32],
    dtype: DType,
) -> Result<Vec<ChunkEntry>, Error> {
    let (storage, shape) = (file.storage(), dataset.shape());
    let superblock = file.superblock();
    let (offsets, lengths) = (superblock.offset_size, superblock.length_size);
    if chunk.len() != shape.len() || chunk.contains(&0) {
        return Err(Error::expected("chunks of as many dimensions", format!("chunks of {chunk:?}")));
    }
    let dimensions = shape.len();
    let collected = match indexing {
        None => {
            let count = u32::try_from(dimensions).ok();
            collect_btree_v1_leaves_storage(storage, address, offsets, lengths, count, chunk, None).map(
                |leaves| {
                    leaves.into_iter().filter_map(|(key, address)| leaf(key, address, dimensions)).collect()
                },
            )
        }
        Some(&ChunkIndexing::SingleChunk { filtered_size, filters }) => {
            Ok(vec![single_chunk_entry(address, filtered_size, filters, dimensions)])
        }
        Some(ChunkIndexing::Implicit) => {
            let size = dtype.size_bytes();
            collect_implicit_chunk_entries(address, shape, chunk, size, None, storage.len())
        }
        Some(ChunkIndexing::FixedArray { .. }) => {
            collect_fixed_array_chunk_entries_storage(storage, address, offsets, lengths, shape, chunk, None)
        }
        Some(ChunkIndexing::ExtensibleArray { .. }) => {
            let most = dataset.max_dims();
            collect_extensible_array_chunk_entries_storage(
                storage, address, offsets, lengths, shape, most, chunk, None,
            )
        }
        Some(ChunkIndexing::BTreeV2) => {
            let count = u32::try_from(dimensions).unwrap_or_default();
            collect_v2_chunk_entries_storage(storage, address, offsets, lengths, count, chunk, None)
        }
    };
    collected.map_err(|e| undecodable(&e))
}

fn leaf(key: BTreeV1Key, address: u64, dimensions: usize) -> Option<ChunkEntry> {
    match key {
        BTreeV1Key::RawData { chunk_size, filter_mask, mut offsets } => {
            offsets.truncate(dimensions);
            Some(ChunkEntry { address, size: u64::from(chunk_size), filter_mask, offsets })
        }
        BTreeV1Key::Group { .. } => None,
    }
}

impl Chunks {
    /// Checks that `entries` are all chunks of a dataset of that `shape`, each once.
    fn new(
        mut entries: Vec<ChunkEntry>,
        filters: Vec<FilterDescription>,
        chunk: &[u32],
        (rows, dim): (u64, u64),
        (bytes, dtype): (u64, DType),
        (len, base): (u64, u64),
    ) -> Result<Self, Error> {
        let mut sizes = chunk.iter().map(|&size| u64::from(size));
        let (chunk_rows, columns) = (sizes.next().unwrap_or(1), sizes.next().unwrap_or(1));
        let chunk_bytes = chunk_rows.saturating_mul(columns).saturating_mul(dtype.size_bytes() as u64);
        if chunk_bytes > MAX_CHUNK_BYTES {
            let message = format!("expected chunks of up to {MAX_CHUNK_BYTES} bytes, found {chunk_bytes}");
            return Err(
                Error::unsupported(message).with_help("write it again in smaller chunks, of 1 MiB or so")
            );
        }
        let packed = !filters.is_empty();
        if bytes > len.saturating_mul(if packed { UNPACKED_RATIO } else { 1 }) {
            let found = format!("{bytes} out of a file of {len}");
            return Err(Error::expected("a believable number of bytes", found));
        }
        // Chunks of rows that were taken away again may still be there.
        let start = |entry: &ChunkEntry, at: usize| entry.offsets.get(at).copied().unwrap_or(0);
        entries.retain(|entry| start(entry, 0) < rows && start(entry, 1) < dim);
        entries.sort_by(|a, b| a.offsets.cmp(&b.offsets));
        let across = dim.div_ceil(columns);
        for (number, entry) in (0u64..).zip(&entries) {
            let (row, column) = (number / across * chunk_rows, number % across * columns);
            if (start(entry, 0), start(entry, 1)) != (row, column) {
                if start(entry, 0) < row || start(entry, 0) % chunk_rows != 0 {
                    let found = format!("one of row {}", start(entry, 0));
                    return Err(Error::expected(format!("the chunk of row {row}"), found));
                }
                return Err(unwritten(&format!("no values of row {row}")));
            }
        }
        let all = rows.div_ceil(chunk_rows).saturating_mul(across);
        if (entries.len() as u64) < all {
            let row = entries.len() as u64 / across * chunk_rows;
            return Err(unwritten(&format!("no values of row {row}")));
        }
        Ok(Self { rows: chunk_rows, columns, across, entries, filters, base })
    }

    fn each(
        &self,
        table: &Table,
        source: &Source,
        rows: &Range<u64>,
        kept: &mut Kept,
        each: &mut Each<'_>,
    ) -> Result<(), Error> {
        let size = table.dtype.size_bytes();
        let chunk_bytes = self.rows * self.columns * size as u64;
        let keeps = chunk_bytes.saturating_mul(self.across) <= MAX_KEPT_BYTES;
        let mut next = rows.start;
        while next < rows.end {
            let row = next / self.rows;
            let end = rows.end.min((row + 1) * self.rows);
            if kept.row != row {
                *kept = Kept { row, chunks: Vec::new() };
            }
            for across in 0..self.across {
                let number = row * self.across + across;
                let at = kept.chunks.iter().position(|(kept, _)| *kept == number);
                let at = match at {
                    Some(at) => at,
                    None => {
                        if !keeps {
                            kept.chunks.clear();
                        }
                        kept.chunks.push((number, self.decoded(source, number, chunk_bytes, size)?));
                        kept.chunks.len() - 1
                    }
                };
                let chunk = &kept.chunks[at].1;
                let column = across * self.columns;
                let columns = self.columns.min(table.dim - column);
                if columns == self.columns && columns == table.dim {
                    let range =
                        to_usize((next % self.rows) * columns)..to_usize((end - row * self.rows) * columns);
                    let bytes = &chunk[range.start * size..range.end * size];
                    each(to_usize((next - rows.start) * columns), bytes)?;
                    continue;
                }
                for row in next..end {
                    let start = to_usize((row % self.rows) * self.columns) * size;
                    let bytes = &chunk[start..start + to_usize(columns) * size];
                    each(to_usize((row - rows.start) * table.dim + column), bytes)?;
                }
            }
            next = end;
        }
        Ok(())
    }

    fn decoded(&self, source: &Source, number: u64, chunk_bytes: u64, size: usize) -> Result<Vec<u8>, Error> {
        let entry = &self.entries[to_usize(number)];
        let row = number / self.across * self.rows;
        let of = |error: Error| error.within(&format!("chunk of row {row}"));
        let len = if entry.size > 0 { entry.size } else { chunk_bytes };
        let start = self.base.checked_add(entry.address);
        let end = start.and_then(|start| start.checked_add(len)).filter(|&end| end <= source.len_bytes());
        let (Some(start), Some(_)) = (start, end) else {
            let error =
                Error::expected(format!("{len} bytes from byte {}", entry.address), "the end of the file");
            return Err(of(error.with_help("the file was cut short: copy it again")));
        };
        let mut packed = vec![0; to_usize(len)];
        source.read_at(start, &mut packed)?;
        let bytes = if self.filters.is_empty() {
            packed
        } else {
            let most = Some(to_usize(chunk_bytes) + 1);
            let undo = || {
                apply_pipeline_with_limit(&packed, &self.filters, entry.filter_mask, size, None, most)
                    .map_err(|e| undecodable(&e))
            };
            contained(WHAT, undo).map_err(of)?
        };
        if bytes.len() as u64 != chunk_bytes {
            return Err(of(Error::expected(format!("{chunk_bytes} bytes"), bytes.len())));
        }
        Ok(bytes)
    }
}
