//! Element types of files, and their way to f32.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// What one value is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the types")]
pub enum DType {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
}

/// The largest integer up to which every integer is an f32.
const MAX_EXACT_INTEGER: i128 = 1 << 24;

impl DType {
    /// Bytes of one value.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether every value of the type is an f32 exactly.
    pub fn is_exact_in_f32(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::I8 | Self::U8 | Self::I16 | Self::U16)
    }

    /// The short name: `f32`, `i8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Byte order of the values of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ByteOrder {
    Little,
    Big,
}

/// A value that has no f32 of its own, and where it stands among the values that were converted.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrepresentable {
    /// Counted from 0.
    pub position: usize,
    /// The value as text.
    pub value: String,
    /// Its type.
    pub dtype: DType,
}

impl fmt::Display for Unrepresentable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a value that fits f32, found {} ({})", self.value, self.dtype)
    }
}

/// Widens `bytes` to f32: f16, bf16, f32 and integers of up to 16 bits exactly, f64 by rounding to nearest, wider integers
/// exactly or not at all.
///
/// # Errors
/// The first finite f64 that rounds to infinity, or the first integer beyond 2^24 either way (from there on an f32
/// cannot hold every integer).
///
/// # Panics
/// If `bytes` are not exactly `out.len()` values.
pub fn widen(dtype: DType, order: ByteOrder, bytes: &[u8], out: &mut [f32]) -> Result<(), Unrepresentable> {
    assert_eq!(bytes.len(), out.len() * dtype.size_bytes(), "one value in, one value out");
    macro_rules! exact {
        ($type:ty, $size:literal) => {
            each::<$size>(order, bytes, out, |b| f32::from(<$type>::from_le_bytes(b)))
        };
    }
    macro_rules! checked_integer {
        ($type:ty, $size:literal) => {
            each_checked::<$size, $type>(dtype, order, bytes, out, <$type>::from_le_bytes, |v| {
                let wide = i128::from(v);
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^24, refused beyond")]
                (wide.abs() <= MAX_EXACT_INTEGER).then_some(wide as f32)
            })?
        };
    }
    match dtype {
        DType::F16 => match (order, bytemuck::try_cast_slice::<u8, u16>(bytes)) {
            // The aligned little-endian case is the common one and uses the machine's own instruction.
            (ByteOrder::Little, Ok(bits)) if cfg!(target_endian = "little") => {
                let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(bits);
                halves.convert_to_f32_slice(out);
            }
            _ => each::<2>(order, bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        },
        DType::Bf16 => each::<2>(order, bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        DType::F32 => each::<4>(order, bytes, out, f32::from_le_bytes),
        DType::F64 => each_checked::<8, f64>(dtype, order, bytes, out, f64::from_le_bytes, |v| {
            #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
            let narrow = v as f32;
            (narrow.is_finite() || !v.is_finite()).then_some(narrow)
        })?,
        DType::I8 => exact!(i8, 1),
        DType::U8 => exact!(u8, 1),
        DType::I16 => exact!(i16, 2),
        DType::U16 => exact!(u16, 2),
        DType::I32 => checked_integer!(i32, 4),
        DType::U32 => checked_integer!(u32, 4),
        DType::I64 => checked_integer!(i64, 8),
        DType::U64 => checked_integer!(u64, 8),
    }
    Ok(())
}

fn ordered<const SIZE: usize>(order: ByteOrder, chunk: &[u8]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.copy_from_slice(chunk);
    if order == ByteOrder::Big {
        bytes.reverse();
    }
    bytes
}

fn each<const SIZE: usize>(
    order: ByteOrder,
    bytes: &[u8],
    out: &mut [f32],
    convert: impl Fn([u8; SIZE]) -> f32,
) {
    for (chunk, value) in bytes.chunks_exact(SIZE).zip(out) {
        *value = convert(ordered(order, chunk));
    }
}

fn each_checked<const SIZE: usize, T: Copy + fmt::Display>(
    dtype: DType,
    order: ByteOrder,
    bytes: &[u8],
    out: &mut [f32],
    parse: impl Fn([u8; SIZE]) -> T,
    convert: impl Fn(T) -> Option<f32>,
) -> Result<(), Unrepresentable> {
    for (position, (chunk, value)) in bytes.chunks_exact(SIZE).zip(out).enumerate() {
        let parsed = parse(ordered(order, chunk));
        *value =
            convert(parsed).ok_or_else(|| Unrepresentable { position, value: format!("{parsed}"), dtype })?;
    }
    Ok(())
}
