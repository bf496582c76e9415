//! The reply to a job, and the answer that a caller waits for.

use crate::base::error::{Error, Result};
use crate::base::wait::{shielded, wait_until};
use crate::store::StoreInner;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A reply that is sent once. It sends the reason if the driver drops it unsent. A driver that
/// panics drops it before the reason is known, and then the answer waits for that.
pub(crate) struct Reply<T> {
    sender: Option<oneshot::Sender<Result<T>>>,
    core: Arc<StoreInner>,
}

/// The future of a reply.
pub(crate) struct Answer<T> {
    receiver: oneshot::Receiver<Result<T>>,
    core: Arc<StoreInner>,
    /// Waits for the reason after the driver has panicked.
    broken: Option<BoxFuture<'static, Error>>,
}

impl<T> Future for Answer<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let Self { receiver, core, broken } = self.get_mut();
        if broken.is_none() {
            match Pin::new(receiver).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(answer)) => return Poll::Ready(answer),
                Poll::Ready(Err(_cancelled)) => {}
            }
        }
        let broken = broken.get_or_insert_with(|| {
            let core = Arc::clone(core);
            Box::pin(async move {
                wait_until(core.log.health().changed(), || core.check_write().err()).await
            })
        });
        broken.as_mut().poll(context).map(Err)
    }
}

impl<T> Reply<T> {
    /// Returns a reply, and the answer that the caller awaits.
    pub(crate) fn new(core: &Arc<StoreInner>) -> (Self, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        let answer = Answer { receiver, core: Arc::clone(core), broken: None };
        (Self { sender: Some(sender), core: Arc::clone(core) }, answer)
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
        if cause.is_none() && std::thread::panicking() {
            // The drivers poison the store next, and name the panic.
            drop(self.sender.take());
            return;
        }
        self.answer(Err(cause.unwrap_or_else(Error::closed)));
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Answer").field(&self.broken.is_some()).finish()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reply").field(&self.sender.is_some()).finish()
    }
}
