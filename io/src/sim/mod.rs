//! A disk that is simulated: seeded, in virtual time, with faults and power cuts on demand.
//!
//! Everything happens on the caller's thread, under one lock. An operation is queued with the
//! virtual time at which it will end, drawn at random; [`EventSource::run_event`] ends what is
//! due. Nothing else depends on time or chance, so the same seed and the same calls in the same
//! order give the same run.
//!
//! ```text
//!  Device, Directory --> begin: number it, draw its end ----> in flight (ordered by time)
//!                                                                 |  run_event(now)
//!  task woken <-- Completion <-- Transfer <-- fault, or effect <--'
//!                                                   |
//!                  durable blocks + versions since, durable names + changes since
//!                                                   |  crash(seed)
//!                                                   v
//!                                      another SimDisk: what survived
//! ```
//!
//! The fault model. A write is durable once a sync began after it ended, and succeeded; until then,
//! and while it is in flight, each of its blocks survives a power cut on its own: old, any version
//! since, or torn. So do lengths, and the names of a directory until that is synced; a sync of a
//! device also covers the creation of its own segments, no other name. A truncation changes blocks
//! and the length of one file, and removes names: each survives on its own as well. After a
//! *failed* sync what it covered is durable in some version or other, reads may show either, and a
//! later sync of it through the same device fails too, whatever the medium does; likewise for the
//! names of a directory, through the same handle. A failed write may have changed any of its
//! blocks, a failed truncation any of its files; any other operation that failed did nothing. So
//! did one that failed for a shortage: of descriptors, or, unless it is a sync, of space.
//!
//! Faults on demand, of a [`SimDisk`]:
//!
//! * [`fail_at`](SimDisk::fail_at) lets one operation fail, of any kind, by its number: run a case
//!   once, read [`operations`](SimDisk::operations), and run it again for each number below, with
//!   [`Fault::NoDescriptors`] for a shortage of the moment or an error kind for the rest;
//! * [`fail_opens`](SimDisk::fail_opens) lets no file be opened, as at the limit of descriptors,
//!   until it is switched off;
//! * [`set_capacity`](SimDisk::set_capacity) fills the disk, for devices and whole files alike;
//! * [`set_read_only`](SimDisk::set_read_only) refuses every change;
//! * [`fail_reads`](SimDisk::fail_reads), [`fail_writes`](SimDisk::fail_writes),
//!   [`fail_syncs`](SimDisk::fail_syncs), and [`FaultRates`] for chance.

mod blocks;
mod device;
mod directory;
mod disk;
mod failures;
mod faults;
mod file;
mod history;
mod image;
mod namespace;
mod options;
mod random;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;
mod work;
mod world;

pub use disk::SimDisk;
pub use faults::Fault;
pub use history::OperationKind;
pub use options::{FaultRates, SimOptions, Survival};
pub use random::Random;

#[cfg(doc)]
use crate::EventSource;
