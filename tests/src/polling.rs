//! Futures that count polls or waits, and futures that are dropped half way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future at most a given number of times, then drops or leaks it. The output is `None` if
/// the future was not ready by then.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct AtMost<F> {
    future: Option<Pin<Box<F>>>,
    polls_left: u32,
    leaks: bool,
}

impl<F: Future> AtMost<F> {
    /// Limits `future` to `polls` polls. The last of these polls drops it.
    pub fn new(polls: u32, future: F) -> Self {
        Self { future: Some(Box::pin(future)), polls_left: polls, leaks: false }
    }

    /// Leaks the future after the last poll instead of dropping it, if `leaks` is set.
    pub fn leaking(self, leaks: bool) -> Self {
        Self { leaks, ..self }
    }
}

impl<F: Future> Future for AtMost<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left > 0 {
            self.polls_left -= 1;
            let future = self.future.as_mut().expect("not polled after its end");
            match future.as_mut().poll(context) {
                Poll::Ready(output) => return Poll::Ready(Some(output)),
                Poll::Pending if self.polls_left > 0 => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        let future = self.future.take();
        if self.leaks {
            std::mem::forget(future);
        }
        Poll::Ready(None)
    }
}

/// Counts the polls of a future.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Counted<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicU64>,
}

impl<F: Future> Counted<F> {
    /// Adds the polls of `future` to `polls`.
    pub fn new(polls: &Arc<AtomicU64>, future: F) -> Self {
        Self { future: Box::pin(future), polls: Arc::clone(polls) }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Relaxed: a thread that reads the count has joined the task, or shares its thread.
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(context)
    }
}

/// Counts the waits of a future: the polls that leave it pending and do not wake its task. So a
/// future that lets other tasks run has not waited. Returns the number with the output.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waits<F, C> {
    future: Pin<Box<F>>,
    counts: C,
    waits: u64,
}

/// Notes that a task was woken, and wakes it.
struct Noted {
    is_woken: AtomicBool,
    waker: Waker,
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        // Relaxed: the poll that reads it is on the same thread.
        self.is_woken.store(true, Ordering::Relaxed);
        self.waker.wake_by_ref();
    }
}

impl<F: Future, C: FnMut() -> bool> Waits<F, C> {
    /// Counts those waits of `future` for which `counts` returns true. All that wakes its task runs
    /// on the thread of the task.
    pub fn new(future: F, counts: C) -> Self {
        Self { future: Box::pin(future), counts, waits: 0 }
    }
}

impl<F: Future, C: FnMut() -> bool + Unpin> Future for Waits<F, C> {
    type Output = (F::Output, u64);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (is_woken, waker) = (AtomicBool::new(false), context.waker().clone());
        let noted = Arc::new(Noted { is_woken, waker });
        let waker = Waker::from(Arc::clone(&noted));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() && !noted.is_woken.load(Ordering::Relaxed) {
            self.waits += u64::from((self.counts)());
        }
        polled.map(|output| (output, self.waits))
    }
}

/// Polls once, with a waker that wakes no task.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
