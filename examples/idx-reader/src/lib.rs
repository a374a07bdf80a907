//! A reader for IDX files, in a crate of its own.
//!
//! IDX is what MNIST and fashion-MNIST come in (<http://yann.lecun.com/exdb/mnist/>): two zero bytes, one byte for the type
//! of the values, one for the number of dimensions, then each dimension as a big-endian u32, then the values, big-endian,
//! the last dimension running fastest.
#![forbid(unsafe_code)]

use readers::formats::{MatrixFile, MatrixLayout};
use readers::{ByteOrder, DType, Dataset, Error, Format, Input, Position, Probe, Score};
use schemars::JsonSchema;
use serde::Deserialize;

/// IDX, the format of MNIST. The first dimension counts the rows; all others together are one vector, so an image of 28 x 28
/// pixels is a row of 784 values.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idx {}

readers::register_format!(Idx);

/// The header of a file with as many dimensions as one byte can count.
const MAX_HEADER_BYTES: usize = 4 + 4 * 255;

/// What the first bytes say.
struct Header {
    dtype: DType,
    dims: Vec<u32>,
}

impl Header {
    fn parse(head: &[u8]) -> Result<Self, Error> {
        let &[0, 0, code, count] = head.first_chunk().unwrap_or(&[0xff; 4]) else {
            return Err(Error::expected("an IDX header: two zero bytes, a type, a count", "other bytes")
                .at(Position::Byte(0))
                .with_help("unpack the file first if it is a .gz"));
        };
        let dtype = match code {
            0x08 => DType::U8,
            0x09 => DType::I8,
            0x0b => DType::I16,
            0x0c => DType::I32,
            0x0d => DType::F32,
            0x0e => DType::F64,
            _ => {
                let found = format!("{code:#04x}");
                return Err(
                    Error::expected("a type of IDX (0x08, 0x09, 0x0b to 0x0e)", found).at(Position::Byte(2))
                );
            }
        };
        let Some(sizes) = head.get(4..4 + 4 * usize::from(count)) else {
            let expected = format!("{count} dimensions of 4 bytes");
            return Err(Error::expected(expected, "the end of the file").at(Position::Byte(4)));
        };
        let dims = sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size)).collect();
        Ok(Self { dtype, dims })
    }

    /// Where the vectors lie.
    fn layout(&self) -> Result<MatrixLayout, Error> {
        let dims = Position::Part("dimensions".to_owned());
        let [rows, inner @ ..] = self.dims.as_slice() else {
            return Err(Error::expected("at least 2 dimensions, rows and values", "none").at(dims));
        };
        if inner.is_empty() {
            let message = format!("expected at least 2 dimensions, rows and values, found 1 of {rows}");
            return Err(Error::unsupported(message)
                .at(dims)
                .with_help("one value a row is a label, not a vector: name the file of images instead"));
        }
        let dim = inner.iter().try_fold(1u64, |dim, &size| dim.checked_mul(u64::from(size)));
        let dim = dim.ok_or_else(|| Error::malformed("a row has more than 2^64 values").at(dims))?;
        Ok(MatrixLayout {
            offset_bytes: 4 + 4 * self.dims.len() as u64,
            rows: u64::from(*rows),
            dim,
            dtype: self.dtype,
            order: ByteOrder::Big,
        })
    }

    /// The length of the whole file.
    fn file_bytes(&self) -> Option<u64> {
        let values = self.dims.iter().try_fold(1u64, |count, &size| count.checked_mul(u64::from(size)))?;
        values.checked_mul(self.dtype.size_bytes() as u64)?.checked_add(4 + 4 * self.dims.len() as u64)
    }
}

impl Format for Idx {
    const NAME: &'static str = "idx";
    const ALIASES: &'static [&'static str] = &["mnist"];
    const EXTENSIONS: &'static [&'static str] = &["idx", "idx1-ubyte", "idx2-ubyte", "idx3-ubyte"];
    const SUMMARY: &'static str = "the files of MNIST: arrays of integers and floats, one image a row";
    const EXAMPLE: &'static str = "[source]\ntype = \"idx\"\npath = \"train-images-idx3-ubyte\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        // Two zero bytes are no magic number; a length that fits the dimensions to the byte is as good as one.
        match Header::parse(probe.head) {
            Ok(header) if !header.dims.is_empty() && header.file_bytes() == Some(probe.len_bytes) => {
                Score::Yes(Score::CERTAIN, "its size is what the dimensions in its IDX header make".into())
            }
            _ => probe.by_extension(Self::EXTENSIONS),
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let layout = Header::parse(&source.head(MAX_HEADER_BYTES)?)?.layout()?;
        Ok(Box::new(MatrixFile::open(Self::NAME, input, source, layout)?))
    }
}
