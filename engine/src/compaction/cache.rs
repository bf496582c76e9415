//! A cache drops the oldest part of its log, where other stores make a round.
//!
//! Without a budget on the device the log begins at the head: nothing that leaves memory is kept.
//! With a budget it is dropped in parts, as soon as the policy would compact. A full device is a
//! budget, too: then a part goes in the hope that the next write finds room.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::store::StoreInner;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The part of the log that goes at a time, for a writer or on a full device.
const PART: u64 = 8;
/// The part of the memory for pages after which the index of a cache in memory is swept.
const SWEEP_PART: u64 = 16;

/// The drops of one store, if it is a cache.
#[derive(Debug, Default)]
pub(super) struct Drops {
    // Any thread, atomic; written by the driver of compaction.
    evicted_bytes: AtomicU64,
    /// The begin of the log at the last sweep of the index.
    swept: AtomicU64,
}

impl Drops {
    /// Returns the bytes of log that were dropped since the store was opened.
    pub(super) fn evicted_bytes(&self) -> u64 {
        self.evicted_bytes.load(Ordering::Relaxed)
    }

    /// Drops everything below `until`, which is flushed. Returns the bytes that went.
    pub(super) async fn drop_below(&self, core: &StoreInner, until: Address) -> Result<u64> {
        let bytes = core.drop_below(until).await?;
        self.evicted_bytes.fetch_add(bytes, Ordering::Relaxed);
        // The index has few entries too many. A sweep for each page would cost more than the pages.
        let begin = core.log.pages().begin().raw();
        let few =
            if core.config.is_in_memory() { core.log.pages().bytes() / SWEEP_PART } else { 0 };
        if begin - self.swept.load(Ordering::Relaxed).min(begin) > few {
            core.sweep().await;
            self.swept.store(begin, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}

/// Returns the address below which a cache without a budget keeps nothing.
pub(super) fn head(core: &StoreInner) -> Address {
    let [_, head, ..] = core.log.pages().addresses();
    core.log.file().units().start_of_page(head.min(core.log.flushing().flushed()))
}

/// Returns the bytes of log that go at a time: a file at least, or else no space is made.
pub(super) fn part_bytes(core: &StoreInner) -> u64 {
    let length = core.log.tail_address().raw() - core.log.pages().begin().raw();
    (length / PART).max(core.log.file().device().geometry().segment_bytes)
}
