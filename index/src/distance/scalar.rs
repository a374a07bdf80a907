//! The canonical sum in plain Rust: the definition that the other kernels must meet bit by bit.

use super::Kernels;

/// Lanes of the canonical sum.
pub(super) const LANES: usize = 32;

pub(super) static KERNELS: Kernels = Kernels {
    l2: |a, b| sum(a, b, l2_step),
    dot: |a, b| sum(a, b, dot_step),
    l2_four: |a, others| others.map(|b| sum(a, b, l2_step)),
    dot_four: |a, others| others.map(|b| sum(a, b, dot_step)),
};

fn l2_step(a: f32, b: f32, lane: f32) -> f32 {
    let difference = a - b;
    difference.mul_add(difference, lane)
}

fn dot_step(a: f32, b: f32, lane: f32) -> f32 {
    a.mul_add(b, lane)
}

#[inline]
fn sum(a: &[f32], b: &[f32], step: impl Fn(f32, f32, f32) -> f32) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one index have one length");
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = step(a, b, *lane);
        }
    }
    let eight: [f32; 8] =
        std::array::from_fn(|i| (lanes[i] + lanes[i + 8]) + (lanes[i + 16] + lanes[i + 24]));
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    // Adding 0 turns the sum -0 into 0, which it is where a block of padding took part.
    (four[0] + four[2]) + (four[1] + four[3]) + 0.0
}
