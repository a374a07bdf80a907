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
    if let Some(quick) = plain(text, unsigned) {
        return Ok(quick);
    }
    match fast_float2::parse_partial::<f32, _>(text) {
        Ok((value, len)) if value.is_finite() => Ok((value, len)),
        Ok(_) => Err(NoValue::TooLarge),
        Err(_) => Err(NoValue::NoNumber),
    }
}

/// Powers of ten that f64 has exactly, as far as they are needed.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The common case, several times faster: up to 19 digits behind leading zeros and no exponent, from `start` on. All digits are
/// one integer; it and its quotient with a power of ten are each rounded once to f64, so that the quotient is within two
/// units of its last place. Unless the middle between two f32 is as near, all of that rounds to the one f32 to which the
/// number itself rounds. Everything else is left to others.
#[inline]
fn plain(text: &[u8], start: usize) -> Option<(f32, usize)> {
    const SAFE_UNITS: u64 = 4;
    let (mut digits, mut at) = (0, start);
    read_digits(text, &mut at, &mut digits);
    let (mut count, mut places) = (at - start, 0);
    if text.get(at) == Some(&b'.') {
        at += 1;
        let point = at;
        read_digits(text, &mut at, &mut digits);
        places = at - point;
        count += places;
    }
    if count > 19 {
        let zeros = text[start..at].iter().take_while(|byte| matches!(byte, b'0' | b'.'));
        count -= zeros.filter(|&&byte| byte == b'0').count();
    }
    if !(1..=19).contains(&count) || matches!(text.get(at), Some(b'e' | b'E')) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "this is the first of the two roundings")]
    let quotient = digits as f64 / POWERS.get(places)?;
    let below = quotient.to_bits() & 0x1fff_ffff;
    let is_safe = below.abs_diff(0x1000_0000) > SAFE_UNITS && (1e-37..1e38).contains(&quotient);
    if !is_safe && digits > 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "this is the rounding to f32")]
    let value = quotient as f32;
    Some((if text.first() == Some(&b'-') { -value } else { value }, at))
}

/// Appends the decimal digits from `at` on to `digits`, which wraps where there are more than 19 in all.
#[inline]
fn read_digits(text: &[u8], at: &mut usize, digits: &mut u64) {
    while let Some(eight) = text.get(*at..).and_then(|rest| rest.first_chunk::<8>()).and_then(eight_digits) {
        *digits = digits.wrapping_mul(100_000_000).wrapping_add(eight);
        *at += 8;
    }
    while let Some(digit) = text.get(*at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        *at += 1;
    }
}

/// Eight decimal digits at once: neighbours are put together, then pairs of them, then fours.
#[inline]
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(*text);
    let digits = text.wrapping_sub(0x3030_3030_3030_3030);
    // A byte below '0' or above '9' has its high bit set in one of the two.
    if (text.wrapping_add(0x4646_4646_4646_4646) | digits) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]
mod tests {
    use super::*;

    fn agree(text: &str) {
        let expected: f32 = text.parse().unwrap();
        match whole(text.as_bytes()) {
            Ok(value) => assert_eq!(value.to_bits(), expected.to_bits(), "{text}"),
            Err(why) => assert_eq!((why, expected.is_finite()), (NoValue::TooLarge, false), "{text}"),
        }
    }

    /// The same as the standard library, which rounds once.
    #[test]
    fn all_ways_round_once() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for round in 0..200_000u32 {
            let bits = u32::try_from(next()).unwrap() << 1 | u32::try_from(next() & 1).unwrap();
            let value = f32::from_bits(bits & 0x7fff_ffff);
            // A number, its double, the middle to the next number, and what is just beside that.
            let near = f32::from_bits(0x3c00_0000 + (bits & 0x03ff_ffff));
            let middle = (f64::from(near) + f64::from(near.next_up())) / 2.0;
            for value in [f64::from(near), middle, middle.next_up(), middle.next_down()] {
                agree(&format!("{value}"));
                agree(&format!("-{value:.15}"));
            }
            if value.is_finite() && round % 8 == 0 {
                agree(&format!("{value:e}"));
                agree(&format!("{value}"));
            }
            let (digits, places) = (next() * next() % 10_000_000_000_000_000_000, next() % 20);
            let text = format!("{digits:020}");
            let (whole, part) = text.split_at(20 - usize::try_from(places).unwrap());
            agree(&format!("{whole}.{part}"));
            agree(&format!("{}.{part}", whole.parse::<u64>().unwrap_or_default()));
        }
        for text in [
            "0",
            "-0",
            "0.0",
            "5",
            "123456789012345678901234567890",
            "0.00000000000000000001",
            "1e-45",
            "1e39",
            "18446744073709551616",
            "9999999999999999999",
            "16777217",
            "33554435",
            "12345678.5",
            "1.",
            ".5",
            "+1.5",
        ] {
            agree(text);
        }
        for text in
            ["", "-", "+", ".", "-.", "nan", "inf", "-inf", "infinity", "0x10", "1 ", "1e", "1-", "12345678a"]
        {
            assert_eq!(whole(text.as_bytes()), Err(NoValue::NoNumber), "{text}");
        }
    }
}
