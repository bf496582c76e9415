//! Counters that are always on, and their snapshots for users.
//!
//! Each seat counts for itself, and a snapshot adds up all seats. A user reads a snapshot as data,
//! or as a table.

mod checkpoints;
mod counters;
mod device;
mod snapshot;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;

pub use checkpoints::{CheckpointStats, LastCheckpoint};
pub use device::DeviceStats;
pub use snapshot::{CacheHits, LogBytes, MemoryBytes, OperationCounts, Stats};

pub(crate) use counters::{Counter, Counters};
pub(crate) use device::DeviceCounters;
pub(crate) use table::Table;
