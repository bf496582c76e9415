//! The driver of a cache: it drops the oldest part of the log, where other stores compact.
//!
//! Without a budget on the device the log begins at the head: nothing that leaves memory is kept.
//! With a budget it is dropped in parts, before the log is as long as the budget. A full device is
//! a budget, too: then a part goes in the hope that the next write finds room.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::{wait_either, wait_until};
use crate::checkpoint::Checkpoints;
use crate::store::StoreInner;
use futures::future::select;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The number of parts of a budget. A part is dropped at a time.
const PARTS: u64 = 16;
/// The number of parts that are free: for writes while a part is dropped, and for the files, which
/// go as a whole.
const FREE_PARTS: u64 = 4;
/// The part of the log that goes at a time while the device is full.
const PARTS_OF_FULL: u64 = 8;
/// The time within which a full device is written again.
const RETRY: Duration = Duration::from_millis(500);

/// The driver of a store that is a cache.
#[derive(Debug)]
pub(crate) struct CacheDriver {
    // Fixed after opening.
    checkpoints: Arc<Checkpoints>,
    // Any thread, atomic; written by the driver.
    evicted_bytes: AtomicU64,
}

impl CacheDriver {
    pub(crate) fn new(checkpoints: Arc<Checkpoints>) -> Self {
        Self { checkpoints, evicted_bytes: AtomicU64::new(0) }
    }

    /// Returns the bytes of log that were dropped since the store was opened.
    pub(crate) fn evicted_bytes(&self) -> u64 {
        self.evicted_bytes.load(Ordering::Relaxed)
    }

    /// Drops the oldest part of the log whenever there is too much of it, until the store is
    /// closed.
    pub(crate) async fn drive(&self) {
        let core = self.core();
        if !core.config.cache {
            return;
        }
        let log = &core.log;
        let health = log.health();
        let events =
            [log.turned(), log.flushing().became_stored(), log.evicted(), health.changed()];
        let mut swept = log.pages().begin();
        loop {
            let next = wait_either(events, || {
                if health.is_closed() { Some(None) } else { self.due().map(Some) }
            });
            let Some(until) = next.await else {
                return;
            };
            let was_full = health.is_full();
            if let Err(error) = self.drop_below(until, &mut swept).await {
                tracing::warn!(target: "kvick::cache", %error, "the oldest records stay longer");
            }
            if was_full {
                let closed = wait_until(health.changed(), || health.is_closed().then_some(()));
                select(pin!(closed), pin!(self.checkpoints.handle().sleep(RETRY))).await;
            }
        }
    }

    /// Returns the address below which records are to go.
    fn due(&self) -> Option<Address> {
        let core = self.core();
        let log = &core.log;
        let (units, [begin, head, ..]) = (log.file().units(), log.pages().addresses());
        let (flushed, tail) = (log.flushing().flushed(), log.tail_address());
        let until = match core.config.disk {
            None => head,
            Some(disk) => {
                let (length, part) = (tail.raw() - begin.raw(), disk.bytes() / PARTS);
                let kept = part * (PARTS - FREE_PARTS);
                let excess = length.checked_sub(kept).map(|excess| excess + part);
                let of_full = (length / PARTS_OF_FULL).max(1 << units.page_bits());
                let wanted = excess.or(log.health().is_full().then_some(of_full));
                Address::new(begin.raw() + wanted.unwrap_or_default())
            }
        };
        let until = units.start_of_page(until.min(flushed));
        let may_drop = log.health().check_write().is_ok() && !core.has_scan();
        (until > begin && may_drop).then_some(until)
    }

    async fn drop_below(&self, until: Address, swept: &mut Address) -> Result<()> {
        let core = self.core();
        let bytes = core.drop_below(until).await?;
        self.evicted_bytes.fetch_add(bytes, Ordering::Relaxed);
        if core.config.disk.is_some() {
            self.checkpoints.free_log().await?;
        }
        // The index has few entries too many. A sweep for each page would cost more than the pages.
        let begin = core.log.pages().begin();
        if begin.raw() - swept.raw() >= self.sweep_bytes() {
            core.sweep().await;
            *swept = begin;
        }
        Ok(())
    }

    /// Returns the bytes of log after which the index is swept.
    fn sweep_bytes(&self) -> u64 {
        let core = self.core();
        core.config.disk.map_or_else(|| core.log.pages().bytes(), |disk| disk.bytes()) / PARTS
    }

    fn core(&self) -> &Arc<StoreInner> {
        self.checkpoints.core()
    }
}
