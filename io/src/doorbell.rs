//! Wakes one sleeping thread with at most one system call for each sleep.
//!
//! The sleeper announces that it will sleep, looks at its queues once more, and sleeps. A caller
//! pushes, and looks whether somebody sleeps. Each side writes one thing and then reads the other
//! (Dekker), with a `SeqCst` fence between: at least one of them sees what the other wrote, so no
//! push is left lying while the thread sleeps. The caller that finds the announcement takes it
//! down, so that a burst of pushes rings once.

use crate::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the one sleeper is asleep, or about to be.
#[derive(Debug)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
}

/// Whether the caller has to wake the sleeper.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// It sleeps, or is about to, and nobody else will wake it.
    Needed,
    /// It is awake and will look at its queues before it sleeps.
    Superfluous,
}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self { asleep: AtomicBool::new(false) }
    }

    /// To be called after a push that is at least Release.
    pub(crate) fn after_push(&self) -> Ring {
        // Partner of the fence in `announce_sleep`. Without it both sides could read the old
        // values: the push would wait for the next one.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence; the swap only picks one caller to ring.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            Ring::Needed
        } else {
            Ring::Superfluous
        }
    }

    /// The sleeper will sleep, unless it now finds its queues filled.
    pub(crate) fn announce_sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        // Partner of the fence in `after_push`.
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake. A caller that has just rung has rung for nothing.
    pub(crate) fn announce_awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::Arc;
    use crate::sync::atomic::AtomicUsize;

    #[test]
    fn loom_no_push_is_slept_through() {
        loom::model(|| {
            let shared = Arc::new((Doorbell::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let caller = Arc::clone(&shared);
            let thread = loom::thread::spawn(move || {
                let (bell, pushed, rung) = &*caller;
                pushed.store(1, Ordering::Release);
                if bell.after_push() == Ring::Needed {
                    rung.fetch_add(1, Ordering::Release);
                }
            });
            let (bell, pushed, rung) = &*shared;
            bell.announce_sleep();
            let seen = pushed.load(Ordering::Acquire) == 1;
            thread.join().unwrap();
            assert!(seen || rung.load(Ordering::Acquire) == 1, "slept through a push");
        });
    }
}
