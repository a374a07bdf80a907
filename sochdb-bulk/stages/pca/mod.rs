//! Principal components: fewer values a row that keep most of what tells rows apart.

mod eigen;
mod project;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use readers::arrow_buffer::ScalarBuffer;
use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use self::eigen::{Eigen, eigen};
use self::project::Projection;
use super::fitted::{
    SAMPLE_ROWS, SEED, Tensor, check_computed, check_dim, check_options, load, load_mean, mean_of, rounded,
    sample_bytes, save,
};
use super::{Action, DrawnRows, Fit, Lesson, Map, Stage};
use crate::Failure;
use crate::output::units;
use crate::pipeline::StreamInfo;
use crate::sinks::Finished;

/// Replaces every vector by its first principal components: the directions in which a sample of the rows differs most,
/// those with the largest variance first. The rows up to here are read twice, once to learn the directions.
///
/// Queries need the same: save what was learnt, and load it for them. The file is a .safetensors file with the tensors
/// `mean` (1, n) and `components` (dim, n), so that a vector `x` becomes `(x - mean) @ components.T`; any file of such two
/// can be loaded.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pca {
    /// How many values remain, from 1 to as many as there are. Required unless `load` is given.
    dim: Option<usize>,
    /// From how many rows to learn, at most; 65536 where it is not given. They are drawn by a hash of the row number.
    sample: Option<u64>,
    /// Another seed draws other rows; 42 where it is not given.
    seed: Option<u64>,
    /// Whether the mean is subtracted first; it is where this is not given.
    center: Option<bool>,
    /// Whether the variance of every value is made 1. It is not where this is not given.
    whiten: Option<bool>,
    /// Keep what was learnt in this file.
    save: Option<PathBuf>,
    /// Learn nothing, but take what such a file holds.
    load: Option<PathBuf>,
}

impl Serialize for Pca {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Recipe {
            dim: Option<usize>,
            sample: Option<u64>,
            seed: Option<u64>,
            center: Option<bool>,
            whiten: Option<bool>,
            loaded: Option<bool>,
        }
        let learns = self.load.is_none();
        Recipe {
            dim: self.dim,
            sample: learns.then(|| self.sample_rows()),
            seed: learns.then(|| self.seed()),
            center: learns.then(|| self.centers()),
            whiten: learns.then(|| self.whitens()),
            loaded: (!learns).then_some(true),
        }
        .serialize(serializer)
    }
}

crate::register_stage!(Pca);

/// Vectors of more values would take hours, and the square of that in memory.
const MAX_DIM: usize = 8192;

/// A variance of less than this part of the largest is none: it is what rounding leaves.
const NO_VARIANCE: f64 = 1e-13;

impl Pca {
    fn centers(&self) -> bool {
        self.center.unwrap_or(true)
    }

    fn whitens(&self) -> bool {
        self.whiten.unwrap_or(false)
    }
}

impl Stage for Pca {
    const NAME: &'static str = "pca";
    const SUMMARY: &'static str = "reduce vectors to their first principal components";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"pca\"\ndim = 128\nsave = \"pca.safetensors\"\n";

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.save = self.save.as_deref().map(resolve);
        self.load = self.load.as_deref().map(resolve);
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.load.iter().cloned().collect()
    }

    fn outputs(&self) -> Vec<PathBuf> {
        self.save.iter().cloned().collect()
    }

    fn memory_bytes(&self, input: &StreamInfo) -> u64 {
        let (from, to) = (input.dim as u64, self.dim.unwrap_or(input.dim) as u64);
        // The components as they are learnt or loaded, as they are multiplied with, and as they are saved.
        let components = from.saturating_mul(to).saturating_mul(8 + 4 + 4 + 4 + 4);
        if self.load.is_some() {
            return components;
        }
        // The covariances, the rotations of them and those that wait, and the block of rows that is looked at.
        let width = from.next_multiple_of(eigen::BAND as u64);
        let rotations = 2 * (eigen::COLLECTED as u64 + 1) * eigen::ROTATION_BYTES;
        let matrices = from.saturating_mul(8 * (from + width + BLOCK_ROWS as u64) + rotations);
        components.saturating_add(matrices).saturating_add(sample_bytes(self.sample, input))
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let given = [
            ("sample", self.sample.is_some()),
            ("seed", self.seed.is_some()),
            ("center", self.center.is_some()),
            ("whiten", self.whiten.is_some()),
        ];
        check_options((self.load.as_ref(), self.save.as_ref()), self.sample, &given)?;
        let output = |dim| StreamInfo { dim, values_untouched: false, ..input.clone() };
        if let Some(path) = &self.load {
            let projection = self.loaded(path, input)?;
            let output = output(projection.dim());
            return Ok((output, Action::map(Components { projection, learnt: None })));
        }
        let Some(dim) = self.dim else {
            return Err(Failure::refused("expected `dim`, the number of values that remain, found none")
                .with_help(format!("say dim = {}, or `load` what was saved", input.dim.div_ceil(2))));
        };
        if !(1..=input.dim).contains(&dim) {
            let message = format!("expected a `dim` from 1 to {}, found {dim}", input.dim);
            return Err(Failure::refused(message)
                .with_help("there are no more principal components than the vectors have values"));
        }
        if input.dim > MAX_DIM {
            let message =
                format!("expected vectors of up to {MAX_DIM} values to learn from, found {}", input.dim);
            return Err(
                Failure::refused(message).with_help("cut them with `slice` first, or `load` components")
            );
        }
        Ok((output(dim), Action::Fit(Box::new(self.clone()))))
    }
}

