//! The sign of life of one scan, and its end by others.
//!
//! A task that scans may never be polled again. Then the driver of scans *expires* the scan, if
//! compaction waits for it. The scan learns of it when it is polled.
//!
//! # Invariant
//! A scan shows only what it has read before it expired. The driver sets `is_expired`, drains the
//! epoch, and only then lets records change and chains lose records. So a task that sees such a
//! change has a guard that began after the drain, and sees `is_expired`. The scan looks at
//! `is_expired` after it has read, and before it shows what it has read.
//!
//! # Memory
//! A scan that is not polled keeps what it has read ahead and gathered, within the memory for
//! gathered records. The driver drops that of an expired scan: the *work* of a scan, its future,
//! lies here while no task polls it.

use crate::base::error::{Error, Result};
use kvick_io::BoxFuture;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kvick_io::sync::{AtomicWaker, Mutex, MutexGuard};
use std::fmt;
use std::task::Waker;

/// The future that finds the records of a scan.
pub(super) type Work = BoxFuture<'static, Result<()>>;

/// The pulse of one scan.
#[derive(Default)]
pub(in crate::store) struct Pulse {
    // Written by the task of the scan only. Relaxed: only its changes count.
    beats: AtomicU64,
    // Written by the driver of scans, once.
    is_expired: AtomicBool,
    // Under its lock: `None` while it is polled, and after its end.
    work: Mutex<Option<Work>>,
    // Set by the task of the scan, taken by the driver: work that is dropped wakes no task.
    task: AtomicWaker,
}

impl Pulse {
    /// Notes that the scan is being used.
    #[inline]
    pub(in crate::store) fn beat(&self) {
        // One task writes it, so no addition is lost.
        self.beats.store(self.beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(in crate::store) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Ends the scan. A drain follows before anything that it relies on changes.
    pub(super) fn expire(&self) {
        self.is_expired.store(true, Ordering::Relaxed);
    }

    /// Refuses to show what was read before this call, if the scan has expired.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        // Relaxed: the drain after `expire` orders it, for everything that was read under a guard
        // that began after that drain.
        if self.is_expired.load(Ordering::Relaxed) { Err(Error::scan_expired()) } else { Ok(()) }
    }

    /// Takes the work off: to poll it, or to drop it.
    pub(super) fn take_work(&self) -> Option<Work> {
        self.work().take()
    }

    /// Keeps the work until it is polled again, or until the driver drops it.
    ///
    /// # Errors
    /// `Truncated` if the scan has expired meanwhile. Then the work is dropped here.
    pub(super) fn keep_work(&self, work: Work) -> Result<()> {
        let mut kept = self.work();
        // The driver takes the work after `expire`: it finds the work, or the lock brings the flag
        // here.
        self.check()?;
        *kept = Some(work);
        Ok(())
    }

    /// Lets [`wake`](Self::wake) wake the task that polls the scan now.
    pub(super) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Wakes the task that waits for the scan. The scan has expired, and its work was taken.
    pub(super) fn wake(&self) {
        self.task.wake();
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().expect("nothing panics under it")
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_expired = self.check().is_err();
        formatter.debug_struct("Pulse").field("is_expired", &is_expired).finish_non_exhaustive()
    }
}
