//! The turn of the long values of a batch.
//!
//! Modifications of a batch wait beside each other. Each may need a value that is stored in pieces,
//! whose bytes it keeps until it ends. One at a time does, so a batch holds one such value, however
//! many keys it has.

use crate::base::wait::{Event, wait_until};
use kvick_io::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// The turn, which one operation of a batch can have.
#[derive(Debug, Default)]
pub(crate) struct LongValueTurn {
    /// The number of the operation that has the turn; 0 if it is free.
    holder: AtomicUsize,
    freed: Event,
}

/// An operation of a batch, for the turn.
#[derive(Clone, Debug)]
pub(crate) struct LongValuePlace {
    turn: Arc<LongValueTurn>,
    /// The number of the operation, from 1 on.
    number: usize,
}

impl LongValuePlace {
    pub(crate) fn new(turn: &Arc<LongValueTurn>, place: usize) -> Self {
        Self { turn: Arc::clone(turn), number: place + 1 }
    }

    /// Takes the turn, until [`end`](Self::end). Returns false if another operation has it.
    pub(crate) fn take(&self) -> bool {
        // Acquire: pairs with the Release of the operation that had the turn.
        let taken =
            self.turn.holder.compare_exchange(0, self.number, Ordering::AcqRel, Ordering::Acquire);
        taken.is_ok() || taken == Err(self.number)
    }

    /// Waits until it has the turn.
    pub(crate) async fn wait(&self) {
        wait_until(&self.turn.freed, || self.take().then_some(())).await;
    }

    /// Gives the turn back, if this operation has it.
    pub(crate) fn end(&self) {
        // Release: pairs with the Acquire of the next operation.
        let given =
            self.turn.holder.compare_exchange(self.number, 0, Ordering::AcqRel, Ordering::Relaxed);
        if given.is_ok() {
            self.turn.freed.notify(1);
        }
    }
}
