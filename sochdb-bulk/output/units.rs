//! Numbers for people.

/// `1234567` as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,234,567 rows`.
pub(crate) fn rows(n: u64) -> String {
    counted(n, "row", "rows")
}

/// `1 query`, `1,000 queries`.
pub(crate) fn queries(n: u64) -> String {
    counted(n, "query", "queries")
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes with a binary unit: `512 B`, `1.5 KiB`, `146.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn bytes(n: u64) -> String {
    let (mut value, mut unit) = (n as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// Bytes as people write them: `1048576`, `512MiB`, `1.5 GB`; nothing if it is no such number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a fraction of a unit is rounded down"
)]
pub(crate) fn parse_bytes(word: &str) -> Option<u64> {
    let word = word.trim().replace('_', "");
    let digits = word.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(word.len());
    let (number, unit) = (&word[..digits], word[digits..].trim().to_ascii_lowercase());
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => return None,
    };
    match number.parse::<u64>() {
        Ok(number) => number.checked_mul(factor),
        Err(_) if factor == 1 => None,
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * factor as f64;
            (bytes < u64::MAX as f64).then_some(bytes as u64)
        }
    }
}

/// Seconds: `0.034 s`, `12.3 s`, `4m 05s`.
pub(crate) fn seconds(secs: f64) -> String {
    if secs < 1.0 {
        format!("{secs:.3} s")
    } else if secs < 100.0 {
        format!("{secs:.1} s")
    } else {
        // Rounded first: 119.7 are two minutes, not one and sixty seconds.
        let whole = secs.round();
        format!("{:.0}m {:02.0}s", (whole / 60.0).floor(), whole % 60.0)
    }
}

/// A measured value in four digits: `0.05123`, `12.35`, `-3`, `1.235e-7`, `NaN`.
pub(crate) fn value(value: f64) -> String {
    let scientific = format!("{value:.3e}");
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match exponent {
        // NaN and infinities.
        None => value.to_string(),
        Some(-4..=5) if value.fract() == 0.0 => format!("{value:.0}"),
        Some(exponent @ -4..=5) => {
            let decimals = usize::try_from(3 - exponent).unwrap_or(0);
            format!("{value:.decimals$}")
        }
        Some(_) => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        let read = [
            "4GiB",
            "512 MiB",
            "1.5kib",
            "2GB",
            "1_000_000",
            "7",
            "",
            "x",
            "1.5",
            "-1",
            "4GiBs",
            "99999999TiB",
        ];
        let bytes = [
            Some(4 << 30),
            Some(512 << 20),
            Some(1536),
            Some(2_000_000_000),
            Some(1_000_000),
            Some(7),
            None,
            None,
            None,
            None,
            None,
            None,
        ];
        assert_eq!(read.map(parse_bytes), bytes);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!((bytes(0), bytes(1023), bytes(1536)), ("0 B".into(), "1023 B".into(), "1.5 KiB".into()));
        let values = [0.0, 1.0, 0.051_234, 12.345_6, -1e5, 1.5e-7, f64::NAN, f64::NEG_INFINITY].map(value);
        assert_eq!(values, ["0", "1", "0.05123", "12.35", "-100000", "1.500e-7", "NaN", "-inf"]);
        assert_eq!([0.0336, 12.34, 245.2, 119.7].map(seconds), ["0.034 s", "12.3 s", "4m 05s", "2m 00s"]);
    }
}
