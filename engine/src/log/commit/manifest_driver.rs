//! The driver that updates the manifest: to shorten recovery, before files of a truncation are
//! deleted, and on closing. It also publishes the life of this opening before that life writes its
//! first page.
//!
//! On a full medium there is no space for a commit record, which a truncation waits for. There the
//! manifest alone says where the log begins. It replaces its copy, so it finds space. The files
//! that it frees make space for everything else. So a record that is read after such a manifest may
//! have an earlier begin, which is then ignored.

use super::manifest::{Identity, Manifest};
use super::state::CommitState;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::backoff::Backoff;
use crate::base::wait::listen;
use crate::log::inner::LogInner;
use crate::manifest::copy;
use crate::manifest::publish::{self, NotPublished};

/// The bounds of the manifest's largest lag, in bytes. Within them, it is the memory of the log.
const LAG_BYTES: [u64; 2] = [1 << 20, 64 << 20];

/// The driver, with the manifest on the medium.
pub(crate) struct ManifestDriver<'l> {
    log: &'l LogInner,
    identity: Identity,
    /// The commit of the manifest.
    published: CommitState,
}

impl<'l> ManifestDriver<'l> {
    pub(crate) fn new(log: &'l LogInner, identity: Identity, published: CommitState) -> Self {
        let committed = log.committer.committed().state();
        assert!(
            published.until <= committed.until && published.number <= committed.number,
            "the manifest names a durable commit: {published:?}, {committed:?}"
        );
        debug_assert!(
            published.begin <= log.view.range().begin(),
            "no reader is below the begin of the manifest: {published:?}"
        );
        Self { log, identity, published }
    }

    /// Publishes manifests until the log is closed.
    pub(crate) async fn drive(mut self) -> Result<()> {
        let LogInner { memory, view, committer, handle, .. } = self.log;
        let (pages, requests) = (memory.log(), committer.requests());
        let (health, changed) = (memory.health(), view.range().changed());
        let mut backoff = Backoff::for_shortage();
        loop {
            let events =
                [changed, requests.demand(), health.changed(), pages.flushing().became_immutable()];
            let told = listen(events);
            if health.is_closed() || health.is_poisoned() {
                return Ok(());
            }
            if let Some(state) = self.due() {
                // Boxed, to keep an idle log small.
                match Box::pin(self.publish(state)).await {
                    Ok(()) => {
                        pages.flushing().announce();
                        requests.published(self.published.number);
                        changed.notify(usize::MAX);
                        continue;
                    }
                    // The driver tries again after the next change.
                    Err(NotPublished { is_certain: true, error }) => {
                        tracing::warn!(%error, "the manifest could not follow");
                        if requests.refuse_manifest(error.clone()) {
                            changed.notify(usize::MAX);
                        }
                        if pages.flushing().must_announce() {
                            health.transition_to_full(error);
                            backoff.pause(handle).await;
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
    fn due(&self) -> Option<CommitState> {
        let LogInner { memory, committer, config, .. } = self.log;
        let (durable, published) = (committer.committed().state(), &self.published);
        debug_assert!(
            published.until <= durable.until && published.number <= durable.number,
            "a published commit is durable: {published:?}, {durable:?}"
        );
        let next = committer.requests().next();
        // The begin never goes back: the files below the begin of a manifest are deleted.
        let mut begin = durable.begin.max(published.begin);
        if memory.health().is_full() {
            // There may be no space for the commit record that normally comes first. So the
            // manifest publishes the begin before files are deleted.
            begin = begin.max(next.begin.min(durable.until));
        }
        let lag = config.memory.bytes().clamp(LAG_BYTES[0], LAG_BYTES[1]);
        let is_late = durable.until.raw() - published.until.raw() >= lag || next.manifest;
        let is_due = self.segment(begin) > self.segment(published.begin)
            || durable.number > published.number && is_late
            || memory.log().flushing().must_announce();
        is_due.then(|| durable.beginning(begin))
    }

    /// Publishes a manifest, and deletes the files that it no longer needs.
    async fn publish(&mut self, state: CommitState) -> Result<(), NotPublished> {
        let durable = self.log.committer.committed().until();
        assert!(
            self.published.begin <= state.begin
                && self.published.until <= state.until
                && state.until <= durable,
            "a manifest names a durable commit and goes only forward: {state:?}, {durable:?}"
        );
        debug_assert!(self.published.number <= state.number, "numbers go up: {state:?}");
        let directory = &*self.log.directory;
        let frees = self.segment(state.begin) > self.segment(self.published.begin);
        let manifest = Manifest::new(self.identity, &state);
        let bytes = publish::publish_to_free(directory, &manifest).await?;
        self.published = state;
        let is_kept = copy::keep_copy(directory, &bytes).await;
        if frees {
            self.free_files().await;
        }
        if frees && !is_kept {
            copy::keep_copy(directory, &bytes).await;
        }
        Ok(())
    }

    fn segment(&self, address: Address) -> u64 {
        self.log.view.units().page_start(address) / self.identity.sizes.segment_bytes
    }

    /// Deletes the files that hold no bytes from the begin of the manifest on.
    async fn free_files(&self) {
        let (begin, shown) = (self.published.begin, self.log.view.range().begin());
        assert!(
            begin <= shown,
            "no reader is below the begin of the manifest: {begin:?}, {shown:?}"
        );
        let offset = self.log.view.units().page_start(begin);
        debug_assert!(
            begin <= self.log.committer.committed().until(),
            "no uncommitted file is deleted: {begin:?}"
        );
        if let Err(error) = self.log.view.device().discard_below(offset).await {
            // They are below the begin of the manifest, so no task looks for them. The next
            // truncation deletes them.
            tracing::warn!(%error, "files of a truncated log were not deleted");
        }
    }
}
