//! The future of an append, and what else appending offers.

use super::LogAddress;
use super::core::Blocked;
use super::log::FasterLog;
use crate::error::Result;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Future of [`FasterLog::append`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Append<'a> {
    log: &'a FasterLog,
    entry: &'a [u8],
    // Of a suspended append only.
    wait: Option<BoxFuture<'a, Result<()>>>,
    state: State,
}

/// How far an append has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Begun,
    Done,
}

/// Where an entry was appended, and where the log goes on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Appended {
    /// Where it is.
    pub address: LogAddress,
    /// Where to go on behind it, as [`LogEntry::next`](super::LogEntry::next) will say: what was
    /// appended later is here or behind.
    pub next: LogAddress,
}

impl FasterLog {
    /// As [`append`](Self::append), and tells where the log goes on behind the entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// Dropped before it is ready it has appended nothing.
    pub async fn append_entry(&self, entry: &[u8]) -> Result<Appended> {
        let address = self.append(entry).await?;
        let next = self.core.behind(address.inner(), entry.len()).into();
        Ok(Appended { address, next })
    }

    /// Waits until there is room for an entry of so many bytes, and appends nothing:
    /// [`try_append`](Self::try_append) succeeds then, unless others are faster. For who has to
    /// say first whether it can take an entry.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn wait_for_room(&self, bytes: usize) -> Result<()> {
        self.core.check_append()?;
        let blocked = self.core.need(bytes)?;
        self.core.unblocked(blocked).await?;
        // Nothing is taken now, so that frames set aside for it would keep others waiting.
        self.core.live().log.stop_setting_aside();
        Ok(())
    }
}

impl<'a> Append<'a> {
    pub(super) fn new(log: &'a FasterLog, entry: &'a [u8]) -> Self {
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
