//! The canonical sum by AVX-512: two registers of sixteen lanes.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Kernels, avx2};

/// The kernels, if the machine has AVX-512 F (and AVX2 with FMA, which every such machine has).
pub(super) fn kernels() -> Option<&'static Kernels> {
    (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && avx2::kernels().is_some())
        .then_some(&KERNELS)
}

static KERNELS: Kernels = Kernels {
    // SAFETY: `kernels` hands this table out only where the machine has these features.
    l2: |a, b| unsafe { several::<true, 1>(a, [b]) }[0],
    // SAFETY: as above.
    dot: |a, b| unsafe { several::<false, 1>(a, [b]) }[0],
    // SAFETY: as above.
    l2_four: |a, others| unsafe { several::<true, 4>(a, others) },
    // SAFETY: as above.
    dot_four: |a, others| unsafe { several::<false, 4>(a, others) },
};

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn several<const L2: bool, const N: usize>(a: &[f32], others: [&[f32]; N]) -> [f32; N] {
    for other in others {
        assert_eq!(a.len(), other.len(), "vectors of one index have one length");
    }
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    let blocks = a.len() / 32;
    for block in 0..blocks {
        for part in 0..2 {
            let at = block * 32 + part * 16;
            // SAFETY: at + 16 <= blocks * 32 <= a.len().
            let from_a = unsafe { _mm512_loadu_ps(a.as_ptr().add(at)) };
            for (sum, other) in sums.iter_mut().zip(others) {
                // SAFETY: as above; every other vector is as long as `a`.
                let from_other = unsafe { _mm512_loadu_ps(other.as_ptr().add(at)) };
                sum[part] = step::<L2>(from_a, from_other, sum[part]);
            }
        }
    }
    let mut at = blocks * 32;
    let mut part = 0;
    while at < a.len() {
        let count = (a.len() - at).min(16);
        let mask = u16::MAX >> (16 - count);
        // SAFETY: a masked load touches no memory behind its mask, and `count` values from `at` are inside `a`.
        let from_a = unsafe { _mm512_maskz_loadu_ps(mask, a.as_ptr().add(at)) };
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above; every other vector is as long as `a`.
            let from_other = unsafe { _mm512_maskz_loadu_ps(mask, other.as_ptr().add(at)) };
            sum[part] = step::<L2>(from_a, from_other, sum[part]);
        }
        at += count;
        part += 1;
    }
    sums.map(|sum| {
        avx2::reduce([
            _mm512_castps512_ps256(sum[0]),
            _mm512_extractf32x8_ps::<1>(sum[0]),
            _mm512_castps512_ps256(sum[1]),
            _mm512_extractf32x8_ps::<1>(sum[1]),
        ])
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn step<const L2: bool>(a: __m512, b: __m512, sum: __m512) -> __m512 {
    if L2 {
        let difference = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(difference, difference, sum)
    } else {
        _mm512_fmadd_ps(a, b, sum)
    }
}
