//! Half precision to single, exactly, by the instructions that machines have for it.
#![allow(unsafe_code)]

use half::f16;

use super::InstructionSet;

/// Widens the values in `bytes`, little-endian; as many as `out` has.
///
/// # Panics
/// If there are not as many.
#[inline]
pub(crate) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * out.len(), "two bytes a value");
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::best() {
        // SAFETY: the set is chosen only where the machine has AVX-512 F.
        InstructionSet::Avx512 => return unsafe { avx512(bytes, out) },
        // SAFETY: F16C was just found.
        InstructionSet::Avx2 if is_x86_feature_detected!("f16c") => return unsafe { f16c(bytes, out) },
        _ => {}
    }
    one_by_one(bytes, out);
}

fn one_by_one(bytes: &[u8], out: &mut [f32]) {
    for (out, &half) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = f16::from_le_bytes(half).to_f32();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::*;
    let (groups, rest) = out.as_chunks_mut::<16>();
    let (halves, rest_bytes) = bytes.as_chunks::<32>();
    for (out, halves) in groups.iter_mut().zip(halves) {
        // SAFETY: `halves` are 32 bytes and `out` 64; neither has to be aligned.
        unsafe {
            let halves = _mm256_loadu_si256(halves.as_ptr().cast());
            _mm512_storeu_ps(out.as_mut_ptr(), _mm512_cvtph_ps(halves));
        }
    }
    one_by_one(rest_bytes, rest);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
fn f16c(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::*;
    let (groups, rest) = out.as_chunks_mut::<8>();
    let (halves, rest_bytes) = bytes.as_chunks::<16>();
    for (out, halves) in groups.iter_mut().zip(halves) {
        // SAFETY: `halves` are 16 bytes and `out` 32; neither has to be aligned.
        unsafe {
            let halves = _mm_loadu_si128(halves.as_ptr().cast());
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(halves));
        }
    }
    one_by_one(rest_bytes, rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_halves_at_any_place() {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let is_same = |bytes: &[u8], found: &[f32]| {
            let expected = bytes.as_chunks().0.iter().map(|&half| f16::from_le_bytes(half).to_f32());
            expected.zip(found).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
        };
        type Widen = fn(&[u8], &mut [f32]);
        let mut ways: Vec<Widen> = vec![widen_f16, one_by_one];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the machine has it.
                ways.push(|bytes, out| unsafe { avx512(bytes, out) });
            }
            if is_x86_feature_detected!("f16c") {
                // SAFETY: the machine has it, and AVX, without which there is none.
                ways.push(|bytes, out| unsafe { f16c(bytes, out) });
            }
        }
        for widen in ways {
            let mut out = vec![0.0; 1 << 16];
            widen(&all, &mut out);
            assert!(is_same(&all, &out));
            for (start, len) in
                [(1, 0), (3, 1), (5, 7), (2, 8), (31, 15), (9, 16), (4, 17), (7, 33), (30_000, 100)]
            {
                // Nothing is written behind the end.
                let mut out = vec![-1.0; len + 16];
                let bytes = &all[2 * start..2 * (start + len)];
                widen(bytes, &mut out[..len]);
                assert!(is_same(bytes, &out[..len]) && out[len..].iter().all(|&value| value == -1.0));
            }
        }
    }
}
