//! The io_uring backend: one driver thread that owns one ring.
//!
//! ```text
//!  callers --push--> reads  [bounded queue + overflow] --+
//!          --push--> writes [bounded queue + overflow] --+--> driver: admit, submit, reap, wake
//!          --ring--> doorbell (an eventfd, only if the driver sleeps)
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

mod driver;
mod queue;
mod ring;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};

use crate::doorbell::{Doorbell, Ring as RingBell};
use crate::engine::{Class, Engine};
use crate::file::StorageFile;
use crate::operation::Operation;
use crate::uring::driver::Driver;
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
    /// What the driver listens to while it sleeps.
    bell: OwnedFd,
    /// No handle is left: finish and end.
    closing: AtomicBool,
    /// The driver is gone, against its will: fail what comes.
    dead: AtomicBool,
}

impl Uring {
    /// Starts a driver and proves that it works: one no-op and one read of `probe`.
    pub(crate) fn start(limits: Limits, probe: StorageFile, block: usize) -> io::Result<Self> {
        assert!(limits.class <= limits.depth, "a class is a part of the whole");
        let shared = Arc::new(Shared {
            reads: Queue::new(limits.depth),
            writes: Queue::new(limits.depth),
            doorbell: Doorbell::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC)?,
            closing: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        });
        let for_driver = Arc::clone(&shared);
        let (report, started) = mpsc::sync_channel(1);
        let builder = thread::Builder::new().name("kvick-uring".to_owned());
        builder.spawn(move || {
            // On this thread: a ring with SINGLE_ISSUER belongs to the thread that makes it.
            match Driver::new(for_driver, limits, &probe, block) {
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
        self.shared.queue(operation.kind().into()).push(operation);
        self.shared.after_push();
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        for operation in operations {
            self.shared.queue(operation.kind().into()).push(operation);
        }
        self.shared.after_push();
    }

    fn name(&self) -> &'static str {
        "uring"
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `is_closing`: the driver that sees it also sees every
        // operation pushed before.
        self.shared.closing.store(true, Ordering::Release);
        if self.shared.doorbell.after_push() == RingBell::Needed {
            self.shared.ring_bell();
        }
    }
}

impl Shared {
    fn queue(&self, class: Class) -> &Queue {
        match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
        }
    }

    fn after_push(&self) {
        if self.doorbell.after_push() == RingBell::Needed {
            self.ring_bell();
        }
        // Relaxed: after the fence in the doorbell, whose partner is in `bury`. Either the burial
        // finds the operation in the queue, or this load finds the driver dead.
        if self.dead.load(Ordering::Relaxed) {
            self.fail_queued();
        }
    }

    fn ring_bell(&self) {
        ring::ring_bell(&self.bell).expect("an eventfd that is open takes a ring");
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The driver ends without having been asked to: nothing must wait for it any more.
    #[cold]
    fn bury(&self) {
        self.dead.store(true, Ordering::Relaxed);
        // A SeqCst fence: the partner of the one in `after_push`.
        self.doorbell.announce_sleep();
        self.fail_queued();
    }

    /// Dropping an operation completes it with an error.
    #[cold]
    fn fail_queued(&self) {
        while let Some(operation) = self.reads.pop().or_else(|| self.writes.pop()) {
            drop(operation);
        }
    }
}
