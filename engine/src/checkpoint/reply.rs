//! The reply to a job, for the caller that waits for it.

use crate::error::{Error, Result};
use crate::store::Core;
use crate::wait::shielded;
use futures::channel::oneshot;
use std::fmt;
use std::sync::Arc;

/// A reply that is sent once. It sends the reason if the driver drops it unsent.
pub(crate) struct Reply<T> {
    sender: Option<oneshot::Sender<Result<T>>>,
    core: Arc<Core>,
}

impl<T> Reply<T> {
    /// Returns a reply, and the receiver that the caller awaits.
    pub(crate) fn new(core: &Arc<Core>) -> (Self, oneshot::Receiver<Result<T>>) {
        let (sender, answer) = oneshot::channel();
        (Self { sender: Some(sender), core: Arc::clone(core) }, answer)
    }

    pub(crate) fn send(mut self, answer: Result<T>) {
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
        let cause = self.core.check_open().err();
        self.answer(Err(cause.unwrap_or_else(Error::closed)));
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Reply").field(&self.sender.is_some()).finish()
    }
}
