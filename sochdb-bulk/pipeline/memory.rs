//! How much memory a run plans for.

use readers::{Dataset, Scan};

use super::run_options::MemoryLimit;
use crate::output::units;
use crate::{Code, Failure};

/// What any process needs, and each of its threads: what was measured where nothing else is in memory, and a little more. A
/// good part of it are the tables that the loader makes of the program, of which more is left without optimisation.
const PROCESS_BYTES: u64 = if cfg!(debug_assertions) { 1600 << 10 } else { 1088 << 10 };
const THREAD_BYTES: u64 = 32 << 10;

/// What the stream itself holds: the batches in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamMemory {
    /// Bytes of the values of a row, where they are longest.
    pub(super) vector_bytes: u64,
    /// Bytes of a row besides its values.
    pub(super) other_bytes: u64,
    /// How often the values of a batch are in memory: once for a source that does not give them in place, and once for every
    /// stage that makes new ones.
    pub(super) copies: u64,
    /// Whether one thread takes the rows in their order.
    pub(super) in_order: bool,
    pub(super) threads: usize,
}

impl StreamMemory {
    /// Batches in flight: one for each thread, or, where one thread takes what the others have read, one that it works on, and for
    /// each of the others one that it works on while two may wait.
    fn batches(&self) -> u64 {
        match (self.in_order, self.threads as u64) {
            (false, threads) => threads.max(1),
            (true, 0 | 1) => 2,
            (true, threads) => 3 * (threads - 1) + 1,
        }
    }

    /// An upper bound for batches of such a scan.
    fn bytes(&self, scan: &Scan) -> u64 {
        let rows = scan.rows.end - scan.rows.start;
        let batch_rows = rows.min(scan.batch_rows as u64);
        let row_bytes = self.vector_bytes.saturating_mul(self.copies).saturating_add(self.other_bytes);
        let batches = self.batches();
        let pieces = match rows.div_ceil(scan.batch_rows as u64) {
            // A stream of unknown length is one piece.
            _ if scan.rows.end == u64::MAX => 1,
            pieces => pieces,
        };
        batches.saturating_mul(batch_rows.saturating_mul(row_bytes)).saturating_add(pieces.saturating_mul(16))
    }
}

/// The parts of the memory of a run: what for, and a bound in bytes.
pub(super) type Parts = Vec<(&'static str, u64)>;

/// What is in memory for the whole run, and what is there only when all rows have come.
pub(super) struct Fixed {
    pub(super) always: Parts,
    pub(super) after: Parts,
}

/// Makes batches as small as the limit wants them, and says what is in memory when most is: while rows come, or after that.
///
/// # Errors
/// If even the smallest batches do not fit.
pub(super) fn fit(
    scan: &mut Scan,
    fixed: &Fixed,
    stream: StreamMemory,
    dataset: &dyn Dataset,
    limit: Option<MemoryLimit>,
) -> Result<Parts, Failure> {
    let parts = |scan: &Scan| {
        let mut parts = fixed.always.clone();
        let source = ("source", dataset.memory_bytes(scan, stream.threads));
        let while_rows_come = vec![source, ("stream", stream.bytes(scan))];
        let more =
            if total(&while_rows_come) > total(&fixed.after) { while_rows_come } else { fixed.after.clone() };
        parts.extend(more);
        parts.push(("process", PROCESS_BYTES + stream.threads as u64 * THREAD_BYTES));
        parts.retain(|&(_, bytes)| bytes > 0);
        parts
    };
    let mut best = parts(scan);
    let Some(MemoryLimit(limit)) = limit else { return Ok(best) };
    while total(&best) > limit && scan.batch_rows > 1 {
        let smaller = Scan { batch_rows: scan.batch_rows / 2, ..scan.clone() };
        let parts = parts(&smaller);
        // The list of many small pieces may take more than it saves.
        if total(&parts) >= total(&best) {
            break;
        }
        (*scan, best) = (smaller, parts);
    }
    if total(&best) <= limit {
        return Ok(best);
    }
    let needed = total(&best);
    let message = format!(
        "expected a plan of up to {} of memory, as memory_limit says, found {} even with small batches: {}",
        units::bytes(limit),
        units::bytes(needed),
        listed(&best)
    );
    // Rounded up to what one would type.
    let allowed = units::bytes(needed.div_ceil(1 << 20) << 20).replace(' ', "");
    Err(Failure::refused(message)
        .with_code(Code::Memory)
        .with_help(format!("allow {allowed} (memory_limit in [run], --memory-limit), or use fewer threads")))
}

/// The sum of the parts.
pub(super) fn total(parts: &[(&'static str, u64)]) -> u64 {
    parts.iter().fold(0, |sum, &(_, bytes)| sum.saturating_add(bytes))
}

/// The parts for people.
pub(crate) fn listed(parts: &[(&'static str, u64)]) -> String {
    let parts: Vec<_> =
        parts.iter().map(|&(name, bytes)| format!("{name} {}", units::bytes(bytes))).collect();
    parts.join(", ")
}