impl Pca {
    /// What a file holds.
    fn loaded(&self, path: &Path, input: &StreamInfo) -> Result<Projection, Failure> {
        let mean = load_mean(path, input)?;
        let (components, components_dim) = load(path, "components")?;
        check_dim(path, "components", components_dim, input)?;
        let found = components.len() / components_dim;
        if found == 0 || self.dim.is_some_and(|dim| dim != found) || found > readers::MAX_DIM {
            let expected = match self.dim {
                Some(dim) => format!("{dim} rows, as `dim` says"),
                None => format!("1 to {} rows", readers::MAX_DIM),
            };
            let place = format!("{}: tensor `components`", path.display());
            return Err(Failure::refused(format!("{place}: expected {expected}, found {found}"))
                .with_help("take `dim` away: the file says how many values remain"));
        }
        Ok(Projection::new(mean, &components))
    }
}

impl Fit for Pca {
    fn sample_rows(&self) -> u64 {
        self.sample.unwrap_or(SAMPLE_ROWS)
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    fn fit(self: Box<Self>, lesson: &Lesson<'_>) -> Result<Box<dyn Map>, Failure> {
        let (sample, dim) = (lesson.sample, self.dim.unwrap_or(lesson.sample.dim()));
        let needed = dim.max(1 + usize::from(self.centers()));
        if sample.rows() < needed {
            let message = format!("pca: expected at least {needed} rows to learn {dim} components from");
            return Err(Failure::failed(format!("{message}, found {}", sample.rows())).with_help(
                "take a smaller `dim`, a larger `sample`, or `load` what was learnt from more rows",
            ));
        }
        // What is subtracted is what the file holds.
        let mean = match self.centers() {
            true => rounded(&mean_of(sample)),
            false => vec![0.0; sample.dim()],
        };
        let Eigen { values, vectors } = lesson.threads.install(|| {
            let covariances = covariances(sample, &mean, self.centers(), lesson)?;
            eigen(covariances, sample.dim(), dim, &|| lesson.check())
        })?;
        let scales = self.scales(&values[..dim], values[0])?;
        let components: Vec<f64> = vectors
            .chunks(sample.dim())
            .zip(&scales)
            .flat_map(|(one, scale)| one.iter().map(move |c| c * scale))
            .collect();
        let components = rounded(&components);
        let of = |values: &[f64]| values.iter().fold(0.0, |sum, value| sum + value.max(0.0));
        let total = of(&values);
        let learnt = Learnt {
            explained: if total > 0.0 { of(&values[..dim]) / total } else { 1.0 },
            variances: rounded(&values[..dim]),
            rows: sample.rows(),
            saved: self.save.map(|path| (path, mean.clone(), components.clone())),
        };
        Ok(Box::new(Components { projection: Projection::new(mean, &components), learnt: Some(learnt) }))
    }
}

impl Pca {
    /// What every component is multiplied with.
    fn scales(&self, variances: &[f64], largest: f64) -> Result<Vec<f64>, Failure> {
        if !self.whitens() {
            return Ok(vec![1.0; variances.len()]);
        }
        if let Some(at) = variances.iter().position(|&variance| variance <= largest * NO_VARIANCE) {
            let message = format!(
                "pca: expected rows that differ in {} directions, found {at}: no more can be whitened",
                variances.len()
            );
            return Err(Failure::failed(message)
                .with_help(format!("take a `dim` up to {}, or leave `whiten` away", at.max(1))));
        }
        Ok(variances.iter().map(|variance| 1.0 / variance.sqrt()).collect())
    }
}

/// Rows that are looked at together.
const BLOCK_ROWS: usize = 64;

/// The covariances of the sample: the sum of products of centred values over the rows in their order, in groups of four,
/// divided by the number of rows less one (or by that number, where nothing is subtracted).
fn covariances(
    sample: &DrawnRows,
    mean: &[f32],
    centered: bool,
    lesson: &Lesson<'_>,
) -> Result<Vec<f64>, Failure> {
    let dim = sample.dim();
    let mut sums = vec![0.0f64; dim * dim];
    let mut block = vec![0.0f64; BLOCK_ROWS * dim];
    for first in (0..sample.rows()).step_by(BLOCK_ROWS) {
        lesson.check()?;
        block.fill(0.0);
        for (row, centred) in (first..sample.rows()).zip(block.chunks_exact_mut(dim)) {
            for ((centred, &value), &mean) in centred.iter_mut().zip(sample.row(row)).zip(mean) {
                *centred = f64::from(value) - f64::from(mean);
            }
        }
        // Those behind the diagonal alone: the others are the same.
        sums.par_chunks_mut(dim).enumerate().for_each(|(i, sums)| {
            for four in block.chunks_exact(4 * dim) {
                let (a, b, c, d) = (
                    &four[i..dim],
                    &four[dim + i..2 * dim],
                    &four[2 * dim + i..3 * dim],
                    &four[3 * dim + i..],
                );
                let (x, y, z, w) = (a[0], b[0], c[0], d[0]);
                for ((((sum, a), b), c), d) in sums[i..].iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *sum += (x * a + y * b) + (z * c + w * d);
                }
            }
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53 rows are in memory")]
    let divisor = (sample.rows() - usize::from(centered)) as f64;
    for i in 0..dim {
        for j in i..dim {
            let covariance = sums[i * dim + j] / divisor;
            (sums[i * dim + j], sums[j * dim + i]) = (covariance, covariance);
        }
    }
    Ok(sums)
}

struct Components {
    projection: Projection,
    learnt: Option<Learnt>,
}

/// What was learnt, for the report and the file.
struct Learnt {
    /// The part of the variance that is kept.
    explained: f64,
    variances: Vec<f32>,
    rows: usize,
    /// Where it is saved: mean and components.
    saved: Option<(PathBuf, Vec<f32>, Vec<f32>)>,
}

impl Map for Components {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let dim = self.projection.dim();
        let mut values = pool.take(batch.rows() * dim);
        self.projection.project(batch.values(), &mut values);
        check_computed(&batch, dim, &values)?;
        Ok(batch.with_values(dim, ScalarBuffer::from(values)))
    }

    fn finish(&self) -> Result<Option<Finished>, Failure> {
        let Some((Learnt { variances, .. }, (path, mean, components))) =
            self.learnt.as_ref().and_then(|learnt| Some((learnt, learnt.saved.as_ref()?)))
        else {
            return Ok(None);
        };
        let tensors = [
            Tensor { name: "mean", rows: 1, values: mean },
            Tensor { name: "components", rows: self.projection.dim(), values: components },
            Tensor { name: "explained_variance", rows: 1, values: variances },
        ];
        save(path, "pca", &tensors).map(Some)
    }

    fn details(&self) -> serde_json::Map<String, serde_json::Value> {
        let Some(learnt) = &self.learnt else { return serde_json::Map::new() };
        let details: [(_, serde_json::Value); 3] = [
            ("sample_rows", learnt.rows.into()),
            ("explained_variance", learnt.variances.clone().into()),
            ("explained_variance_ratio", learnt.explained.into()),
        ];
        details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn notes(&self) -> Vec<String> {
        let Some(learnt) = &self.learnt else { return Vec::new() };
        let (dim, rows) = (self.projection.dim(), units::rows(learnt.rows as u64));
        vec![format!("{dim} values keep {:.1} % of the variance of {rows}", learnt.explained * 100.0)]
    }
}
