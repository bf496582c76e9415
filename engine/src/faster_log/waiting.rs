//! Waiting for commits. Whoever waits looks again whenever something has changed, so a failure
//! reaches everybody.

use super::core::Core;
use super::settled::{Commit, Settled};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::hybrid_log::Health;
use crate::wait::wait_either;
use kvick_io::sync::atomic::Ordering;

impl Core {
    /// Waits until everything below `until`, and changes up to `changes`, are durable.
    ///
    /// # Errors
    /// `StorageFull` while the device is, `Poisoned`, `Closed`.
    pub(super) async fn settled(&self, until: Address, changes: u64) -> Result<Commit> {
        self.settled_with(|settled, has| settled.until >= until && has >= changes).await
    }

    /// Waits until the newest durable commit, and the changes that it has, are as asked.
    pub(super) async fn settled_with(
        &self,
        is_met: impl Fn(&Settled, u64) -> bool,
    ) -> Result<Commit> {
        self.wait_until(is_met).await?;
        Ok(self.commits.settled().0.commit())
    }

    /// Waits until the entry at `address` is durable.
    ///
    /// # Errors
    /// As [`settled`](Self::settled); `Completed` if there never will be one.
    pub(super) async fn durable_at(&self, address: Address) -> Result<()> {
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

    /// Takes no more entries; afterwards everything that was appended is below the tail.
    pub(super) async fn seal(&self) {
        // Relaxed: the drain orders it.
        self.sealed.store(true, Ordering::Relaxed);
        let epoch = self.live().seats.epoch.bump();
        // Whoever has not seen it may be appending: after this, nobody is.
        self.live().seats.epoch.drained(epoch, &self.handle).await;
    }

    /// Waits until the manifest has the newest commit.
    ///
    /// # Errors
    /// `StorageFull` if there is no space for it, `Poisoned`, `Closed`.
    pub(super) async fn published(&self) -> Result<()> {
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
