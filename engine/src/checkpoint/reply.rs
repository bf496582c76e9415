//! The reply to a job, and the answer that a caller waits for.

use crate::base::error::{Error, Result};
use crate::base::wait::shielded;
use crate::store::StoreInner;
use futures::channel::oneshot;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A reply that is sent once. It sends the reason if the driver drops it unsent.
pub(crate) struct Reply<T> {
    sender: Option<oneshot::Sender<Result<T>>>,
    core: Arc<StoreInner>,
}

/// The future of a reply.
#[derive(Debug)]
pub(crate) struct Answer<T>(oneshot::Receiver<Result<T>>);

impl<T> Future for Answer<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let polled = Pin::new(&mut self.0).poll(context);
        polled.map(|answer| answer.unwrap_or_else(|_cancelled| Err(Error::closed())))
    }
}

impl<T> Reply<T> {
    /// Returns a reply, and the answer that the caller awaits.
    pub(crate) fn new(core: &Arc<StoreInner>) -> (Self, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender: Some(sender), core: Arc::clone(core) }, Answer(receiver))
    }

    pub(crate) fn send(mut self, answer: Result<T>) {
        debug_assert!(self.sender.is_some(), "a reply is sent once");
        self.answer(answer);
    }

    fn answer(&mut self, answer: Result<T>) {
        if let Some(sender) = self.sender.take() {
            // The caller may no longer wait.
            shielded(|| drop(sender.send(answer)));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let cause = self.core.check_write().err();
        self.answer(Err(cause.unwrap_or_else(Error::closed)));
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reply").field(&self.sender.is_some()).finish()
    }
}
