//! The io_uring backend: one driver thread that owns one ring.
//!
//! ```text
//!  callers --push--> reads  [bounded queue + overflow] --+
//!          --push--> writes [bounded queue + overflow] --+--> driver: admit, submit, reap, wake
//!          --ring--> doorbell (only if the driver sleeps: parked, or in the ring)
//! ```
//!
//! A thread of its own because requests that the kernel hands to its worker pool die with the
//! thread that submitted them, because large submissions take as long as the disk does, and
//! because `SINGLE_ISSUER` with `DEFER_TASKRUN` is the cheapest mode and wants one thread. The
//! driver works in batches both ways: it takes all that waits before it enters the kernel, and
//! reaps all that has finished before it wakes anybody.
//!
//! Dropping the last handle does not wait. The driver finishes what is queued and in flight, and
//! only then drops its ring: the kernel writes into lent memory until the last completion, also
//! after the ring is closed.
//!
//! The kernel may refuse to go on at any time, to a process that sandboxes itself or for want of
//! memory. Then the driver ends: whatever is queued, in flight or comes later fails and says why,
//! and what the kernel may still write to is never freed. A single operation for which the kernel
//! has no worker thread goes to a file thread.

mod driver;
mod kernel;
mod patience;
mod queue;
mod ring;
#[cfg(all(test, not(loom)))]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use rustix::event::{EventfdFlags, eventfd};

use crate::blocking::Blocking;
use crate::doorbell::{Doorbell, Ring as RingBell};
use crate::engine::{Class, Engine, unharmed};
use crate::file::StorageFile;
use crate::operation::Operation;
use crate::process::Birthplace;
use crate::spawn::spawn;
use crate::uring::driver::Driver;
use crate::uring::kernel::{Kernel, RealKernel};
use crate::uring::queue::Queue;

/// How much the driver has in the kernel at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Operations of both classes.
    pub(crate) depth: usize,
    /// Operations of one class.
    pub(crate) class: usize,
}

/// The handle of a driver thread. Dropping it lets the thread finish its work and end.
#[derive(Debug)]
pub(crate) struct Uring {
    shared: Arc<Shared>,
}

/// What callers and the driver share.
#[derive(Debug)]
struct Shared {
    reads: Queue,
    writes: Queue,
    doorbell: Doorbell,
    /// What the driver listens to while it sleeps in the ring.
    bell: OwnedFd,
    /// The driver, since before anything can be pushed.
    driver: OnceLock<Thread>,
    birthplace: Birthplace,
    /// Who carries out what the kernel has no worker for.
    files: Arc<Blocking>,
    /// No handle is left: finish and end.
    closing: AtomicBool,
    /// The driver is gone, against its will: fail what comes.
    dead: AtomicBool,
    /// Why it is gone, before it is.
    failure: OnceLock<String>,
}

impl Uring {
    /// Starts a driver and proves that it works: a no-op, a read of `probe`, and a sync of it.
    /// `files` gets what the kernel has no worker thread for.
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
        assert!(limits.class <= limits.depth, "a class is a part of the whole");
        let shared = Arc::new(Shared::new(limits.depth, files)?);
        let for_driver = Arc::clone(&shared);
        let (report, started) = mpsc::sync_channel(1);
        spawn("kvick-uring", move || {
            // On this thread: a ring with SINGLE_ISSUER belongs to the thread that makes it.
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
        started.recv().map_err(|_| io::Error::other("the io_uring thread panicked"))??;
        Ok(Self { shared })
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
        // Release pairs with the Acquire in `is_closing`: the driver that sees it also sees every
        // operation pushed before.
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake_driver();
    }
}

impl Shared {
    fn new(depth: usize, files: Arc<Blocking>) -> io::Result<Self> {
        Ok(Self {
            reads: Queue::new(depth),
            writes: Queue::new(depth),
            doorbell: Doorbell::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC)?,
            driver: OnceLock::new(),
            birthplace: Birthplace::here(),
            files,
            closing: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            failure: OnceLock::new(),
        })
    }

    fn queue(&self, class: Class) -> &Queue {
        match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
        }
    }

    fn push(&self, operations: impl IntoIterator<Item = Operation>) {
        for operation in operations {
            self.queue(operation.kind().into()).push(operation);
        }
        self.after_push();
    }

    fn after_push(&self) {
        self.wake_driver();
        // After the fence in the doorbell, whose partner is in `bury`: either the burial finds the
        // operation in the queue, or this finds the driver dead.
        if self.is_dead() {
            self.fail_queued();
        }
    }

    /// A caller that has seen an operation fail with the driver sees this: the mark comes first.
    fn is_dead(&self) -> bool {
        // Acquire pairs with the Release in `bury`: the cause was noted.
        self.dead.load(Ordering::Acquire)
    }

    fn wake_driver(&self) {
        match self.doorbell.after_push() {
            RingBell::Superfluous => {}
            RingBell::Unpark => self.driver.get().expect("it announced its sleep").unpark(),
            RingBell::Eventfd => {
                ring::ring_bell(&self.bell).expect("an eventfd that is open takes a ring");
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Why the driver is about to end against its will.
    #[cold]
    fn note_failure(&self, cause: &io::Error) {
        // The first cause stays.
        self.failure.get_or_init(|| format!("{}: {cause}", ring::FAILED));
    }

    /// The driver ends: nothing must wait for it any more.
    #[cold]
    fn bury(&self) {
        // Nothing can come after an orderly end; otherwise the driver has panicked.
        self.note_failure(&io::Error::other("its thread has ended"));
        // Release pairs with the Acquire in `is_dead`.
        self.dead.store(true, Ordering::Release);
        // A SeqCst fence: the partner of the one in `after_push`.
        self.doorbell.announce_end();
        self.fail_queued();
    }

    #[cold]
    fn fail_queued(&self) {
        let cause = self.failure.get().expect("noted before the driver was marked as dead");
        while let Some(operation) = self.reads.pop().or_else(|| self.writes.pop()) {
            unharmed(|| operation.refuse(cause));
        }
    }
}
