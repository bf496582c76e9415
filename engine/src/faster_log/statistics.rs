//! What a log has done and holds.

use super::LogAddress;
use super::core::Core;
use super::settled::Commit;
use crate::statistics::DeviceStats;

/// What a log has done and holds, as of one moment. Counts are since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// The first entry that there is.
    pub begin: LogAddress,
    /// Entries from here on are in memory.
    pub head: LogAddress,
    /// The newest durable commit.
    pub commit: Commit,
    /// Where the next entry goes.
    pub end: LogAddress,
    /// What the device under the log wrote, and what it holds. Reads of scans are not counted.
    pub device: DeviceStats,
    /// The pages of the log, in bytes; memory of the system only where they were used.
    pub frame_bytes: u64,
    /// Buffers of device operations, lent or kept for the next one. Many logs may share them.
    pub buffer_bytes: u64,
}

impl LogStats {
    pub(super) fn of(core: &Core) -> Self {
        let log = &core.live().log;
        let [_, head, ..] = log.marks();
        let (frame_bytes, buffer_bytes) = log.memory();
        Self {
            begin: core.source.begin.load().into(),
            head: head.into(),
            commit: core.commits.settled().0.commit(),
            end: log.tail_address().into(),
            device: DeviceStats::of(log.counters(), log.device().bytes_stored()),
            frame_bytes,
            buffer_bytes,
        }
    }
}
