//! Standard output: only results.

use std::io::{self, IsTerminal, Write};

use crate::{Code, Failure};

/// Writes a result to standard output. A reader that has gone away (`| head`) ends the work, and is no failure.
pub(crate) fn write(result: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(result).and_then(|()| out.flush()).map_err(|error| failure(&error))
}

/// What a failed write to standard output means.
pub(crate) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::unheard(),
        _ => Failure::failed(format!("cannot write to standard output: {error}")),
    }
}

/// Writes a line of text.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// How many characters a line may have: as many as the terminal shows, or 100 where there is none.
pub(crate) fn width_chars() -> usize {
    /// What people read at ease.
    const USUAL: usize = 100;
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return usize::from(size.ws_col);
    }
    USUAL
}

/// Fails if standard output is a terminal: numbers in binary would garble it.
pub(crate) fn refuse_terminal(what: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::refused(format!("{what} is binary, and standard output is a terminal"))
            .with_code(Code::Stdio)
            .with_help("redirect it to a file or a pipe"));
    }
    Ok(())
}
