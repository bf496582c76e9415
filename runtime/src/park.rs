//! Parks the thread of an executor. A wake costs one swap while the thread is awake.
//!
//! The sleeper raises a flag, looks for work once more, and only then parks. A waker publishes
//! work, then lowers the flag. Every change of the flag is a swap. So the changes form one chain,
//! and each synchronises with the change before it. If the waker's swap comes after the sleeper's,
//! the waker finds the flag up and unparks the thread. If it comes before, the sleeper sees the
//! work. So no wake is lost. `unpark` leaves a token, so it may come just before `park`.

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(not(loom))]
use std::thread::{self, Thread};

use kvick_io::sync::atomic::{AtomicBool, Ordering};
#[cfg(loom)]
use loom::thread::{self, Thread};

/// The time for which the thread may sleep, computed after the flag was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// There is work.
    No,
    /// There is no work before this time has passed.
    For(Duration),
    /// There is no work until a wake.
    UntilWoken,
}

#[derive(Debug)]
pub(crate) struct Parker {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { asleep: AtomicBool::new(false), thread: OnceLock::new() }
    }

    /// Sleeps as `idle` allows, which is called after the flag is up. May wake without a reason.
    ///
    /// Always called by the same thread.
    pub(crate) fn park(&self, idle: impl FnOnce() -> Idle) {
        let owner = self.thread.get_or_init(thread::current);
        debug_assert_eq!(owner.id(), thread::current().id(), "a parker belongs to one thread");
        // Release: a waker that finds the flag up also finds `thread`. Acquire: the sleeper sees
        // the work of every waker that lowered the flag before. Both pair with the swap in `wake`.
        let was_up = self.asleep.swap(true, Ordering::AcqRel);
        debug_assert!(!was_up, "the flag is up only while the thread is in here");
        match idle() {
            Idle::No => {}
            Idle::For(duration) => park_timeout(duration),
            Idle::UntilWoken => thread::park(),
        }
        // A swap and not a store, so that the chain continues: Acquire pairs with `wake`, as above.
        self.asleep.swap(false, Ordering::Acquire);
    }

    /// Wakes the thread if it sleeps, or is about to. Call it after the work is published.
    pub(crate) fn wake(&self) {
        // Release: pairs with the swaps in `park`, for the work. Acquire: pairs with the first of
        // them, for `thread`. Only one of many wakers finds the flag up.
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.thread.get().expect("the thread is set before the flag is raised").unpark();
        }
    }
}

#[cfg(not(loom))]
fn park_timeout(duration: Duration) {
    thread::park_timeout(duration);
}

/// Parks without a deadline. loom has no time, and a deadline would hide a lost wake.
#[cfg(loom)]
fn park_timeout(_duration: Duration) {
    thread::park();
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;

    #[test]
    fn no_wake_is_lost() {
        loom::model(|| {
            let parker = Arc::new(Parker::new());
            let work = Arc::new(AtomicUsize::new(0));
            let waker = {
                let (parker, work) = (Arc::clone(&parker), Arc::clone(&work));
                thread::spawn(move || {
                    for _ in 0..2 {
                        work.fetch_add(1, Ordering::Relaxed);
                        parker.wake();
                    }
                })
            };
            // A lost wake is a deadlock, which loom reports.
            let mut seen = 0;
            while seen < 2 {
                seen = work.load(Ordering::Relaxed);
                parker.park(|| match work.load(Ordering::Relaxed) > seen || seen == 2 {
                    true => Idle::No,
                    false => Idle::UntilWoken,
                });
            }
            waker.join().unwrap();
        });
    }
}
