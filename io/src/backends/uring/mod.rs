//! The io_uring backend: one driver thread that owns one ring.
//!
//! ```text
//!  callers --push--> reads  [bounded queue + overflow] --+
//!          --push--> writes [bounded queue + overflow] --+--> driver: admit, submit, reap, wake
//!          --ring--> doorbell (only if the driver sleeps: parked, or in the ring)
//! ```
//!
//! The backend has a thread of its own for three reasons. Requests that the kernel hands to its
//! worker pool die with the thread that submitted them. Large submissions take as long as the disk
//! does. `SINGLE_ISSUER` with `DEFER_TASKRUN` is the cheapest mode and needs one thread. The driver
//! works in batches both ways. It takes all waiting operations before it enters the kernel, and
//! reaps all finished operations before it wakes any task.
//!
//! Dropping the last handle does not wait. The driver finishes the operations that are queued and
//! in flight, and only then drops its ring. The kernel writes into borrowed memory until the last
//! completion, also after the ring is closed.
//!
//! The kernel may refuse to continue at any time: to a process that sandboxes itself, or for lack
//! of memory. Then the driver ends. Every operation that is queued, in flight or comes later fails
//! with the cause. Memory that the kernel may still write to is never freed. A single operation for
//! which the kernel has no worker thread goes to a file thread.

mod driver;
mod kernel;
mod patience;
mod queue;
mod ring;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{self};

use crate::backends::uring::driver::Driver;
use crate::backends::uring::kernel::{Kernel, RealKernel};
pub(crate) use crate::backends::uring::shared::Limits;
use crate::backends::uring::shared::Shared;
use crate::files::file::StorageFile;
use crate::files::operation::{Engine, Operation};
use crate::threads::blocking::Blocking;
use crate::threads::spawn::spawn;

/// The handle of a driver thread. Dropping it lets the thread finish its work and end.
#[derive(Debug)]
pub(crate) struct Uring {
    shared: Arc<Shared>,
}

impl Uring {
    /// Starts a driver and proves that it works: a no-op, a read of `probe`, and a sync of it.
    /// `files` gets the operations for which the kernel has no worker thread.
    pub(crate) fn start(
        limits: Limits,
        probe: StorageFile,
        block: usize,
        files: Arc<Blocking>,
    ) -> io::Result<Self> {
        Self::start_on(Box::new(RealKernel), limits, probe, block, files)
    }

    fn start_on(
        kernel: Box<dyn Kernel>,
        limits: Limits,
        probe: StorageFile,
        block: usize,
        files: Arc<Blocking>,
    ) -> io::Result<Self> {
        assert!(limits.class <= limits.depth, "the class limit is at most the depth");
        let shared = Arc::new(Shared::new(limits.depth, files)?);
        let for_driver = Arc::clone(&shared);
        let (report, started) = mpsc::sync_channel(1);
        spawn("kvick-uring", move || {
            // On this thread: a ring with SINGLE_ISSUER belongs to the thread that creates it.
            for_driver.driver.get_or_init(thread::current);
            match Driver::new(for_driver, limits, &probe, block, kernel) {
                Ok(driver) => {
                    let _ = report.send(Ok(()));
                    drop(probe);
                    driver.run();
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
        })?;
        started
            .recv()
            .map_err(|_| io::Error::other("the io_uring thread panicked; use threads"))??;
        Ok(Self { shared })
    }

    /// Returns whether the ring has had at most `reads` reads lately and has at most `writes`
    /// writes and syncs, nothing waits for it, and the driver has not failed.
    pub(crate) fn is_idle(&self, [reads, writes]: [usize; 2]) -> bool {
        let Shared { load, .. } = &*self.shared;
        // Relaxed: as in the driver.
        load.recent_reads.load(Ordering::Relaxed) <= reads
            && load.writes.load(Ordering::Relaxed) <= writes
            && self.shared.reads.is_empty()
            && self.shared.writes.is_empty()
            && !self.shared.is_dead()
    }

    /// Returns whether the driver is in this process, and not in the parent of a forked one.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.shared.birthplace.check().is_ok()
    }
}

impl Engine for Uring {
    fn submit(&self, operation: Operation) {
        match self.shared.birthplace.check() {
            Ok(()) => self.shared.push([operation]),
            Err(forked) => operation.refuse(&forked.to_string()),
        }
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        match self.shared.birthplace.check() {
            Ok(()) => self.shared.push(operations),
            Err(forked) => operations.into_iter().for_each(|one| one.refuse(&forked.to_string())),
        }
    }

    fn name(&self) -> &'static str {
        "uring"
    }

    fn is_dead(&self) -> bool {
        self.shared.is_dead()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `is_closing`: a driver that sees it also sees every
        // operation pushed before.
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_driver();
    }
}
