//! The report of a log's recovery.

use crate::log::commit::state::Commit;
use std::time::Duration;

/// The report of the recovery of a log when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecovery {
    /// The recovered commit. Everything below its end was recovered.
    pub commit: Commit,
    /// The bytes of the log that the walk passed to find the commit.
    pub walked_bytes: u64,
    /// The number of entries in the walked bytes.
    pub walked_entries: u64,
    /// The removed bytes after the commit. Their entries were never reported as durable, unless an
    /// older commit was requested.
    pub dropped_bytes: u64,
    /// The duration of the recovery.
    pub took: Duration,
}
