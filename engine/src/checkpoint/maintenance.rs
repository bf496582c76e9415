//! The maintenance of a store: all of its drivers, from its opening to its end.
//!
//! One of them names the life of the opening in the manifest, before that life writes its first
//! page. Opening does not do this, so that a store that is only read needs no space on the medium.

use super::driver::Checkpoints;
use super::run::unpublished;
use crate::base::wait::backoff::Backoff;
use crate::base::wait::{wait_either, wait_until};
use crate::hybrid_log::HybridLog;
use crate::opening::ending::{Ending, Maintained};
use crate::store::{StoreInner, WriteAheadLog};
use std::sync::Arc;

impl Checkpoints {
    /// Publishes the manifest when pages are about to be written, and retries until it succeeds.
    /// Also ends if the log accepts no more writes.
    pub(super) async fn announce_life(&self) {
        let core: &StoreInner = self.core();
        let events = [core.log.flushing().became_immutable(), core.log.health().changed()];
        wait_either(events, || {
            let is_over = core.log.health().check_write().is_err();
            (is_over || core.log.flushing().must_announce()).then_some(())
        })
        .await;
        let mut backoff = Backoff::for_shortage();
        while core.log.health().check_write().is_ok() {
            debug_assert!(!core.log.flushing().is_announced(), "a life is announced once");
            match self.checkpoint_files().publish_again().await {
                Ok(()) => return core.log.flushing().announce(),
                Err(failed) => {
                    let error = unpublished(core, failed);
                    if error.is_shortage() {
                        core.log.health().transition_to_full(error);
                    }
                }
            }
            backoff.pause(self.handle()).await;
        }
    }

    /// Lets waiting readers of changes look again when the store takes no more.
    async fn wake_feeds(&self) {
        let health = self.core().log.health();
        wait_until(health.changed(), || health.check_write().err()).await;
        self.core().wal.iter().for_each(WriteAheadLog::wake_readers);
    }
}

/// Runs the drivers of a store: of the log, of scans, of checkpoints, of the announcement and of
/// closing. Resolves when the store is closed.
pub(crate) async fn maintain(checkpoints: Arc<Checkpoints>, ending: Arc<Ending>) {
    let closing = ending.drive(checkpoints.save());
    futures::join!(
        checkpoints.core().log.maintain(),
        checkpoints.core().drive_memory(),
        checkpoints.core().drive_index(checkpoints.handle()),
        checkpoints.core().drive_scans(checkpoints.handle()),
        checkpoints.core().drive_superseded(),
        checkpoints.drive(),
        checkpoints.announce_life(),
        checkpoints.wake_feeds(),
        closing
    );
}

impl Maintained for Checkpoints {
    fn noun(&self) -> &'static str {
        "store"
    }

    fn log(&self) -> &HybridLog {
        &self.core().log
    }

    fn abandon(&self) {
        self.jobs().abandon();
    }

    /// Frees the directory of the write-ahead log. Its own drivers ended with those of the store.
    fn end_parts(&self) {
        self.core().wal.iter().for_each(|wal| wal.log().forsake());
    }
}
