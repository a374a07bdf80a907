//! Indexes of other libraries, written and read again.

mod round_trip;
