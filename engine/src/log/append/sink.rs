//! A sink that appends entries.

use super::space::NotAppended;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::log::LogAddress;
use crate::log::handle::FasterLog;
use bytes::Bytes;
use futures::Sink as FuturesSink;
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
pub struct Sink {
    log: FasterLog,
    item: Option<Bytes>,
    /// The append of the item, which waits for space.
    append: Option<BoxFuture<'static, Result<LogAddress>>>,
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
    pub fn sink(&self) -> Sink {
        Sink {
            log: self.clone(),
            item: None,
            append: None,
            commit: None,
            appended: Address::FIRST,
            flushed: Address::FIRST,
        }
    }
}

impl Sink {
    /// Appends the item that had no space before. An error keeps the item.
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(item) = &self.item else {
            return Poll::Ready(Ok(()));
        };
        let append = self.append.get_or_insert_with(|| {
            let (log, item) = (self.log.clone(), item.clone());
            Box::pin(async move { log.append(&item).await })
        });
        let appended = ready!(append.as_mut().poll(context));
        self.append = None;
        let appended = after(appended?);
        debug_assert!(self.appended < appended, "items are appended in sequence");
        self.appended = appended;
        self.item = None;
        Poll::Ready(Ok(()))
    }
}

impl FuturesSink<Bytes> for Sink {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_item(context)
    }

    fn start_send(self: Pin<&mut Self>, item: Bytes) -> Result<()> {
        let this = self.get_mut();
        assert!(this.item.is_none(), "`poll_ready` comes first");
        debug_assert!(this.append.is_none(), "no append of an earlier item is left");
        match this.log.inner.appender.attempt(&item) {
            Ok(address) => this.appended = after(address),
            Err(NotAppended::NoSpace(_)) => this.item = Some(item),
            Err(NotAppended::Refused(error)) => return Err(error),
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
                let durable = this.log.inner.committer.committed().until();
                assert!(until <= durable, "a flush ends when its items are durable: {until:?}");
                debug_assert!(this.flushed < until, "a flush has new items");
                this.flushed = until;
            }
            if this.flushed >= this.appended {
                return Poll::Ready(Ok(()));
            }
            let (log, until) = (this.log.clone(), this.appended);
            log.inner.committer.requests().request(until, 0);
            let last = Address::new(until.raw() - 1);
            let commit = Box::pin(async move { log.inner.committer.wait_for_entry(last).await });
            this.commit = Some((until, commit));
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(context)
    }
}

/// Returns an address after the first byte of the entry at `address`.
fn after(address: LogAddress) -> Address {
    Address::new(address.raw() + 1)
}

impl fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sink").field("log", &self.log).finish_non_exhaustive()
    }
}
