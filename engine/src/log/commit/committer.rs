//! Requesting commits, and waiting for them. A waiting task checks again after every change, so a
//! failure reaches every task.

use super::committed::Committed;
use super::record::CommitRecord;
use super::requests::CommitRequests;
use super::state::{Commit, CommitGoal};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::kinds::{LONGEST_COOKIE, check_cookie};
use crate::base::wait::wait_either;
use crate::hybrid_log::LogStatus;
use crate::log::config::SMALLEST_INLINE;
use crate::log::frame::format::HEADER;
use crate::log::iterator::positions::LONGEST_NAME;
use crate::log::memory::LogMemory;
use crate::log::read::range::ReadableRange;
use crate::log::view::LogView;
use std::sync::Arc;

/// The bytes of a commit record with the longest cookie and one of the longest iterators.
const RECORD: usize =
    CommitRecord::least_bytes(LONGEST_COOKIE) + CommitRecord::iterator_bytes(LONGEST_NAME);
const _: () = assert!(
    (HEADER + RECORD) as u64 <= SMALLEST_INLINE,
    "each record has room for a change, so a commit with all changes follows"
);

/// The commits of one log, for tasks that want them.
#[derive(Debug)]
pub(crate) struct Committer {
    memory: Arc<LogMemory>,
    view: Arc<LogView>,
    requests: CommitRequests,
}

impl Committer {
    pub(crate) fn new(memory: Arc<LogMemory>, view: Arc<LogView>) -> Self {
        let requests = CommitRequests::new(&view.range().committed().state());
        Self { memory, view, requests }
    }

    pub(crate) fn requests(&self) -> &CommitRequests {
        &self.requests
    }

    /// Returns the newest durable commit.
    pub(crate) fn committed(&self) -> &Committed {
        self.range().committed()
    }

    /// Requests a commit of the current log. Returns its goal.
    ///
    /// # Errors
    /// `InvalidArgument` for a number or a cookie that is refused, `Completed`, `Poisoned`,
    /// `Closed`.
    pub(crate) fn request(
        &self,
        number: Option<u64>,
        cookie: Option<Vec<u8>>,
    ) -> Result<CommitGoal> {
        self.memory.health().check_process()?;
        self.memory.health().check_write()?;
        let [durable, written] = [self.committed().until(), self.memory.log().flushing().flushed()];
        let until = self.memory.log().tail_address();
        debug_assert!(
            durable <= written && written <= until,
            "committed <= written <= tail: {durable:?}, {written:?}, {until:?}"
        );
        let changes = self.keep(number, cookie)?;
        let goal = CommitGoal { until, changes, number: number.unwrap_or(0) };
        if !self.committed().meets(goal) {
            self.requests.request(until, changes);
        }
        Ok(goal)
    }

    /// Stores a cookie with the next commit of any cause.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many bytes, `Completed`, `Poisoned`, `Closed`.
    pub(crate) fn set_cookie(&self, cookie: &[u8]) -> Result<()> {
        self.memory.health().check_write()?;
        self.keep(None, Some(cookie.to_vec())).map(drop)
    }

    /// Stores the number or cookie of a commit. Returns how many changes the commit must have.
    fn keep(&self, number: Option<u64>, cookie: Option<Vec<u8>>) -> Result<u64> {
        cookie.as_deref().map_or(Ok(()), check_cookie)?;
        let mut next = self.requests.next();
        if next.completed && (number.is_some() || cookie.is_some()) {
            return Err(Error::completed());
        }
        match (number, cookie) {
            (Some(number), cookie) => {
                next.plan(number, cookie)?;
                // The number alone identifies the commit.
                return Ok(0);
            }
            (None, Some(cookie)) => {
                next.set_cookie(cookie);
                next.changes += 1;
            }
            (None, None) => {}
        }
        Ok(next.changes)
    }

    /// Waits until the newest durable commit meets `goal`, and returns that commit.
    ///
    /// # Errors
    /// `StorageFull` while the device is full, `Poisoned`, `Closed`.
    pub(crate) async fn wait_for(&self, goal: CommitGoal) -> Result<Commit> {
        self.wait_until(|committed| committed.meets(goal)).await?;
        let commit = self.committed().commit();
        assert!(
            commit.until.inner() >= goal.until && commit.number >= goal.number,
            "a later commit meets each goal that an earlier commit met: {commit:?}, {goal:?}"
        );
        Ok(commit)
    }

    /// Waits until the entry at `address` is durable.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for); `Completed` if the log ends before `address`.
    pub(crate) async fn wait_for_entry(&self, address: Address) -> Result<()> {
        let is_durable = |committed: &Committed| committed.until() > address;
        // The flag is loaded first, so that the end is then the last one.
        let is_beyond = |committed: &Committed| committed.is_completed() && !is_durable(committed);
        self.wait_until(|committed| is_beyond(committed) || is_durable(committed)).await?;
        if is_durable(self.committed()) { Ok(()) } else { Err(Error::completed()) }
    }

    async fn wait_until(&self, is_met: impl Fn(&Committed) -> bool) -> Result<()> {
        let changed = self.range().changed();
        let is_met = || is_met(self.committed());
        self.memory.health().wait_for(changed, LogStatus::check_room, is_met).await
    }

    /// Commits, and waits until the manifest holds the commit. Closing a log calls it.
    ///
    /// # Errors
    /// `StorageFull` if there is no space for it, `Poisoned`, `Closed`.
    pub(crate) async fn save(&self) -> Result<()> {
        let goal = self.request(None, None)?;
        self.wait_for(goal).await?;
        self.requests.request_manifest();
        let health = self.memory.health();
        wait_either([self.range().changed(), health.changed()], || {
            if self.requests.is_published(self.committed().number()) {
                return Some(Ok(()));
            }
            let refused = health.check_room().err();
            refused.or_else(|| self.requests.next().refused.clone()).map(Err)
        })
        .await
    }

    fn range(&self) -> &ReadableRange {
        self.view.range()
    }
}
