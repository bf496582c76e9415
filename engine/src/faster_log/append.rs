//! The future of an append.

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
    is_fresh: bool,
}

impl<'a> Append<'a> {
    pub(super) fn new(log: &'a FasterLog, entry: &'a [u8]) -> Self {
        Self { log, entry, wait: None, is_fresh: true }
    }

    #[cold]
    #[inline(never)]
    fn poll_blocked(
        &mut self,
        mut blocked: Blocked,
        context: &mut Context<'_>,
    ) -> Poll<Result<LogAddress>> {
        let core = &self.log.core;
        loop {
            let wait = self.wait.get_or_insert_with(|| Box::pin(core.unblocked(blocked)));
            match wait.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
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
        let is_fresh = std::mem::replace(&mut this.is_fresh, false);
        let attempt = core.seated(|seat| {
            if is_fresh && seat.turn_is_over(core.config.yield_every) {
                return None;
            }
            Some(seat.protected(|guard| core.try_append(this.entry, guard)))
        });
        match attempt {
            Some(Ok(Ok(address))) => Poll::Ready(Ok(address)),
            Some(Ok(Err(blocked))) => this.poll_blocked(blocked, context),
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => {
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
