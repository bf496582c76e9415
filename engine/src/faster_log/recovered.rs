//! What the recovery of a log tells.

use super::settled::Commit;
use std::time::Duration;

/// How a log came back when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecovery {
    /// The commit that it has: everything below its end is there.
    pub commit: Commit,
    /// Bytes of the log that were walked through to find it.
    pub walked_bytes: u64,
    /// Entries among them.
    pub walked_entries: u64,
    /// Bytes behind it that were cut off: entries that nobody was told to be durable.
    pub dropped_bytes: u64,
    /// How long it took.
    pub took: Duration,
}
