//! One task's place in the epoch table, and the proof that it is protected.

use super::places::Place;
use super::{Epoch, UNPROTECTED};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// The word of one participant: 0, or the epoch it is protected at.
#[derive(Debug)]
pub(super) struct Slot {
    epoch: AtomicU64,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { epoch: AtomicU64::new(UNPROTECTED) }
    }

    /// Acquire: pairs with the Release of `leave`, so that everything its owner read or wrote
    /// under protection happened before whatever a drain allows.
    pub(super) fn announced(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// As `announced`, for one of many words: an Acquire fence follows the last one.
    pub(super) fn announced_relaxed(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Whether its owner is protected at an epoch before this one.
    pub(super) fn is_older_than(&self, epoch: u64) -> bool {
        let announced = self.announced();
        announced != UNPROTECTED && announced < epoch
    }

    #[inline(always)]
    fn enter(&self, epoch: &Epoch) {
        debug_assert_eq!(
            self.epoch.load(Ordering::Relaxed),
            UNPROTECTED,
            "protection does not nest within one participant"
        );
        // Relaxed: a stale epoch is only more conservative; the fence below orders the rest.
        let current = epoch.shared.current.load(Ordering::Relaxed);
        // Release: pairs with the Acquire of `announced`. Who finds a new epoch here has not seen
        // the `leave` before it, and must see what was done until then all the same.
        self.epoch.store(current, Ordering::Release);
        epoch.shared.fences.light();
    }

    #[inline(always)]
    fn leave(&self) {
        // Release: pairs with the Acquire of `announced`.
        self.epoch.store(UNPROTECTED, Ordering::Release);
    }
}

/// A task's place in an [`Epoch`]: `Send`, used by one task at a time. It has a cache line of its
/// own, unless there are thousands.
pub struct Participant {
    epoch: Epoch,
    place: Place,
    // Not Sync: two threads entering through one word would unprotect each other.
    _exclusive: PhantomData<Cell<()>>,
}

impl Participant {
    pub(super) fn new(epoch: Epoch, place: Place) -> Self {
        let announced = place.chunk.slot(place.index).announced();
        assert_eq!(announced, UNPROTECTED, "a free place is unprotected");
        Self { epoch, place, _exclusive: PhantomData }
    }

    /// Runs `body` protected: nothing retired at or after this moment is reclaimed before it
    /// returns. Protection ends also when `body` panics. Do not block in it.
    #[inline(always)]
    pub fn protected<R>(&mut self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        let slot = self.slot();
        slot.enter(&self.epoch);
        let guard = Guard { slot, _not_send: PhantomData };
        body(&guard)
    }

    #[inline(always)]
    fn slot(&self) -> &Slot {
        self.place.chunk.slot(self.place.index)
    }
}

#[cfg(all(test, not(loom)))]
impl Participant {
    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn number(&self) -> usize {
        self.place.number()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.epoch.shared.places.give_back(&self.place);
    }
}

impl fmt::Debug for Participant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Participant");
        debug.field("place", &self.place.number());
        debug.field("announced", &self.slot().announced()).finish()
    }
}

/// Proof that the running task is protected. Neither `Send` nor `Sync`, and never held across an
/// `.await`.
pub struct Guard<'e> {
    slot: &'e Slot,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for Guard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.slot.leave();
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("epoch", &self.slot.announced()).finish()
    }
}
