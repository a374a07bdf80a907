//! Several sinks behind one stream.

use std::path::{Path, PathBuf};

use readers::Batch;

use super::{AnySink, Finish, Finished, InOrder, OrderedWriter, PositionalWriter, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::pipeline::StreamInfo;

/// Several sinks that get the same rows in one pass. Their files get their names together.
#[derive(Debug)]
pub(crate) struct Tee(Vec<Box<dyn AnySink>>);

impl Tee {
    /// The sink itself where it is one, and otherwise all of them as one.
    pub(crate) fn of(mut sinks: Vec<Box<dyn AnySink>>) -> Box<dyn AnySink> {
        match sinks.pop() {
            Some(only) if sinks.is_empty() => only,
            last => {
                sinks.extend(last);
                Box::new(Self(sinks))
            }
        }
    }
}

impl AnySink for Tee {
    fn name(&self) -> &'static str {
        "tee"
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|sink| sink.name()).collect()
    }

    fn keeps_payload(&self) -> bool {
        self.0.iter().any(|sink| sink.keeps_payload())
    }

    fn measures_recall(&self) -> bool {
        self.0.iter().any(|sink| sink.measures_recall())
    }

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.0.iter_mut().for_each(|sink| sink.resolve_paths(resolve));
    }

    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf> {
        self.0.iter().flat_map(|sink| sink.outputs(input)).collect()
    }

    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure> {
        let plans = self.0.iter_mut().map(|sink| sink.plan(input, threads)).collect::<Result<Vec<_>, _>>()?;
        Ok(SinkPlan::together(plans))
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let mut writers = Vec::new();
        for sink in &self.0 {
            // The recipe of a file is that of the pipeline that would write it alone.
            let recipe = with_sink(&job.recipe, sink.recipe());
            let check = job.check.filter(|_| sink.measures_recall());
            writers.push(sink.open(SinkJob { recipe, check, ..job.clone() })?);
        }
        let is_positional = writers.iter().all(|writer| matches!(writer, Writer::Positional(_)));
        if is_positional {
            let all = writers.into_iter().filter_map(|writer| match writer {
                Writer::Positional(writer) => Some(writer),
                Writer::Ordered(_) => None,
            });
            return Ok(Writer::Positional(Box::new(Anywhere(all.collect()))));
        }
        let all = writers.into_iter().map(|writer| -> Box<dyn OrderedWriter> {
            match writer {
                Writer::Positional(writer) => Box::new(InOrder::new(writer)),
                Writer::Ordered(writer) => writer,
            }
        });
        Ok(Writer::Ordered(Box::new(Ordered(all.collect()))))
    }

    fn recipe(&self) -> toml::Table {
        self.0.first().map(|sink| sink.recipe()).unwrap_or_default()
    }
}

/// A recipe with another sink.
fn with_sink(recipe: &str, sink: toml::Table) -> String {
    match recipe.parse::<toml::Table>() {
        Ok(mut table) => {
            table.insert("sink".to_owned(), sink.into());
            table.to_string()
        }
        Err(_) => recipe.to_owned(),
    }
}

/// The files of all writers, in their order.
fn together(all: impl Iterator<Item = Result<Finished, Failure>>) -> Result<Finished, Failure> {
    let mut together = Finished { files: Vec::new(), outputs: Vec::new() };
    for finished in all {
        let finished = finished?;
        together.files.extend(finished.files);
        together.outputs.extend(finished.outputs);
    }
    Ok(together)
}

struct Anywhere(Vec<Box<dyn PositionalWriter>>);

impl PositionalWriter for Anywhere {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        self.0.iter().try_for_each(|writer| writer.write_at(position, batch))
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        together(self.0.into_iter().map(|writer| writer.finish(finish)))
    }
}

struct Ordered(Vec<Box<dyn OrderedWriter>>);

impl OrderedWriter for Ordered {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(|writer| writer.append(batch))
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        together(self.0.into_iter().map(|writer| writer.finish(finish)))
    }
}
