//! What callers and the driver of a ring share: the queues, the doorbell, and how the driver ended.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use rustix::event::{EventfdFlags, eventfd};

use crate::backends::doorbell::{Doorbell, Ring as RingBell};
use crate::backends::engine::Class;
use crate::backends::uring::queue::Queue;
use crate::backends::uring::ring;
use crate::files::operation::Operation;
use crate::threads::blocking::Blocking;
use crate::threads::process::Birthplace;
use crate::threads::spawn::unharmed;

/// How much the driver has in the kernel at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Operations of both classes.
    pub(crate) depth: usize,
    /// Operations of one class.
    pub(crate) class: usize,
}

/// What callers and the driver share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reads: Queue,
    pub(super) writes: Queue,
    pub(super) doorbell: Doorbell,
    /// What the driver listens to while it sleeps in the ring.
    pub(super) bell: OwnedFd,
    /// The driver, since before anything can be pushed.
    pub(super) driver: OnceLock<Thread>,
    pub(super) birthplace: Birthplace,
    /// Who carries out what the kernel has no worker for.
    pub(super) files: Arc<Blocking>,
    /// No handle is left: finish and end.
    pub(super) closing: AtomicBool,
    /// The driver is gone, against its will: fail what comes.
    pub(super) dead: AtomicBool,
    /// Why it is gone, before it is.
    pub(super) failure: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(depth: usize, files: Arc<Blocking>) -> io::Result<Self> {
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
        // After the fence in the doorbell, whose partner is in `bury`: either the burial finds the
        // operation in the queue, or this finds the driver dead.
        if self.is_dead() {
            self.fail_queued();
        }
    }

    /// A caller that has seen an operation fail with the driver sees this: the mark comes first.
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

    /// Why the driver is about to end against its will.
    #[cold]
    pub(super) fn note_failure(&self, cause: &io::Error) {
        // The first cause stays.
        self.failure.get_or_init(|| format!("{}: {cause}", ring::FAILED));
    }

    /// The driver ends: nothing must wait for it any more.
    #[cold]
    pub(super) fn bury(&self) {
        // Nothing can come after an orderly end; otherwise the driver has panicked.
        self.note_failure(&io::Error::other("its thread has ended"));
        // Release pairs with the Acquire in `is_dead`.
        self.dead.store(true, Ordering::Release);
        // A SeqCst fence: the partner of the one in `after_push`.
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
