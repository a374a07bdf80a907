//! The person beside a run.

use super::Cancel;
use crate::output::diagnostics::Verbosity;
use crate::output::progress::{Progress, ProgressStyle};

/// Who is told how a run goes, and can stop it.
#[derive(Debug, Clone)]
pub struct Monitoring {
    pub(crate) cancel: Cancel,
    pub(crate) progress: Progress,
}

impl Monitoring {
    /// Nobody.
    pub fn silent() -> Self {
        Self { cancel: Cancel::default(), progress: Progress::new(Verbosity::Quiet, ProgressStyle::None) }
    }
}
