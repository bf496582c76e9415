//! Counters that are always on, and their snapshots for users.
//!
//! Each seat counts for itself, and a snapshot adds up all seats.

mod checkpoints;
mod counters;
mod device;
mod snapshot;

pub use checkpoints::{CheckpointStats, LastCheckpoint};
pub use device::DeviceStats;
pub use snapshot::{Hits, LogBytes, MemoryBytes, Operations, Stats};

pub(crate) use counters::{Counter, Counters};
pub(crate) use device::DeviceCounters;
