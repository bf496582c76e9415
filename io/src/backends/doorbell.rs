//! Wakes one sleeping thread with at most one system call for each sleep.
//!
//! The sleeper announces how it will sleep, looks at its queues once more, and sleeps. A caller
//! pushes, and looks whether somebody sleeps. Each side writes one thing and then reads the other
//! (Dekker), with a `SeqCst` fence between: at least one of them sees what the other wrote, so no
//! push is left lying while the thread sleeps. The caller that finds the announcement takes it
//! down, so that a burst of pushes rings once, and wakes the sleeper in the way that was announced.
//!
//! ```text
//!            announce_parked            after_push (Unpark)
//!   AWAKE ---------------------> PARKED --------------------> AWAKE
//!     |      announce_in_ring           after_push (Eventfd)    ^
//!     `------------------------> IN_RING -----------------------'
//!            the sleeper brings either back to AWAKE with announce_awake
//! ```
//!
//! A wake may come late: the caller has taken the announcement down, and the sleeper, woken by
//! something else, has been awake since and sleeps again, perhaps in the other way. Both ways keep
//! what comes early (the token of a thread, the count of an eventfd), so a late wake ends some
//! later sleep for nothing, and never takes the place of one that is needed: each sleep has an
//! announcement of its own, and whoever takes that down wakes in the way that it says.

use crate::sync::atomic::{AtomicU8, Ordering, fence};

/// Whether the one sleeper is asleep, or about to be, and how.
#[derive(Debug)]
pub(crate) struct Doorbell {
    state: AtomicU8,
}

/// What the caller has to do to wake the sleeper.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// Nothing: it is awake and will look at its queues before it sleeps, or another caller wakes
    /// it.
    Superfluous,
    /// It is parked, or about to be: unpark it.
    Unpark,
    /// It waits in the ring, or is about to: write to the eventfd that it reads there.
    Eventfd,
}

const AWAKE: u8 = 0;
const PARKED: u8 = 1;
const IN_RING: u8 = 2;

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(AWAKE) }
    }

    /// PARKED or IN_RING -> AWAKE, by one of the callers. To be called after a push that is at
    /// least Release.
    pub(crate) fn after_push(&self) -> Ring {
        // Partner of the fence in `announce`. Without it both sides could read the old values: the
        // push would wait for the next one.
        fence(Ordering::SeqCst);
        // Relaxed, here and on failure: ordered by the fence.
        let mut found = self.state.load(Ordering::Relaxed);
        while found != AWAKE {
            // One caller takes the announcement down, and rings. Release pairs with the Acquire in
            // `announce_awake`: what the sleeper announces next comes after this.
            let order = (Ordering::Release, Ordering::Relaxed);
            match self.state.compare_exchange_weak(found, AWAKE, order.0, order.1) {
                Ok(PARKED) => return Ring::Unpark,
                Ok(_) => return Ring::Eventfd,
                Err(now) => found = now,
            }
        }
        Ring::Superfluous
    }

    /// AWAKE -> PARKED: the sleeper will park, unless it now finds its queues filled.
    pub(crate) fn announce_parked(&self) {
        self.announce(PARKED);
    }

    /// AWAKE -> IN_RING: the sleeper will wait in its ring, where it reads the eventfd, unless it
    /// now finds its queues filled.
    pub(crate) fn announce_in_ring(&self) {
        self.announce(IN_RING);
    }

    /// Any state -> AWAKE, by the sleeper. A caller that has just rung has rung for nothing.
    pub(crate) fn announce_awake(&self) {
        // Acquire pairs with the Release in `after_push`.
        let _ = self.state.swap(AWAKE, Ordering::Acquire);
    }

    /// Any state -> AWAKE, by the sleeper that will never sleep again. Each push is seen by what it
    /// does next, or sees in [`after_push`](Self::after_push) what it did before.
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

    /// Keeps a wake that comes early, as the token of a thread and the count of an eventfd do.
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

    /// What the driver and its callers share: a queue, of which only the length matters.
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

    /// As the driver: takes what was pushed, and sleeps in one bed and then in the other until
    /// there is something. A wake that is lost is a deadlock, which loom reports.
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

    /// The control: a sleeper that announces one bed and may lie down in the other.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_a_wake_for_the_other_bed_is_lost() {
        take_two(|bell, _| bell.announce_parked());
    }

    /// The control: without the fence each side may miss what the other wrote.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_a_sleep_without_a_fence_loses_a_push() {
        take_two(|bell, park| {
            bell.state.store(if park { PARKED } else { IN_RING }, Ordering::Relaxed);
        });
    }
}
