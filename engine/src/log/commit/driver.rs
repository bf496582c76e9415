//! The driver of commits: one record, one flush and one sync serve all waiting tasks.
//!
//! The driver *issues* a commit in one step: it writes the record to the tail and pads the physical
//! block. So no entry lies between the record and the end of the flushed bytes. A commit is
//! *durable* when everything up to its end was written and a later sync has succeeded. Several
//! commits may be in flight; they become durable in order.

use super::pending::PendingCommit;
use super::record::CommitRecord;
use super::requests::CommitRequests;
use crate::base::address::Address;
use crate::base::error::{ErrorKind, Result};
use crate::base::wait::in_order::InOrder;
use crate::base::wait::{Told, listen};
use crate::hybrid_log::Need;
use crate::log::frame::format::HEADER;
use crate::log::inner::LogInner;
use crate::log::read::last;
use futures::future::{Either, pending, select};
use futures::stream::StreamExt;
use kvick_runtime::Sleep;
use std::pin::pin;
use std::time::Duration;

/// The largest size of a commit record.
const LONGEST_RECORD: u64 = 64 << 10;

/// The driver, with the state that it keeps between its turns.
pub(crate) struct CommitDriver<'l> {
    log: &'l LogInner,
    /// The end of the last issued commit. `issued_changes` and `issued_at` are its changes and its
    /// time.
    issued: Address,
    issued_changes: u64,
    issued_at: Duration,
    /// A commit whose record found no space.
    waiting: Option<PendingCommit>,
    /// The timer runs while there are entries after `issued`.
    timer: Option<Sleep>,
    is_time: bool,
}

impl<'l> CommitDriver<'l> {
    pub(crate) fn new(log: &'l LogInner) -> Self {
        assert!(log.config.commits_in_flight > 0, "the driver may issue a commit");
        Self {
            log,
            issued: log.committer.committed().until(),
            issued_changes: 0,
            issued_at: log.handle.now(),
            waiting: None,
            timer: None,
            is_time: false,
        }
    }

    /// Makes the requested commits, and the automatic commits of the settings, until the log is
    /// closed.
    pub(crate) async fn drive(mut self) -> Result<()> {
        let log = self.log;
        let health = log.memory.health();
        let mut flights = InOrder::new();
        loop {
            let told = listen([self.requests().demand(), health.changed()]);
            if health.is_closed() || health.is_poisoned() {
                // No further commit becomes durable. The drivers of the hybrid log end the
                // operations in flight.
                return Ok(());
            }
            let appended = self.watch_tail();
            while flights.len() < log.config.commits_in_flight as usize
                && self.is_due()
                && let Some(issued) = self.issue().await?
            {
                flights.push_back(durable(log, issued));
            }
            let ended = async {
                match flights.next().await {
                    Some(ended) => ended,
                    None => pending().await,
                }
            };
            let appended = async {
                match appended {
                    Some(appended) => appended.await,
                    None => pending().await,
                }
            };
            let appended = pin!(appended);
            let demand = select(told, appended);
            let timer = async {
                match &mut self.timer {
                    Some(timer) if !self.is_time => timer.await,
                    _ => pending().await,
                }
            };
            match select(pin!(ended), select(demand, pin!(timer))).await {
                Either::Left((ended, _)) => self.complete(&ended?),
                Either::Right((Either::Left(_), _)) => {}
                Either::Right((Either::Right(_), _)) => self.is_time = true,
            }
        }
    }

    /// Checks whether the entries after the last commit make an automatic commit due. The listener
    /// hears of the next entry that may do so.
    fn watch_tail(&mut self) -> Option<Told> {
        let (every, bytes) = (self.log.config.commit_every, self.log.config.commit_bytes);
        let memory = &self.log.memory;
        debug_assert!(self.issued <= memory.log().tail_address(), "issued bytes are allocated");
        let mut listener = None;
        if let Some(every) = every.filter(|_| self.timer.is_none()) {
            listener = Some(memory.told_beyond(self.issued));
            if memory.log().tail_address() > self.issued {
                let since = self.log.handle.now().saturating_sub(self.issued_at);
                self.is_time |= since >= every;
                self.timer = Some(self.log.handle.sleep(every.saturating_sub(since)));
                listener = None;
            }
        }
        if let (None, Some(bytes)) = (&listener, bytes) {
            let full = self.issued.raw() + bytes.bytes();
            // A frame that ends at `full` reaches beyond the byte before it.
            listener = Some(memory.told_beyond(Address::new(full - 1)));
            if memory.log().tail_address().raw() >= full {
                self.is_time = true;
                listener = None;
            }
        }
        listener
    }

    fn is_due(&self) -> bool {
        let next = self.requests().next();
        self.requests().requested() > self.issued
            || next.requested_changes > self.issued_changes
            || !next.distinct.is_empty()
            || self.waiting.is_some()
            || self.is_time
    }

    /// Writes the record of the next commit and requests a flush up to its end. Returns `None` if
    /// there is no space because the device is full.
    async fn issue(&mut self) -> Result<Option<PendingCommit>> {
        let LogInner { memory, appender, committer, handle, .. } = self.log;
        let frames = appender.frames();
        let room = frames.layout().inline.min(LONGEST_RECORD) - HEADER as u64;
        let room = usize::try_from(room).expect("small");
        let mut commit = match self.waiting.take() {
            Some(commit) => commit,
            None => committer.requests().next().draft(committer.committed().until(), room),
        };
        let bytes = commit.record.encode();
        debug_assert_eq!(
            CommitRecord::decode(&bytes).as_ref(),
            Some(&commit.record),
            "recovery reads the record that the driver writes"
        );
        assert!(
            bytes.len() <= room,
            "the record of a commit fits in a page: {} bytes",
            bytes.len()
        );
        loop {
            let written = memory.protected(|guard| frames.append_record(&bytes, guard));
            if let Some([record, until]) = written {
                assert_eq!(
                    self.log.view.units().block_behind_end(until),
                    until,
                    "no block with durable bytes is written again"
                );
                debug_assert!(until <= memory.log().tail_address(), "a commit is allocated");
                commit.place(self.issued, [record, until]);
                memory.log().flushing().want_durable(until);
                self.issued = until;
                self.issued_changes = self.issued_changes.max(commit.changes);
                (self.timer, self.is_time) = (None, false);
                self.issued_at = handle.now();
                return Ok(Some(commit));
            }
            match memory.log().allocator().wait_for_pages(Need::commit()).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    self.waiting = Some(commit);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Shows a durable commit to readers and waiting tasks.
    fn complete(&self, commit: &PendingCommit) {
        let flushed = self.log.memory.log().flushing().flushed();
        assert!(
            commit.until <= flushed && commit.until <= self.issued,
            "a durable commit was issued and flushed: {commit:?}, {flushed:?}, {:?}",
            self.issued
        );
        let (number, until) = (commit.record.number, commit.until.raw());
        tracing::trace!(target: "kvick::commit", number, until, "committed");
        let view = &self.log.view;
        view.range().commit(commit, || last::end_of_last_entry(view, commit.entries));
    }

    fn requests(&self) -> &'l CommitRequests {
        self.log.committer.requests()
    }
}

/// Waits until an issued commit is durable.
async fn durable(log: &LogInner, commit: PendingCommit) -> Result<PendingCommit> {
    let pages = log.memory.log();
    pages.flushing().stored_some_time(commit.until).await?;
    pages.flushing().make_durable(commit.until).await?;
    Ok(commit)
}
