//! The canonical sum by NEON: eight registers of four lanes.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{Kernels, scalar::LANES};

/// The kernels, if the machine has NEON (and nearly every such machine has it).
pub(super) fn kernels() -> Option<&'static Kernels> {
    is_aarch64_feature_detected!("neon").then_some(&KERNELS)
}

static KERNELS: Kernels = Kernels {
    // SAFETY: `kernels` hands this table out only where the machine has NEON.
    l2: |a, b| unsafe { several::<true, 1>(a, [b]) }[0],
    // SAFETY: as above.
    dot: |a, b| unsafe { several::<false, 1>(a, [b]) }[0],
    // SAFETY: as above.
    l2_four: |a, others| unsafe { four::<true>(a, others) },
    // SAFETY: as above.
    dot_four: |a, others| unsafe { four::<false>(a, others) },
};

/// Two pairs: the sums of a pair leave half of the 32 registers for the operands, those of four would leave none.
#[inline]
#[target_feature(enable = "neon")]
fn four<const L2: bool>(a: &[f32], others: [&[f32]; 4]) -> [f32; 4] {
    let [first, second] = several::<L2, 2>(a, [others[0], others[1]]);
    let [third, fourth] = several::<L2, 2>(a, [others[2], others[3]]);
    [first, second, third, fourth]
}

#[inline]
#[target_feature(enable = "neon")]
fn several<const L2: bool, const N: usize>(a: &[f32], others: [&[f32]; N]) -> [f32; N] {
    for other in others {
        assert_eq!(a.len(), other.len(), "vectors of one index have one length");
    }
    let mut sums = [[vdupq_n_f32(0.0); 8]; N];
    let whole = a.len() - a.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        // SAFETY: a whole block follows `at` in `a`, and every other vector is as long as `a`.
        unsafe {
            add_block::<L2, N>(&mut sums, a.as_ptr().add(at), others.map(|other| other.as_ptr().add(at)))
        };
    }
    if whole < a.len() {
        let (end, ends) = (with_zeros(&a[whole..]), others.map(|other| with_zeros(&other[whole..])));
        // SAFETY: these are whole blocks.
        unsafe { add_block::<L2, N>(&mut sums, end.as_ptr(), ends.each_ref().map(|end| end.as_ptr())) };
    }
    sums.map(|sum| reduce(sum))
}

/// A short block as a whole one, NEON having no masked loads. Zeros leave the lanes as they are.
#[inline]
fn with_zeros(values: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block[..values.len()].copy_from_slice(values);
    block
}

/// # Safety
/// All pointers must be to a block of [`LANES`] values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add_block<const L2: bool, const N: usize>(
    sums: &mut [[float32x4_t; 8]; N],
    a: *const f32,
    others: [*const f32; N],
) {
    for part in 0..8 {
        // SAFETY: eight times four values are a block.
        let from_a = unsafe { vld1q_f32(a.add(part * 4)) };
        for (sum, other) in sums.iter_mut().zip(others) {
            // SAFETY: as above.
            let from_other = unsafe { vld1q_f32(other.add(part * 4)) };
            sum[part] = step::<L2>(from_a, from_other, sum[part]);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn step<const L2: bool>(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
    if L2 {
        let difference = vsubq_f32(a, b);
        vfmaq_f32(sum, difference, difference)
    } else {
        vfmaq_f32(sum, a, b)
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn reduce(lanes: [float32x4_t; 8]) -> f32 {
    // Two registers stand for eight lanes of the tree: the even ones for its lower half, the odd ones for its upper.
    let low = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[4], lanes[6]));
    let high = vaddq_f32(vaddq_f32(lanes[1], lanes[3]), vaddq_f32(lanes[5], lanes[7]));
    let four = vaddq_f32(low, high);
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vpadds_f32(two) + 0.0
}
