//! The driver of the index: it removes the entries of deleted keys, makes a sparse index smaller,
//! and gives overflow lines back.
//!
//! New entries make the index larger by themselves. What needs patience is left to this driver: a
//! merge for some removed entries, and a drain before a line is used again.

use super::inner::StoreInner;
use crate::base::wait::{wait_either, yield_once};
use crate::hash_index::{ForgottenEntries, Shrunk};
use kvick_runtime::Handle;

/// The number of merges between two turns of other drivers: some ten microseconds.
const MERGES_AT_ONCE: usize = 64;

impl StoreInner {
    /// Keeps the index as small as its entries allow, until the log is closed.
    pub(crate) async fn drive_index(&self, handle: &Handle) {
        let health = self.log.health();
        let (mut is_stuck, mut forgotten) = (false, ForgottenEntries::default());
        loop {
            let next = wait_either([&self.index.demand, health.changed()], || {
                let is_closed = health.is_closed();
                // Both in any case: the look lets tasks ask again, and a merge that found no memory
                // is tried again after the next demand, whatever this look finds.
                let (has_work, was_stuck) = (self.index.has_work(), std::mem::take(&mut is_stuck));
                (is_closed || has_work && !was_stuck).then_some(is_closed)
            });
            if next.await {
                return;
            }
            let mut shrunk = Shrunk::SomeMore;
            while shrunk == Shrunk::SomeMore && !health.is_closed() {
                let lines = self.index.take_retired();
                self.index.take_forgotten(&mut forgotten);
                if !lines.is_empty() || !forgotten.is_empty() {
                    // A search that began earlier may still read these lines, and an operation may
                    // still link a record where it found no entry. After the drain there is none.
                    self.log.epoch().drain(handle).await;
                }
                self.index.give_back(lines);
                self.index.remove(&mut forgotten);
                shrunk = self.index.shrink(MERGES_AT_ONCE);
                yield_once().await;
            }
            is_stuck = shrunk == Shrunk::NoMemory;
        }
    }
}
