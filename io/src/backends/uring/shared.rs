//! The state that callers and the driver of a ring share: queues, doorbell, and the driver's end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use crossbeam_utils::CachePadded;
use rustix::event::{EventfdFlags, eventfd};

use crate::backends::doorbell::{Doorbell, Ring as RingBell};
use crate::backends::engine::Class;
use crate::backends::uring::queue::Queue;
use crate::backends::uring::ring;
use crate::files::operation::Operation;
use crate::threads::blocking::Blocking;
use crate::threads::process::Birthplace;
use crate::threads::spawn::unharmed;

/// The limits on the operations that the driver has in the kernel at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Operations of both classes.
    pub(crate) depth: usize,
    /// Operations of one class.
    pub(crate) class: usize,
}

/// The state that callers and the driver share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reads: Queue,
    pub(super) writes: Queue,
    pub(super) load: CachePadded<Load>,
    pub(super) doorbell: Doorbell,
    /// The eventfd that the driver reads while it sleeps in the ring.
    pub(super) bell: OwnedFd,
    /// The driver. Set before the first push.
    pub(super) driver: OnceLock<Thread>,
    pub(super) birthplace: Birthplace,
    /// The threads that carry out operations for which the kernel has no worker.
    pub(super) files: Arc<Blocking>,
    /// Set when no handle is left: the driver finishes and ends.
    pub(super) closing: AtomicBool,
    /// Set when the driver has failed: every later operation fails.
    pub(super) dead: AtomicBool,
    /// The cause of the failure. Set before `dead`.
    pub(super) failure: OnceLock<String>,
}

/// The operations in the ring. The driver writes it in each round.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// The number of reads that the ring has had lately.
    pub(super) recent_reads: AtomicUsize,
    /// The number of writes and syncs.
    pub(super) writes: AtomicUsize,
}

impl Shared {
    pub(super) fn new(depth: usize, files: Arc<Blocking>) -> io::Result<Self> {
        Ok(Self {
            reads: Queue::new(depth),
            writes: Queue::new(depth),
            load: CachePadded::default(),
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

    pub(super) fn queue(&self, class: Class) -> &Queue {
        match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
        }
    }

    pub(super) fn push(&self, operations: impl IntoIterator<Item = Operation>) {
        for operation in operations {
            self.queue(operation.kind().into()).push(operation);
        }
        self.after_push();
    }

    pub(super) fn after_push(&self) {
        self.wake_driver();
        // After the fence in the doorbell, whose partner is in `bury`. Either `bury` finds the
        // operation in the queue, or this load finds the driver dead.
        if self.is_dead() {
            self.fail_queued();
        }
    }

    /// Returns whether the driver has failed. The mark precedes the failure of any operation, so a
    /// caller that has seen such a failure sees the mark.
    pub(super) fn is_dead(&self) -> bool {
        // Acquire pairs with the Release in `bury`: the cause was noted.
        self.dead.load(Ordering::Acquire)
    }

    pub(super) fn wake_driver(&self) {
        match self.doorbell.after_push() {
            RingBell::Superfluous => {}
            RingBell::Unpark => self.driver.get().expect("it announced its sleep").unpark(),
            RingBell::Eventfd => {
                ring::ring_bell(&self.bell).expect("an eventfd that is open takes a ring");
            }
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Records the cause of the driver's failure.
    #[cold]
    pub(super) fn note_failure(&self, cause: &io::Error) {
        // The first cause stays.
        self.failure.get_or_init(|| format!("{}: {cause}", ring::FAILED));
    }

    /// Marks the driver as dead, so that no task waits for it any more.
    #[cold]
    pub(super) fn bury(&self) {
        // Nothing can come after an orderly end; otherwise the driver has panicked.
        self.note_failure(&io::Error::other("its thread has ended"));
        // Release pairs with the Acquire in `is_dead`.
        self.dead.store(true, Ordering::Release);
        // A SeqCst fence: the partner of the fence in `after_push`.
        self.doorbell.announce_end();
        self.fail_queued();
    }

    #[cold]
    pub(super) fn fail_queued(&self) {
        let cause = self.failure.get().expect("noted before the driver was marked as dead");
        while let Some(operation) = self.reads.pop().or_else(|| self.writes.pop()) {
            unharmed(|| operation.refuse(cause));
        }
    }
}
