//! A cursor over the entries of a log, and its parts.

mod buffer;
pub(crate) mod device_reader;
pub(crate) mod entry_cursor;
pub(crate) mod position;
mod read_ahead;
mod seen_range;
pub(crate) mod skipped;
pub(crate) mod step;
mod wait;
