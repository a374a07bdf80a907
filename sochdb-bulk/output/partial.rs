//! The beginning of a file that a run was stopped at, and how far it goes: for runs that are to go on there.
//!
//! Beside `NAME` there are `.NAME.resume`, the file as far as it is, and `.NAME.resume.json`, which says how many rows of it are on
//! the disk for certain, and of what run they are. That is written only after those rows, and replaced whole.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, partial_name};
use crate::{Code, Failure};

/// What is known of the file at work.
#[derive(Debug)]
pub(crate) struct Partial {
    journal: PathBuf,
    data: PathBuf,
    fingerprint: String,
    rows: u64,
    is_done: bool,
}

/// What is in the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    schema: u32,
    fingerprint: String,
    rows: u64,
    /// Of the file, which has room for all rows from the start.
    len_bytes: u64,
}

impl Partial {
    /// What an earlier run with this fingerprint left of `target`; nothing where there was none.
    ///
    /// # Errors
    /// If what is there belongs to another input or to other settings.
    pub(crate) fn of(target: &Path, fingerprint: &str) -> Result<Self, Failure> {
        let data = partial_name(target);
        let mut journal = data.clone().into_os_string();
        journal.push(".json");
        let journal = PathBuf::from(journal);
        let fingerprint = fingerprint.to_owned();
        let found = match fs::read(&journal) {
            // Without the rows it says nothing.
            Ok(text) if data.is_file() => text,
            _ => return Ok(Self { journal, data, fingerprint, rows: 0, is_done: false }),
        };
        match serde_json::from_slice::<Journal>(&found) {
            Ok(found) if found.schema == 1 && found.fingerprint == fingerprint => {
                let len_bytes = fs::metadata(&data).map_err(|e| Failure::io("look at", &data, &e))?.len();
                if len_bytes < found.len_bytes {
                    let message = format!(
                        "{}: expected at least {} bytes, found {len_bytes}",
                        data.display(),
                        found.len_bytes
                    );
                    return Err(Failure::failed(message)
                        .with_code(Code::Changed)
                        .with_help(format!("somebody changed it: remove it and {}", journal.display())));
                }
                Ok(Self { journal, data, fingerprint, rows: found.rows, is_done: false })
            }
            _ => {
                let message = format!(
                    "{}: it was begun from other inputs, or with other settings, than these",
                    data.display()
                );
                Err(Failure::refused(message).with_code(Code::Step).with_help(format!(
                    "remove it and {}, or run what was begun; without --resume all is written anew",
                    journal.display()
                )))
            }
        }
    }

    /// How many rows are there.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Says that so many rows are on the disk now.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn commit(&mut self, rows: u64) -> Result<(), Failure> {
        let len_bytes = fs::metadata(&self.data).map_err(|e| Failure::io("look at", &self.data, &e))?.len();
        let journal = Journal { schema: 1, fingerprint: self.fingerprint.clone(), rows, len_bytes };
        let text = serde_json::to_vec(&journal)
            .map_err(|e| Failure::failed(format!("{}: cannot write: {e}", self.journal.display())))?;
        atomic::write_file(&self.journal, &text)?;
        self.rows = rows;
        Ok(())
    }

    /// The file is whole and has its name: nothing is left to say.
    pub(crate) fn remove(mut self) {
        self.is_done = true;
        // Where it stays it belongs to a file that is gone, and the next run takes no notice of it.
        let _ = fs::remove_file(&self.journal);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_done && self.rows == 0 {
            // Nothing can be gained from it.
            let _ = fs::remove_file(&self.data);
        }
    }
}
