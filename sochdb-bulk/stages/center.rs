//! Moves the mean of all vectors to 0.

use std::path::{Path, PathBuf};

use readers::arrow_buffer::ScalarBuffer;
use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::fitted::{
    SAMPLE_ROWS, SEED, Tensor, check_computed, check_options, load_mean, mean_of, rounded, sample_bytes, save,
};
use super::{Action, Fit, Lesson, Map, Stage};
use crate::Failure;
use crate::output::units;
use crate::pipeline::StreamInfo;
use crate::sinks::Finished;

/// Subtracts the mean of a sample of the rows from every vector. The rows up to here are read twice, once to learn the
/// mean. Queries need the same: save the mean, and load it for them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Center {
    /// From how many rows to learn, at most; 65536 where it is not given. They are drawn by a hash of the row number.
    sample: Option<u64>,
    /// Another seed draws other rows; 42 where it is not given.
    seed: Option<u64>,
    /// Keep the mean in this file, as the tensor `mean` of a .safetensors file.
    save: Option<PathBuf>,
    /// Learn nothing, but take the mean of such a file.
    load: Option<PathBuf>,
}

impl Serialize for Center {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Recipe {
            sample: Option<u64>,
            seed: Option<u64>,
            loaded: Option<bool>,
        }
        let learns = self.load.is_none();
        Recipe {
            sample: learns.then(|| self.sample_rows()),
            seed: learns.then(|| self.seed()),
            loaded: (!learns).then_some(true),
        }
        .serialize(serializer)
    }
}

crate::register_stage!(Center);

impl Stage for Center {
    const NAME: &'static str = "center";
    const SUMMARY: &'static str = "subtract the mean of a sample of the rows";
    const EXAMPLE: &'static str = "[[stage]]\ntype = \"center\"\nsave = \"mean.safetensors\"\n";

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
        let means = 16 * input.dim as u64;
        if self.load.is_some() { means } else { means + sample_bytes(self.sample, input) }
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let given = [("sample", self.sample.is_some()), ("seed", self.seed.is_some())];
        check_options((self.load.as_ref(), self.save.as_ref()), self.sample, &given)?;
        let output = StreamInfo { values_untouched: false, ..input.clone() };
        let Some(path) = &self.load else { return Ok((output, Action::Fit(Box::new(self.clone())))) };
        let mean = load_mean(path, input)?;
        Ok((output, Action::map(Mean { mean, save: None, sample_rows: None })))
    }
}

impl Fit for Center {
    fn sample_rows(&self) -> u64 {
        self.sample.unwrap_or(SAMPLE_ROWS)
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    fn fit(self: Box<Self>, lesson: &Lesson<'_>) -> Result<Box<dyn Map>, Failure> {
        if lesson.sample.rows() == 0 {
            return Err(Failure::failed(
                "center: expected at least 1 row to learn the mean from, found none",
            )
            .with_help("look at the source and at the stages before it, or `load` a mean"));
        }
        let mean = rounded(&mean_of(lesson.sample));
        Ok(Box::new(Mean { mean, save: self.save, sample_rows: Some(lesson.sample.rows()) }))
    }
}

struct Mean {
    mean: Vec<f32>,
    save: Option<PathBuf>,
    /// From how many rows it was learnt, if it was.
    sample_rows: Option<usize>,
}

impl Map for Mean {
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure> {
        let dim = batch.dim();
        let mut values = pool.take(batch.values().len());
        for (vector, out) in batch.vectors().zip(values.chunks_exact_mut(dim)) {
            for ((out, value), mean) in out.iter_mut().zip(vector).zip(&self.mean) {
                *out = value - mean;
            }
        }
        check_computed(&batch, dim, &values)?;
        Ok(batch.with_values(dim, ScalarBuffer::from(values)))
    }

    fn finish(&self) -> Result<Option<Finished>, Failure> {
        let Some(path) = &self.save else { return Ok(None) };
        save(path, "center", &[Tensor { name: "mean", rows: 1, values: &self.mean }]).map(Some)
    }

    fn details(&self) -> serde_json::Map<String, serde_json::Value> {
        self.sample_rows.map(|rows| ("sample_rows".to_owned(), rows.into())).into_iter().collect()
    }

    fn notes(&self) -> Vec<String> {
        let learnt = |rows| format!("the mean of {} is subtracted", units::rows(rows as u64));
        self.sample_rows.map(learnt).into_iter().collect()
    }
}
