//! The state word of one operation, and the one cell that it protects.
//!
//! Two parties share a slot: the *future* (polls, or is dropped) and the *sink* (completes, once,
//! from any thread). The word holds a generation and a state. Every change of the word is one of
//! the named methods below. Each is a read-modify-write, or a store by the only party that may move
//! on.
//!
//! ```text
//!                 claim              begin_fill             finish_fill          take
//!   FREE(g) ------------> PENDING(g) ----------> FILLING(g) -----------> READY(g) ----> FREE(g+1)
//!                            | detach               | detach                | detach
//!                            v                      v                       v
//!                        FREE(g+1)             ABANDONED(g)              FREE(g+1)
//!                                                   | finish_fill (the sink takes it back)
//!                                                   v
//!                                               FREE(g+1)
//! ```
//!
//! Access to the cell: only the sink in FILLING and ABANDONED, only the future in READY. The party
//! that brings the word to FREE returns the slot to the free list, exactly once. A sink that comes
//! late finds another generation and keeps its transfer.

use std::task::Waker;

use crate::contract::completion::transfer::Transfer;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{AtomicWaker, UnsafeCell};

/// The slot of one operation: recycled, never freed while its table lives.
#[derive(Debug)]
pub(super) struct Slot {
    // Any thread, atomic.
    word: AtomicU64,
    waker: AtomicWaker,
    /// The next slot of the free list. Meaningful only while this slot is in the list.
    pub(super) next_free: AtomicU32,
    // Only the party that the state names.
    transfer: UnsafeCell<Option<Transfer>>,
}

#[expect(unsafe_code, reason = "the state word gives one party at a time access to the cell")]
// SAFETY: only the party that the state word names reaches the cell (module essay). The word admits
// one party at a time and orders them; `Transfer` is Send.
unsafe impl Sync for Slot {}

/// The outcome of a delivery.
#[must_use]
#[derive(Debug)]
pub(super) enum Delivery {
    /// The future will find the transfer; the caller wakes it.
    Delivered,
    /// The future was dropped while the sink filled the cell. The slot is free; the caller recycles
    /// it.
    Released(Transfer),
    /// The future was dropped earlier. The slot belongs to another operation now.
    Stale(Transfer),
}

/// The outcome of a poll.
#[must_use]
#[derive(Debug)]
pub(super) enum Take {
    /// The operation has not finished.
    Pending,
    /// The operation has finished. The slot is free; the caller recycles it.
    Released(Transfer),
}

/// The outcome of a detach.
#[must_use]
#[derive(Debug)]
pub(super) enum Detach {
    /// The slot is free. The caller recycles it and drops the transfer, if any.
    Released(Option<Transfer>),
    /// The sink is at work in the slot and will release it.
    LeftToSink,
}

const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;
const FREE: u64 = 0;
const PENDING: u64 = 1;
const FILLING: u64 = 2;
const READY: u64 = 3;
const ABANDONED: u64 = 4;

