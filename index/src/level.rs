//! On which levels a row is.

use crate::Params;

/// No graph has more levels than this: with the least M, 2, it is reached by one row in 2^32.
pub(crate) const MAX_LEVEL: u8 = 32;

/// A hash of (seed, row) in which every bit depends on every bit (the finaliser of splitmix64).
pub(crate) fn hash(seed: u64, row: u64) -> u64 {
    let mut x = seed.wrapping_add(row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The highest level of a row: `floor(-ln(u) / ln(M))` for a uniform `u` (section 4.1 of the HNSW paper), as a pure
/// function of (seed, row). With `u = hash / 2^64` that is the largest `l` with `hash < 2^64 / M^l`, which needs no
/// logarithm and so gives the same level on every machine.
pub(crate) fn level(params: &Params, row: u32) -> u8 {
    let hash = hash(params.seed, u64::from(row));
    let mut bound = u64::MAX / params.m as u64;
    let mut level = 0;
    while hash < bound && level < MAX_LEVEL {
        level += 1;
        bound /= params.m as u64;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    #[test]
    fn each_level_holds_one_in_m_of_the_one_below() {
        let params = Params::new(Metric::L2);
        let mut counts = [0u32; 4];
        for row in 0..1 << 16 {
            for count in &mut counts[..=usize::from(level(&params, row).min(3))] {
                *count += 1;
            }
        }
        assert_eq!(counts[0], 1 << 16);
        assert!((3_900..4_300).contains(&counts[1]), "{counts:?}");
        assert!((200..320).contains(&counts[2]), "{counts:?}");
    }
}
