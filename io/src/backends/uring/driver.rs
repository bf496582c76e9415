//! The loop of the driver thread: admit, submit, sleep, reap, wake.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crate::backends::engine::{Class, run_blocking};
use crate::backends::uring::kernel::Kernel;
use crate::backends::uring::ring::{Reaped, Ring};
use crate::backends::uring::shared::{Limits, Shared};
use crate::files::file::StorageFile;
use crate::threads::spawn::unharmed;

/// The state of the driver thread.
pub(super) struct Driver {
    ring: Ring,
    shared: Arc<Shared>,
    class_limit: usize,
    reads: usize,
    writes: usize,
    /// The most reads of the last rounds: falls by an eighth each round.
    recent_reads: usize,
    /// The operations that ended in this round. Kept to save the allocations.
    reaped: Reaped,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        limits: Limits,
        probe: &StorageFile,
        block: usize,
        kernel: Box<dyn Kernel>,
    ) -> io::Result<Self> {
        let mut ring = Ring::new(limits.depth, shared.bell.try_clone()?, kernel)?;
        ring.prove(probe, block)?;
        let reaped = Reaped::default();
        Ok(Self {
            ring,
            shared,
            class_limit: limits.class,
            reads: 0,
            writes: 0,
            recent_reads: 0,
            reaped,
        })
    }

    /// Works until every handle is gone and every operation is done.
    pub(super) fn run(mut self) {
        loop {
            // Before the queues: the driver then sees every push made before the last handle was
            // dropped.
            let closing = self.shared.is_closing();
            self.admit();
            if closing && self.ring.count() == 0 && !self.work_waits() {
                return;
            }
            if let Err(error) = self.wait() {
                tracing::error!(%error, "io_uring failed; open the directory again");
                return self.shared.note_failure(&error);
            }
            self.ring.reap(&mut self.reaped);
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
        self.note_load();
    }

    /// Tells callers how many writes the ring has, and how many reads it has had lately. A round
    /// that ends all reads does not make the ring idle, as long as as many follow.
    fn note_load(&mut self) {
        let fallen = self.recent_reads - self.recent_reads.div_ceil(8);
        self.recent_reads = fallen.max(self.reads);
        // Relaxed: a caller that misses a change gives one read to the ring, or keeps one from it.
        self.shared.load.recent_reads.store(self.recent_reads, Ordering::Relaxed);
        self.shared.load.writes.store(self.writes, Ordering::Relaxed);
    }

    /// Sleeps until an operation completes or the doorbell rings, unless there is work.
    fn wait(&mut self) -> io::Result<()> {
        if self.ring.count() == 0 {
            self.park();
            return Ok(());
        }
        self.shared.doorbell.announce_in_ring();
        let sleep = !self.work_waits();
        if sleep {
            self.ring.arm_bell();
        }
        let outcome = self.ring.submit_and_wait(usize::from(sleep));
        self.shared.doorbell.announce_awake();
        outcome
    }

    /// Sleeps with nothing in flight, outside the ring. A thread that waits for the doorbell in the
    /// ring counts as waiting for a disk, and the machine would seem stuck in I/O.
    fn park(&self) {
        self.shared.doorbell.announce_parked();
        if !self.shared.is_closing() && !self.work_waits() {
            thread::park();
        }
        self.shared.doorbell.announce_awake();
    }

    /// Gives the results to the futures: after all were reaped, without holding anything.
    fn wake(&mut self) {
        let mut reaped = mem::take(&mut self.reaped);
        for (operation, result) in reaped.finished.drain(..) {
            self.leave(operation.kind().into());
            unharmed(|| operation.finish(result));
        }
        for operation in reaped.refused.drain(..) {
            self.leave(operation.kind().into());
            tracing::debug!(?operation, "no kernel worker; a file thread takes it");
            self.shared.files.run_first(move || run_blocking(operation));
        }
        self.reaped = reaped;
    }

    /// Records that one operation of `class` has left the ring.
    fn leave(&mut self, class: Class) {
        let running = self.running(class);
        debug_assert!(*running > 0, "an ending job was running");
        *running -= 1;
    }

    /// Returns whether an operation could be admitted now.
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
        // Nothing can come after an orderly end. After a failure or a panic no task may wait.
        self.shared.bury();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::backends::uring::kernel::RealKernel;
    use crate::files::operation::Kind;
    use crate::files::operation::tests::{operation, scratch};
    use crate::threads::blocking::Blocking;

    /// Returns a driver without a thread that runs it, if the kernel allows one.
    fn driver(file: &StorageFile) -> Option<Driver> {
        let files = Arc::new(Blocking::start().expect("a thread starts"));
        let shared = Shared::new(8, files).expect("a descriptor");
        let limits = Limits { depth: 8, class: 6 };
        Driver::new(Arc::new(shared), limits, file, 512, Box::new(RealKernel))
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
        assert!(!driver.work_waits(), "the waiting operations find no room");
        completions.push(push(&driver, Kind::Write));
        assert!(driver.work_waits());
        driver.admit();
        assert_eq!((driver.reads, driver.writes), (6, 1));
        drop(completions);
    }

    /// Callers took turns between the ring and the kernel, and each batch was a small one.
    #[test]
    fn a_ring_that_ends_all_of_its_reads_at_once_is_not_idle() {
        let (_directory, file) = scratch();
        let Some(mut driver) = driver(&file) else {
            return;
        };
        let recent = |driver: &mut Driver, reads| {
            driver.reads = reads;
            driver.note_load();
            driver.shared.load.recent_reads.load(Ordering::Relaxed)
        };
        assert_eq!(recent(&mut driver, 64), 64);
        assert_eq!([0, 0, 60, 0].map(|reads| recent(&mut driver, reads)), [56, 49, 60, 52]);
        assert_eq!((0..30).map(|_| recent(&mut driver, 0)).last(), Some(0));
        driver.writes = 17;
        driver.note_load();
        assert_eq!(driver.shared.load.writes.load(Ordering::Relaxed), 17);
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
