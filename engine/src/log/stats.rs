//! The statistics of a log.

use super::Address;
use super::commit::state::Commit;
use super::inner::LogInner;
use crate::base::human::{count, size};
use crate::statistics::{DeviceStats, Table};
#[cfg(feature = "metrics")]
use crate::statistics::{LOG_ADDRESS, LOG_COMMIT, MEMORY, Publisher};
use std::fmt;

/// The statistics of a log at one moment. Counts begin when it is opened.
///
/// The text is a table for people. With the feature `serde` statistics can be serialized, like
/// [`stats::Stats`](crate::stats::Stats).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// The address of the first entry.
    pub begin: Address,
    /// Entries from this address on are in memory.
    pub head: Address,
    /// The newest durable commit.
    pub commit: Commit,
    /// The address of the next entry.
    pub end: Address,
    /// The writes and the size of the device under the log. Reads of scans are not counted.
    pub device: DeviceStats,
    /// The bytes of the page frames. The system provides memory only for used pages.
    pub frame_bytes: u64,
    /// The bytes of buffers for device operations, in use or kept for the next operation. Several
    /// logs may share them.
    pub buffer_bytes: u64,
}

impl Stats {
    pub(crate) fn of(inner: &LogInner) -> Self {
        let log = inner.memory.log();
        let [_, head, ..] = log.pages().addresses();
        let (frame_bytes, buffer_bytes) = (log.pages().bytes(), log.file().bytes_in_buffers());
        let stats = Self {
            begin: inner.view.range().begin().into(),
            head: head.into(),
            commit: inner.committer.committed().commit(),
            end: log.tail_address().into(),
            device: DeviceStats::of(log.file().counters(), log.file().device().bytes_stored()),
            frame_bytes,
            buffer_bytes,
        };
        debug_assert!(
            stats.begin <= stats.end && stats.head <= stats.end,
            "begin and head are at or below the tail: {stats:?}"
        );
        debug_assert!(stats.commit.until <= stats.end, "a commit ends below the tail: {stats:?}");
        stats
    }
}

#[cfg(feature = "metrics")]
impl Stats {
    /// Needs the feature `metrics`. Publishes the statistics to the installed recorder of the crate
    /// `metrics`, version 0.24.
    ///
    /// It is called like [`Stats::record_metrics`](crate::stats::Stats::record_metrics). Metrics of
    /// device and memory have the same names as those of a store; `labels` distinguish them.
    pub fn record_metrics(&self, labels: &[(&str, &str)]) {
        let to = Publisher::new(labels);
        to.gauge(LOG_ADDRESS, Some(("mark", "begin")), self.begin.raw());
        to.gauge(LOG_ADDRESS, Some(("mark", "head")), self.head.raw());
        to.gauge(LOG_ADDRESS, Some(("mark", "committed")), self.commit.until.raw());
        to.gauge(LOG_ADDRESS, Some(("mark", "end")), self.end.raw());
        to.gauge(LOG_COMMIT, None, self.commit.number);
        self.device.publish_writes(&to);
        to.gauge(MEMORY, Some(("use", "frames")), self.frame_bytes);
        to.gauge(MEMORY, Some(("use", "buffers")), self.buffer_bytes);
    }
}

/// Writes a table: a line for each number, with its group, its name, and its value in a human unit.
/// Addresses are plain numbers.
impl fmt::Display for Stats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(formatter);
        let bytes = |from: Address, end: Address| size(end.raw().saturating_sub(from.raw()));
        table.row("addresses", "begin", self.begin)?;
        table.row("addresses", "head", self.head)?;
        table.row("addresses", "committed", self.commit.until)?;
        table.row("addresses", "end", self.end)?;
        table.row("log", "kept", bytes(self.begin, self.end))?;
        table.row("log", "in memory", bytes(self.head.max(self.begin), self.end))?;
        table.row("log", "uncommitted", bytes(self.commit.until, self.end))?;
        table.row("commit", "number", count(self.commit.number))?;
        table.row("commit", "cookie", size(self.commit.cookie.len() as u64))?;
        self.device.rows_of_writes(&mut table)?;
        table.row("memory", "frames", size(self.frame_bytes))?;
        table.row("memory", "buffers", size(self.buffer_bytes))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_table_has_every_number_in_its_group() {
        let mut device = DeviceStats::default();
        (device.writes, device.write_bytes, device.bytes_stored) = (12, 48 << 10, 1 << 20);
        device.write_latency_p50 = Duration::from_nanos(65_536);
        device.write_latency_p99 = Duration::from_nanos(2_097_152);
        let stats = Stats {
            begin: Address::new(4096),
            head: Address::new(1_000_000),
            commit: Commit { number: 1234, until: Address::new(2_000_000), cookie: vec![7; 12] },
            end: Address::new(2_001_000),
            device,
            frame_bytes: 1 << 20,
            buffer_bytes: 96 << 10,
        };
        let expected = "\
addresses    begin                     4096
             head                   1000000
             committed              2000000
             end                    2001000
log          kept                   1.9 MiB
             in memory            977.5 KiB
             uncommitted             1000 B
commit       number                   1,234
             cookie                    12 B
device       writes                      12
             written               48.0 KiB
             write p50              65.5 us
             write p99               2.0 ms
             stored                 1.0 MiB
memory       frames                 1.0 MiB
             buffers               96.0 KiB";
        assert_eq!(stats.to_string(), expected);
    }
}
