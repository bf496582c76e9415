//! The driver of scans: it finds their moments, and ends their freezes.
//!
//! A barrier holds up all writers, and a thaw waits for two drains. Both are left to this driver,
//! which is always polled: the task of a scan may never be polled again.

use super::active::Bounds;
use crate::base::wait::wait_either;
use crate::store::inner::StoreInner;
use kvick_runtime::Handle;

impl StoreInner {
    /// Begins scans and ends their freezes, until the log is closed.
    pub(crate) async fn drive_scans(&self, handle: &Handle) {
        let health = self.log.health();
        loop {
            let next = wait_either([self.scans.demand(), health.changed()], || {
                let is_closed = health.is_closed();
                let has_work = self.scans.has_waiting() || self.scans.has_thaws();
                (is_closed || has_work).then_some(is_closed)
            });
            if next.await {
                return;
            }
            if self.scans.has_waiting() {
                self.between_changes(handle, || self.begin_scans()).await;
            }
            let thaws = self.scans.take_thaws();
            if !thaws.is_empty() {
                self.log.versions().thaw(&thaws).await;
            }
        }
    }

    /// Begins the waiting scans at this instant, at which no operation changes anything.
    fn begin_scans(&self) {
        let versions = self.log.versions();
        let end = versions.end_version();
        let bounds = || {
            // The mark, not the floor: another freeze may end before this one.
            let [begin, _, _, mutable_from] = self.log.pages().addresses();
            let bounds = Bounds { begin, mutable_from, end };
            tracing::debug!(target: "kvick::scan", ?bounds, "a scan begins");
            bounds
        };
        self.scans.begin_waiting(bounds, || versions.freeze(end));
    }
}
