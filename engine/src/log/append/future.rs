//! The future of an append.

use super::appender::Appender;
use super::space::{NotAppended, Space};
use crate::base::error::Result;
use crate::log::Address;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`FasterLog::append`](crate::FasterLog::append).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Append<'a> {
    appender: &'a Appender,
    entry: &'a [u8],
    state: State<'a>,
}

/// The state of an append.
enum State<'a> {
    New,
    /// It has let other tasks run.
    Yielded,
    /// It waits for space.
    Waiting(BoxFuture<'a, Result<Address>>),
    Ended,
}

/// The address of an appended entry, and the address where the log continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Appended {
    /// The address of the entry.
    pub address: Address,
    /// The address where the log continues, as in
    /// [`log::Entry::next`](crate::log::Entry::next). Entries appended later are here or after.
    pub next: Address,
}

impl<'a> Append<'a> {
    pub(crate) fn new(appender: &'a Appender, entry: &'a [u8]) -> Self {
        Self { appender, entry, state: State::New }
    }

    #[cold]
    #[inline(never)]
    fn poll_after(&mut self, space: Space, context: &mut Context<'_>) -> Poll<Result<Address>> {
        debug_assert!(matches!(self.state, State::Ended), "an append waits for space once");
        let (appender, entry) = (self.appender, self.entry);
        self.state = State::Waiting(Box::pin(appender.append_after(space, entry)));
        self.poll_waiting(context)
    }

    #[cold]
    #[inline(never)]
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<Address>> {
        let State::Waiting(wait) = &mut self.state else {
            panic!("polled after it was ready: the entry is appended once");
        };
        let appended = std::task::ready!(wait.as_mut().poll(context));
        self.state = State::Ended;
        Poll::Ready(appended)
    }
}

impl Future for Append<'_> {
    type Output = Result<Address>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let is_new = match this.state {
            State::New => true,
            State::Yielded => false,
            State::Waiting(_) | State::Ended => return this.poll_waiting(context),
        };
        this.state = State::Ended;
        match this.appender.poll(this.entry, is_new) {
            Poll::Ready(Ok(address)) => Poll::Ready(Ok(address)),
            Poll::Ready(Err(NotAppended::NoSpace(space))) => this.poll_after(space, context),
            Poll::Ready(Err(NotAppended::Refused(error))) => Poll::Ready(Err(error)),
            Poll::Pending => {
                this.state = State::Yielded;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Append<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Append").field("bytes", &self.entry.len()).finish_non_exhaustive()
    }
}
