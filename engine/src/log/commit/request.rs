//! A request for a commit, and the commit in progress.

use super::state::{Commit, Settled};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::log::FasterLog;
use crate::log::LogAddress;
use crate::log::inner::Core;
use crate::wait::wait_either;
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The longest cookie, in bytes.
const LONGEST_COOKIE: usize = 512;

/// A commit request. Set its options, then await it, or [`start`](Self::start) it and watch its
/// progress.
#[derive(Debug)]
#[must_use = "a commit is made when the request is awaited or started"]
pub struct CommitRequest<'a> {
    log: &'a FasterLog,
    number: Option<u64>,
    cookie: Option<Vec<u8>>,
}

/// The future of a requested commit. The commit continues if the future is dropped.
#[must_use = "whether the commit was made is known when this is awaited"]
pub struct Committing {
    core: Arc<Core>,
    asked: Asked,
    made: BoxFuture<'static, Result<Commit>>,
}

/// The requirements of a requested commit.
#[derive(Clone, Copy, Debug)]
struct Asked {
    until: Address,
    changes: u64,
    /// The lowest number that meets the request.
    number: u64,
}

/// The phase of a requested commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CommitPhase {
    /// The entries are being written, or wait to be written.
    Writing,
    /// All entries are written, and wait for the commit record and its sync.
    Syncing,
    /// The commit has ended, with success or failure.
    Ended,
}

/// The progress of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitProgress {
    /// The phase of the commit.
    pub phase: CommitPhase,
    /// Entries below this address are written to the device, but maybe only to its cache.
    pub written: LogAddress,
    /// Entries below this address belong to the commit.
    pub until: LogAddress,
}

impl<'a> CommitRequest<'a> {
    pub(crate) fn new(log: &'a FasterLog) -> Self {
        Self { log, number: None, cookie: None }
    }

    /// Requests a separate commit with this number, even if the log has not changed. The number is
    /// at most 2^63 - 1.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// Stores these bytes, at most 512, with the commit. Later commits keep them until another
    /// cookie is set. So requests that share a commit keep the last cookie, unless they have
    /// numbers. See [`FasterLog::set_cookie`].
    pub fn cookie(mut self, cookie: &[u8]) -> Self {
        self.cookie = Some(cookie.to_vec());
        self
    }

    /// Passes the request to the log's maintenance, and returns at once.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that is too high, or not above all earlier numbers, or for a
    /// cookie that is too long. `Completed` for a number or a cookie if the log takes no more
    /// entries. `Poisoned`, `Closed`.
    pub fn start(self) -> Result<Committing> {
        let core = Arc::clone(&self.log.core);
        let asked = core.ask(self.number, self.cookie)?;
        let made = {
            let core = Arc::clone(&core);
            Box::pin(async move { core.made(asked).await })
        };
        Ok(Committing { core, asked, made })
    }
}

impl<'a> IntoFuture for CommitRequest<'a> {
    type Output = Result<Commit>;
    type IntoFuture = BoxFuture<'a, Result<Commit>>;

    /// Starts the commit at the first poll, and waits for it.
    ///
    /// # Errors
    /// As [`start`](Self::start). `StorageFull` while the device is full: the log makes the commit
    /// when there is space.
    ///
    /// # Cancel safety
    /// A commit that was begun continues when the future is dropped.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let core = &self.log.core;
            let asked = core.ask(self.number, self.cookie)?;
            core.made(asked).await
        })
    }
}

impl Committing {
    /// Returns the progress of the commit each time that it changes. The stream ends with the
    /// commit.
    pub fn progress(&self) -> impl Stream<Item = CommitProgress> + Send + Unpin + use<> {
        let start = (Arc::clone(&self.core), self.asked, None);
        Box::pin(stream::unfold(start, |(core, asked, shown)| async move {
            let log = &core.live().log;
            let events =
                [&core.source.moved, log.flushing().became_stored(), log.health().changed()];
            let next = wait_either(events, || {
                let now = core.progress(asked);
                let is_over = now.phase == CommitPhase::Ended;
                if shown != Some(now) { Some(Some(now)) } else { is_over.then_some(None) }
            });
            let now = next.await?;
            Some((now, (core, asked, Some(now))))
        }))
    }
}

impl Future for Committing {
    type Output = Result<Commit>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.made.as_mut().poll(context)
    }
}

impl fmt::Debug for Committing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Committing").field(&self.core.progress(self.asked)).finish()
    }
}

impl FasterLog {
    /// Stores these bytes, at most 512, with the next commit of any cause. Later commits keep them
    /// until another cookie is set. It requests no commit.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many bytes, `Completed`, `Poisoned`, `Closed`.
    pub fn set_cookie(&self, cookie: &[u8]) -> Result<()> {
        self.core.live().log.health().check_write()?;
        self.core.keep(None, Some(cookie.to_vec())).map(drop)
    }
}

impl Core {
    /// Commits, and waits until the manifest holds the commit. Closing a log calls it.
    pub(crate) async fn save(&self) -> Result<()> {
        let asked = self.ask(None, None)?;
        self.made(asked).await?;
        self.published().await
    }

    /// Requests a commit of the current log. Returns the requirements of that commit.
    fn ask(&self, number: Option<u64>, cookie: Option<Vec<u8>>) -> Result<Asked> {
        self.live().log.health().check_process()?;
        self.live().log.health().check_write()?;
        let until = self.live().log.tail_address();
        let changes = self.keep(number, cookie)?;
        let asked = Asked { until, changes, number: number.unwrap_or(0) };
        if !self.has(asked) {
            self.commits.request(until, changes);
        }
        Ok(asked)
    }

    /// Returns whether the newest durable commit meets the request.
    fn has(&self, asked: Asked) -> bool {
        let settled = self.commits.settled();
        asked.is_met(&settled.0, settled.1)
    }

    /// Stores the number or cookie of a commit. Returns how many changes the commit must have.
    fn keep(&self, number: Option<u64>, cookie: Option<Vec<u8>>) -> Result<u64> {
        let bytes = cookie.as_ref().map_or(0, Vec::len);
        if bytes > LONGEST_COOKIE {
            let message = format!("a cookie of {bytes} bytes: at most {LONGEST_COOKIE}");
            return Err(Error::invalid(message));
        }
        let mut intent = self.commits.intent();
        if intent.completed && (number.is_some() || cookie.is_some()) {
            return Err(Error::completed());
        }
        match (number, cookie) {
            (Some(number), cookie) => {
                intent.plan(number, cookie)?;
                // The number alone identifies the commit.
                return Ok(0);
            }
            (None, Some(cookie)) => {
                intent.set_cookie(cookie);
                intent.changes += 1;
            }
            (None, None) => {}
        }
        Ok(intent.changes)
    }

    async fn made(&self, asked: Asked) -> Result<Commit> {
        self.settled_with(|settled, has| asked.is_met(settled, has)).await
    }

    fn progress(&self, asked: Asked) -> CommitProgress {
        let log = &self.live().log;
        let written = log.flushing().flushed().min(asked.until);
        let phase = if self.has(asked) || log.health().check_write().is_err() {
            CommitPhase::Ended
        } else if written < asked.until {
            CommitPhase::Writing
        } else {
            CommitPhase::Syncing
        };
        CommitProgress { phase, written: written.into(), until: asked.until.into() }
    }
}

impl Asked {
    fn is_met(&self, settled: &Settled, has: u64) -> bool {
        settled.until >= self.until && has >= self.changes && settled.number >= self.number
    }
}
