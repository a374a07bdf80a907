//! Several sinks behind one stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use readers::Batch;

use super::{AnySink, Finish, Finished, InOrder, OrderedWriter, PositionalWriter, SinkJob, SinkPlan, Writer};
use crate::Failure;
use crate::output::atomic::AtomicFile;
use crate::pipeline::{Clock, StreamInfo};

/// Several sinks that get the same rows in one pass. Their files get their names together.
#[derive(Debug)]
pub(crate) struct Tee {
    sinks: Vec<Box<dyn AnySink>>,
    /// How long each is at work.
    clocks: Vec<Arc<Clock>>,
}

impl Tee {
    /// The sink itself where it is one, and otherwise all of them as one.
    pub(crate) fn of(mut sinks: Vec<Box<dyn AnySink>>) -> Box<dyn AnySink> {
        match sinks.pop() {
            Some(only) if sinks.is_empty() => only,
            last => {
                sinks.extend(last);
                let clocks = sinks.iter().map(|_| Arc::default()).collect();
                Box::new(Self { sinks, clocks })
            }
        }
    }
}

impl AnySink for Tee {
    fn name(&self) -> &'static str {
        "tee"
    }

    fn names(&self) -> Vec<&'static str> {
        self.sinks.iter().map(|sink| sink.name()).collect()
    }

    fn busy_secs(&self) -> Vec<f64> {
        self.clocks.iter().map(|clock| clock.secs()).collect()
    }

    fn keeps_payload(&self) -> bool {
        self.sinks.iter().any(|sink| sink.keeps_payload())
    }

    fn measures_recall(&self) -> bool {
        self.sinks.iter().any(|sink| sink.measures_recall())
    }

    fn resolve_paths(&mut self, resolve: &dyn Fn(&Path) -> PathBuf) {
        self.sinks.iter_mut().for_each(|sink| sink.resolve_paths(resolve));
    }

    fn outputs(&self, input: &StreamInfo) -> Vec<PathBuf> {
        self.sinks.iter().flat_map(|sink| sink.outputs(input)).collect()
    }

    fn plan(&mut self, input: &StreamInfo, threads: usize) -> Result<SinkPlan, Failure> {
        let plans =
            self.sinks.iter_mut().map(|sink| sink.plan(input, threads)).collect::<Result<Vec<_>, _>>()?;
        Ok(SinkPlan::together(plans))
    }

    fn open(&self, job: SinkJob) -> Result<Writer, Failure> {
        let mut writers = Vec::new();
        for sink in &self.sinks {
            // The recipe of a file is that of the pipeline that would write it alone.
            let recipe = with_sink(&job.recipe, sink.recipe());
            let check = job.check.filter(|_| sink.measures_recall());
            writers.push(sink.open(SinkJob { recipe, check, ..job.clone() })?);
        }
        let clocks = self.clocks.iter().cloned();
        let is_positional = writers.iter().all(|writer| matches!(writer, Writer::Positional(_)));
        if is_positional {
            let all = writers.into_iter().filter_map(|writer| match writer {
                Writer::Positional(writer) => Some(writer),
                Writer::Ordered(_) => None,
            });
            return Ok(Writer::Positional(Box::new(Anywhere(all.zip(clocks).collect()))));
        }
        let all = writers.into_iter().map(|writer| -> Box<dyn OrderedWriter> {
            match writer {
                Writer::Positional(writer) => Box::new(InOrder::new(writer)),
                Writer::Ordered(writer) => writer,
            }
        });
        Ok(Writer::Ordered(Box::new(Ordered(all.zip(clocks).collect()))))
    }

    fn recipe(&self) -> toml::Table {
        self.sinks.first().map(|sink| sink.recipe()).unwrap_or_default()
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

/// The files of a writer on the disk, which is a part of its work. They get names when all writers are done.
fn on_the_disk(finished: Result<Finished, Failure>) -> Result<Finished, Failure> {
    let finished = finished?;
    finished.files.iter().try_for_each(AtomicFile::commit)?;
    Ok(finished)
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

struct Anywhere(Vec<(Box<dyn PositionalWriter>, Arc<Clock>)>);

impl PositionalWriter for Anywhere {
    fn write_at(&self, position: u64, batch: &Batch) -> Result<(), Failure> {
        self.0.iter().try_for_each(|(writer, clock)| clock.time(|| writer.write_at(position, batch)))
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        together(self.0.into_iter().map(|(writer, clock)| clock.time(|| on_the_disk(writer.finish(finish)))))
    }
}

struct Ordered(Vec<(Box<dyn OrderedWriter>, Arc<Clock>)>);

impl OrderedWriter for Ordered {
    fn append(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.0.iter_mut().try_for_each(|(writer, clock)| clock.time(|| writer.append(batch)))
    }

    fn finish(self: Box<Self>, finish: &Finish<'_>) -> Result<Finished, Failure> {
        together(self.0.into_iter().map(|(writer, clock)| clock.time(|| on_the_disk(writer.finish(finish)))))
    }
}
