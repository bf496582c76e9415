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
/// May be nested. Do not call it from a task of a single-threaded executor (tokio `current_thread`,
/// glommio) for a future which that same executor must drive: the thread would wait for itself.
///
/// ```
/// assert_eq!(kvick_runtime::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let run = |parked: &mut Parked| parked.run(future);
    // An inner call, or one while thread-locals are torn down, makes a waker of its own.
    let mut run = Some(run);
    let cached = PARKED.try_with(|parked| {
        let mut parked = parked.try_borrow_mut().ok()?;
        run.take().map(|run| run(&mut parked))
    });
    match (cached, run) {
        (Ok(Some(output)), _) => output,
        (_, Some(run)) => run(&mut Parked::new()),
        (_, None) => unreachable!("the future was run, so its output was returned"),
    }
}

thread_local! {
    static PARKED: RefCell<Parked> = RefCell::new(Parked::new());
}

struct Parked {
    signal: Arc<Signal>,
    waker: Waker,
}

/// The flag, not the park token, says whether to poll: an inner call may consume the token of an
/// outer one, but never its flag.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
}

impl Parked {
    fn new() -> Self {
        let signal = Arc::new(Signal { woken: AtomicBool::new(false), thread: thread::current() });
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(&self.waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            // Acquire: pairs with the release swap in `wake`: the poll sees what the waker did.
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
