//! Asks for pages to be written and made durable, and waits for it.

use super::sync::{SyncDriver, Syncs};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::Event;
use crate::hybrid_log::parts::LogParts;
use crate::hybrid_log::status::LogStatus;
use kvick_io::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of a log between its memory and its device, beside the marks.
#[derive(Debug)]
pub(crate) struct FlushState {
    /// Whether the manifest names the life of this log. Nothing is written before that.
    is_announced: AtomicBool,
    syncs: Syncs,
    // Any thread, atomic. Both only go up.
    /// The end of the last range that is wanted durable as soon as it is written.
    wanted_durable: AtomicU64,
    /// Everything below is durable. More may be: a sync by itself does not move it.
    durable: AtomicU64,
}

impl FlushState {
    pub(crate) fn new(is_announced: bool) -> Self {
        Self {
            is_announced: AtomicBool::new(is_announced),
            syncs: Syncs::default(),
            wanted_durable: AtomicU64::new(0),
            durable: AtomicU64::new(0),
        }
    }
}

/// The way of a log's pages to its device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flushing<'l> {
    pub(in crate::hybrid_log) parts: &'l LogParts,
    pub(in crate::hybrid_log) state: &'l FlushState,
}

impl<'l> Flushing<'l> {
    /// Asks the drivers to make everything below `end` immutable and to write it. A unit begins at
    /// `end`.
    pub(crate) fn want_flushed(self, end: Address) {
        let units = self.parts.file.units();
        debug_assert_eq!(end, units.block_behind_end(end), "a flush ends on a physical block");
        debug_assert!(end <= self.parts.tail.address(), "only allocated bytes are flushed");
        self.parts.requests.want_read_only(end);
    }

    /// Asks like [`want_flushed`](Self::want_flushed), for a range that is wanted durable at once.
    /// The driver may write and sync it in one operation.
    pub(crate) fn want_durable(self, end: Address) {
        // Relaxed: a wish. A driver that does not see it only writes, and the caller syncs.
        self.state.wanted_durable.fetch_max(end.raw(), Ordering::Relaxed);
        self.want_flushed(end);
    }

    /// Returns whether a range that ends at `end` is wanted durable, and none beyond it.
    pub(super) fn is_wanted_durable(self, end: Address) -> bool {
        // Relaxed: see `want_durable`.
        self.state.wanted_durable.load(Ordering::Relaxed) == end.raw()
    }

    /// Notes that a sync has made everything below `end` durable.
    pub(super) fn note_durable(self, end: Address) {
        // Release: pairs with the Acquire in `is_durable`.
        self.state.durable.fetch_max(end.raw(), Ordering::Release);
    }

    /// Makes everything below `end` durable, all of which is written. Only drivers poll it, as
    /// [`sync`](Self::sync).
    pub(crate) async fn make_durable(self, end: Address) -> Result<()> {
        debug_assert!(end <= self.flushed(), "what is synced was written: {end:?}");
        // Acquire: pairs with the Release in `note_durable`.
        if self.state.durable.load(Ordering::Acquire) >= end.raw() {
            return self.parts.health.check_write();
        }
        self.sync().await
    }

    /// Makes everything appended so far immutable, writes it and syncs it.
    pub(crate) async fn flush(self) -> Result<Address> {
        let end = self.parts.tail.pad(self.parts.file.units().block_payload());
        self.want_flushed(end);
        self.stored(end).await?;
        debug_assert!(self.flushed() >= end, "what is stored is below the mark");
        self.synced().await?;
        Ok(end)
    }

    /// Flushes the log like `flush`, and evicts all of it from memory.
    pub(crate) async fn flush_and_evict(self) -> Result<()> {
        let end = self.flush().await?;
        self.evict(end).await
    }

    /// Evicts everything below `end` from memory. All of it was flushed.
    pub(crate) async fn evict(self, end: Address) -> Result<()> {
        let LogParts { pages, requests, health, .. } = self.parts;
        debug_assert!(end <= self.flushed(), "only what was flushed may leave memory");
        requests.want_head(end);
        let is_evicted = || pages.marks().safe_head.load() >= end;
        health.wait_for(&requests.events.page_free, LogStatus::check_write, is_evicted).await
    }

    /// Returns the flushed mark. The device has everything below it.
    pub(crate) fn flushed(self) -> Address {
        self.parts.pages.marks().flushed.load()
    }

    /// Waits until everything below `end` is written. Fails while the device is full.
    pub(crate) async fn stored(self, end: Address) -> Result<()> {
        self.stored_unless(LogStatus::check_room, end).await
    }

    /// Like [`stored`](Self::stored), but keeps waiting while the device is full.
    pub(crate) async fn stored_some_time(self, end: Address) -> Result<()> {
        self.stored_unless(LogStatus::check_write, end).await
    }

    async fn stored_unless(
        self,
        check: impl Fn(&LogStatus) -> Result<()>,
        end: Address,
    ) -> Result<()> {
        debug_assert!(
            end <= self.parts.tail.address(),
            "a task waits for allocated bytes: {end:?}"
        );
        let is_stored = || self.flushed() >= end;
        self.parts.health.wait_for(self.became_stored(), check, is_stored).await
    }

    /// Returns the event of a write that ended.
    pub(crate) fn became_stored(self) -> &'l Event {
        &self.parts.requests.events.flushed
    }

    /// Waits until the driver has synced everything that was written before this call.
    ///
    /// # Errors
    /// `Poisoned` if a sync failed, `Closed`.
    ///
    /// # Cancel safety
    /// The sync continues, and the log is poisoned if it fails.
    pub(crate) async fn synced(self) -> Result<()> {
        self.state.syncs.synced(&self.parts.health).await
    }

    /// Syncs the device. Only drivers poll it: a dropped caller would take the result with it.
    pub(crate) async fn sync(self) -> Result<()> {
        self.sync_driver().sync().await
    }

    pub(crate) fn sync_driver(self) -> SyncDriver<'l> {
        let Self { parts, state } = self;
        let (device, place) = (parts.file.device(), parts.file.place());
        SyncDriver { syncs: &state.syncs, device: &**device, place, health: &parts.health }
    }

    /// Returns whether pages wait for the manifest to name the life of this log.
    pub(crate) fn must_announce(self) -> bool {
        !self.is_announced() && self.flushed() < self.parts.pages.marks().safe_read_only.load()
    }

    /// Returns the event of pages that became immutable, and so are to be written.
    pub(crate) fn became_immutable(self) -> &'l Event {
        &self.parts.requests.events.read_only
    }

    /// Reports that the manifest on the medium names the life of this log. Pages may be written
    /// now.
    pub(crate) fn announce(self) {
        // Release: pairs with the Acquire in `is_announced`. The manifest came first.
        self.state.is_announced.store(true, Ordering::Release);
        self.parts.health.transition_to_sound();
        self.became_immutable().notify(usize::MAX);
    }

    pub(crate) fn is_announced(self) -> bool {
        // Acquire: pairs with the Release in `announce`.
        self.state.is_announced.load(Ordering::Acquire)
    }
}
