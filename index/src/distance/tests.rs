//! One set of checks, run against every instruction set of the machine.

use super::*;
use crate::level::hash;

/// Values of very different size and both signs, among them zeros of both.
fn values(seed: u64, len: usize) -> Vec<f32> {
    (0..len as u64)
        .map(|i| {
            let bits = hash(seed, i);
            match bits % 17 {
                0 => 0.0,
                1 => -0.0,
                2 => -1e-30,
                n => (bits >> 40) as f32 / (1 << 20) as f32 - n as f32 / 2.0,
            }
        })
        .collect()
}

/// Whether a machine of this architecture can have it.
fn is_of_this_architecture(set: InstructionSet) -> bool {
    match set {
        InstructionSet::Scalar => true,
        InstructionSet::Neon => cfg!(target_arch = "aarch64"),
        InstructionSet::Avx2 | InstructionSet::Avx512 => cfg!(target_arch = "x86_64"),
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let mut missing = Vec::new();
    for set in InstructionSet::ALL {
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            let Some(distance) = Distance::with(metric, set) else {
                missing.push(set);
                continue;
            };
            let oracle = Distance::with(metric, InstructionSet::Scalar).unwrap();
            for dim in (1..=130).chain([255, 256, 257, 384, 784, 1536, 65_536]) {
                let vectors: [_; 5] = std::array::from_fn(|i| values(i as u64, dim));
                let norms: [_; 5] = std::array::from_fn(|i| oracle.inverse_norm(&vectors[i]));
                let [a, others @ ..] = &vectors;
                let expected: [_; 4] =
                    std::array::from_fn(|i| oracle.between(a, norms[0], &others[i], norms[i + 1]).to_bits());
                let one: [_; 4] = std::array::from_fn(|i| {
                    distance.between(a, norms[0], &others[i], norms[i + 1]).to_bits()
                });
                let slices: [&[f32]; 4] = std::array::from_fn(|i| others[i].as_slice());
                let inverse = std::array::from_fn(|i| norms[i + 1]);
                let four = distance.to_four(a, norms[0], slices, inverse).map(f32::to_bits);
                assert_eq!(one, expected, "{set:?} {metric} dim {dim}");
                assert_eq!(four, expected, "{set:?} {metric} dim {dim}, four at a time");
                assert_eq!(distance.inverse_norm(a).to_bits(), norms[0].to_bits());
            }
        }
    }
    missing.dedup();
    if !missing.is_empty() {
        eprintln!("not run, the machine lacks them: {missing:?}");
    }
    // With the variable set, all kernels of the architecture must run.
    missing.retain(|&set| is_of_this_architecture(set));
    let all = std::env::var_os("SOCHDB_BULK_ALL_KERNELS").is_some();
    assert!(!all || missing.is_empty(), "{missing:?} were to be run");
}

#[test]
fn sums_are_near_the_exact_ones() {
    let distance = Distance::new(Metric::L2);
    for dim in [1, 31, 32, 33, 384, 784] {
        let (a, b) = (values(7, dim), values(8, dim));
        let exact: f64 = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
        let found = f64::from(distance.between(&a, 0.0, &b, 0.0));
        assert!((found - exact).abs() <= exact * 1e-5, "dim {dim}: {found} against {exact}");
    }
}

#[test]
fn distances_are_symmetric_and_zero_rows_are_defined() {
    let (a, b, zero) = (values(1, 100), values(2, 100), vec![0.0; 100]);
    for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
        let distance = Distance::new(metric);
        let (na, nb) = (distance.inverse_norm(&a), distance.inverse_norm(&b));
        assert_eq!(distance.between(&a, na, &b, nb).to_bits(), distance.between(&b, nb, &a, na).to_bits());
    }
    let cosine = Distance::new(Metric::Cosine);
    assert_eq!(cosine.inverse_norm(&zero), 0.0);
    assert_eq!(cosine.between(&a, cosine.inverse_norm(&a), &zero, 0.0), 1.0);
}

#[test]
#[should_panic(expected = "one length")]
fn lengths_are_checked() {
    Distance::new(Metric::L2).between(&[1.0; 8], 0.0, &[1.0; 16], 0.0);
}
