//! Waiting for commits. A waiting task checks again after every change, so a failure reaches every
//! task.

use super::state::{Commit, Settled};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::hybrid_log::Health;
use crate::log::inner::Core;
use crate::wait::wait_either;
use kvick_io::sync::atomic::Ordering;

impl Core {
    /// Waits until everything below `until`, and changes up to `changes`, are durable.
    ///
    /// # Errors
    /// `StorageFull` while the device is full, `Poisoned`, `Closed`.
    pub(crate) async fn settled(&self, until: Address, changes: u64) -> Result<Commit> {
        self.settled_with(|settled, has| settled.until >= until && has >= changes).await
    }

    /// Waits until the newest durable commit, and the number of its changes, meet `is_met`.
    pub(crate) async fn settled_with(
        &self,
        is_met: impl Fn(&Settled, u64) -> bool,
    ) -> Result<Commit> {
        self.wait_until(is_met).await?;
        Ok(self.commits.settled().0.commit())
    }

    /// Waits until the entry at `address` is durable.
    ///
    /// # Errors
    /// As [`settled`](Self::settled); `Completed` if the log ends before `address`.
    pub(crate) async fn durable_at(&self, address: Address) -> Result<()> {
        let is_beyond = |settled: &Settled| settled.completed && settled.until <= address;
        self.wait_until(|settled, _| settled.until > address || is_beyond(settled)).await?;
        if is_beyond(&self.commits.settled().0) { Err(Error::completed()) } else { Ok(()) }
    }

    async fn wait_until(&self, is_met: impl Fn(&Settled, u64) -> bool) -> Result<()> {
        let is_met = || {
            let settled = self.commits.settled();
            is_met(&settled.0, settled.1)
        };
        self.live().log.health().wait_for(&self.source.moved, Health::check_room, is_met).await
    }

    /// Stops appending. Afterwards every appended entry is below the tail.
    pub(crate) async fn seal(&self) {
        // Relaxed: pairs with the load in `check_append`; the drain below orders them.
        self.sealed.store(true, Ordering::Relaxed);
        let epoch = self.live().seats.epoch.bump();
        // An append that has not seen the flag may still run. No such append is left after this.
        self.live().seats.epoch.drained(epoch, &self.handle).await;
    }

    /// Waits until the manifest holds the newest commit.
    ///
    /// # Errors
    /// `StorageFull` if there is no space for it, `Poisoned`, `Closed`.
    pub(crate) async fn published(&self) -> Result<()> {
        let health = self.live().log.health();
        {
            let mut intent = self.commits.intent();
            (intent.manifest, intent.refused) = (true, None);
        }
        self.commits.demand.notify(usize::MAX);
        wait_either([&self.source.moved, health.changed()], || {
            if self.commits.is_published() {
                return Some(Ok(()));
            }
            let refused = health.check_room().err();
            refused.or_else(|| self.commits.intent().refused.clone()).map(Err)
        })
        .await
    }
}
