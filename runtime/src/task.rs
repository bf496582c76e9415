//! A spawned task, as its owner sees it.
//!
//! On every executor a task has the same three components. The first is the user's future, wrapped
//! so that it can be aborted and its panic is caught. The others are a channel for the outcome, and
//! this owner's end. The executor sees a future of `()` that never unwinds.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{self, AbortHandle, Aborted};

use kvick_io::BoxFuture;

/// A task that [`Handle::spawn`](crate::Handle::spawn) started.
///
/// Await it for its outcome. Dropping it detaches the task, which continues to run.
///
/// Cancel safety: a caller may stop awaiting `&mut task` and await it again.
#[must_use = "dropping a task detaches it; call detach() to show the intent"]
pub struct Task<T> {
    name: &'static str,
    abort: AbortHandle,
    outcome: oneshot::Receiver<Result<T, TaskFailed>>,
}

/// The reason why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailed {
    /// The future of the task panicked.
    #[error("task {task} panicked: {message}")]
    Panicked {
        /// The name given to `spawn`.
        task: &'static str,
        /// The text of the panic.
        message: String,
    },
    /// The task was cancelled, or its executor ended first.
    #[error("task {task} was cancelled")]
    Cancelled {
        /// The name given to `spawn`.
        task: &'static str,
    },
}

impl<T> Task<T> {
    /// Returns the name given to `spawn`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Lets the task continue without an owner.
    pub fn detach(self) {}

    /// Stops the task at its next suspension point and waits until its future is dropped.
    ///
    /// Returns `Ok` or `Panicked` if the task ended before it could be stopped.
    ///
    /// Cancel safety: the request is made at the first poll and is not withdrawn.
    pub async fn cancel(self) -> Result<T, TaskFailed> {
        self.abort.abort();
        self.await
    }

    /// Splits `future` into the future for the executor and the task for its owner.
    ///
    /// `lost` is called after a panic of a task without an owner.
    pub(crate) fn split<F>(
        name: &'static str,
        future: F,
        lost: impl FnOnce(&TaskFailed) + Send + 'static,
    ) -> (BoxFuture<'static, ()>, Self)
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, outcome) = oneshot::channel();
        let (body, abort) = future::abortable(AssertUnwindSafe(future).catch_unwind());
        let run = async move {
            // The end of this statement drops the body, before the owner learns of the end.
            let outcome = match body.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(payload)) => {
                    Err(TaskFailed::Panicked { task: name, message: panic_text(&*payload) })
                }
                Err(Aborted) => Err(TaskFailed::Cancelled { task: name }),
            };
            if let Err(Err(failed @ TaskFailed::Panicked { .. })) = sender.send(outcome) {
                lost(&failed);
            }
        };
        (Box::pin(run), Self { name, abort, outcome })
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.outcome.poll_unpin(context));
        // A sender that was dropped without an outcome: the executor dropped the task.
        Poll::Ready(outcome.unwrap_or(Err(TaskFailed::Cancelled { task: self.name })))
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns the text of a panic, for messages.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text".to_owned()
    }
}
