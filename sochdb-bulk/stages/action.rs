//! What a stage does to the stream: to one batch after the other, or to all rows at once.

use rayon::ThreadPool;
use readers::{Batch, BufferPool};

use super::{DrawnRows, Dropped};
use crate::Failure;
use crate::pipeline::Cancel;
use crate::sinks::Finished;

/// What a stage does.
pub enum Action {
    /// It works on one batch after the other.
    Map(Box<dyn Map>),
    /// It learns from a sample of the rows before the first goes through. The stages before it see the rows twice.
    Fit(Box<dyn Fit>),
    /// It wants to have seen all rows before the first goes on. They are set aside meanwhile.
    Reorder(Box<dyn Reorder>),
}

impl Action {
    /// One that works on one batch after the other.
    pub fn map(map: impl Map + 'static) -> Self {
        Self::Map(Box::new(map))
    }
}

/// What a stage does to a batch. Batches come from any thread and in any order, unless it needs order. Rows may be left
/// out (with [`Batch::select`]; [`crate::pipeline::StreamInfo::drops_rows`] says so); those that stay keep their order.
pub trait Map: Send + Sync {
    /// The last pass begins: whatever comes from here on is for the output. In a pass before that, for a stage behind this
    /// one that has to learn first, a map that was not begun does the same to the rows, and writes nothing.
    ///
    /// # Errors
    /// Why it cannot begin.
    fn begin(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// The batch that goes on. Values that change go into a buffer of `pool`, once.
    ///
    /// # Errors
    /// The row that cannot go on, and why.
    fn map(&self, batch: Batch, pool: &BufferPool) -> Result<Batch, Failure>;

    /// Whether what becomes of a row depends on the rows before it. Batches come in the order of the rows then, one at a
    /// time, to this stage and all behind it.
    fn needs_order(&self) -> bool {
        false
    }

    /// Whether no further row will go on, so that reading may end. For stages that need order.
    fn is_full(&self) -> bool {
        false
    }

    /// All rows have come: whether the output may be made of those that went on.
    ///
    /// # Errors
    /// Why not.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// All rows have come: the files that the stage wrote, if any.
    ///
    /// # Errors
    /// What went wrong.
    fn finish(&self) -> Result<Option<Finished>, Failure> {
        Ok(None)
    }

    /// The rows that were left out and that a person should hear of, by reason.
    fn dropped(&self) -> Vec<Dropped> {
        Vec::new()
    }

    /// What `--stats` says of the stage besides.
    fn details(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::new()
    }

    /// The same in words, for a person; one line each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a stage has to learn before it can work. It learns from a sample, which does not depend on threads and batches, and
/// neither may what it learns.
pub trait Fit: Send {
    /// From how many rows it wants to learn, at most.
    fn sample_rows(&self) -> u64;

    /// Which rows those are: another seed draws others.
    fn seed(&self) -> u64;

    /// Learns.
    ///
    /// # Errors
    /// Why nothing can be learnt from these rows.
    fn fit(self: Box<Self>, lesson: &Lesson<'_>) -> Result<Box<dyn Map>, Failure>;
}

/// What a stage learns from, and with.
pub struct Lesson<'a> {
    /// The rows.
    pub sample: &'a DrawnRows,
    /// The threads that may work.
    pub threads: &'a ThreadPool,
    pub(crate) cancel: &'a Cancel,
}

impl Lesson<'_> {
    /// Fails if it is time to stop. To be asked a few times a second.
    ///
    /// # Errors
    /// Somebody stopped the run.
    pub fn check(&self) -> Result<(), Failure> {
        self.cancel.check()
    }
}

/// In which order rows go on. They keep their ids and their numbers in the source.
pub trait Reorder: Send {
    /// Which of the rows is the first to go on, the second and so on: each of `0..rows` once.
    ///
    /// # Errors
    /// Why they cannot be ordered.
    fn order(&self, rows: u64) -> Result<Vec<u64>, Failure>;
}
