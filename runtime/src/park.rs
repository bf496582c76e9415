//! Parks the thread of an executor, and wakes it at the price of one swap when it is awake.
//!
//! The sleeper raises a flag, looks for work once more, and only then parks; a waker publishes
//! work, then lowers the flag. Every change of the flag is a swap, so the changes form one chain,
//! each synchronised with the one before. Either the waker's swap comes later than the sleeper's:
//! then it finds the flag up and unparks. Or it comes earlier: then the sleeper has seen the work.
//! So no wake is lost. `unpark` leaves a token behind, so it does not matter if it comes just
//! before `park`.

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(not(loom))]
use std::thread::{self, Thread};

use kvick_io::sync::atomic::{AtomicBool, Ordering};
#[cfg(loom)]
use loom::thread::{self, Thread};

/// How long the thread may sleep, as seen after the flag was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// There is work.
    No,
    /// Nothing to do before so much time has passed.
    For(Duration),
    /// Nothing to do until woken.
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

    /// Sleeps if `idle`, called after the flag is up, says so. May wake for no reason.
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
        // A swap and not a store, so that the chain goes on: Acquire pairs with `wake`, as above.
        self.asleep.swap(false, Ordering::Acquire);
    }

    /// Wakes the thread if it sleeps, or is about to. Call it after the work is published.
    pub(crate) fn wake(&self) {
        // Release: pairs with the swaps in `park`, for the work. Acquire: with the first of them,
        // for `thread`. Of many wakers one finds the flag up.
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.thread.get().expect("the flag goes up after the thread is known").unpark();
        }
    }
}

#[cfg(not(loom))]
fn park_timeout(duration: Duration) {
    thread::park_timeout(duration);
}

/// loom has no time: a sleep that only a deadline ends would hide a lost wake.
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
