//! The options of a reader.

use crate::base::address::Address;

/// The options of a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanOptions {
    /// The reader ends before an entry at this address or after it. A reader that does not follow
    /// also ends at the end that the log has at the first poll.
    pub(crate) end: Address,
    /// Whether the reader waits for more entries at the end.
    pub(crate) follow: bool,
    /// Whether the reader also returns uncommitted entries.
    pub(crate) uncommitted: bool,
}
