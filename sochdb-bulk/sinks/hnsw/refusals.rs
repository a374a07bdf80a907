//! Why rows make no index, with the places that a person knows.

use std::io;

use index::{BuildError, InvalidRow, TextIdSource};

use super::text_ids::SpooledTextIds;
use crate::pipeline::{Cancel, StreamInfo};
use crate::{Code, Failure};

pub(super) fn build_failure(error: &BuildError, input: &StreamInfo, cancel: &Cancel) -> Failure {
    match (error, cancel.check()) {
        (BuildError::Cancelled, Err(stopped)) => stopped,
        (BuildError::Row(invalid), _) => {
            let (row, kept) = (input.first_row + invalid.row, of_kept(input));
            let (source, reason) = (&input.source, &invalid.reason);
            let message = match source.place(row).filter(|_| !input.drops_rows) {
                Some((file, row)) => format!("{}: row {row}: {reason}", file.display()),
                None => format!("{}: row {row}{kept}: {reason}", source.display()),
            };
            Failure::failed(message).with_help("scale the vectors down, or remove the row")
        }
        _ => Failure::failed(format!("{}: {error}", input.source.display())),
    }
}

/// A row has a value that cannot be stored as it should.
pub(super) fn too_large(invalid: &InvalidRow, input: &StreamInfo) -> Failure {
    let (source, row) = (&input.source, input.first_row + invalid.row);
    let message = format!("{}: row {row}{}: {}", source.display(), of_kept(input), invalid.reason);
    Failure::failed(message).with_help("store the vectors as i8 or f32, or scale them down")
}

/// Where rows were left out or reordered, the sink counts those that came.
fn of_kept(input: &StreamInfo) -> &'static str {
    match (input.is_reordered, input.drops_rows) {
        (true, _) => " (counted in the order in which they came)",
        (false, true) => " (counted without those that were left out)",
        (false, false) => "",
    }
}

/// Fails if two rows have one id: search could not tell them apart.
pub(super) fn refuse_duplicates(ids: &[u64], input: &StreamInfo) -> Result<(), Failure> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) else {
        return Ok(());
    };
    let mut rows = (input.first_row..).zip(ids).filter(|&(_, &id)| id == twice).map(|(row, _)| row);
    let (first, second) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    Err(same_id(&twice.to_string(), first, second, input))
}

/// As [`refuse_duplicates`], of texts.
pub(super) fn refuse_same_texts(ids: &SpooledTextIds, input: &StreamInfo) -> Result<(), Failure> {
    let io = |e: io::Error| Failure::failed(format!("{}: {e}", input.source.display()));
    let Some((first, second)) = index::same_text_ids(ids).map_err(io)? else { return Ok(()) };
    let id = format!("\"{}\"", ids.text_id(first).map_err(io)?.escape_debug());
    Err(same_id(&id, input.first_row + first as u64, input.first_row + second as u64, input))
}

/// Two rows have one id.
fn same_id(id: &str, first: u64, second: u64, input: &StreamInfo) -> Failure {
    let place = |row| input.source.place(row).filter(|_| !input.drops_rows && input.ids_file.is_none());
    let at = match (place(first), place(second)) {
        (Some((one, first)), Some((other, second))) => {
            format!("at row {first} of {} and row {second} of {}", one.display(), other.display())
        }
        _ => format!("at rows {first} and {second}{}", of_kept(input)),
    };
    let found = format!("found id {id} {at}");
    let file = input.ids_file.as_ref().map_or(input.source.display(), |file| file.display());
    Failure::failed(format!("{file}: expected another id for each row, {found}"))
        .with_code(Code::SameId)
        .with_help("remove one of the rows, or leave the ids away to number the rows")
}
