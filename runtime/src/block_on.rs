//! Runs a future on the calling thread.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Polls `future` to its end and parks the thread in between.
///
/// Calls may be nested. Do not call it from a task of a single-threaded executor (tokio
/// `current_thread`, glommio) for a future that the same executor must drive. The thread would wait
/// for itself.
///
/// ```
/// assert_eq!(kvick_runtime::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Parker::take();
    let mut context = Context::from_waker(&parker.waker);
    // The future is a local of this function, and polled at one place: the compiler keeps the state
    // of a loop of operations in registers. Its output is moved once.
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        parker.park();
    }
}

thread_local! {
    /// The parker of this thread, unless a call on this thread uses it.
    static PARKER: Cell<Option<Parker>> = const { Cell::new(None) };
}

struct Parker {
    signal: Arc<Signal>,
    waker: Waker,
}

/// The flag, not the park token, decides whether to poll. A nested call may consume the token of an
/// outer call, but never its flag.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Parker {
    /// Returns the parker of this thread until the drop of the result. A nested call, or a call
    /// while thread-locals are destroyed, makes its own.
    fn take() -> Lent {
        Lent(Some(PARKER.try_with(Cell::take).ok().flatten().unwrap_or_else(Self::new)))
    }

    fn new() -> Self {
        let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: thread::current() });
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Parks the thread until the waker was woken.
    fn park(&self) {
        // Acquire: pairs with the release swap in `wake`: the poll sees the writes of the waker.
        while !self.signal.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// A parker that goes back to its thread with the drop of this value.
struct Lent(Option<Parker>);

impl Deref for Lent {
    type Target = Parker;

    fn deref(&self) -> &Parker {
        self.0.as_ref().expect("the parker is here until the drop")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // While thread-locals are destroyed there is no place for it.
        PARKER.try_with(|place| place.set(self.0.take())).ok();
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the acquire swap in `park`.
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
