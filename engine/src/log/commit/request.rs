//! A request for a commit, and the commit in progress.

use super::state::{Commit, CommitGoal};
use crate::base::error::Result;
use crate::base::wait::wait_either;
use crate::log::Address;
use crate::log::inner::LogInner;
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A commit request. Set its options, then await it, or [`start`](Self::start) it and watch its
/// progress.
#[derive(Debug)]
#[must_use = "a commit is made when the request is awaited or started"]
pub struct CommitRequest<'a> {
    log: &'a Arc<LogInner>,
    number: Option<u64>,
    cookie: Option<Vec<u8>>,
}

/// The future of a requested commit. The commit continues if the future is dropped.
#[must_use = "whether the commit was made is known when this is awaited"]
pub struct Committing {
    log: Arc<LogInner>,
    goal: CommitGoal,
    made: BoxFuture<'static, Result<Commit>>,
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
    pub written: Address,
    /// Entries below this address belong to the commit.
    pub until: Address,
}

impl<'a> CommitRequest<'a> {
    pub(crate) fn new(log: &'a Arc<LogInner>) -> Self {
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
    /// numbers. See
    /// [`FasterLog::set_cookie`](crate::FasterLog::set_cookie).
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
        let log = Arc::clone(self.log);
        let goal = log.committer.request(self.number, self.cookie)?;
        let made = {
            let log = Arc::clone(&log);
            Box::pin(async move { log.committer.wait_for(goal).await })
        };
        Ok(Committing { log, goal, made })
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
            let committer = &self.log.committer;
            let goal = committer.request(self.number, self.cookie)?;
            committer.wait_for(goal).await
        })
    }
}

impl Committing {
    /// Returns the progress of the commit each time that it changes. The stream ends with the
    /// commit.
    pub fn progress(&self) -> impl Stream<Item = CommitProgress> + Send + Unpin + use<> {
        let start = (Arc::clone(&self.log), self.goal, None);
        Box::pin(stream::unfold(start, |(log, goal, shown)| async move {
            let pages = log.memory.log();
            let changed = log.view.range().changed();
            let events = [changed, pages.flushing().became_stored(), pages.health().changed()];
            let next = wait_either(events, || {
                let now = CommitProgress::of(&log, goal);
                let is_over = now.phase == CommitPhase::Ended;
                debug_assert!(
                    shown.is_none_or(|shown: CommitProgress| shown.phase <= now.phase),
                    "a commit goes forward"
                );
                if shown != Some(now) { Some(Some(now)) } else { is_over.then_some(None) }
            });
            let now = next.await?;
            Some((now, (log, goal, Some(now))))
        }))
    }
}

impl CommitProgress {
    /// Returns the progress of the commit with this goal.
    pub(crate) fn of(log: &LogInner, goal: CommitGoal) -> Self {
        let memory = &log.memory;
        let written = memory.log().flushing().flushed().min(goal.until);
        let is_over = log.committer.committed().meets(goal);
        let phase = if is_over || memory.health().check_write().is_err() {
            CommitPhase::Ended
        } else if written < goal.until {
            CommitPhase::Writing
        } else {
            CommitPhase::Syncing
        };
        Self { phase, written: written.into(), until: goal.until.into() }
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
        formatter
            .debug_tuple("Committing")
            .field(&CommitProgress::of(&self.log, self.goal))
            .finish()
    }
}
