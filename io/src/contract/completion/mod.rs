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
use std::task::{Context, Poll, ready};

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
    Mapped(Box<Mapped>),
    Waiting { table: Arc<OpTable>, index: u32, generation: u64 },
    Taken,
}

/// A completion whose transfer goes through a function.
struct Mapped {
    inner: Completion,
    /// There until the inner one has given its transfer.
    map: Option<Box<dyn FnOnce(Transfer) -> Transfer + Send>>,
}

impl Completion {
    /// A completion that has its result already.
    pub fn ready(transfer: Transfer) -> Self {
        Self { state: State::Ready(transfer) }
    }

    /// Changes, or looks at, the transfer of this operation when the future gives it. For devices
    /// around other devices.
    ///
    /// # Cancel safety
    /// `map` runs only if the result is awaited: dropped before, the future drops it too.
    pub fn map(self, map: impl FnOnce(Transfer) -> Transfer + Send + 'static) -> Self {
        Self { state: State::Mapped(Box::new(Mapped { inner: self, map: Some(Box::new(map)) })) }
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
        if let State::Mapped(mapped) = &mut self.state {
            let transfer = ready!(Pin::new(&mut mapped.inner).poll(context));
            let map = mapped.map.take().expect("the inner completion gives one transfer");
            self.state = State::Taken;
            return Poll::Ready(map(transfer));
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
            State::Mapped(mapped) => {
                f.debug_tuple("Completion::Mapped").field(&mapped.inner).finish()
            }
            State::Waiting { index, generation, .. } => {
                write!(f, "Completion::Waiting({index}, generation {generation})")
            }
            State::Taken => f.write_str("Completion::Taken"),
        }
    }
}

/// Makes the completions of a device: one for each device, or for several that belong together.
///
/// ```
/// use kvick_io::{AlignedBuf, Completions, Transfer};
///
/// let completions = Completions::new();
/// let (completion, sink) = completions.begin();
/// // On whatever thread carries the operation out:
/// sink.complete(Transfer { result: Ok(()), buf: Some(AlignedBuf::zeroed(512)) });
/// # pollster::block_on(async {
/// assert_eq!(completion.await.into_buf()?.len(), 512);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Completions {
    table: SharedTable,
}

impl Completions {
    /// No operation is in flight.
    #[must_use]
    pub fn new() -> Self {
        Self { table: OpTable::new() }
    }

    /// Begins an operation: the future for its caller, and the sink for the device. The buffer
    /// stays with the device until it completes the operation.
    pub fn begin(&self) -> (Completion, CompletionSink) {
        OpTable::begin(&self.table)
    }
}

impl Default for Completions {
    fn default() -> Self {
        Self::new()
    }
}

/// The device's half of an operation: delivers its result, once, from any thread.
///
/// Dropped without a delivery it delivers an error, so that no task waits for ever.
pub struct CompletionSink {
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
    pub fn complete(mut self, transfer: Transfer) {
        self.deliver(transfer);
    }

    /// Whether the future was dropped: work that has not begun can be skipped.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
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
