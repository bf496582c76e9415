//! Counters that are always on, and their snapshots for users.
//!
//! Each seat counts for itself, and a snapshot adds up all seats. A user reads a snapshot as data,
//! as a table, or as metrics.

mod checkpoints;
mod counters;
mod device;
#[cfg(feature = "metrics")]
mod metrics;
mod snapshot;
mod space;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;
mod wal;

pub use checkpoints::{CheckpointStats, LastCheckpoint};
pub use device::DeviceStats;
pub use snapshot::{
    CacheHits, IndexStats, LogBytes, MemoryBytes, OperationCounts, ScanStats, Stats, TableStats,
};
pub use space::SpaceStats;
pub use wal::WalStats;

pub(crate) use counters::{Counter, Counters};
pub(crate) use device::DeviceCounters;
#[cfg(feature = "metrics")]
pub(crate) use metrics::{LOG_ADDRESS, LOG_COMMIT, MEMORY, Publisher};
pub(crate) use table::Table;
