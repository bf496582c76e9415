//! A simulated disk: seeded, in virtual time, with faults and power cuts on demand.
//!
//! All of it runs on the caller's thread, under one lock. An operation is queued with the virtual
//! time at which it will end, which is drawn at random. [`EventSource::run_event`] ends the
//! operations that are due. Nothing else depends on time or chance. So the same seed and the same
//! calls in the same order give the same run.
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
//! The fault model:
//!
//! * *Writes.* A write is durable once a sync that started after its end has succeeded. Until then,
//!   also while the write is in flight, each of its blocks survives a power cut on its own: old,
//!   any version since, or torn. The same holds for lengths.
//! * *Names.* The names of a directory survive each on its own until the directory is synced. A
//!   sync of a device also covers the creation of its own segments, and no other name.
//! * *Truncations.* A truncation changes blocks and the length of one file, and removes names; each
//!   survives on its own as well.
//! * *Failed syncs.* After a failed sync its writes are durable in some version, and reads may show
//!   either version. A later sync of them through the same device also fails, whatever the medium
//!   does. The same holds for the names of a directory, through the same handle.
//! * *Other failures.* A failed write may have changed any of its blocks, a failed truncation any
//!   of its files. Any other failed operation changed nothing. An operation that failed for a
//!   shortage also changed nothing: of descriptors, or, unless it is a sync, of space.
//!
//! Faults on demand, of a [`SimDisk`]:
//!
//! * [`fail_at`](SimDisk::fail_at) fails one operation of any kind by its number. Run a case once,
//!   read [`operations`](SimDisk::operations), and run the case again for each number below. Use
//!   [`Fault::NoDescriptors`] for a shortage of the moment, an error kind for the rest.
//! * [`fail_opens`](SimDisk::fail_opens) fails every opening of a file, as at the limit of
//!   descriptors, until it is switched off.
//! * [`set_capacity`](SimDisk::set_capacity) fills the disk, for devices and whole files alike.
//! * [`set_read_only`](SimDisk::set_read_only) refuses every change.
//! * [`fail_reads`](SimDisk::fail_reads), [`fail_writes`](SimDisk::fail_writes),
//!   [`fail_syncs`](SimDisk::fail_syncs), and [`FaultRates`] for faults by chance.

mod device;
mod directory;
mod disk;
mod failures;
mod faults;
mod medium;
mod options;
mod random;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;

pub use disk::SimDisk;
pub use faults::Fault;
pub use medium::history::OperationKind;
pub use options::{FaultRates, SimOptions, Survival};
pub use random::Random;

#[cfg(doc)]
use crate::EventSource;
