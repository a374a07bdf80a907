//! Eigenvalues and eigenvectors of a symmetric matrix, with the same bits on every machine and at any number of threads:
//! only additions, multiplications, divisions and square roots, each in a fixed order.
//!
//! Householder's reduction to a tridiagonal matrix (Golub and Van Loan, Matrix Computations, 4th edition, 8.3.1), and then
//! the QL algorithm with implicit shifts as EISPACK's `tql2` does it (Bowdler, Martin, Reinsch and Wilkinson, Numerische
//! Mathematik 11, 1968; public domain).

use rayon::prelude::*;

use crate::Failure;

/// Eigenvalues and eigenvectors.
#[derive(Debug)]
pub(super) struct Eigen {
    /// All of them, the largest first.
    pub(super) values: Vec<f64>,
    /// Those of the first eigenvalues, each of length 1, one after the other. Of each the component with the largest
    /// absolute value is positive.
    pub(super) vectors: Vec<f64>,
}

/// Columns that are rotated together: a part of all of them that stays in a core's cache.
pub(super) const BAND: usize = 64;

/// Rotations that are collected for each row before they are applied.
pub(super) const COLLECTED: usize = 32;

/// As `tql2`: no matrix of finite numbers needs as many.
const MAX_SWEEPS: usize = 60;

/// Rows that a thread takes at a time.
const ROWS_A_TASK: usize = 16;

/// The eigenvalues of the symmetric matrix `a` of `n` rows, and the first `count` eigenvectors. Works on the threads of the
/// pool that it is called in; `check` is asked now and then whether to go on.
pub(super) fn eigen(
    mut a: Vec<f64>,
    n: usize,
    count: usize,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<Eigen, Failure> {
    // By a power of two, so that no square overflows or vanishes and no bit is lost.
    let largest = a.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let exponent = (largest.to_bits() >> 52).clamp(24, 2022);
    let scale = f64::from_bits((2046 - exponent) << 52);
    a.iter_mut().for_each(|value| *value *= scale);

    let (mut d, mut e) = tridiagonal(&mut a, n, check)?;
    let rotated = ql(&mut d, &mut e, check)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| d[j].total_cmp(&d[i]).then(i.cmp(&j)));
    let mut vectors = vec![0.0; count * n];
    vectors.par_chunks_mut(n).zip(&order).for_each(|(vector, &at)| {
        for (column, value) in vector.iter_mut().enumerate() {
            *value = rotated[column / BAND][at * BAND + column % BAND];
        }
        for k in (0..n.saturating_sub(2)).rev() {
            let (u, part) = (&a[k * n + k + 1..(k + 1) * n], &mut vector[k + 1..]);
            let twice = 2.0 * dot(u, part);
            part.iter_mut().zip(u).for_each(|(value, u)| *value -= twice * u);
        }
        let first =
            vector.iter().fold(0.0, |most: f64, &value| if value.abs() > most.abs() { value } else { most });
        if first < 0.0 {
            vector.iter_mut().for_each(|value| *value = -*value);
        }
    });
    Ok(Eigen { values: order.iter().map(|&at| d[at] / scale).collect(), vectors })
}

/// Reduces `a` by reflections to a tridiagonal matrix; gives its diagonal and what is beside it. Behind the diagonal of row
/// `k`, `a` then has the vector `u` of length 1 (or 0) of the reflection `1 - 2 u u'`.
fn tridiagonal(
    a: &mut [f64],
    n: usize,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    let mut w = vec![0.0; n];
    for k in 0..n {
        check()?;
        let (done, rest) = a.split_at_mut((k + 1) * n);
        let row = &mut done[k * n..];
        d[k] = row[k];
        let u = &mut row[k + 1..];
        let Some(&first) = u.first() else { break };
        e[k] = first;
        if u.len() == 1 {
            continue;
        }
        if u[1..].iter().all(|&value| value == 0.0) {
            u.fill(0.0);
            continue;
        }
        let norm = dot(u, u).sqrt();
        e[k] = if first > 0.0 { -norm } else { norm };
        u[0] -= e[k];
        let length = dot(u, u).sqrt();
        u.iter_mut().for_each(|value| *value /= length);
        let u = &*u;
        let w = &mut w[..u.len()];
        w.par_iter_mut()
            .zip(rest.par_chunks(n))
            .with_min_len(ROWS_A_TASK)
            .for_each(|(w, row)| *w = dot(&row[k + 1..], u));
        let middle = dot(u, w);
        w.iter_mut().zip(u).for_each(|(w, u)| *w = 2.0 * (*w - middle * u));
        let w = &*w;
        rest.par_chunks_mut(n).enumerate().with_min_len(ROWS_A_TASK).for_each(|(i, row)| {
            let (ui, wi) = (u[i], w[i]);
            row[k + 1..].iter_mut().zip(u).zip(w).for_each(|((a, u), w)| *a -= ui * w + wi * u);
        });
    }
    Ok((d, e))
}

/// A sum of products in eight lanes.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (a, b) = (a.chunks(lanes.len()), b.chunks(lanes.len()));
    for (a, b) in a.zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    lanes.iter().sum()
}

/// The size of a rotation that waits.
pub(super) const ROTATION_BYTES: u64 = size_of::<Rotation>() as u64;

/// A rotation of the rows `row` and `row + 1`.
struct Rotation {
    row: usize,
    c: f64,
    s: f64,
}

