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
    fingerprint: String,
    rows: u64,
}

/// What is in the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    schema: u32,
    fingerprint: String,
    rows: u64,
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
            _ => return Ok(Self { journal, fingerprint, rows: 0 }),
        };
        match serde_json::from_slice::<Journal>(&found) {
            Ok(found) if found.schema == 1 && found.fingerprint == fingerprint => {
                Ok(Self { journal, fingerprint, rows: found.rows })
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
        let journal = Journal { schema: 1, fingerprint: self.fingerprint.clone(), rows };
        let text = serde_json::to_vec(&journal)
            .map_err(|e| Failure::failed(format!("{}: cannot write: {e}", self.journal.display())))?;
        atomic::write_file(&self.journal, &text)?;
        self.rows = rows;
        Ok(())
    }

    /// The file is whole and has its name: nothing is left to say.
    pub(crate) fn remove(self) {
        // Where it stays it belongs to a file that is gone, and the next run takes no notice of it.
        let _ = fs::remove_file(&self.journal);
    }
}
