//! Statistics of the write-ahead log of a store.

use super::device::DeviceStats;

/// The write-ahead log of a store. It has memory and space of its own, beside
/// [`Config::memory`](crate::Config::memory) and [`Config::disk`](crate::Config::disk).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WalStats {
    /// The bytes of all entries that the log keeps.
    pub kept_bytes: u64,
    /// The bytes after the newest checkpoint that survives power cuts: the next opening repeats
    /// them. At [`Config::wal_size`](crate::Config::wal_size) the store takes a checkpoint.
    pub replay_bytes: u64,
    /// The bytes that are not durable yet.
    pub uncommitted_bytes: u64,
    /// The number of commits since the log was created.
    pub commits: u64,
    /// The memory of the log in bytes, at most about
    /// [`Config::wal_memory`](crate::Config::wal_memory): page frames, and buffers of device
    /// operations.
    pub memory_bytes: u64,
    /// The work of its device. Reads of change feeds are not counted.
    pub device: DeviceStats,
}
