//! How much of a file is written at a time, and where that begins: what the system keeps in one piece.

/// Bytes that are best written at a time. Larger writes make the system look for larger stretches of free memory, which
/// took ten times as long as the copying where there were none (ext4, 8 MiB against 256 KiB).
pub(crate) const PORTION_BYTES: usize = 256 << 10;

/// What one entry of the processor's tables leads to at best. Where a file system keeps so much of a file in one piece, which
/// it does if it was written in one piece, a map of the file has it in one piece as well: reading that at random is up to a
/// tenth faster, and taking it down costs nothing.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// How much to write at an offset, so that the next begins at a multiple of `unit_bytes`: the system keeps in one piece what
/// is written in one piece and begins at a multiple of its length.
pub(crate) fn up_to_next(offset: u64, unit_bytes: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than the unit")]
    let behind = (offset % unit_bytes as u64) as usize;
    unit_bytes - behind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_multiples_of_their_length() {
        let lengths = [0, 4096, PORTION_BYTES as u64 - 1, PORTION_BYTES as u64, u64::MAX]
            .map(|offset| up_to_next(offset, PORTION_BYTES));
        assert_eq!(lengths, [PORTION_BYTES, PORTION_BYTES - 4096, 1, PORTION_BYTES, 1]);
    }
}
