//! One task's place in the epoch table, and the proof that the task is protected.

use super::clock::Clock;
use super::places::Place;
use super::slot::{Slot, UNPROTECTED};
use kvick_io::sync::Arc;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// A task's place in an [`Epoch`](super::Epoch).
///
/// It is `Send`, and one task at a time uses it. It has its own cache line, unless there are
/// thousands.
pub struct Participant {
    clock: Arc<Clock>,
    place: Place,
    // Not Sync: two threads that enter through one word would end each other's protection.
    _exclusive: PhantomData<Cell<UsedByOneTaskAtATime>>,
}

/// The name that a compiler shows for a session that is shared.
struct UsedByOneTaskAtATime;

impl Participant {
    pub(super) fn new(clock: Arc<Clock>, place: Place) -> Self {
        let announced = place.chunk.slot(place.index).announced();
        assert_eq!(announced, UNPROTECTED, "a free place is unprotected");
        Self { clock, place, _exclusive: PhantomData }
    }

    /// Runs `body` protected: no memory that is retired at or after this moment is reclaimed before
    /// it returns. Protection also ends if `body` panics. Do not block in it.
    #[inline(always)]
    pub fn protected<R>(&mut self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        let slot = self.slot();
        self.clock.enter(slot);
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
    pub(super) fn number(&self) -> usize {
        self.place.number()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.clock.places.give_back(&self.place);
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