/// Makes the tridiagonal matrix of the diagonal `d` and `e` beside it diagonal: `d` becomes its eigenvalues. The
/// eigenvectors are the rows of the matrix that is given back in bands of columns.
fn ql(
    d: &mut [f64],
    e: &mut [f64],
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<Vec<Vec<f64>>, Failure> {
    let n = d.len();
    let mut bands: Vec<Vec<f64>> = (0..n.div_ceil(BAND)).map(|_| vec![0.0; n * BAND]).collect();
    (0..n).for_each(|at| bands[at / BAND][at * BAND + at % BAND] = 1.0);
    let mut rotations: Vec<Rotation> = Vec::new();
    let (mut shift, mut largest) = (0.0, 0.0f64);
    for l in 0..n {
        largest = largest.max(d[l].abs() + e[l].abs());
        let is_small = |value: f64| value.abs() <= f64::EPSILON * largest;
        let m = (l..n - 1).find(|&m| is_small(e[m])).unwrap_or(n - 1);
        let mut sweeps = 0;
        while m > l && !is_small(e[l]) {
            check()?;
            sweeps += 1;
            if sweeps > MAX_SWEEPS {
                return Err(Failure::failed("the eigenvalues of the rows do not converge")
                    .with_help("scale the vectors, as `normalize` does"));
            }
            let before = d[l];
            let p = (d[l + 1] - before) / (2.0 * e[l]);
            let r = length(p, 1.0).copysign(p);
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let second = d[l + 1];
            let moved = before - d[l];
            d[l + 2..].iter_mut().for_each(|value| *value -= moved);
            shift += moved;

            let mut p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let (mut s, mut s2) = (0.0, 0.0);
            let beside = e[l + 1];
            for row in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[row], c * p);
                let r = length(p, e[row]);
                e[row + 1] = s * r;
                (s, c) = if r > 0.0 { (e[row] / r, p / r) } else { (0.0, 1.0) };
                p = c * d[row] - s * g;
                d[row + 1] = h + s * (c * g + s * d[row]);
                rotations.push(Rotation { row, c, s });
            }
            p = -s * s2 * c3 * beside * e[l] / second;
            e[l] = s * p;
            d[l] = c * p;
            if rotations.len() >= COLLECTED * n {
                rotate(&mut bands, &rotations);
                rotations.clear();
            }
        }
        d[l] += shift;
        e[l] = 0.0;
    }
    rotate(&mut bands, &rotations);
    Ok(bands)
}

fn rotate(bands: &mut [Vec<f64>], rotations: &[Rotation]) {
    bands.par_iter_mut().for_each(|band| {
        for &Rotation { row, c, s } in rotations {
            let (upper, lower) = band[row * BAND..(row + 2) * BAND].split_at_mut(BAND);
            for (upper, lower) in upper.iter_mut().zip(lower) {
                let (a, b) = (*upper, *lower);
                *lower = s * a + c * b;
                *upper = c * a - s * b;
            }
        }
    });
}

/// The length of a vector of two. Not `hypot`, which each system has its own way to compute.
fn length(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &[f64], n: usize) -> Eigen {
        eigen(a.to_vec(), n, n, &|| Ok(())).unwrap()
    }

    /// A symmetric matrix of numbers between -1 and 1.
    fn matrix(n: usize) -> Vec<f64> {
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let bits = super::super::super::draw::hash(n as u64, (i * n + j) as u64);
                let value = (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
                (a[i * n + j], a[j * n + i]) = (value, value);
            }
        }
        a
    }

    #[test]
    fn small_matrices_have_the_known_eigenvalues() {
        assert_eq!((of(&[3.0], 1).values, of(&[-3.0], 1).vectors), (vec![3.0], vec![1.0]));
        let two = of(&[2.0, 1.0, 1.0, 2.0], 2);
        assert!((two.values[0] - 3.0).abs() < 1e-15 && (two.values[1] - 1.0).abs() < 1e-15, "{two:?}");
        let half = 0.5f64.sqrt();
        for (found, known) in two.vectors.iter().zip([half, half, half, -half]) {
            assert!((found.abs() - known.abs()).abs() < 1e-15, "{two:?}");
        }
        // 2 on the diagonal, -1 beside it: 2 - 2 cos(k pi / (n + 1)).
        let n = 50;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 2.0;
            if i > 0 {
                (a[i * n + i - 1], a[(i - 1) * n + i]) = (-1.0, -1.0);
            }
        }
        for (k, value) in of(&a, n).values.iter().rev().enumerate() {
            let known = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64).cos();
            assert!((value - known).abs() < 1e-14, "{value} {known}");
        }
        // Equal eigenvalues and none at all; extreme scales.
        assert_eq!(of(&[0.0; 9], 3).values, [0.0; 3]);
        let diagonal = of(&[1.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 1.0], 3);
        assert_eq!(diagonal.values, [5.0, 1.0, 1.0]);
        assert_eq!(diagonal.vectors, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        for scale in [1e-80, 1e80] {
            let scaled = of(&[2.0 * scale, scale, scale, 2.0 * scale], 2);
            assert!((scaled.values[0] / scale - 3.0).abs() < 1e-14, "{scaled:?}");
        }
    }

    #[test]
    fn vectors_are_orthonormal_and_give_the_matrix_again() {
        for n in [2, 3, 7, 64, 65, 150] {
            let a = matrix(n);
            let Eigen { values, vectors } = of(&a, n);
            assert!(values.is_sorted_by(|a, b| a >= b));
            for i in 0..n {
                let vi = &vectors[i * n..][..n];
                let most = vi.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                assert!(vi.contains(&most), "the largest component is positive");
                for j in 0..n {
                    let product = dot(vi, &vectors[j * n..][..n]);
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{n}: {i} {j} {product}");
                    let again: f64 =
                        (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                    assert!((again - a[i * n + j]).abs() < 1e-12, "{n}: {i} {j}");
                }
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_threads() {
        let (n, a) = (150, matrix(150));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&a, n))
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            let other = with(threads);
            assert!(other.values == one.values && other.vectors == one.vectors, "{threads} threads");
        }
    }
}
