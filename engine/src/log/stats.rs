//! The statistics of a log.

use super::LogAddress;
use super::commit::state::Commit;
use super::inner::LogInner;
use crate::statistics::DeviceStats;

/// The statistics of a log at one moment. Counts begin when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// The address of the first entry.
    pub begin: LogAddress,
    /// Entries from this address on are in memory.
    pub head: LogAddress,
    /// The newest durable commit.
    pub commit: Commit,
    /// The address of the next entry.
    pub end: LogAddress,
    /// The writes and the size of the device under the log. Reads of scans are not counted.
    pub device: DeviceStats,
    /// The bytes of the page frames. The system provides memory only for used pages.
    pub frame_bytes: u64,
    /// The bytes of buffers for device operations, in use or kept for the next operation. Several
    /// logs may share them.
    pub buffer_bytes: u64,
}

impl LogStats {
    pub(crate) fn of(inner: &LogInner) -> Self {
        let log = inner.memory.log();
        let [_, head, ..] = log.pages().addresses();
        let (frame_bytes, buffer_bytes) = (log.pages().bytes(), log.file().bytes_in_buffers());
        Self {
            begin: inner.view.range().begin().into(),
            head: head.into(),
            commit: inner.committer.committed().commit(),
            end: log.tail_address().into(),
            device: DeviceStats::of(log.file().counters(), log.file().device().bytes_stored()),
            frame_bytes,
            buffer_bytes,
        }
    }
}
