//! No NaN and no infinity passes.

use readers::{Batch, Error, Position, Topic};

use crate::Failure;

/// The exponent bits of an f32: all set in infinities and NaNs, and only there.
const EXPONENT: u32 = 0x7f80_0000;

/// Fails if a value is NaN or infinite. One pass without branches: half the cost of copying the values.
pub(crate) fn all_finite(batch: &Batch) -> Result<(), Failure> {
    let finite = |values: &[f32]| {
        !values.iter().fold(false, |bad, value| bad | (value.to_bits() & EXPONENT == EXPONENT))
    };
    // In blocks, so that a bad value near the start is found near the start.
    if batch.values().chunks(4096).all(finite) {
        return Ok(());
    }
    let bad = batch.values().iter().position(|value| !value.is_finite()).unwrap_or_default();
    let value = batch.values()[bad];
    let found = if value.is_nan() { "NaN" } else { "an infinity" };
    Err(Error::expected("a finite value", found)
        .about(Topic::NotFinite)
        .in_file(&*batch.origin().file)
        .at(Position::Value { row: batch.origin_row(bad / batch.dim()), column: (bad % batch.dim()) as u64 })
        .with_help("find out where it comes from (a failed embedding?) and remove or repair the row")
        .into())
}
