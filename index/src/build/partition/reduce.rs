//! Codes of fewer dimensions, to carve by.
//!
//! Where rows differ mostly along few directions, as the embeddings and images that were measured do, these tell as well as all values which
//! leaders are near, for a fraction of the products. Leaves are compared, and neighbours chosen, by the full codes: on
//! sentence embeddings, comparing leaves by directions that hold nine tenths loses half a point of recall at `ef_search` 10.

use rayon::prelude::*;

use super::SMALL_ROWS;
use super::nearest::NO_MINIMA;
use super::subspace::{Moments, Subspace};
use crate::build::BuildInput;
use crate::codes::packed::{Panels, TileRows};
use crate::codes::{CodeTable, CodesView, Quantizer, ZERO, stride_bytes};
use crate::distance::products::{TILE_COLUMNS, TILE_ROWS, TILE_STEP, TileOutput};
use crate::level::hash;
use crate::vectors::PlainRows;
use crate::{Matrix, Metric, Params};

/// What the directions are to hold of the sum of squares.
const SHARE: f64 = 0.9;

/// Rows that the directions are found from.
const SAMPLE_ROWS: usize = 2048;

/// The most directions.
const MAX_AXES: usize = 512;

/// Of more dimensions the moments alone would take hundreds of megabytes.
const MAX_DIM: usize = 8192;

/// With fewer rows than so many times the dimensions, finding the directions costs more than it brings.
const ROWS_A_DIMENSION: usize = 16;

/// Rows whose codes are made at a time: whole tiles.
const ROWS_AT_ONCE: usize = 4 * TILE_ROWS;

/// The most dimensions that so many rows are reduced to, and 0 where they are not reduced.
fn most_axes(rows: usize, dim: usize) -> usize {
    if rows <= SMALL_ROWS || rows / ROWS_A_DIMENSION < dim || dim > MAX_DIM {
        return 0;
    }
    (dim * 2 / 3).min(MAX_AXES) / TILE_STEP * TILE_STEP
}

/// The memory for at most so many axes, in bytes: that of the codes with their terms, and, before anything else is there, that of
/// finding the axes: a sample as columns, the moments, and the axes with their products and codes.
pub(super) fn memory_bytes(rows: u64, dim: usize) -> (u64, u64) {
    match most_axes(usize::try_from(rows).unwrap_or(usize::MAX), dim) {
        0 => (0, 0),
        most => {
            let finding = dim * (SAMPLE_ROWS + 8 + 4 * dim + (4 + 4 + 4 + 2) * most) + SAMPLE_ROWS * 4 * most;
            (rows * (stride_bytes(most) as u64 + 8), finding as u64)
        }
    }
}

/// Codes of all rows along the directions that hold most, if those are few.
pub(super) fn reduced(input: &BuildInput<'_>, codes: CodesView<'_>) -> Option<CodeTable> {
    let matrix = input.rows.matrix;
    let most = most_axes(input.members[0].len(), matrix.dim());
    if most == 0 {
        return None;
    }
    let sample = draw(input);
    let seed = hash(input.params.seed, 0x0061_7865_7300);
    let subspace = moments(codes, &sample, matrix.dim()).subspace(SHARE, TILE_STEP, most, seed)?;
    let projection = Projection::new(&subspace, codes);
    let axes = projection.scales.len();
    let mut values = vec![0.0; sample.len() * axes];
    values.par_chunks_mut(ROWS_AT_ONCE * axes).zip(sample.par_chunks(ROWS_AT_ONCE)).for_each(
        |(values, sample)| {
            projection.project(codes, sample.iter().copied(), values, &mut TileRows::default())
        },
    );
    // Under cosine, codes are of vectors of length 1.
    let metric = if input.params.metric == Metric::Ip { Metric::Ip } else { Metric::L2 };
    let sampled = PlainRows { matrix: Matrix::new(&values, axes), inverse_norms: &[] };
    let quantizer = Quantizer::fit(&sampled, &Params { metric, ..input.params });
    let stride = stride_bytes(axes);
    Some(CodeTable::new(matrix.rows(), axes, metric, codes.products, |mut first, bytes| {
        let mut packed = TileRows::default();
        let mut values = vec![0.0; ROWS_AT_ONCE * axes];
        for bytes in bytes.chunks_mut(ROWS_AT_ONCE * stride) {
            #[expect(clippy::cast_possible_truncation, reason = "at most ROWS_AT_ONCE")]
            let end = first + (bytes.len() / stride) as u32;
            projection.project(codes, first..end, &mut values, &mut packed);
            for (codes, values) in bytes.chunks_exact_mut(stride).zip(values.chunks_exact(axes)) {
                quantizer.encode(values, 1.0, codes);
            }
            first = end;
        }
    }))
}

