//! Reads everything and keeps nothing: to check an input, or to measure how fast it comes.

use std::path::{Path, PathBuf};

use readers::Batch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Finish, Finished, PositionalWriter, Sink, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Takes all rows and writes nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Null {}

crate::register_sink!(Null);

impl Sink for Null {
    const NAME: &'static str = "null";
    const SUMMARY: &'static str = "nothing: reads and checks every row";
    const EXAMPLE: &'static str = "[sink]\ntype = \"null\"\n";

    fn resolve_paths(&mut self, _resolve: &dyn Fn(&Path) -> PathBuf) {}

    fn outputs(&self, _input: &StreamInfo) -> Vec<PathBuf> {
        Vec::new()
    }

    fn plan(&mut self, _input: &StreamInfo, _threads: usize) -> Result<SinkPlan, Failure> {
        Ok(SinkPlan { is_positional: true, ..SinkPlan::default() })
    }

    fn open(&self, _job: SinkJob) -> Result<Writer, Failure> {
        Ok(Writer::Positional(Box::new(self.clone())))
    }
}

impl PositionalWriter for Null {
    fn write_at(&self, _position: u64, _batch: &Batch) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(self: Box<Self>, _finish: &Finish<'_>) -> Result<Finished, Failure> {
        Ok(Finished { files: Vec::new(), outputs: Vec::new() })
    }
}
