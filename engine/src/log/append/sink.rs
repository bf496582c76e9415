//! A sink that appends entries.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::log::handle::FasterLog;
use crate::log::inner::Blocked;
use bytes::Bytes;
use futures::Sink;
use futures::future::BoxFuture;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A [`Sink`] that appends its items, made by [`FasterLog::sink`].
///
/// It takes an item when the previous one has been appended, so the sender waits while memory is
/// full. A flush commits and waits until every item is durable. A `forward` flushes whenever its
/// stream has no item ready, and so commits in groups.
///
/// # Cancel safety
/// Dropping the sink loses at most the last item, if there was no space for it yet.
pub struct LogSink {
    log: FasterLog,
    item: Option<Bytes>,
    wait: Option<BoxFuture<'static, Result<()>>>,
    /// The commit that a flush waits for, and its end.
    commit: Option<(Address, BoxFuture<'static, Result<()>>)>,
    /// The end of the appended items.
    appended: Address,
    /// Everything below is durable.
    flushed: Address,
}

impl FasterLog {
    /// Returns a sink that appends to this log.
    #[must_use]
    pub fn sink(&self) -> LogSink {
        LogSink {
            log: self.clone(),
            item: None,
            wait: None,
            commit: None,
            appended: Address::FIRST,
            flushed: Address::FIRST,
        }
    }
}

impl LogSink {
    /// Appends the item that had no space before.
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(item) = &self.item {
            if let Some(wait) = &mut self.wait {
                let waited = ready!(wait.as_mut().poll(context));
                self.wait = None;
                waited?;
            }
            match self.try_append(&item.clone())? {
                None => self.item = None,
                Some(blocked) => {
                    let log = self.log.clone();
                    self.wait = Some(Box::pin(async move { log.core.unblocked(blocked).await }));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn try_append(&mut self, item: &[u8]) -> Result<Option<Blocked>> {
        let core = &self.log.core;
        match core.attempt(item)? {
            Ok(address) => {
                self.appended = Address::new(address.raw() + 1);
                Ok(None)
            }
            Err(blocked) => Ok(Some(blocked)),
        }
    }
}

impl Sink<Bytes> for LogSink {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_item(context)
    }

    fn start_send(self: Pin<&mut Self>, item: Bytes) -> Result<()> {
        let this = self.get_mut();
        assert!(this.item.is_none(), "`poll_ready` comes first");
        if this.try_append(&item)?.is_some() {
            this.item = Some(item);
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_item(context))?;
        loop {
            if let Some((until, commit)) = &mut this.commit {
                let until = *until;
                let committed = ready!(commit.as_mut().poll(context));
                this.commit = None;
                // After an error the next flush requests another commit.
                committed?;
                this.flushed = until;
            }
            if this.flushed >= this.appended {
                return Poll::Ready(Ok(()));
            }
            let (log, until) = (this.log.clone(), this.appended);
            log.core.commits.request(until, 0);
            let last = Address::new(until.raw() - 1);
            let commit = Box::pin(async move { log.core.durable_at(last).await });
            this.commit = Some((until, commit));
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(context)
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogSink").field("log", &self.log).finish_non_exhaustive()
    }
}
