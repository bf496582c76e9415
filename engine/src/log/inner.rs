//! The state that the users of one open log share.

use super::LogAddress;
use super::append::appender::Appender;
use super::commit::committer::Committer;
use super::commit::state::{Commit, CommitGoal};
use super::config::Config;
use super::iterator::positions::IteratorPositions;
use super::memory::LogMemory;
use super::view::LogView;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::hybrid_log::HybridLog;
use crate::opening::ending::Maintained;
use kvick_io::Directory;
use kvick_runtime::Handle;
use std::sync::Arc;

/// One open log: its parts, each with its own rules.
#[derive(Debug)]
pub(crate) struct LogInner {
    pub(crate) config: Config,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) handle: Handle,
    pub(crate) memory: Arc<LogMemory>,
    pub(crate) view: Arc<LogView>,
    pub(crate) appender: Appender,
    pub(crate) committer: Committer,
    pub(crate) iterators: IteratorPositions,
    /// The end of the log as the opening has found it on the medium.
    pub(crate) found_until: Address,
}

impl LogInner {
    /// Waits until the appended entry at `address` is durable. Requests a commit, unless the
    /// settings cause one.
    pub(crate) async fn make_durable(&self, address: LogAddress) -> Result<LogAddress> {
        if self.config.commit_every.is_none() {
            self.committer.requests().request(Address::new(address.raw() + 1), 0);
        }
        self.committer.wait_for_entry(address.inner()).await?;
        Ok(address)
    }

    /// Returns the end of the log that another opening would find now. The log may continue after
    /// it, and then a manifest tells so before anything is written.
    pub(crate) fn durable_until(&self) -> Address {
        let committed = self.committer.committed().until();
        if self.memory.log().flushing().is_announced() { committed } else { self.found_until }
    }

    /// Closes the log to new entries and commits the existing ones.
    pub(crate) async fn complete(&self) -> Result<Commit> {
        // In a forked child, a guard held by a thread of the parent is never released.
        self.memory.health().check_process()?;
        self.appender.stop(&self.handle).await;
        if self.committer.committed().is_completed() {
            return Ok(self.committer.committed().commit());
        }
        let until = self.memory.log().tail_address();
        let requests = self.committer.requests();
        let changes = requests.change(|next| next.completed = true);
        requests.request(until, changes);
        let commit = self.committer.wait_for(CommitGoal { until, changes, number: 0 }).await?;
        let committed = self.committer.committed();
        assert!(committed.is_completed(), "the commit contains the completion: {commit:?}");
        Ok(commit)
    }
}

impl Maintained for LogInner {
    fn noun(&self) -> &'static str {
        "log"
    }

    fn log(&self) -> &HybridLog {
        self.memory.log()
    }

    /// Tasks that wait for a commit watch the health of the log.
    fn abandon(&self) {}

    /// A log has nothing else.
    fn end_parts(&self) {}
}
