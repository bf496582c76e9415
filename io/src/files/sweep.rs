//! Tells executors with their own descriptors that a segment was deleted or closed.

use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use crate::sync::AtomicWaker;

/// Wakes the task of an executor that drops descriptors.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    due: AtomicBool,
    ended: AtomicBool,
    waker: AtomicWaker,
}

/// The sweeps of all attached executors.
static SWEEPS: Mutex<Vec<Weak<Sweep>>> = Mutex::new(Vec::new());

/// Tells every executor that a segment was deleted or closed, so that it drops its descriptors of
/// it.
pub(crate) fn sweep() {
    // Outside the lock: a waker is foreign code.
    let sweeps: Vec<_> = sweeps().iter().filter_map(Weak::upgrade).collect();
    for sweep in sweeps {
        // Release pairs with the Acquire in `due`: the task sees that the segment is deleted.
        sweep.due.store(true, Ordering::Release);
        sweep.waker.wake();
    }
}

fn sweeps() -> MutexGuard<'static, Vec<Weak<Sweep>>> {
    // Every update is one call of the list.
    SWEEPS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sweep {
    /// Registers one more executor.
    pub(crate) fn announce() -> Arc<Self> {
        let sweep = Arc::new(Self::default());
        let mut sweeps = sweeps();
        sweeps.retain(|other| other.strong_count() > 0);
        sweeps.push(Arc::downgrade(&sweep));
        sweep
    }

    /// Waits until there may be a descriptor to drop. Returns `false` at the end.
    pub(crate) async fn due(&self) -> bool {
        poll_fn(|context| {
            // Before the look: a sweep that comes in between wakes the task.
            self.waker.register(context.waker());
            // Acquire pairs with the Release in `end` and in `sweep`.
            if self.ended.load(Ordering::Acquire) {
                Poll::Ready(false)
            } else if self.due.swap(false, Ordering::Acquire) {
                Poll::Ready(true)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Ends the task. Called on its executor.
    pub(crate) fn end(&self) {
        // Release pairs with the Acquire in `due`.
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Stops waking the task. An executor that has ended may have forgotten it.
    pub(crate) fn forget(&self) {
        sweeps().retain(|other| !std::ptr::eq(other.as_ptr(), self));
        // Dropping the waker would schedule the task of an executor that is gone.
        mem::forget(self.waker.take());
    }
}
