//! A scan in progress, from its beginning to its drop.

use super::active::Bounds;
use super::pulse::Pulse;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::hybrid_log::LogStatus;
use crate::store::table::TableInner;
use std::slice;
use std::sync::Arc;

/// A scan in progress. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct ActiveScan {
    table: Arc<TableInner>,
    number: u64,
}

impl ActiveScan {
    /// Begins a scan for each pulse, as of one moment that follows.
    pub(super) fn begin(
        table: &Arc<TableInner>,
        pulses: &[Arc<Pulse>],
    ) -> impl Iterator<Item = Self> + use<> {
        // All of them at once, so that a scan that is not used ends.
        let scan = |number| Self { table: Arc::clone(table), number };
        let scans: Vec<_> = table.scans.enter(pulses).map(scan).collect();
        scans.into_iter()
    }

    /// Begins a scan as of a moment that follows.
    pub(super) fn begin_one(table: &Arc<TableInner>, pulse: &Arc<Pulse>) -> Self {
        Self::begin(table, slice::from_ref(pulse)).next().expect("there is one")
    }

    /// Waits for the moment, and returns its bounds.
    ///
    /// # Errors
    /// `Closed`, `Poisoned`. `Unsupported` in a cache that keeps nothing on a device: records leave
    /// memory before the scan has read them.
    pub(super) async fn bounds(&self) -> Result<Bounds> {
        if self.table.config.is_in_memory() {
            return Err(Error::unsupported("a scan of a cache without `disk`"));
        }
        let (scans, health) = (&self.table.scans, self.table.log.health());
        let bounds = || scans.bounds_of(self.number);
        health.wait_for(scans.begun(), check, || bounds().is_some()).await?;
        Ok(bounds().expect("it stays known"))
    }

    /// Notes that the scan reads no record below `address` any more.
    pub(super) fn pass(&self, address: Address) {
        self.table.scans.pass(self.number, address);
    }

    /// Lets the records that were mutable at the moment change in place again.
    pub(super) fn thaw(&self) {
        self.table.scans.want_thaw(self.number);
    }
}

impl Drop for ActiveScan {
    fn drop(&mut self) {
        self.table.scans.leave(self.number);
    }
}

/// Refuses a scan of a poisoned store, whose maintenance may have ended: it would wait for its
/// moment forever. A read-only store can be scanned.
fn check(status: &LogStatus) -> Result<()> {
    if status.is_poisoned() { status.check_write() } else { status.check_read() }
}
