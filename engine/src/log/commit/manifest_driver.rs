//! The driver that updates the manifest: to shorten recovery, before files of a truncation are
//! deleted, and on closing. It also publishes the life of this opening before that life writes its
//! first page.
//!
//! On a full medium there is no space for a commit record, which a truncation waits for. There the
//! manifest alone says where the log begins. It replaces its copy, so it finds space. The files
//! that it frees make space for everything else. So a record that is read after such a manifest may
//! have an earlier begin, which is then ignored.

use super::manifest::Identity;
use super::manifest::{Manifest, Sizes};
use super::state::Settled;
use crate::address::Address;
use crate::backoff::Backoff;
use crate::error::Result;
use crate::log::inner::Core;
use crate::manifest::copy;
use crate::manifest::publish::{self, NotPublished};
use crate::wait::listen;

/// The bounds of the manifest's largest lag, in bytes. Within them, it is the memory of the log.
const BEHIND: [u64; 2] = [1 << 20, 64 << 20];

impl Core {
    /// Publishes manifests until the log is closed. `published` is the commit of the current
    /// manifest.
    pub(crate) async fn drive_manifest(
        &self,
        identity: Identity,
        mut published: Settled,
    ) -> Result<()> {
        let log = &self.live().log;
        let health = log.health();
        let sizes = identity.sizes;
        let mut backoff = Backoff::for_shortage();
        loop {
            let demand = &self.commits.demand;
            let told = listen([
                &self.source.moved,
                demand,
                health.changed(),
                log.flushing().became_immutable(),
            ]);
            if health.is_closed() || health.is_poisoned() {
                return Ok(());
            }
            if let Some(settled) = self.due_manifest(sizes, &published) {
                let frees =
                    self.segment(sizes, settled.begin) > self.segment(sizes, published.begin);
                // Boxed, to keep an idle log small.
                match Box::pin(self.publish(identity, &settled, frees)).await {
                    Ok(()) => {
                        log.flushing().announce();
                        published = settled;
                        self.commits.published(published.number);
                        self.source.moved.notify(usize::MAX);
                        continue;
                    }
                    // The driver tries again after the next change.
                    Err(NotPublished { is_certain: true, error }) => {
                        tracing::warn!(%error, "the manifest could not follow");
                        if self.commits.refuse_manifest(error.clone()) {
                            self.source.moved.notify(usize::MAX);
                        }
                        if log.flushing().must_announce() {
                            health.transition_to_full(error);
                            backoff.pause(&self.handle).await;
                            continue;
                        }
                    }
                    Err(NotPublished { error, .. }) => return Err(error),
                }
            }
            told.await;
        }
    }

    /// Returns the commit for a new manifest, if one is due.
    fn due_manifest(&self, sizes: Sizes, published: &Settled) -> Option<Settled> {
        let settled = &self.commits.settled().0;
        let intent = self.commits.intent();
        // The begin never goes back: the files below the begin of a manifest are deleted.
        let mut begin = settled.begin.max(published.begin);
        if self.live().log.health().is_full() {
            // There may be no space for the commit record that normally comes first. So the
            // manifest publishes the begin before files are deleted.
            begin = begin.max(intent.begin.min(settled.until));
        }
        let behind = self.config.memory.bytes().clamp(BEHIND[0], BEHIND[1]);
        let is_late = settled.until.raw() - published.until.raw() >= behind || intent.manifest;
        let is_due = self.segment(sizes, begin) > self.segment(sizes, published.begin)
            || settled.number > published.number && is_late
            || self.live().log.flushing().must_announce();
        is_due.then(|| settled.beginning(begin))
    }

    /// Publishes a manifest, and deletes the files that it no longer needs.
    async fn publish(
        &self,
        identity: Identity,
        settled: &Settled,
        frees: bool,
    ) -> Result<(), NotPublished> {
        let manifest = Manifest::new(identity, settled);
        let bytes = publish::publish_to_free(&*self.directory, &manifest).await?;
        let is_kept = copy::keep_copy(&*self.directory, &bytes).await;
        if frees {
            self.free_below(settled.begin).await;
        }
        if frees && !is_kept {
            copy::keep_copy(&*self.directory, &bytes).await;
        }
        Ok(())
    }

    fn segment(&self, sizes: Sizes, address: Address) -> u64 {
        self.source.framing.units.page_start(address) / sizes.segment_bytes
    }

    /// Deletes the files that hold no bytes from `begin` on.
    async fn free_below(&self, begin: Address) {
        let offset = self.source.framing.units.page_start(begin);
        if let Err(error) = self.source.device.discard_below(offset).await {
            // They are below the begin of the manifest, so no task looks for them. The next
            // truncation deletes them.
            tracing::warn!(%error, "files of a truncated log were not deleted");
        }
    }
}
