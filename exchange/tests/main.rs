//! Indexes of other libraries, written and read again.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod damage;
mod round_trip;
mod sources;