fn word(generation: u64, state: u64) -> u64 {
    generation << STATE_BITS | state
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(word(0, FREE)),
            waker: AtomicWaker::new(),
            next_free: AtomicU32::new(0),
            transfer: UnsafeCell::new(None),
        }
    }

    /// Moves FREE -> PENDING for the caller that popped the slot. Returns the generation.
    pub(super) fn claim(&self) -> u64 {
        // Relaxed, twice: the caller owns the slot through the free list, and no other party exists
        // yet. The Acquire pop of the list pairs with the Release push made after the word became
        // FREE.
        let free = self.word.load(Ordering::Relaxed);
        assert_eq!(free & STATE_MASK, FREE, "a slot of the free list is free");
        let generation = free >> STATE_BITS;
        self.word.store(word(generation, PENDING), Ordering::Relaxed);
        generation
    }

    /// Returns whether the future still waits. [`deliver`](Self::deliver) notices a later detach.
    pub(super) fn is_awaited(&self, generation: u64) -> bool {
        // Relaxed: a hint that saves work; no read depends on it.
        self.word.load(Ordering::Relaxed) == word(generation, PENDING)
    }

    /// Moves PENDING -> FILLING -> READY for the sink.
    pub(super) fn deliver(&self, generation: u64, transfer: Transfer) -> Delivery {
        if !self.begin_fill(generation) {
            return Delivery::Stale(transfer);
        }
        self.put(transfer);
        // AcqRel: Release pairs with the Acquire in `take` and `detach`, which read the cell.
        // Acquire pairs with the Release of `detach` to ABANDONED before the cell is reused.
        let (filling, ready) = (word(generation, FILLING), word(generation, READY));
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.word.compare_exchange(filling, ready, order.0, order.1) {
            Ok(_) => Delivery::Delivered,
            Err(found) => {
                assert_eq!(found, word(generation, ABANDONED), "only a detach can interfere");
                let transfer = self.remove();
                self.set_free(generation);
                Delivery::Released(transfer)
            }
        }
    }

    /// Wakes the waiting task. After a delivery the slot may already serve another operation. Then
    /// its task wakes needlessly, and its next poll registers again.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Moves READY -> FREE for the future. Registers `waker` if there is no transfer yet.
    pub(super) fn poll(&self, generation: u64, waker: &Waker) -> Take {
        if let Some(transfer) = self.take(generation) {
            return Take::Released(transfer);
        }
        self.waker.register(waker);
        // A delivery between the first look and the registration woke no task: look again.
        self.take(generation).map_or(Take::Pending, Take::Released)
    }

    /// Moves any state -> FREE or ABANDONED when the future is dropped.
    pub(super) fn detach(&self, generation: u64) -> Detach {
        // Drop the waker now: a long time may pass before this slot serves another task.
        drop(self.waker.take());
        let (pending, abandoned) = (word(generation, PENDING), word(generation, ABANDONED));
        // Relaxed on success: no party reads a write of this one through the word; the free list
        // publishes the slot. Acquire on failure as in `take`.
        let free = word(generation + 1, FREE);
        let order = (Ordering::Relaxed, Ordering::Acquire);
        let Err(found) = self.word.compare_exchange(pending, free, order.0, order.1) else {
            return Detach::Released(None);
        };
        if found == word(generation, FILLING) {
            // Release pairs with the Acquire of the failing exchange in `deliver`.
            let order = (Ordering::Release, Ordering::Acquire);
            if self.word.compare_exchange(found, abandoned, order.0, order.1).is_ok() {
                return Detach::LeftToSink;
            }
        }
        Detach::Released(Some(self.take(generation).expect("the sink has finished")))
    }

    fn begin_fill(&self, generation: u64) -> bool {
        let (pending, filling) = (word(generation, PENDING), word(generation, FILLING));
        // Relaxed: the free list ordered the claim before the sink existed; the cell is empty.
        self.word.compare_exchange(pending, filling, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn take(&self, generation: u64) -> Option<Transfer> {
        // Acquire pairs with the Release of READY in `deliver`: the cell is filled.
        let found = self.word.load(Ordering::Acquire);
        debug_assert_eq!(found >> STATE_BITS, generation, "the future holds its generation");
        (found == word(generation, READY)).then(|| {
            let transfer = self.remove();
            self.set_free(generation);
            transfer
        })
    }

    fn set_free(&self, generation: u64) {
        // Release orders the emptied cell before the next generation, for a stale sink's view of
        // the word. The free list's Release push does so for the next owner.
        self.word.store(word(generation + 1, FREE), Ordering::Release);
    }

    fn put(&self, transfer: Transfer) {
        self.transfer.with_mut(|cell| {
            // SAFETY: only the sink calls this, in FILLING, which excludes the future (module
            // essay).
            #[expect(unsafe_code, reason = "access granted by the state word")]
            let cell = unsafe { &mut *cell };
            debug_assert!(cell.is_none(), "the cell of a free slot is empty");
            *cell = Some(transfer);
        });
    }

    fn remove(&self) -> Transfer {
        self.transfer.with_mut(|cell| {
            // SAFETY: the future calls this in READY, or the sink in ABANDONED; the other party has
            // left the slot and does not return (module essay).
            #[expect(unsafe_code, reason = "access granted by the state word")]
            let cell = unsafe { &mut *cell };
            cell.take().expect("a finished operation left its transfer")
        })
    }
}
