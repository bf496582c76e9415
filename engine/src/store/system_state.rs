//! The version that operations belong to, and the version barrier ([`VersionBarrier`]) between two
//! versions.
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
//! A scan only needs a moment at which nothing changes. It drops its barrier, so its version
//! continues. One barrier is up at a time; the other task waits until it is over.
//!
//! An operation that changes something checks this word under its guard. It changes nothing while
//! the barrier is up. It waits until the barrier ends, and holds nothing meanwhile. Nothing changes
//! at all when every participant that was protected at the start of the barrier has left. Then the
//! log has an end and each session a last operation; everything below them is version `v`, whole.
//! Reads continue throughout.
//!
//! # Invariants
//! 1. No operation changes anything under a guard that was taken after the publication of the
//!    barrier and before its end.
//! 2. A barrier ends even if its driver is dropped or panics, because a dropped [`VersionBarrier`]
//!    ends it.
//! 3. Versions only grow, and only by a barrier.
//!
//! # Difference from the paper
//! In CPR, operations of `v` and `v + 1` run side by side until the last participant has moved on.
//! Records carry a bit that tells them apart. Here writers wait for each other, for as long as the
//! longest stretch under one guard: microseconds. In return, a version is an address with no record
//! of `v + 1` below it. The commit point of a session is a number that can be read.
//!
//! Source: Prasaad, Chandramouli, Kossmann: "Concurrent Prefix Recovery: Performing CPR on a
//! Database", SIGMOD 2019.

use crate::base::wait::Event;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

const CUT: u64 = 1;

/// The version of one store.
#[derive(Debug)]
pub(crate) struct SystemState {
    // Any thread, atomic; only the drivers of checkpoints and of scans change it.
    word: AtomicU64,
    changed: Event,
}

/// The version barrier while it is up. Dropping it lets operations continue in the old version.
#[derive(Debug)]
#[must_use]
pub(crate) struct VersionBarrier<'p> {
    phase: &'p SystemState,
    version: u64,
}

impl SystemState {
    pub(crate) fn new(version: u64) -> Self {
        assert!(version < u64::MAX >> 1, "versions do not wrap");
        Self { word: AtomicU64::new(version << 1), changed: Event::new() }
    }

    /// Returns whether changes must wait.
    #[inline(always)]
    pub(crate) fn is_cut(&self) -> bool {
        // Acquire: pairs with the Release of `leave`. An operation that continues sees the writes
        // made during the barrier.
        self.word.load(Ordering::Acquire) & CUT != 0
    }

    /// Returns the whole word, for comparison with an earlier word. It is one load on the hot path,
    /// under protection. The version does not change during that protection, unless the barrier was
    /// up.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        // Acquire: as `is_cut`.
        self.word.load(Ordering::Acquire)
    }

    /// Returns the version of an operation that changes something now, or the version that is
    /// ending.
    pub(crate) fn version(&self) -> u64 {
        Self::version_in(self.word())
    }

    /// Returns the version in a word.
    pub(crate) fn version_in(word: u64) -> u64 {
        word >> 1
    }

    /// Returns whether a word says that changes must wait.
    pub(crate) fn is_cut_in(word: u64) -> bool {
        word & CUT != 0
    }

    /// Publishes the barrier, unless another one is up. It is complete when an epoch that is bumped
    /// afterwards has drained.
    #[must_use]
    pub(crate) fn transition_to_cut(&self) -> Option<VersionBarrier<'_>> {
        // AcqRel: the bump that follows orders it before the scan for participants that may not see
        // it.
        let before = self.word.fetch_or(CUT, Ordering::AcqRel);
        (before & CUT == 0).then(|| VersionBarrier { phase: self, version: before >> 1 })
    }

    /// Returns the event that is notified whenever a barrier ends.
    pub(crate) fn changed(&self) -> &Event {
        &self.changed
    }

    fn leave(&self, version: u64) {
        // Release: pairs with the Acquire of `is_cut` and of `word`.
        self.word.store(version << 1, Ordering::Release);
        self.changed.notify(usize::MAX);
    }
}

impl VersionBarrier<'_> {
    /// Lets operations continue in the version `next`.
    pub(crate) fn end(mut self, next: u64) {
        assert!(next > self.version, "versions only grow");
        self.version = next;
    }
}

impl Drop for VersionBarrier<'_> {
    fn drop(&mut self) {
        self.phase.leave(self.version);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cut_ends_in_the_next_version_or_where_it_began() {
        let phase = SystemState::new(3);
        let cut = phase.transition_to_cut().expect("no other barrier");
        assert!(phase.is_cut());
        assert!(phase.transition_to_cut().is_none(), "one barrier at a time");
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
        phase: SystemState,
        epoch: Epoch,
        /// Two words that an operation changes together.
        places: [AtomicU64; 2],
        serial: AtomicU64,
    }

    /// Runs one operation, unless a barrier is up. Returns whether it ran.
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
            phase: SystemState::new(1),
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
        let cut = store.phase.transition_to_cut().expect("no other barrier");
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

    /// The negative control: operations that do not check the phase.
    #[test]
    #[should_panic(expected = "cut")]
    fn loom_a_cut_that_nobody_looks_at_is_none() {
        loom::model(|| cut_sees_whole_operations(false));
    }
}
