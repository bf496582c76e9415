//! Futures that count polls, and futures that are dropped half way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

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

/// Polls once, with a waker that wakes no task.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
