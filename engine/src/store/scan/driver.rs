//! The driver of scans: it finds their moments, ends their freezes, and expires those that are not
//! polled.
//!
//! A barrier holds up all writers, and a thaw waits for two drains. Both are left to this driver,
//! which is always polled: the task of a scan may never be polled again.
//!
//! Scans are held back while compaction makes space for writers (`compaction/relief.rs`). On a full
//! device that may take forever, so there they begin: reads go on.

use super::active::{Bounds, PATIENCE};
use crate::base::wait::wait_either;
use crate::store::inner::StoreInner;
use futures::future::{Either, select};
use kvick_runtime::Handle;
use std::pin::pin;
use std::time::Duration;

/// The time between two looks for scans that are not polled, while compaction waits.
const LOOK_EVERY: Duration = PATIENCE.checked_div(4).expect("four is not zero");

impl StoreInner {
    /// Begins scans, ends their freezes and expires them, until the log is closed.
    pub(crate) async fn drive_scans(&self, handle: &Handle) {
        let mut looked_at = Duration::ZERO;
        while !self.scan_work(handle, looked_at).await {
            if self.may_begin_scans() {
                // The clock is code of the user, so it is not read within the barrier.
                self.clock.now();
                self.between_changes(handle, || self.begin_scans()).await;
            }
            if self.are_readers_in_the_way() && handle.now() >= looked_at + LOOK_EVERY {
                looked_at = handle.now();
                self.expire_scans(looked_at).await;
                self.lapse_log_readers(looked_at);
            }
            let thaws = self.scans.take_thaws();
            if !thaws.is_empty() {
                self.log.versions().thaw(&thaws).await;
            }
        }
    }

    /// Returns whether scans wait for their moment that are not held back.
    fn may_begin_scans(&self) -> bool {
        let are_held_back = self.scans.are_held_back() && !self.log.health().is_full();
        self.scans.has_waiting() && !are_held_back
    }

    /// Waits until there may be work. Returns whether the log is closed.
    async fn scan_work(&self, handle: &Handle, looked_at: Duration) -> bool {
        let health = self.log.health();
        let is_ready = || {
            let has_work = self.may_begin_scans() || self.scans.has_thaws();
            (health.is_closed() || has_work).then_some(())
        };
        // Either loses a look: it is made again.
        let are_in_the_way = || self.are_readers_in_the_way().then_some(());
        let demand = self.scans.demand();
        let work = pin!(wait_either([demand, health.changed()], is_ready));
        let in_the_way = pin!(wait_either([demand, self.readers.demand()], are_in_the_way));
        if let Either::Right(((), work)) = select(work, in_the_way).await {
            let left = (looked_at + LOOK_EVERY).saturating_sub(handle.now());
            select(work, handle.sleep(left)).await;
        }
        health.is_closed()
    }

    /// Expires the scans that have not been used for a while.
    async fn expire_scans(&self, now: Duration) {
        let expired = self.scans.expire(now);
        if !expired.is_empty() {
            // After this, each scan that shows what it has read knows of it. See `pulse`.
            self.log.drain().await;
            tracing::warn!(target: "kvick::scan", ?expired, "scans that were not polled expired");
            self.scans.let_go(&expired);
        }
    }

    /// Lets the readers of the log lapse that have not been used for a while.
    fn lapse_log_readers(&self, now: Duration) {
        let lapsed = self.readers.lapse(now, PATIENCE);
        if lapsed > 0 {
            tracing::warn!(target: "kvick::feed", lapsed, "readers that were not polled lapsed");
        }
    }

    /// Returns whether compaction waits for scans, or for readers of the log.
    fn are_readers_in_the_way(&self) -> bool {
        self.scans.are_in_the_way() || self.readers.are_in_the_way()
    }

    /// Begins the waiting scans at this instant, at which no operation changes anything.
    fn begin_scans(&self) {
        let versions = self.log.versions();
        let end = versions.end_version();
        let bounds = || {
            // The mark, not the floor: another freeze may end before this one.
            let [begin, _, _, mutable_from] = self.log.pages().addresses();
            let second = self.clock.highest();
            let bounds = Bounds { begin, mutable_from, end, second };
            tracing::debug!(target: "kvick::scan", ?bounds, "a scan begins");
            bounds
        };
        self.scans.begin_waiting(bounds, || versions.freeze(end));
    }
}
