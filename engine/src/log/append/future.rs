//! The future of an append, and further ways to append.

use crate::error::Result;
use crate::log::LogAddress;
use crate::log::handle::FasterLog;
use crate::log::inner::Blocked;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of [`FasterLog::append`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Append<'a> {
    log: &'a FasterLog,
    entry: &'a [u8],
    // Only for a suspended append.
    wait: Option<BoxFuture<'a, Result<()>>>,
    state: State,
}

/// The state of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Begun,
    Done,
}

/// The address of an appended entry, and the address where the log continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Appended {
    /// The address of the entry.
    pub address: LogAddress,
    /// The address where the log continues, as in
    /// [`LogEntry::next`](crate::log::LogEntry::next). Entries appended later are here or after.
    pub next: LogAddress,
}

impl FasterLog {
    /// Appends an entry like [`append`](Self::append). Also returns the address where the log
    /// continues after the entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has appended nothing.
    pub async fn append_entry(&self, entry: &[u8]) -> Result<Appended> {
        let address = self.append(entry).await?;
        let next = self.core.behind(address.inner(), entry.len()).into();
        Ok(Appended { address, next })
    }

    /// Waits until there is space for an entry of `bytes` bytes, and appends nothing. Then
    /// [`try_append`](Self::try_append) succeeds, unless another task uses the space first. For
    /// callers that must announce in advance whether they can take an entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn wait_for_room(&self, bytes: usize) -> Result<()> {
        self.core.check_append()?;
        let blocked = self.core.need(bytes)?;
        self.core.unblocked(blocked).await?;
        // No space is allocated here, and page frames reserved for it would make other tasks wait.
        self.core.live().log.allocator().stop_setting_aside();
        Ok(())
    }
}

impl<'a> Append<'a> {
    pub(crate) fn new(log: &'a FasterLog, entry: &'a [u8]) -> Self {
        Self { log, entry, wait: None, state: State::Fresh }
    }

    #[cold]
    #[inline(never)]
    fn poll_blocked(
        &mut self,
        mut blocked: Blocked,
        context: &mut Context<'_>,
    ) -> Poll<Result<LogAddress>> {
        let core = &self.log.core;
        self.state = State::Done;
        loop {
            let wait = self.wait.get_or_insert_with(|| Box::pin(core.unblocked(blocked)));
            match wait.as_mut().poll(context) {
                Poll::Pending => {
                    self.state = State::Begun;
                    return Poll::Pending;
                }
                Poll::Ready(waited) => {
                    self.wait = None;
                    waited?;
                }
            }
            match core.attempt(self.entry)? {
                Ok(address) => return Poll::Ready(Ok(address)),
                Err(again) => blocked = again,
            }
        }
    }
}

impl Future for Append<'_> {
    type Output = Result<LogAddress>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.wait.is_some() {
            return this.poll_blocked(Blocked::Room(0), context);
        }
        let core = &this.log.core;
        let state = std::mem::replace(&mut this.state, State::Done);
        assert!(state != State::Done, "polled after it was ready: the entry is appended once");
        let attempt = core.seated(|seat| {
            if state == State::Fresh && seat.turn_is_over(core.config.yield_every) {
                return None;
            }
            Some(seat.protected(|guard| core.try_append(this.entry, guard)))
        });
        match attempt {
            Some(Ok(Ok(address))) => Poll::Ready(Ok(address)),
            Some(Ok(Err(blocked))) => this.poll_blocked(blocked, context),
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => {
                this.state = State::Begun;
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
