//! Files that get shorter while they are mapped. To touch what is gone raises SIGBUS, which would end the process without a
//! word.
#![allow(unsafe_code)]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGBUS;

use crate::output::diagnostics::{self, Colour, ErrorFormat};
use crate::{Code, Failure};

/// As any work that failed.
const EXIT_CODE: i32 = 1;

/// Makes SIGBUS a line on standard error and exit code 1. Where the signal cannot be watched it keeps its own effect.
pub(super) fn tell(format: ErrorFormat, colour: Colour) {
    let failure = Failure::failed(
        "a file got shorter while it was used, or its disk failed: run again when nobody writes to it",
    )
    .with_code(Code::Changed);
    let mut line = diagnostics::text_of(&failure, format, colour);
    line.push('\n');
    let is_told = AtomicBool::new(false);
    let action = move || {
        if is_told.swap(true, Ordering::Relaxed) {
            // Another thread tells it and ends the process at once. To return would be to touch the same place again.
            loop {
                std::hint::spin_loop();
            }
        }
        let _ = rustix::io::write(std::io::stderr().as_fd(), line.as_bytes());
        signal_hook::low_level::exit(EXIT_CODE);
    };
    // SAFETY: what an action does must be safe in a signal handler, whatever the thread was doing. This one swaps a flag, calls
    // write(2) with bytes that were made before, and _exit(2): it takes no lock and no memory, runs no destructor, and does not
    // return. `stderr()` is an address of a static and `as_fd` the number 2.
    let _ = unsafe { signal_hook::low_level::register(SIGBUS, action) };
}
