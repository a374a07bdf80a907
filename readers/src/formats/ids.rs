//! Files of row ids: plain u64, or an .npy array of integers.

use std::ops::Range;
use std::path::Path;

use arrow_buffer::ScalarBuffer;

use super::npy::check_size;
use super::npy_header::{MAGIC, MAX_HEAD_BYTES, parse_npy_header};
use super::npy_type;
use super::quoted;
use crate::{ByteOrder, DType, Error, Ids, Input, Position, Source, Topic};

/// The size of one id in a plain file.
const ID_BYTES: u64 = 8;

const CHUNK_BYTES: usize = 64 * 1024;

/// Little-endian u64 ids in a file of their own, one a row.
#[derive(Debug)]
pub(super) struct IdFile {
    source: Source,
    /// All of them, where the mapped bytes already are this machine's.
    in_place: Option<ScalarBuffer<u64>>,
}

impl IdFile {
    /// The caller has checked that `source` holds whole ids.
    pub(super) fn new(source: Source) -> Self {
        let in_place = source
            .map()
            .filter(|map| cfg!(target_endian = "little") && map.as_ptr().align_offset(align_of::<u64>()) == 0)
            .map(|map| ScalarBuffer::from(map.clone()));
        Self { source, in_place }
    }

    pub(super) fn path(&self) -> &Path {
        self.source.path()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a batch is in memory, so a usize counts its rows")]
    pub(super) fn get(&self, rows: Range<u64>) -> Result<Ids, Error> {
        let len = (rows.end - rows.start) as usize;
        if let Some(all) = &self.in_place {
            return Ok(Ids::U64(all.slice(rows.start as usize, len)));
        }
        let mut ids = vec![0; len];
        self.source.read_at(rows.start * ID_BYTES, bytemuck::cast_slice_mut(&mut ids))?;
        for id in &mut ids {
            *id = u64::from_le(*id);
        }
        Ok(Ids::U64(ids.into()))
    }

    pub(super) fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }
}

/// Reads all ids of a file of little-endian u64.
///
/// # Errors
/// If the size is no multiple of 8, or the file is an .npy file; I/O errors.
pub fn read_u64_ids(input: &Input) -> Result<Vec<u64>, Error> {
    let source = input.source()?;
    if source.head(MAGIC.len())? == MAGIC {
        return Err(Error::request("expected little-endian u64 ids, found an .npy file")
            .about(Topic::Ids)
            .in_file(&input.path)
            .with_help("rename it so that it ends in .npy"));
    }
    let len = source.len_bytes();
    if len % ID_BYTES != 0 {
        let found = format!("{len}, {} too many", len % ID_BYTES);
        return Err(Error::expected("8 bytes for each id", found).in_file(&input.path));
    }
    let rows = len / ID_BYTES;
    match IdFile::new(source).get(0..rows)? {
        Ids::U64(ids) => Ok(ids.to_vec()),
        _ => unreachable!("an id file holds its ids"),
    }
}

/// Reads ids from an .npy file: integers of any size, of shape `(n,)` or `(n, 1)`.
///
/// # Errors
/// What is wrong with the file; the row of a negative id.
pub fn read_npy_ids(input: &Input) -> Result<Vec<u64>, Error> {
    read_npy_ids_inner(input).map_err(|error| error.in_file(&input.path))
}

fn read_npy_ids_inner(input: &Input) -> Result<Vec<u64>, Error> {
    let source = input.source()?;
    let header = parse_npy_header(&source.head(MAX_HEAD_BYTES)?)?;
    let (dtype, order) = npy_type::parse(&header.descr, None)?;
    if matches!(dtype, DType::F16 | DType::F32 | DType::F64) {
        return Err(Error::unsupported(format!("expected integer ids, found {}", quoted(&header.descr)))
            .at(Position::Part("descr".to_owned()))
            .with_help("save them as integers: np.save(\"ids.npy\", ids.astype(\"uint64\"))"));
    }
    let (&[rows] | &[rows, 1]) = header.shape.as_slice() else {
        let found = header.shape_text();
        return Err(Error::unsupported(format!("expected one id a row, shape (n,), found {found}"))
            .at(Position::Part("shape".to_owned()))
            .with_help("save one column: np.save(\"ids.npy\", ids.reshape(-1))"));
    };
    check_size(source.len_bytes(), &header, dtype)?;
    let size = dtype.size_bytes();
    let rows = usize::try_from(rows).map_err(|_| Error::request(format!("{rows} ids are too many")))?;
    let mut ids = Vec::with_capacity(rows);
    let mut chunk = vec![0; CHUNK_BYTES];
    while ids.len() < rows {
        let len = (rows - ids.len()).min(CHUNK_BYTES / size) * size;
        source.read_at(header.data_offset + (ids.len() * size) as u64, &mut chunk[..len])?;
        for bytes in chunk[..len].chunks_exact(size) {
            let id = integer(dtype, order, bytes);
            ids.push(u64::try_from(id).map_err(|_| {
                Error::expected("an id of at least 0", id).at(Position::Row(ids.len() as u64))
            })?);
        }
    }
    Ok(ids)
}

/// The integer of up to 8 bytes, signed where `dtype` is.
pub(super) fn integer(dtype: DType, order: ByteOrder, bytes: &[u8]) -> i128 {
    let push = |value: i128, &byte: &u8| value << 8 | i128::from(byte);
    let value = match order {
        ByteOrder::Little => bytes.iter().rev().fold(0, push),
        ByteOrder::Big => bytes.iter().fold(0, push),
    };
    let bits = 8 * bytes.len();
    let signed = matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64);
    if signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}
