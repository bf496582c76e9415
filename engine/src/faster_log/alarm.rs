//! Waking those who wait for the next entry, at no cost while nobody does.
//!
//! The word is the lowest address that somebody waits for, or beyond all. Who has written a frame
//! looks whether it reaches beyond that; if so he takes the alarm off and wakes everybody, and who
//! has not got what he waits for sets it again.
//!
//! # Nobody sleeps through it
//! The writer shows his frame and then looks at the alarm; the sleeper sets the alarm and then
//! looks for the frame. The fences in between, a light one for the writer, the heavy one for the
//! sleeper, see to it that at least one of them sees what the other did.

use crate::address::Address;
use crate::epoch::Epoch;
use crate::wait::{Told, listen};
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

const OFF: u64 = u64::MAX;

/// The alarm of one log.
#[derive(Debug)]
pub(super) struct Alarm {
    // Any thread, atomic.
    at: AtomicU64,
    rung: Event,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { at: AtomicU64::new(OFF), rung: Event::new() }
    }

    /// Tells of a frame that ends at `end` and was released just now.
    #[inline(always)]
    pub(super) fn written(&self, end: Address, epoch: &Epoch) {
        epoch.fence_lightly();
        // Relaxed: the fences order it.
        if end.raw() > self.at.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Sets the alarm for the first frame that reaches beyond `address`. Look for it once more
    /// before you wait.
    pub(super) fn set(&self, address: Address, epoch: &Epoch) -> Told {
        // First, so that a ring between the two is heard.
        let listener = listen([&self.rung]);
        self.at.fetch_min(address.raw(), Ordering::Relaxed);
        epoch.fence_heavily();
        listener
    }

    #[cold]
    fn ring(&self) {
        // Relaxed: what listeners look for was released by itself.
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
        let (alarm, epoch) = (Alarm::new(), Epoch::new());
        let mut far = alarm.set(Address::new(1000), &epoch);
        let mut near = alarm.set(Address::new(500), &epoch);
        alarm.written(Address::new(500), &epoch);
        assert!((&mut near).now_or_never().is_none());
        alarm.written(Address::new(508), &epoch);
        assert!((&mut near).now_or_never().is_some());
        // Woken too early, it sets the alarm again.
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

    /// A writer and a sleeper: either the sleeper sees the frame, or it is woken.
    #[test]
    fn loom_nobody_sleeps_through_a_frame() {
        loom::model(|| {
            let shared = Arc::new((Alarm::new(), Epoch::new(), AtomicU64::new(0)));
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
