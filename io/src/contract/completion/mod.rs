//! The future of one transfer, and the sink that completes it.
//!
//! An operation has two halves. The [`Completion`] belongs to the caller, which awaits or drops it.
//! The [`CompletionSink`] belongs to the device, which delivers the [`Transfer`] once. They meet in
//! a slot of an [`OpTable`]; `slot.rs` has the whole protocol between them. Neither half holds the
//! buffer while the operation is in flight: the buffer travels with the operation itself. So
//! dropping the future never frees memory that the kernel still writes to.

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

/// The shared table. The counter is the `Arc` of the facade, so that loom sees it.
pub(crate) type SharedTable = Arc<OpTable>;

/// One operation in flight: a future of its [`Transfer`].
///
/// # Cancel safety
/// A drop detaches from the operation and frees nothing early. The device keeps the buffer until
/// the kernel is done, and then drops it or returns it to its pool. A queued operation is not
/// carried out; a write in flight may or may not take effect.
///
/// # Panics
/// If polled again after it returned its result.
#[must_use = "a dropped completion loses its result, and a queued operation is not carried out"]
pub struct Completion {
    state: State,
}

enum State {
    Ready(Transfer),
    Mapped(Box<Mapped>),
    Waiting { table: Arc<OpTable>, index: u32, generation: u64 },
    Taken,
}

/// A completion whose transfer passes through a function.
struct Mapped {
    inner: Completion,
    /// `Some` until the inner completion has returned its transfer.
    map: Option<Box<dyn FnOnce(Transfer) -> Transfer + Send>>,
}

impl Completion {
    /// Returns a completion that already has its result.
    pub fn ready(transfer: Transfer) -> Self {
        Self { state: State::Ready(transfer) }
    }

    /// Passes the transfer of this operation through `map` when the future returns it. Devices that
    /// wrap other devices use this.
    ///
    /// # Cancel safety
    /// `map` runs only if the caller awaits the result. A dropped future also drops `map`.
    pub fn map(self, map: impl FnOnce(Transfer) -> Transfer + Send + 'static) -> Self {
        Self { state: State::Mapped(Box::new(Mapped { inner: self, map: Some(Box::new(map)) })) }
    }

    /// Returns a failed completion with its buffer, for an operation that did not start.
    pub(crate) fn refused(error: io::Error, buf: Option<AlignedBuf>) -> Self {
        Self::ready(Transfer { result: Err(error), buf })
    }

    /// Detaches from an operation that can never end because its thread is in another process.
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
            _ => panic!("a completion was polled after it returned its result"),
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

/// Creates the completions of one device, or of several related devices.
///
/// ```
/// use kvick_io::{AlignedBuf, Completions, Transfer};
///
/// let completions = Completions::new();
/// let (completion, sink) = completions.begin();
/// // On the thread that carries out the operation:
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
    /// Creates a source of completions with no operation in flight.
    #[must_use]
    pub fn new() -> Self {
        Self { table: OpTable::new() }
    }

    /// Starts an operation: returns the future for the caller and the sink for the device. The
    /// device keeps the buffer until it completes the operation.
    pub fn begin(&self) -> (Completion, CompletionSink) {
        OpTable::begin(&self.table)
    }
}

impl Default for Completions {
    fn default() -> Self {
        Self::new()
    }
}

/// The device's half of an operation. It delivers the result, once, from any thread.
///
/// A sink that is dropped without a delivery delivers an error, so that no task waits for ever.
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

    /// Delivers the result and wakes the future. If the future was dropped, the buffer is dropped
    /// here.
    pub fn complete(mut self, transfer: Transfer) {
        self.deliver(transfer);
    }

    /// Returns whether the future was dropped. A device can then skip work that has not started.
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
            let error =
                io::Error::other("the device stopped before the operation ended; open it again");
            self.deliver(Transfer { result: Err(error), buf: None });
        }
    }
}

impl fmt::Debug for CompletionSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompletionSink({}, generation {})", self.index, self.generation)
    }
}
