//! Decoders of other projects, which may panic on damaged files: such a panic is an error like any other.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::Error;

thread_local! {
    /// Whether a panic of this thread is going to be an error.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`. If it panics, that is an error which says so, and nothing is printed. What it worked on must not be
/// used again then. `what` is decoded: "the Parquet data".
pub(super) fn contained<T>(what: &str, decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    quieten();
    let outer = IS_CONTAINED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    IS_CONTAINED.set(outer);
    outcome.unwrap_or_else(|panic| {
        Err(Error::malformed(format!("{what} cannot be decoded: {}", message(&*panic)))
            .with_help("the file is damaged: copy or write it again"))
    })
}

/// Puts a hook before the one there is, once. It swallows the message of panics that are contained and hands on all
/// others.
fn quieten() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_CONTAINED.get() {
                others(info);
            }
        }));
    });
}

/// One line of what a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    one_line(text)
}

/// The first line of a foreign message, shortened, without characters that a terminal would obey.
pub(super) fn one_line(text: &str) -> String {
    const SHOWN: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().filter(|char| !char.is_control()).take(SHOWN).collect();
    if line.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let caught = contained("the data", || -> Result<(), Error> { panic!("no\nmore than {}", 3) });
        assert_eq!(caught.unwrap_err().to_string(), "the data cannot be decoded: no");
        assert_eq!(contained("the data", || Ok(5)).unwrap(), 5);
        let inner = contained("the data", || contained("a part", || Err::<(), _>(Error::malformed("bad"))));
        assert_eq!(inner.unwrap_err().to_string(), "bad");
        assert!(!IS_CONTAINED.get());
    }
}
