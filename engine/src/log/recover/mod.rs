//! Opening a directory: creating a log, or recovering its newest commit.

pub(crate) mod opening;
pub(crate) mod removal;
pub(crate) mod report;
