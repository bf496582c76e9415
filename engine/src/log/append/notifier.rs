//! Wakes the tasks that wait for the next entry, at little cost while no task waits.
//!
//! The word holds the lowest address that a task waits for, or `OFF`. A writer compares the word
//! with the end of each frame that it has written. If the frame reaches beyond the address, the
//! writer turns the alarm off and wakes all tasks. A task whose frame is still missing sets the
//! alarm again.
//!
//! # No wake is lost
//! A writer shows its frame and then loads the alarm. A sleeper sets the alarm and then looks for
//! the frame. Fences separate these steps: a light fence in the writer, the heavy fence in the
//! sleeper. So at least one of them sees the first step of the other.

use crate::base::address::{ADDRESS_MAX, Address};
use crate::base::wait::{Event, Told, listen};
use crate::epoch::Epoch;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

const OFF: u64 = u64::MAX;
const _: () = assert!(OFF > ADDRESS_MAX, "no task waits for the address that means no alarm");

/// The alarm of one log.
#[derive(Debug)]
pub(crate) struct TailNotifier {
    // Any thread, atomic.
    at: AtomicU64,
    rung: Event,
}

impl TailNotifier {
    pub(crate) fn new() -> Self {
        Self { at: AtomicU64::new(OFF), rung: Event::new() }
    }

    /// Reports a frame that ends at `end` and was released just now.
    #[inline(always)]
    pub(crate) fn written(&self, end: Address, epoch: &Epoch) {
        epoch.fence_lightly();
        // Relaxed: the light fence above and the heavy fence in `set` order it.
        if end.raw() > self.at.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Sets the alarm for the first frame that reaches beyond `address`. Look for the frame once
    /// more before you wait.
    pub(crate) fn set(&self, address: Address, epoch: &Epoch) -> Told {
        // Listen first, so that a ring between the two steps is heard.
        let listener = listen([&self.rung]);
        self.at.fetch_min(address.raw(), Ordering::Relaxed);
        epoch.fence_heavily();
        listener
    }

    #[cold]
    fn ring(&self) {
        // Relaxed: the header of each frame releases the frame that listeners look for.
        self.at.store(OFF, Ordering::Relaxed);
        self.rung.notify(usize::MAX);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn rings_for_what_reaches_beyond_and_once() {
        let (alarm, epoch) = (TailNotifier::new(), Epoch::new());
        let mut far = alarm.set(Address::new(1000), &epoch);
        let mut near = alarm.set(Address::new(500), &epoch);
        alarm.written(Address::new(500), &epoch);
        assert!((&mut near).now_or_never().is_none());
        alarm.written(Address::new(508), &epoch);
        assert!((&mut near).now_or_never().is_some());
        // This task was woken too early, and sets the alarm again.
        assert!((&mut far).now_or_never().is_some());
        let mut again = alarm.set(Address::new(1000), &epoch);
        alarm.written(Address::new(1000), &epoch);
        assert!((&mut again).now_or_never().is_none());
        alarm.written(Address::new(1008), &epoch);
        assert!((&mut again).now_or_never().is_some());
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    /// A sleeper sees the frame, or the writer wakes it.
    #[test]
    fn loom_nobody_sleeps_through_a_frame() {
        loom::model(|| {
            let shared = Arc::new((TailNotifier::new(), Epoch::new(), AtomicU64::new(0)));
            let writer = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (alarm, epoch, frame) = &*shared;
                    frame.store(1, Ordering::Release);
                    alarm.written(Address::new(100), epoch);
                })
            };
            let (alarm, epoch, frame) = &*shared;
            let listener = alarm.set(Address::new(64), epoch);
            if frame.load(Ordering::Acquire) == 0 {
                // A lost wake would be a deadlock here.
                loom::future::block_on(listener);
                assert_eq!(frame.load(Ordering::Acquire), 1);
            }
            writer.join().expect("no panic");
        });
    }
}
