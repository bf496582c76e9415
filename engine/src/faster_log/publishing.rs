//! The driver that lets the manifest follow: so that recovery has less to walk, before files are
//! deleted that a truncation has freed, and on closing.

use super::core::Core;
use super::manifest::{Manifest, Sizes};
use super::settled::Settled;
use crate::address::Address;
use crate::error::Result;
use crate::publication::{self, NotPublished};
use crate::wait::listen;

/// How far the manifest may be behind, in bytes: as much as the log has memory, within bounds.
const BEHIND: [u64; 2] = [1 << 20, 64 << 20];

impl Core {
    /// Publishes manifests until the log is closed; `published` is the commit that the present one
    /// has.
    pub(super) async fn drive_manifest(&self, sizes: Sizes, mut published: Settled) -> Result<()> {
        let health = self.live().log.health();
        loop {
            let told = listen([&self.source.moved, &self.commits.demand, health.changed()]);
            if health.is_closed() || health.is_poisoned() {
                return Ok(());
            }
            if let Some(settled) = self.due_manifest(sizes, &published) {
                let freed = segment(sizes, settled.begin) > segment(sizes, published.begin);
                // Boxed, like what follows: an idle log is small.
                match Box::pin(self.publish(sizes, &settled)).await {
                    Ok(()) => {
                        published = settled;
                        self.commits.published(published.number);
                        self.source.moved.notify(usize::MAX);
                        if freed {
                            Box::pin(self.free_below(published.begin)).await;
                        }
                        continue;
                    }
                    // Tried again when something has happened.
                    Err(NotPublished { is_certain: true, error }) => {
                        tracing::warn!(%error, "the manifest could not follow");
                        if self.commits.refuse_manifest(error) {
                            self.source.moved.notify(usize::MAX);
                        }
                    }
                    Err(NotPublished { error, .. }) => return Err(error),
                }
            }
            told.await;
        }
    }

    /// The commit that a new manifest is to have, if there is to be one.
    fn due_manifest(&self, sizes: Sizes, published: &Settled) -> Option<Settled> {
        let settled = &self.commits.settled().0;
        let behind = self.config.memory.bytes().clamp(BEHIND[0], BEHIND[1]);
        let is_due = settled.number > published.number
            && (settled.until.raw() - published.until.raw() >= behind
                || segment(sizes, settled.begin) > segment(sizes, published.begin)
                || self.commits.intent().manifest);
        is_due.then(|| settled.clone())
    }

    async fn publish(&self, sizes: Sizes, settled: &Settled) -> Result<(), NotPublished> {
        let bytes = Manifest::new(sizes, settled).encode();
        publication::publish(&*self.directory, &bytes, true).await?;
        publication::keep_copy(&*self.directory, &bytes).await;
        Ok(())
    }

    /// Deletes the files that hold nothing from `begin` on.
    async fn free_below(&self, begin: Address) {
        let offset = self.source.framing.units.page_start(begin);
        if let Err(error) = self.source.device.discard_below(offset).await {
            // They are below what the manifest says: nobody looks for them, the next time frees
            // them.
            tracing::warn!(%error, "files of a truncated log were not deleted");
        }
    }
}

fn segment(sizes: Sizes, address: Address) -> u64 {
    sizes.units().page_start(address) / sizes.segment_bytes
}
