//! The last wait of a durable write.

use crate::base::error::Result;
use crate::store::inner::StoreInner;
use crate::store::sessions::state::SessionState;
use kvick_io::BoxFuture;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A write that has taken effect and waits for a commit of the write-ahead log, with its answer.
pub(in crate::store) struct Acknowledgement<'a, T> {
    /// `Some` until the commit is there.
    answer: Option<T>,
    commit: BoxFuture<'a, Result<()>>,
}

impl<'a, T> Acknowledgement<'a, T> {
    pub(in crate::store) fn new(
        store: &'a StoreInner,
        ledger: Option<Arc<SessionState>>,
        answer: T,
    ) -> Self {
        let commit = Box::pin(async move { store.sync(ledger.as_deref()).await });
        Self { answer: Some(answer), commit }
    }

    /// Returns the answer when the write is durable.
    pub(in crate::store) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T>> {
        ready!(self.commit.as_mut().poll(context))?;
        Poll::Ready(Ok(self.answer.take().expect("it is given once")))
    }
}

/// An answer that can be held as a `T`. Answers in a box are held without it, so that all forms of
/// an operation hold the same type.
pub(crate) trait Held<T> {
    fn into_held(self) -> T;
    fn from_held(held: T) -> Self;
}

impl<T> Held<T> for T {
    fn into_held(self) -> T {
        self
    }

    fn from_held(held: T) -> Self {
        held
    }
}

impl<T> Held<T> for Box<T> {
    fn into_held(self) -> T {
        *self
    }

    fn from_held(held: T) -> Self {
        Self::new(held)
    }
}

impl<T> Held<Option<T>> for Option<Box<T>> {
    fn into_held(self) -> Option<T> {
        self.map(|boxed| *boxed)
    }

    fn from_held(held: Option<T>) -> Self {
        held.map(Box::new)
    }
}
