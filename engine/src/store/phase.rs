//! The version that operations belong to, and the cut between two versions.
//!
//! ```text
//!  63                                           1   0
//! +------------------------------------------------+-----+
//! |                    version                     | cut |
//! +------------------------------------------------+-----+
//! ```
//!
//! # How a version ends
//! ```text
//!   rest(v) --- transition_to_cut ---> cut(v) --- end(v + 1) ---> rest(v + 1)
//!                                        |
//!                                        `------ dropped ------> rest(v)
//! ```
//!
//! An operation that changes something looks at this word under its guard. While the cut is on it
//! changes nothing and waits, holding nothing, until the cut is over. So once everybody who was
//! protected when the cut began has left, nothing changes at all: the log has an end, every session
//! a last operation, and what is below them is version `v`, whole. Reads go on throughout.
//!
//! # Invariants
//! 1. Nothing is changed under a guard that was taken after the cut was published and before it
//!    ended.
//! 2. A cut ends, also when its driver is dropped or panics: [`Cut`] ends it when it is dropped.
//! 3. Versions only grow, and only by a cut.
//!
//! # Difference from the paper
//! In CPR operations of `v` and `v + 1` run side by side until the last participant has moved on,
//! and records carry the bit that tells them apart. Here the writers wait for each other, for as
//! long as the longest stretch under one guard: microseconds. What that buys is that a version is
//! an address, with no record of `v + 1` below it, and that a session's commit point is a number
//! that can be read.
//!
//! Source: Prasaad, Chandramouli, Kossmann: "Concurrent Prefix Recovery: Performing CPR on a
//! Database", SIGMOD 2019.

use event_listener::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

const CUT: u64 = 1;

/// The version of one store.
#[derive(Debug)]
pub(crate) struct Phase {
    // Any thread, atomic; changed by the checkpoint driver alone.
    word: AtomicU64,
    changed: Event,
}

/// The cut, while it is on. Dropping it lets operations go on in the old version.
#[derive(Debug)]
#[must_use]
pub(crate) struct Cut<'p> {
    phase: &'p Phase,
    version: u64,
}

impl Phase {
    pub(crate) fn new(version: u64) -> Self {
        assert!(version < u64::MAX >> 1, "versions do not wrap");
        Self { word: AtomicU64::new(version << 1), changed: Event::new() }
    }

    /// Whether changes have to wait.
    #[inline(always)]
    pub(crate) fn is_cut(&self) -> bool {
        // Acquire: pairs with the Release of `leave`; who goes on sees what was done in the cut.
        self.word.load(Ordering::Acquire) & CUT != 0
    }

    /// All of it, for comparison with what was seen before. One load on the hot path, under
    /// protection; while that lasts the version stays what it is, unless the cut was on.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        // Acquire: as `is_cut`.
        self.word.load(Ordering::Acquire)
    }

    /// The version that whoever changes something now belongs to, or the one before the next.
    pub(crate) fn version(&self) -> u64 {
        Self::version_in(self.word())
    }

    /// The version in a word.
    pub(crate) fn version_in(word: u64) -> u64 {
        word >> 1
    }

    /// Whether a word says that changes have to wait.
    pub(crate) fn is_cut_in(word: u64) -> bool {
        word & CUT != 0
    }

    /// Publishes the cut. It is complete once an epoch that is bumped afterwards has drained.
    pub(crate) fn transition_to_cut(&self) -> Cut<'_> {
        // AcqRel: the bump that follows orders it before the scan for those who may not see it.
        let before = self.word.fetch_or(CUT, Ordering::AcqRel);
        assert!(before & CUT == 0, "one cut at a time");
        Cut { phase: self, version: before >> 1 }
    }

    /// Told whenever a cut is over.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    fn leave(&self, version: u64) {
        // Release: pairs with the Acquire of `is_cut`.
        self.word.store(version << 1, Ordering::Release);
        self.changed.notify(usize::MAX);
    }
}

impl Cut<'_> {
    /// Lets operations go on in the version `next`.
    pub(crate) fn end(mut self, next: u64) {
        assert!(next > self.version, "versions only grow");
        self.version = next;
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.phase.leave(self.version);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cut_ends_in_the_next_version_or_where_it_began() {
        let phase = Phase::new(3);
        let cut = phase.transition_to_cut();
        assert!(phase.is_cut());
        assert_eq!(phase.version(), 3);
        cut.end(4);
        assert!(!phase.is_cut());
        assert_eq!(phase.version(), 4);
        drop(phase.transition_to_cut());
        assert!(!phase.is_cut());
        assert_eq!(phase.version(), 4);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::epoch::Epoch;
    use kvick_io::sync::atomic::Ordering;
    use loom::{sync::Arc, thread};

    struct Store {
        phase: Phase,
        epoch: Epoch,
        /// What operations change: two places that belong together, and the session's serial.
        places: [AtomicU64; 2],
        serial: AtomicU64,
    }

    /// One operation; it waits by trying again.
    fn operate(store: &Store, participant: &mut crate::epoch::Participant, looks: bool) -> bool {
        participant.protected(|_guard| {
            if looks && store.phase.is_cut() {
                return false;
            }
            for place in &store.places {
                place.store(place.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            store.serial.store(store.serial.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            true
        })
    }

    fn cut_sees_whole_operations(looks: bool) {
        let store = Arc::new(Store {
            phase: Phase::new(1),
            epoch: Epoch::new(),
            places: [AtomicU64::new(0), AtomicU64::new(0)],
            serial: AtomicU64::new(0),
        });
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let mut participant = store.epoch.register();
                operate(&store, &mut participant, looks);
                operate(&store, &mut participant, looks);
            })
        };
        let cut = store.phase.transition_to_cut();
        let epoch = store.epoch.bump();
        while !store.epoch.is_drained(epoch) {
            thread::yield_now();
        }
        let state = || {
            let [first, second] = [0, 1].map(|place| store.places[place].load(Ordering::Relaxed));
            [first, second, store.serial.load(Ordering::Relaxed)]
        };
        let [first, second, serial] = state();
        assert_eq!(first, second, "an operation is in the version or not");
        assert_eq!(first, serial, "the commit point is that of the state");
        assert_eq!(state(), [first, second, serial], "nothing changes during a cut");
        cut.end(2);
        writer.join().expect("no panic");
    }

    #[test]
    fn loom_a_cut_sees_whole_operations() {
        loom::model(|| cut_sees_whole_operations(true));
    }

    /// The negative control: operations that do not look at the phase.
    #[test]
    #[should_panic(expected = "cut")]
    fn loom_a_cut_that_nobody_looks_at_is_none() {
        loom::model(|| cut_sees_whole_operations(false));
    }
}
