//! What stages that learn from the rows have in common: their sample, and the file that what they learnt is kept in.

use std::path::{Path, PathBuf};

use readers::formats::Safetensors;
use readers::{Batch, BufferPool, Error, Input, OpenFormat, Position, Scan};

use super::DrawnRows;
use crate::output::atomic::AtomicFile;
use crate::pipeline::{OutputReport, StreamInfo, is_stdio};
use crate::sinks::Finished;
use crate::{Code, Failure};

/// From how many rows stages learn where nobody says.
pub(super) const SAMPLE_ROWS: u64 = 65_536;

/// How they are drawn where nobody says.
pub(super) const SEED: u64 = 42;

/// The memory of the sample, in bytes.
pub(super) fn sample_bytes(sample: Option<u64>, input: &StreamInfo) -> u64 {
    let most = input.most_rows().unwrap_or(u64::MAX);
    super::draw::sample_bytes(sample.unwrap_or(SAMPLE_ROWS).min(most), input.dim)
}

/// Fails if `load` is beside options that say how to learn, or a file is standard output. `given` are those options, and
/// whether they are there.
pub(super) fn check_options(
    (load, save): (Option<&PathBuf>, Option<&PathBuf>),
    sample: Option<u64>,
    given: &[(&str, bool)],
) -> Result<(), Failure> {
    if let Some((option, _)) = given.iter().find(|(_, given)| load.is_some() && *given) {
        let message =
            format!("`{option}` says how to learn from the rows, and `load` that nothing is learnt");
        return Err(Failure::refused(message).with_help("remove one of the two"));
    }
    if load.is_some() && save.is_some() {
        return Err(Failure::refused("what is loaded need not be saved: `load` and `save` are given")
            .with_help("remove one of the two, or copy the file"));
    }
    if load.or(save).is_some_and(|path| is_stdio(path)) {
        return Err(Failure::refused("what was learnt is kept in a file, not on standard input or output")
            .with_help("name a file, such as \"pca.safetensors\""));
    }
    if sample == Some(0) {
        return Err(Failure::refused("expected a sample of at least 1 row, found 0"));
    }
    Ok(())
}

/// The mean of a sample, summed in f64 in the order of the rows.
pub(super) fn mean_of(sample: &DrawnRows) -> Vec<f64> {
    let mut mean = vec![0.0f64; sample.dim()];
    for vector in sample.vectors() {
        mean.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53 rows are in memory")]
    let rows = sample.rows() as f64;
    mean.iter_mut().for_each(|sum| *sum /= rows);
    mean
}

/// Rounded once.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(super) fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Reads the matrix `name` of a .safetensors file: its values, row by row, and how many a row has.
pub(super) fn load(path: &Path, name: &str) -> Result<(Vec<f32>, usize), Failure> {
    let reader = Safetensors { tensor: Some(name.to_owned()) };
    let dataset = OpenFormat::open(&reader, &Input::new(path))?;
    let (dim, rows) = (dataset.info().dim, dataset.info().rows.exact().unwrap_or_default());
    let (scan, pool) = (Scan { rows: 0..rows, batch_rows: 1024 }, BufferPool::new());
    let mut values = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            values.extend_from_slice(batch?.values());
        }
    }
    dataset.check_unchanged()?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let place = format!("tensor `{name}`: row {}, column {}", at / dim, at % dim);
        return Err(Error::expected("a finite value", values[at])
            .in_file(path)
            .at(Position::Part(place))
            .into());
    }
    Ok((values, dim))
}

/// Fails unless what was loaded has as many values a row as the vectors.
pub(super) fn check_dim(path: &Path, name: &str, found: usize, input: &StreamInfo) -> Result<(), Failure> {
    if found == input.dim {
        return Ok(());
    }
    let message =
        format!("{}: tensor `{name}`: expected {} values a row, found {found}", path.display(), input.dim);
    let refused = Failure::refused(message).with_code(Code::Dimension);
    Err(refused.with_help("it was learnt from vectors of another dimension"))
}

/// Reads the tensor `mean` of a .safetensors file: one row of as many values as the vectors have.
pub(super) fn load_mean(path: &Path, input: &StreamInfo) -> Result<Vec<f32>, Failure> {
    let (mean, dim) = load(path, "mean")?;
    check_dim(path, "mean", dim, input)?;
    let rows = mean.len() / dim;
    if rows == 1 {
        return Ok(mean);
    }
    let message = format!("{}: tensor `mean`: expected 1 row, found {rows}", path.display());
    Err(Failure::refused(message).with_help("name a file that `save` of center or pca wrote"))
}

/// A matrix to be saved.
pub(super) struct Tensor<'a> {
    pub(super) name: &'static str,
    pub(super) rows: usize,
    pub(super) values: &'a [f32],
}

/// Writes matrices of f32 as a .safetensors file, which is reported as a `kind`:
/// <https://github.com/huggingface/safetensors#format>.
pub(super) fn save(path: &Path, kind: &'static str, tensors: &[Tensor<'_>]) -> Result<Finished, Failure> {
    let mut header = format!("{{\"__metadata__\":{{\"kind\":\"{kind}\",\"version\":\"1\"}}");
    let mut offset = 0;
    for Tensor { name, rows, values } in tensors {
        let (dim, end) = (values.len() / rows, offset + size_of_val(*values));
        header += &format!(
            ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{rows},{dim}],\"data_offsets\":[{offset},{end}]}}"
        );
        offset = end;
    }
    header.push('}');
    // The data begins at a multiple of 8.
    let padded = header.len().next_multiple_of(8);
    let mut bytes = (padded as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(format!("{header:padded$}").as_bytes());
    bytes.extend(tensors.iter().flat_map(|tensor| tensor.values).flat_map(|value| value.to_le_bytes()));
    let file = AtomicFile::create(path)?;
    file.write_all_at(&bytes, 0)?;
    let outputs = vec![OutputReport::new(path, kind, bytes.len() as u64)];
    Ok(Finished { files: vec![file], outputs })
}

/// Fails at the first row of `values` that is not finite: what came out of finite values went past the largest f32.
pub(super) fn check_computed(batch: &Batch, dim: usize, values: &[f32]) -> Result<(), Failure> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    Err(Error::expected("values that stay below the largest f32", "larger ones")
        .in_file(&*batch.origin().file)
        .at(Position::Row(batch.origin_row(at / dim)))
        .with_help("scale the vectors down first, as `normalize` does")
        .into())
}
