//! The canonical sum by AVX2 and FMA: four registers of eight lanes.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Kernels;

/// The kernels, if the machine has AVX2 and FMA.
pub(super) fn kernels() -> Option<&'static Kernels> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(&KERNELS)
}

static KERNELS: Kernels = Kernels {
    // SAFETY: `kernels` hands this table out only where the machine has AVX2 and FMA.
    l2: |a, b| unsafe { several::<true, 1>(a, [b]) }[0],
    // SAFETY: as above.
    dot: |a, b| unsafe { several::<false, 1>(a, [b]) }[0],
    // SAFETY: as above.
    l2_four: |a, others| unsafe { four::<true>(a, others) },
    // SAFETY: as above.
    dot_four: |a, others| unsafe { four::<false>(a, others) },
};

/// Two pairs: the sums of a pair and the registers of `a` fit the sixteen registers, those of four do not.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn four<const L2: bool>(a: &[f32], others: [&[f32]; 4]) -> [f32; 4] {
    let [first, second] = several::<L2, 2>(a, [others[0], others[1]]);
    let [third, fourth] = several::<L2, 2>(a, [others[2], others[3]]);
    [first, second, third, fourth]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn several<const L2: bool, const N: usize>(a: &[f32], others: [&[f32]; N]) -> [f32; N] {
    for other in others {
        assert_eq!(a.len(), other.len(), "vectors of one index have one length");
    }
    let mut sums = [[_mm256_setzero_ps(); 4]; N];
    let blocks = a.len() / 32;
    for block in 0..blocks {
        for part in 0..4 {
            let at = block * 32 + part * 8;
            // SAFETY: at + 8 <= blocks * 32 <= a.len().
            let from_a = unsafe { _mm256_loadu_ps(a.as_ptr().add(at)) };
            for (sum, other) in sums.iter_mut().zip(others) {
                // SAFETY: as above; every other vector is as long as `a`.
                let from_other = unsafe { _mm256_loadu_ps(other.as_ptr().add(at)) };
                sum[part] = step::<L2>(from_a, from_other, sum[part]);
            }
        }
    }
    let mut at = blocks * 32;
    let mut part = 0;
    while at < a.len() {
        let count = (a.len() - at).min(8);
        let mask = mask(count);
        // SAFETY: a masked load touches no memory behind its mask, and `count` values from `at` are inside `a`.
        let from_a = unsafe { _mm256_maskload_ps(a.as_ptr().add(at), mask) };
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above; every other vector is as long as `a`.
            let from_other = unsafe { _mm256_maskload_ps(other.as_ptr().add(at), mask) };
            sum[part] = step::<L2>(from_a, from_other, sum[part]);
        }
        at += count;
        part += 1;
    }
    sums.map(|sum| reduce(sum))
}

/// A mask of the first `count` lanes, 1 to 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(count: usize) -> __m256i {
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let window = &MASKS[8 - count..16 - count];
    // SAFETY: the window has eight values.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step<const L2: bool>(a: __m256, b: __m256, sum: __m256) -> __m256 {
    if L2 {
        let difference = _mm256_sub_ps(a, b);
        _mm256_fmadd_ps(difference, difference, sum)
    } else {
        _mm256_fmadd_ps(a, b, sum)
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn reduce(lanes: [__m256; 4]) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(lanes[0], lanes[1]), _mm256_add_ps(lanes[2], lanes[3]));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_shuffle_ps::<1>(two, two));
    _mm_cvtss_f32(one) + 0.0
}
