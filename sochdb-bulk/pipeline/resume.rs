//! Going on where a run was stopped.
//!
//! That is for outputs whose rows have a place that is known before: what is there of them is a beginning of the whole, whoever wrote it
//! with how many threads. What decides the bytes is in the fingerprint: the recipe, the rows, and the inputs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use readers::{Batch, Scan};
use twox_hash::XxHash3_128;

use super::direct;
use super::flow::Flow;
use crate::output::partial::Partial;
use crate::sinks::PositionalWriter;
use crate::{Code, Failure, Kind};

/// Of an input so many bytes at both ends are looked at.
const EDGE_BYTES: u64 = 64 << 10;

/// Work that may be lost.
const BETWEEN_COMMITS: Duration = Duration::from_millis(500);

/// Pieces for each thread between two looks at the clock.
const PIECES_A_THREAD: usize = 4;

/// A run that keeps what it wrote when it is stopped.
#[derive(Debug, Clone)]
pub(super) struct Resume {
    /// The output.
    pub(super) target: PathBuf,
    /// What decides its bytes.
    pub(super) fingerprint: String,
}

/// What decides the bytes of an output: never threads or the size of batches.
pub(super) fn fingerprint(recipe: &str, scan: &Scan, inputs: &[PathBuf]) -> Result<String, Failure> {
    let mut state = XxHash3_128::new();
    let mut put = |bytes: &[u8]| {
        state.write(&(bytes.len() as u64).to_le_bytes());
        state.write(bytes);
    };
    put(env!("CARGO_PKG_VERSION").as_bytes());
    put(recipe.as_bytes());
    put(&scan.rows.start.to_le_bytes());
    put(&scan.rows.end.to_le_bytes());
    for path in inputs {
        put(path.as_os_str().as_encoded_bytes());
        put(&identity(path).map_err(|e| Failure::io("look at", path, &e))?);
    }
    Ok(format!("{:032x}", state.finish_128()))
}

/// Length, time of the last change, and both ends of a file.
fn identity(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&metadata.len().to_le_bytes());
    bytes.extend_from_slice(&changed.as_nanos().to_le_bytes());
    (&mut file).take(EDGE_BYTES).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(EDGE_BYTES)))?;
    file.take(EDGE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses to resume what cannot be.
pub(super) fn refuse(why: &str) -> Failure {
    Failure::refused(format!("expected a run that can be resumed, found that {why}"))
        .with_code(Code::Step)
        .with_help("leave resume away (--resume, or `resume` in [run])")
}

/// As [`direct::run`], from the first row that is not on the disk yet, and with a note of how far it is from time to time.
pub(super) fn run(
    flow: &Flow<'_>,
    threads: usize,
    writer: &dyn PositionalWriter,
    partial: &mut Partial,
) -> Result<(), Failure> {
    let base = flow.scan.rows.start;
    let pieces = flow.pieces();
    // A piece that is there in part is written once more, to the same bytes.
    let first = pieces.partition_point(|piece| piece.rows.end - base <= partial.rows());
    flow.skipped(pieces.get(first).map_or(flow.scan.rows.end, |piece| piece.rows.start) - base);
    let write = |batch: &Batch| writer.write_at(batch.first_row() - base, batch);
    let mut last = Instant::now();
    let mut done = partial.rows();
    for portion in pieces[first..].chunks(PIECES_A_THREAD * threads.max(1)) {
        let written = direct::run(flow, threads, portion, &write);
        let is_stopped = written.as_ref().is_err_and(|failure| matches!(failure.kind(), Kind::Stopped(_)));
        if (last.elapsed() >= BETWEEN_COMMITS || is_stopped) && done > partial.rows() {
            writer.commit()?;
            partial.commit(done)?;
            last = Instant::now();
        }
        written.map_err(|failure| kept(failure, partial.rows()))?;
        done = portion.last().map_or(done, |piece| piece.rows.end - base);
    }
    Ok(())
}

/// A failure after which the rows that were written stay.
fn kept(failure: Failure, rows: u64) -> Failure {
    match failure.kind() {
        Kind::Stopped(_) if rows > 0 => failure
            .with_message(format!("stopped; {rows} rows are kept"))
            .with_help("the same command with --resume goes on there"),
        _ => failure,
    }
}
