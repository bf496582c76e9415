//! Runs a future on the calling thread.

use std::cell::RefCell;
use std::future::Future;
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
    let mut future = pin!(future);
    // A large output is stored here once, and not moved from call to call.
    let mut output = None;
    let mut is_over = |context: &mut Context<'_>| match future.as_mut().poll(context) {
        Poll::Ready(value) => {
            output = Some(value);
            true
        }
        Poll::Pending => false,
    };
    let cached = PARKED.try_with(|parked| match parked.try_borrow_mut() {
        Ok(mut parked) => {
            parked.run(&mut is_over);
            true
        }
        Err(_) => false,
    });
    if !cached.unwrap_or(false) {
        // A nested call, or a call while thread-locals are destroyed, makes its own waker.
        Parked::new().run(&mut is_over);
    }
    match output {
        Some(output) => output,
        None => unreachable!("the loop ends only with an output"),
    }
}

thread_local! {
    static PARKED: RefCell<Parked> = RefCell::new(Parked::new());
}

struct Parked {
    signal: Arc<Signal>,
    waker: Waker,
}

/// The flag, not the park token, decides whether to poll. A nested call may consume the token of an
/// outer call, but never its flag.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Parked {
    fn new() -> Self {
        let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: thread::current() });
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Polls until `is_over` returns true, and parks the thread in between.
    fn run(&mut self, is_over: &mut impl FnMut(&mut Context<'_>) -> bool) {
        let mut context = Context::from_waker(&self.waker);
        while !is_over(&mut context) {
            // Acquire: pairs with the release swap in `wake`: the poll sees the writes of the
            // waker.
            while !self.signal.woken.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the acquire swap in `run`.
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
