//! The loop of the driver thread: admit, submit, sleep, reap, wake.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::engine::Class;
use crate::file::StorageFile;
use crate::uring::ring::{Finished, Ring};
use crate::uring::{Limits, Shared};

/// What the driver thread owns.
pub(super) struct Driver {
    ring: Ring,
    shared: Arc<Shared>,
    class_limit: usize,
    reads: usize,
    writes: usize,
    /// Ended in this round; kept to save the allocation.
    finished: Vec<Finished>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        limits: Limits,
        probe: &StorageFile,
        block: usize,
    ) -> io::Result<Self> {
        let mut ring = Ring::new(limits.depth, shared.bell.try_clone()?)?;
        ring.prove(probe, block)?;
        let finished = Vec::with_capacity(limits.depth);
        Ok(Self { ring, shared, class_limit: limits.class, reads: 0, writes: 0, finished })
    }

    /// Works until every handle is gone and everything is done.
    pub(super) fn run(mut self) {
        loop {
            // Before the queues: what was pushed before the last handle went is then seen.
            let closing = self.shared.is_closing();
            self.admit();
            if closing && self.ring.count() == 0 && !self.work_waits() {
                return;
            }
            if let Err(error) = self.wait() {
                tracing::error!(%error, "io_uring failed: every operation of this driver fails");
                return;
            }
            self.ring.reap(&mut self.finished);
            self.wake();
        }
    }

    /// Moves operations from the queues to the ring, writes first: they free memory.
    fn admit(&mut self) {
        for class in [Class::Write, Class::Read] {
            while self.has_room(class) {
                let Some(operation) = self.shared.queue(class).pop() else {
                    break;
                };
                if operation.is_abandoned() {
                    continue;
                }
                *self.running(class) += 1;
                self.ring.start(operation);
            }
        }
    }

    /// Sleeps until something completes or the doorbell rings, unless there is work.
    fn wait(&mut self) -> io::Result<()> {
        self.shared.doorbell.announce_sleep();
        let ending = self.shared.is_closing() && self.ring.count() == 0;
        let sleep = !ending && !self.work_waits();
        if sleep {
            self.ring.arm_bell();
        }
        let outcome = self.ring.submit_and_wait(usize::from(sleep));
        self.shared.doorbell.announce_awake();
        outcome
    }

    /// Gives the results to the futures: after all were reaped, with nothing held.
    fn wake(&mut self) {
        let mut finished = std::mem::take(&mut self.finished);
        for (operation, result) in finished.drain(..) {
            let running = self.running(operation.kind().into());
            debug_assert!(*running > 0, "what ends was running");
            *running -= 1;
            // A waker is a stranger's code: its panic must not stop everybody's transfers.
            let woken = catch_unwind(AssertUnwindSafe(|| operation.finish(result)));
            if woken.is_err() {
                tracing::error!("a waker panicked on the io_uring thread");
            }
        }
        self.finished = finished;
    }

    /// Whether an operation could be admitted now.
    fn work_waits(&self) -> bool {
        [Class::Write, Class::Read]
            .into_iter()
            .any(|class| self.has_room(class) && !self.shared.queue(class).is_empty())
    }

    fn has_room(&self, class: Class) -> bool {
        let running = match class {
            Class::Read => self.reads,
            Class::Write => self.writes,
        };
        running < self.class_limit && !self.ring.is_full()
    }

    fn running(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Read => &mut self.reads,
            Class::Write => &mut self.writes,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nothing can come after an orderly end; after a failure or a panic nothing may wait.
        self.shared.bury();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;
    use crate::doorbell::Doorbell;
    use crate::operation::Kind;
    use crate::operation::tests::{operation, scratch};
    use crate::uring::queue::Queue;

    /// A driver that nobody runs, if the kernel allows one.
    fn driver(file: &StorageFile) -> Option<Driver> {
        let shared = Shared {
            reads: Queue::new(8),
            writes: Queue::new(8),
            doorbell: Doorbell::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor"),
            closing: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        };
        let limits = Limits { depth: 8, class: 6 };
        Driver::new(Arc::new(shared), limits, file, 512)
            .inspect_err(|error| println!("skipped: {error}"))
            .ok()
    }

    #[test]
    fn each_class_is_admitted_however_many_of_the_other_wait() {
        let (_directory, file) = scratch();
        let Some(mut driver) = driver(&file) else {
            return;
        };
        let push = |driver: &Driver, kind: Kind| {
            let (completion, operation) = operation(kind, &file, &[512]);
            driver.shared.queue(kind.into()).push(operation);
            completion
        };
        let mut completions: Vec<_> = (0..20).map(|_| push(&driver, Kind::Read)).collect();
        driver.admit();
        assert_eq!((driver.reads, driver.writes), (6, 0));
        assert!(!driver.work_waits(), "no room for what waits");
        completions.push(push(&driver, Kind::Write));
        assert!(driver.work_waits());
        driver.admit();
        assert_eq!((driver.reads, driver.writes), (6, 1));
        drop(completions);
    }

    #[test]
    fn what_nobody_awaits_is_not_begun() {
        let (_directory, file) = scratch();
        let Some(mut driver) = driver(&file) else {
            return;
        };
        let (completion, operation) = operation(Kind::Write, &file, &[512]);
        driver.shared.writes.push(operation);
        drop(completion);
        driver.admit();
        assert_eq!(driver.ring.count(), 0);
        assert!(driver.shared.writes.is_empty());
    }

    #[test]
    fn operations_of_a_driver_that_dies_fail() {
        let (_directory, file) = scratch();
        let Some(driver) = driver(&file) else { return };
        let shared = Arc::clone(&driver.shared);
        let (before, queued) = operation(Kind::Read, &file, &[512]);
        shared.reads.push(queued);
        drop(driver);
        assert!(pollster::block_on(before).result.is_err());
        let (after, late) = operation(Kind::Read, &file, &[512]);
        shared.reads.push(late);
        shared.after_push();
        assert!(pollster::block_on(after).result.is_err());
    }
}
