//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::Failure;

/// Makes a file over the limit of `ulimit -f` an error of the write, and no sudden death.
pub(crate) fn survive_file_size_limit() {
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Ends the process as SIGTERM would when standard input ends: for a program that has started this one through a pipe,
/// and whose end, of whatever kind, is the end of the pipe.
pub(crate) fn end_with_stdin() {
    // A thread that waits for ever is no reason for a process to stay.
    std::thread::spawn(|| {
        // What is written to it means nothing; that it cannot be read is its end.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = signal_hook::low_level::raise(SIGTERM);
    });
}

/// Whether the run should stop. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel {
    signal: Arc<AtomicUsize>,
}

impl Cancel {
    /// One that SIGINT and SIGTERM set. The first asks the run to stop and clean up; the second ends the process at
    /// once. Where signals cannot be watched they keep their own effect.
    pub(crate) fn by_signals() -> Self {
        let cancel = Self::default();
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = 128 + signal;
            // In this order: on the first signal the shutdown sees `asked` unset.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&asked));
            let _ = signal_hook::flag::register(signal, Arc::clone(&asked));
            let number = usize::try_from(signal).unwrap_or_default();
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&cancel.signal), number);
        }
        cancel
    }

    /// Whether to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// The failure to return, if it is time to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Failure::stopped(u8::try_from(signal).unwrap_or(u8::MAX >> 1))),
        }
    }
}
