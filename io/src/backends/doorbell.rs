//! Wakes one sleeping thread with at most one system call for each sleep.
//!
//! The sleeper announces the way in which it will sleep, looks at its queues once more, and sleeps.
//! A caller pushes, and then looks for an announcement. Each side writes one variable and then
//! reads the other (Dekker), with a `SeqCst` fence between. At least one side sees the other's
//! write, so no push waits while the thread sleeps. The caller that finds the announcement clears
//! it, so that a burst of pushes rings once. It then wakes the sleeper in the announced way.
//!
//! ```text
//!            announce_parked            after_push (Unpark)
//!   AWAKE ---------------------> PARKED --------------------> AWAKE
//!     |      announce_in_ring           after_push (Eventfd)    ^
//!     `------------------------> IN_RING -----------------------'
//!            the sleeper brings either back to AWAKE with announce_awake
//! ```
//!
//! A wake may come late. The caller has cleared the announcement; another event woke the sleeper,
//! which now sleeps again, perhaps in the other way. Both ways keep an early wake (the token of a
//! thread, the count of an eventfd). So a late wake only ends a later sleep needlessly. It never
//! replaces a needed wake: each sleep has its own announcement, and the caller that clears it wakes
//! in the announced way.

use crate::sync::atomic::{AtomicU8, Ordering, fence};

/// The state of the one sleeper: awake, or asleep in one of two ways, or about to be.
#[derive(Debug)]
pub(crate) struct Doorbell {
    state: AtomicU8,
}

/// The call that a caller must make to wake the sleeper.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// None. The sleeper is awake and will look at its queues before it sleeps, or another caller
    /// wakes it.
    Superfluous,
    /// Unpark the sleeper: it is parked, or about to be.
    Unpark,
    /// Write to the eventfd: the sleeper reads it in the ring, or is about to.
    Eventfd,
}

const AWAKE: u8 = 0;
const PARKED: u8 = 1;
const IN_RING: u8 = 2;

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(AWAKE) }
    }

    /// Moves PARKED or IN_RING -> AWAKE for a caller. The caller has made a push that is at least
    /// Release.
    pub(crate) fn after_push(&self) -> Ring {
        // Partner of the fence in `announce`. Without it both sides could read the old values, and
        // the push would wait for the next push.
        fence(Ordering::SeqCst);
        // Relaxed, here and on failure: ordered by the fence.
        let mut found = self.state.load(Ordering::Relaxed);
        while found != AWAKE {
            // One caller clears the announcement and rings. Release pairs with the Acquire in
            // `announce_awake`: the sleeper's next announcement comes after this.
            let order = (Ordering::Release, Ordering::Relaxed);
            match self.state.compare_exchange_weak(found, AWAKE, order.0, order.1) {
                Ok(PARKED) => return Ring::Unpark,
                Ok(_) => return Ring::Eventfd,
                Err(now) => found = now,
            }
        }
        Ring::Superfluous
    }

    /// Moves AWAKE -> PARKED: the sleeper will park, unless its queues are filled now.
    pub(crate) fn announce_parked(&self) {
        self.announce(PARKED);
    }

    /// Moves AWAKE -> IN_RING: the sleeper will read the eventfd in its ring, unless its queues are
    /// filled now.
    pub(crate) fn announce_in_ring(&self) {
        self.announce(IN_RING);
    }

    /// Moves any state -> AWAKE for the sleeper. A caller may have just rung needlessly.
    pub(crate) fn announce_awake(&self) {
        // Acquire pairs with the Release in `after_push`.
        let _ = self.state.swap(AWAKE, Ordering::Acquire);
    }

    /// Moves any state -> AWAKE for a sleeper that will never sleep again. The sleeper's next step
    /// sees each push, or the push sees in [`after_push`](Self::after_push) the sleeper's earlier
    /// writes.
    pub(crate) fn announce_end(&self) {
        self.announce(AWAKE);
    }

    fn announce(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
        // Partner of the fence in `after_push`.
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::{Condvar, Mutex};
    use loom::thread;

    use super::*;
    use crate::sync::Arc;
    use crate::sync::atomic::AtomicUsize;

    /// Keeps an early wake, as the token of a thread and the count of an eventfd do.
    struct Bed {
        woken: Mutex<bool>,
        change: Condvar,
    }

    impl Bed {
        fn new() -> Self {
            Self { woken: Mutex::new(false), change: Condvar::new() }
        }

        fn wake(&self) {
            *self.woken.lock().unwrap() = true;
            self.change.notify_one();
        }

        fn sleep(&self) {
            let mut woken = self.woken.lock().unwrap();
            while !*woken {
                woken = self.change.wait(woken).unwrap();
            }
            *woken = false;
        }
    }

    /// The shared state of the driver and its callers: a queue, of which only the length matters.
    struct House {
        bell: Doorbell,
        pushed: AtomicUsize,
        parked: Bed,
        in_ring: Bed,
    }

    impl House {
        fn push(&self) {
            self.pushed.fetch_add(1, Ordering::Release);
            match self.bell.after_push() {
                Ring::Superfluous => {}
                Ring::Unpark => self.parked.wake(),
                Ring::Eventfd => self.in_ring.wake(),
            }
        }
    }

    /// Acts as the driver: takes pushes, and sleeps in one bed and then in the other until there is
    /// a push. A lost wake is a deadlock, which loom reports.
    fn take_two(announce: fn(&Doorbell, bool)) {
        loom::model(move || {
            let house = Arc::new(House {
                bell: Doorbell::new(),
                pushed: AtomicUsize::new(0),
                parked: Bed::new(),
                in_ring: Bed::new(),
            });
            let callers = [(); 2].map(|()| {
                let house = Arc::clone(&house);
                thread::spawn(move || house.push())
            });
            let (mut park, mut taken) = (true, 0);
            while taken < 2 {
                announce(&house.bell, park);
                if house.pushed.load(Ordering::Acquire) == taken {
                    if park { house.parked.sleep() } else { house.in_ring.sleep() }
                }
                house.bell.announce_awake();
                taken = house.pushed.load(Ordering::Acquire);
                park = !park;
            }
            for caller in callers {
                caller.join().unwrap();
            }
        });
    }

    fn announce_bed(bell: &Doorbell, park: bool) {
        if park { bell.announce_parked() } else { bell.announce_in_ring() }
    }

    #[test]
    fn loom_no_push_is_slept_through_in_either_bed() {
        take_two(announce_bed);
    }

    /// The control: a sleeper announces one bed and may lie down in the other.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_a_wake_for_the_other_bed_is_lost() {
        take_two(|bell, _| bell.announce_parked());
    }

    /// The control: without the fence each side may miss the write of the other.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_a_sleep_without_a_fence_loses_a_push() {
        take_two(|bell, park| {
            bell.state.store(if park { PARKED } else { IN_RING }, Ordering::Relaxed);
        });
    }
}
