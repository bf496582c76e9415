//! The future of one transfer, and the sink that completes it.
//!
//! An operation has two halves. The [`Completion`] is the caller's: it waits, or it is dropped.
//! The [`CompletionSink`] is the device's: it delivers the [`Transfer`], once. They meet in a slot
//! of an [`OpTable`]; the protocol between them is all in `slot.rs`. Neither half holds the buffer
//! while the operation is in flight: it travels with the operation itself, so that dropping the
//! future can never free memory that the kernel still writes to.

mod slot;
mod table;
mod transfer;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::contract::buf::AlignedBuf;
use crate::contract::completion::slot::{Delivery, Detach, Take};
pub(crate) use crate::contract::completion::table::OpTable;
pub use crate::contract::completion::transfer::Transfer;
use crate::sync::Arc;

/// A table as its users share it: the counter is the facade's, so that loom sees it.
pub(crate) type SharedTable = Arc<OpTable>;

/// One operation in flight: a future of its [`Transfer`].
///
/// # Cancel safety
/// Dropping it detaches from the operation and frees nothing early: the buffer stays with the
/// device until the kernel is done and is dropped, or returned to its pool, then. An operation
/// still waiting in the queue is not carried out; a write in flight may or may not take effect.
///
/// # Panics
/// If polled again after it gave its result.
#[must_use = "the result of the transfer is lost; a queued one may not even be carried out"]
pub struct Completion {
    state: State,
}

enum State {
    Ready(Transfer),
    Waiting { table: Arc<OpTable>, index: u32, generation: u64 },
    Taken,
}

impl Completion {
    /// A completion that has its result already.
    pub fn ready(transfer: Transfer) -> Self {
        Self { state: State::Ready(transfer) }
    }

    /// A failure that gives back its buffer, without anything having been started.
    pub(crate) fn refused(error: io::Error, buf: Option<AlignedBuf>) -> Self {
        Self::ready(Transfer { result: Err(error), buf })
    }

    /// Detaches from an operation that will never end: its thread is in another process.
    #[cold]
    fn give_up(&mut self, error: io::Error) -> Transfer {
        drop(mem::replace(self, Self { state: State::Taken }));
        Transfer { result: Err(error), buf: None }
    }

    pub(crate) fn pending(table: Arc<OpTable>, index: u32, generation: u64) -> Self {
        Self { state: State::Waiting { table, index, generation } }
    }
}

impl Future for Completion {
    type Output = Transfer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Transfer> {
        if let State::Waiting { table, index, generation } = &self.state {
            return match table.slot(*index).poll(*generation, context.waker()) {
                Take::Pending => match table.birthplace().check() {
                    Ok(()) => Poll::Pending,
                    Err(forked) => Poll::Ready(self.give_up(forked)),
                },
                Take::Released(transfer) => {
                    table.recycle(*index);
                    self.state = State::Taken;
                    Poll::Ready(transfer)
                }
            };
        }
        match mem::replace(&mut self.state, State::Taken) {
            State::Ready(transfer) => Poll::Ready(transfer),
            _ => panic!("a completion was polled after it gave its result"),
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let State::Waiting { table, index, generation } = &self.state else {
            return;
        };
        match table.slot(*index).detach(*generation) {
            Detach::Released(transfer) => {
                table.recycle(*index);
                drop(transfer);
            }
            Detach::LeftToSink => {}
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Ready(transfer) => f.debug_tuple("Completion::Ready").field(transfer).finish(),
            State::Waiting { index, generation, .. } => {
                write!(f, "Completion::Waiting({index}, generation {generation})")
            }
            State::Taken => f.write_str("Completion::Taken"),
        }
    }
}

/// The device's half of an operation: delivers its result, once, from any thread.
///
/// Dropped without a delivery it delivers an error, so that nobody waits for ever.
pub(crate) struct CompletionSink {
    table: Arc<OpTable>,
    index: u32,
    delivered: bool,
    generation: u64,
}

impl CompletionSink {
    fn new(table: Arc<OpTable>, index: u32, generation: u64) -> Self {
        Self { table, index, delivered: false, generation }
    }

    /// Delivers the result and wakes the future. If that is gone, the buffer is dropped here.
    pub(crate) fn complete(mut self, transfer: Transfer) {
        self.deliver(transfer);
    }

    /// Whether the future was dropped: work that has not begun can be skipped.
    pub(crate) fn is_abandoned(&self) -> bool {
        !self.table.slot(self.index).is_awaited(self.generation)
    }

    fn deliver(&mut self, transfer: Transfer) {
        assert!(!self.delivered, "an operation is completed once");
        self.delivered = true;
        let slot = self.table.slot(self.index);
        match slot.deliver(self.generation, transfer) {
            Delivery::Delivered => slot.wake(),
            Delivery::Released(transfer) => {
                self.table.recycle(self.index);
                drop(transfer);
            }
            Delivery::Stale(transfer) => drop(transfer),
        }
    }
}

impl Drop for CompletionSink {
    fn drop(&mut self) {
        if !self.delivered {
            let error = io::Error::other("the device stopped before it completed the operation");
            self.deliver(Transfer { result: Err(error), buf: None });
        }
    }
}

impl fmt::Debug for CompletionSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompletionSink({}, generation {})", self.index, self.generation)
    }
}