/// Draws rows, some perhaps twice.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a usize")]
fn draw(input: &BuildInput<'_>) -> Vec<u32> {
    let members = &input.members[0];
    let seed = hash(input.params.seed, 0x6d6f_6d65_6e74);
    (0..SAMPLE_ROWS as u64).map(|i| members[(hash(seed, i) % members.len() as u64) as usize]).collect()
}

/// The second moments of the codes of some rows: products of columns, which are whole numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "columns; rounds")]
fn moments(codes: CodesView<'_>, sample: &[u32], dim: usize) -> Moments {
    let stride = stride_bytes(sample.len());
    let columns = CodeTable::new(dim, sample.len(), Metric::Ip, codes.products, |first, bytes| {
        for (column, bytes) in (first as usize..).zip(bytes.chunks_exact_mut(stride)) {
            let values = sample.iter().map(|&row| codes.row(row)[column]).chain(std::iter::repeat(ZERO));
            bytes.iter_mut().zip(values).for_each(|(code, value)| *code = value);
        }
    });
    let columns = columns.view();
    let mut values = vec![0.0; dim * dim];
    values.par_chunks_mut(dim).enumerate().for_each(|(row, values)| {
        for (at, values) in values.chunks_mut(4).enumerate() {
            let others = std::array::from_fn(|i| (at * 4 + i).min(dim - 1) as u32);
            // Distances by inner product are minus twice the products.
            for (value, distance) in values.iter_mut().zip(columns.distances_of(row as u32, others)) {
                *value = distance as f32 * -0.5;
            }
        }
    });
    Moments::new(values, dim)
}

/// Directions as codes, to multiply rows of codes with.
struct Projection {
    axes: Panels,
    /// What the products of each direction are multiplied by.
    scales: Vec<f32>,
}

