//! Waiting for commits. Whoever waits looks again whenever something has changed, so a failure
//! reaches everybody.

use super::core::Core;
use super::settled::{Commit, Settled};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::wait::wait_either;
use kvick_io::sync::atomic::Ordering;

impl Core {
    /// Makes everything durable that was appended before.
    pub(super) async fn commit(&self) -> Result<Commit> {
        self.live().log.health().check_write()?;
        let until = self.live().log.tail_address();
        let changes = self.commits.intent().changes;
        if self.is_settled(until, changes) {
            return Ok(self.commits.settled().0.commit());
        }
        self.commits.request(until, changes);
        self.settled(until, changes).await
    }

    /// What is done on closing: a commit, and the manifest has it.
    pub(super) async fn save(&self) -> Result<()> {
        self.commit().await?;
        self.published().await
    }

    /// Whether everything below `until`, and changes up to `changes`, are durable.
    pub(super) fn is_settled(&self, until: Address, changes: u64) -> bool {
        self.source.durable.load() >= until && self.commits.settled().1 >= changes
    }

    /// Waits for that.
    ///
    /// # Errors
    /// `StorageFull` while the device is, `Poisoned`, `Closed`.
    pub(super) async fn settled(&self, until: Address, changes: u64) -> Result<Commit> {
        self.wait_until(|settled, has| settled.until >= until && has >= changes).await?;
        Ok(self.commits.settled().0.commit())
    }

    /// Waits until a commit of this number or a higher one is durable; returns the newest.
    pub(super) async fn settled_number(&self, number: u64) -> Result<Commit> {
        self.wait_until(|settled, _| settled.number >= number).await?;
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
        let health = self.live().log.health();
        wait_either([&self.source.moved, health.changed()], || {
            let is_met = {
                let settled = self.commits.settled();
                is_met(&settled.0, settled.1)
            };
            if is_met { Some(Ok(())) } else { health.check_room().err().map(Err) }
        })
        .await
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
