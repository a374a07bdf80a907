//! Numbers as text, straight to f32: rounded once, to the nearest.

use super::quoted;
use crate::{Error, Position};

/// Why a text is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoValue {
    NoNumber,
    TooLarge,
}

/// The number that `text` begins with, and its length. Names of infinities and NaN are no numbers.
#[inline]
pub(super) fn leading(text: &[u8]) -> Result<(f32, usize), NoValue> {
    let unsigned = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    if !matches!(text.get(unsigned), Some(b'0'..=b'9' | b'.')) {
        return Err(NoValue::NoNumber);
    }
    match fast_float2::parse_partial::<f32, _>(text) {
        Ok((value, len)) if value.is_finite() => Ok((value, len)),
        Ok(_) => Err(NoValue::TooLarge),
        Err(_) => Err(NoValue::NoNumber),
    }
}

/// The number that `text` is.
#[inline]
pub(super) fn whole(text: &[u8]) -> Result<f32, NoValue> {
    match leading(text)? {
        (value, len) if len == text.len() => Ok(value),
        _ => Err(NoValue::NoNumber),
    }
}

/// The id that `text` is.
pub(super) fn id(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.iter().try_fold(0u64, |id, digit| id.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// The refusal of `text` as a value.
#[cold]
pub(super) fn refuse(why: NoValue, text: &[u8], row: u64, column: usize) -> Error {
    let expected = match why {
        NoValue::NoNumber => "a number",
        NoValue::TooLarge => "a value that fits f32",
    };
    Error::expected(expected, shown(text)).at(Position::Value { row, column: column as u64 })
}

/// Bytes of a text for a message.
pub(super) fn shown(text: &[u8]) -> String {
    match text {
        [] => "nothing".to_owned(),
        text => quoted(&String::from_utf8_lossy(&text[..text.len().min(400)])),
    }
}