impl Projection {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1 to 255; a few hundred axes"
    )]
    fn new(subspace: &Subspace, codes: CodesView<'_>) -> Self {
        const LIMIT: f32 = 127.0;
        let Subspace { axes, dim } = subspace;
        let largest = |axis: &[f32]| axis.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let scales: Vec<f32> = axes.chunks_exact(*dim).map(|axis| largest(axis) / LIMIT).collect();
        let stride = stride_bytes(*dim);
        let table = CodeTable::new(scales.len(), *dim, Metric::Ip, codes.products, |first, bytes| {
            for (axis, bytes) in (first as usize..).zip(bytes.chunks_exact_mut(stride)) {
                let scaled = axes[axis * dim..(axis + 1) * dim].iter().map(|value| value / scales[axis]);
                let values = scaled.map(|value| (value.round() as i32 + i32::from(ZERO)) as u8);
                bytes
                    .iter_mut()
                    .zip(values.chain(std::iter::repeat(ZERO)))
                    .for_each(|(code, value)| *code = value);
            }
        });
        let mut panels = Panels::default();
        panels.pack(table.view(), 0..scales.len() as u32);
        Self { axes: panels, scales }
    }

    /// Writes the values of some rows along each direction, row after row.
    #[expect(clippy::cast_precision_loss, reason = "rounds")]
    fn project(
        &self,
        codes: CodesView<'_>,
        rows: impl ExactSizeIterator<Item = u32> + Clone,
        values: &mut [f32],
        packed: &mut TileRows,
    ) {
        packed.pack(codes, rows.clone());
        let axes = self.scales.len();
        for panel in self.axes.iter() {
            let scales = &self.scales[panel.first..axes.min(panel.first + TILE_COLUMNS)];
            let mut rows = rows.clone().zip(values.chunks_exact_mut(axes));
            for first in (0..rows.len()).step_by(TILE_ROWS) {
                let valid = [panel.valid; TILE_ROWS];
                let input = packed.tile(first, &panel, &valid);
                let (mut distances, mut minima) = (NO_MINIMA, NO_MINIMA);
                let mut unused = [i32::MAX; TILE_COLUMNS];
                let output = TileOutput {
                    distances: &mut distances,
                    row_minima: &mut minima,
                    column_minima: &mut unused,
                };
                codes.products.tile(&input, output);
                for (distances, (row, values)) in distances.iter().zip(&mut rows) {
                    // Directions have no terms, so that a distance is what the row has as one of the others, less twice
                    // the product.
                    let right = codes.right[row as usize];
                    for ((value, distance), scale) in
                        values[panel.first..].iter_mut().zip(distances).zip(scales)
                    {
                        *value = right.wrapping_sub(*distance) as f32 * 0.5 * scale;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Unmonitored;
    use crate::codes::Codes;
    use crate::vectors::inverse_norms;
    use crate::{Distance, InstructionSet};

    /// Rows that differ along six directions, and a little along all.
    fn rows_of(rows: usize, dim: usize) -> Vec<f32> {
        let unit = |seed, i| (hash(seed, i) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
        let directions: Vec<f32> = (0..6 * dim as u64).map(|i| unit(5, i)).collect();
        let mut values: Vec<f32> = (0..(rows * dim) as u64).map(|i| 0.2 * unit(6, i)).collect();
        for (row, values) in (0..).zip(values.chunks_exact_mut(dim)) {
            for (k, direction) in (0..).zip(directions.chunks_exact(dim)) {
                let along = unit(7, row * 6 + k);
                values.iter_mut().zip(direction).for_each(|(value, direction)| *value += along * direction);
            }
        }
        values
    }

    #[test]
    fn distances_along_the_directions_are_nearly_those_of_all_values() {
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            let (rows, dim) = (SMALL_ROWS + 1, 96);
            let values = rows_of(rows, dim);
            let matrix = Matrix::new(&values, dim);
            let reduced_by = |distance: Distance| {
                let inverse_norms = inverse_norms(matrix, &distance, &Unmonitored).unwrap();
                let input = BuildInput {
                    rows: PlainRows { matrix, inverse_norms: &inverse_norms },
                    distance,
                    params: Params::new(metric),
                    members: vec![(0..).take(rows).collect()],
                };
                let codes = Codes::new(&input.rows, &input.params, distance.products());
                let table = reduced(&input, codes.view()).expect("six directions");
                (codes, table)
            };
            let (codes, table) = reduced_by(Distance::new(metric));
            assert_eq!(table.view().used_bytes, 16, "{metric}");
            for distance in InstructionSet::ALL.into_iter().filter_map(|set| Distance::with(metric, set)) {
                let (of_set, all) = (reduced_by(distance).1, table.view());
                assert!(of_set.view().bytes == all.bytes && of_set.view().left == all.left, "{metric}");
            }
            let compare = |a, b| {
                let full = f64::from(codes.view().distances_of(a, [b; 4])[0]);
                (full, f64::from(table.view().distances_of(a, [b; 4])[0]))
            };
            let pairs: Vec<_> = (0..500).map(|i| compare(i, i + 1000)).collect();
            // The codes have another scale each: the ratio is the same for all pairs.
            let ratio = pairs.iter().map(|(_, few)| few).sum::<f64>()
                / pairs.iter().map(|(full, _)| full).sum::<f64>();
            let spread = pairs.iter().map(|(full, _)| full.abs()).sum::<f64>() / pairs.len() as f64;
            let error =
                pairs.iter().map(|(full, few)| (few / ratio - full).abs()).sum::<f64>() / pairs.len() as f64;
            assert!(error < 0.05 * spread, "{metric}: {error} of {spread}");
        }
    }

    #[test]
    fn few_rows_and_rows_without_structure_are_not_reduced() {
        assert_eq!(most_axes(SMALL_ROWS, 96), 0);
        assert_eq!(most_axes(100_000, 10_000), 0);
        assert_eq!(
            (most_axes(100_000, 384), most_axes(1 << 20, 1536), most_axes(100_000, 20)),
            (256, 512, 0)
        );
    }
}
