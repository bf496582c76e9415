//! A request for a commit, and the commit while it is made.

use super::FasterLog;
use super::LogAddress;
use super::core::Core;
use super::settled::{Commit, Settled};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::wait::wait_either;
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The longest cookie, in bytes.
const LONGEST_COOKIE: usize = 512;

/// A commit to be asked for: await it, or [`start`](Self::start) it and watch. Say first what is to
/// be special about it.
#[derive(Debug)]
#[must_use = "a commit is made when the request is awaited or started"]
pub struct CommitRequest<'a> {
    log: &'a FasterLog,
    number: Option<u64>,
    cookie: Option<Vec<u8>>,
}

/// A commit that was asked for, as a future. Dropped, the commit goes on.
#[must_use = "whether the commit was made is known when this is awaited"]
pub struct Committing {
    core: Arc<Core>,
    asked: Asked,
    made: BoxFuture<'static, Result<Commit>>,
}

/// What a commit is to have.
#[derive(Clone, Copy, Debug)]
struct Asked {
    until: Address,
    changes: u64,
    /// At least this number.
    number: u64,
}

/// What a commit that was asked for is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CommitPhase {
    /// Entries are being written, or wait for it.
    Writing,
    /// All of them are written, and wait for the record of the commit and its sync.
    Syncing,
    /// It has ended, well or not.
    Ended,
}

/// How far a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitProgress {
    /// What it is doing.
    pub phase: CommitPhase,
    /// Entries below this address are written, to the device but maybe to its cache only.
    pub written: LogAddress,
    /// Entries below this address are to be in the commit.
    pub until: LogAddress,
}

impl<'a> CommitRequest<'a> {
    pub(super) fn new(log: &'a FasterLog) -> Self {
        Self { log, number: None, cookie: None }
    }

    /// A commit of its own with this number, even if there is nothing new. At most 2^63 - 1.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// Has the commit keep these bytes, at most 512. Later commits keep them too, until there is
    /// another cookie: so requests that share a commit keep the one that was given last, unless
    /// they have numbers. See [`FasterLog::set_cookie`].
    pub fn cookie(mut self, cookie: &[u8]) -> Self {
        self.cookie = Some(cookie.to_vec());
        self
    }

    /// Hands it to the log's maintenance, and returns at once.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that was given already or is too high, or a cookie that is
    /// too long; `Completed` for those of a log that takes no more entries; `Poisoned`, `Closed`.
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

    /// Starts it at the first poll, and waits for it.
    ///
    /// # Errors
    /// Of [`start`](Self::start); `StorageFull` while the device is: the commit is made when there
    /// is space.
    ///
    /// # Cancel safety
    /// Once begun it goes on when the future is dropped.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let core = &self.log.core;
            let asked = core.ask(self.number, self.cookie)?;
            core.made(asked).await
        })
    }
}

impl Committing {
    /// How far it is, each time that changes; ends when the commit does.
    pub fn progress(&self) -> impl Stream<Item = CommitProgress> + Send + Unpin + use<> {
        let start = (Arc::clone(&self.core), self.asked, None);
        Box::pin(stream::unfold(start, |(core, asked, shown)| async move {
            let log = &core.live().log;
            let events = [&core.source.moved, log.became_stored(), log.health().changed()];
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
    /// Has the next commit keep these bytes, at most 512, whoever asks for it: until there is
    /// another cookie, later ones keep them too. Asks for no commit itself.
    ///
    /// # Errors
    /// `InvalidArgument` if they are too many, `Completed`, `Poisoned`, `Closed`.
    pub fn set_cookie(&self, cookie: &[u8]) -> Result<()> {
        self.core.live().log.health().check_write()?;
        self.core.keep(None, Some(cookie.to_vec())).map(drop)
    }
}

impl Core {
    /// What is done on closing: a commit, and the manifest has it.
    pub(super) async fn save(&self) -> Result<()> {
        let asked = self.ask(None, None)?;
        self.made(asked).await?;
        self.published().await
    }

    /// Asks for a commit of what there is now; what it is to have.
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

    /// Whether the newest durable commit is as asked.
    fn has(&self, asked: Asked) -> bool {
        let settled = self.commits.settled();
        asked.is_met(&settled.0, settled.1)
    }

    /// Notes what is special about a commit; gives the changes that it has then.
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
                // Its number says enough.
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
        let written = log.flushed().min(asked.until);
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
