//! One task's place in the epoch table, and the proof that it is protected.

use super::{Epoch, UNPROTECTED};
use crossbeam_utils::CachePadded;
use kvick_io::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
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

/// A task's place in an [`Epoch`]: `Send`, used by one task at a time, one cache line.
pub struct Participant {
    epoch: Epoch,
    slot: Arc<CachePadded<Slot>>,
    // Not Sync: two threads entering through one word would unprotect each other.
    _exclusive: PhantomData<Cell<()>>,
}

impl Participant {
    pub(super) fn new(epoch: Epoch, slot: Arc<CachePadded<Slot>>) -> Self {
        assert_eq!(slot.announced(), UNPROTECTED, "a free place is unprotected");
        Self { epoch, slot, _exclusive: PhantomData }
    }

    /// Runs `body` protected: nothing retired at or after this moment is reclaimed before it
    /// returns. Protection ends also when `body` panics. Do not block in it.
    #[inline(always)]
    pub fn protected<R>(&mut self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        self.slot.enter(&self.epoch);
        let guard = Guard { slot: &self.slot, _not_send: PhantomData };
        body(&guard)
    }
}

impl fmt::Debug for Participant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Participant").field("announced", &self.slot.announced()).finish()
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
