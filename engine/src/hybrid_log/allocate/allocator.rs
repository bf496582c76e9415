//! Room at the tail: how writers take it and wait for it.
//!
//! A task that needs several pages at once would starve among tasks that need one. So frames are
//! *set aside* for such a task while it waits, and tasks that need fewer take only further frames.
//! A task that is never polled again must not stop the others. So a task that has waited a while
//! for free frames that are set aside takes them.
//!
//! A store with a budget for its device opens pages only within limits (`limits.rs`). A task that
//! they stop waits for compaction (`quota.rs`), and for frames only afterwards.

use super::end::Need;
use super::limits::Claim;
use super::quota::{Quota, QuotaState};
use super::tail::{PageClosed, PageRemainder, Position};
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::wait::listen;
use crate::epoch::Guard;
use crate::hybrid_log::parts::LogParts;
use crate::hybrid_log::status::LogStatus;
use futures::future::{Either, select};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time for which frames stay set aside for a task that does not come.
const PATIENCE: Duration = Duration::from_millis(10);

/// The frames that are set aside, and the tasks that wait for pages within the limits.
#[derive(Debug, Default)]
pub(crate) struct AllocatorState {
    /// The number of frames that are set aside.
    reserved_frames: AtomicU64,
    quota: QuotaState,
}

/// Frames that are set aside while this value lives.
struct ReservedFrames<'l>(Allocator<'l>);

impl Drop for ReservedFrames<'_> {
    fn drop(&mut self) {
        self.0.release_frames();
    }
}

/// The room that a record needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    bytes: u32,
    claim: Claim,
}

impl Room {
    /// Returns the room of a record of `bytes` bytes, which is appended for `claim`.
    #[inline(always)]
    pub(crate) fn new(bytes: u64, claim: Claim) -> Self {
        debug_assert!(u32::try_from(bytes).is_ok(), "a record fits in a page: {bytes} bytes");
        #[expect(clippy::cast_possible_truncation, reason = "a page has at most 2^25 bytes")]
        Self { bytes: bytes as u32, claim }
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> u64 {
        self.bytes.into()
    }
}

/// There is no room for a record now. [`Allocator::wait_for_space`] waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom(pub(crate) Room);

/// Hands out room at the tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocator<'l> {
    pub(in crate::hybrid_log) parts: &'l LogParts,
    pub(in crate::hybrid_log) state: &'l AllocatorState,
}

impl<'l> Allocator<'l> {
    /// Takes `room` in one page. Calls `close` with the rest of each page that this call
    /// closes.
    #[inline(always)]
    pub(crate) fn allocate(
        self,
        room: Room,
        close: impl FnMut(PageRemainder),
        _guard: &Guard<'_>,
    ) -> Result<Address, NoRoom> {
        let bytes = room.bytes();
        debug_assert!(bytes > 0 && bytes.is_multiple_of(8), "records are whole words: {bytes}");
        match self.parts.tail.reserve(bytes, room.claim) {
            Ok(address) => Ok(address),
            Err(closed) => self.allocate_further(closed, room, close),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_further(
        self,
        closed: PageClosed,
        room: Room,
        mut close: impl FnMut(PageRemainder),
    ) -> Result<Address, NoRoom> {
        let (bytes, mut closed) = (room.bytes(), closed);
        let capacity = self.parts.file.units().page_capacity();
        loop {
            closed.rest.into_iter().for_each(&mut close);
            // Checked in release builds too: otherwise each turn would close and write a page and
            // still make no room. Types and lengths are checked before this, but a codec may break
            // its contract.
            assert!(bytes <= capacity, "a record of {bytes} bytes in pages of {capacity}");
            // A page that is closed only to this claim is beyond its limit, and so is the next one.
            // If the limit has just moved, the rest of the page stays unused.
            if !self.is_free_for(Need::page(room.claim), closed.page + 1) {
                return Err(NoRoom(room));
            }
            self.state.quota.admit(room.claim);
            self.parts.tail.turn(closed).into_iter().for_each(&mut close);
            self.parts.requests.notify_demand();
            match self.parts.tail.reserve(bytes, room.claim) {
                Ok(address) => return Ok(address),
                Err(again) => closed = again,
            }
        }
    }

    /// Takes the range that `plan` returns, from the tail on, in one step, if its frames are free;
    /// see `Tail::reserve_with`.
    ///
    /// It needs at most `need.pages` pages after the tail page.
    /// [`room_for_pages`](Self::room_for_pages) waits for them.
    pub(crate) fn allocate_with(
        self,
        need: Need,
        mut plan: impl FnMut(Position) -> Option<Position>,
        _guard: &Guard<'_>,
    ) -> Option<[Position; 2]> {
        let taken = self.parts.tail.reserve_with(|from| {
            let is_free = |to: &Position| {
                debug_assert!(to.page <= from.page + need.pages, "{from:?} to {to:?}: {need:?}");
                to.page == from.page || self.is_free_for(need, to.page)
            };
            plan(from).filter(is_free)
        })?;
        debug_assert!(taken[0].page <= taken[1].page, "{taken:?} ascends");
        if taken[0].page != taken[1].page {
            self.parts.requests.notify_demand();
        }
        if need.pages > 1 && self.state.reserved_frames.load(Ordering::Relaxed) > 0 {
            self.release_frames();
        }
        Some(taken)
    }

    /// Returns whether there is a `page` within the limits, and its frame is free for `need`.
    fn is_free_for(self, need: Need, page: u64) -> bool {
        // Relaxed: a task that misses it takes one page more.
        let aside = self.state.reserved_frames.load(Ordering::Relaxed);
        self.parts.geometry.end.has(need, page)
            && self.parts.tail.limits().admit(need.claim, page)
            && self.frame_is_free(if need.pages < aside { page + aside } else { page })
    }

    /// Returns whether a record could have `room` now. Another task may take it.
    pub(crate) fn has_room(self, room: Room) -> bool {
        self.parts.tail.has_room(room.bytes(), room.claim)
            || self.is_free_for(Need::page(room.claim), self.parts.tail.page() + 1)
    }

    /// Refuses a task that would wait in vain: for pages after the end of the addresses, or for
    /// room on a full device.
    #[cold]
    pub(crate) fn check_room(self, need: Need) -> Result<()> {
        if !self.parts.geometry.end.has(need, self.parts.tail.page() + need.pages) {
            return Err(self.parts.geometry.end.refusal(self.parts.geometry.owner));
        }
        self.parts.health.check_process()?;
        self.parts.health.check_room()
    }

    /// Lets other tasks have the frames that were set aside. A task that waits for them sets them
    /// aside again.
    pub(crate) fn release_frames(self) {
        self.state.reserved_frames.store(0, Ordering::Relaxed);
        self.parts.requests.events.page_free.notify(usize::MAX);
    }

    fn frame_is_free(self, page: u64) -> bool {
        page < self.parts.pages.free_below()
    }

    /// Returns the pages that records may open, and the tasks that wait for them.
    pub(crate) fn quota(self) -> Quota<'l> {
        Quota { parts: self.parts, state: &self.state.quota }
    }

    /// Waits until a record that needs `room` can be appended. Fails if it never can be.
    ///
    /// # Errors
    /// `StorageFull` while the device accepts no page, and if compaction makes no space within the
    /// limits; the error of compaction; `AddressesExhausted`, `Poisoned`, `Closed`.
    pub(crate) async fn wait_for_space(self, room: Room) -> Result<()> {
        while !self.wait_within_limits(room).await? {
            self.wait_for_limit(room).await?;
        }
        Ok(())
    }

    /// Waits for a frame until a record that needs `room` can be appended, or only compaction can
    /// make room, since the limits have no page for the record. Returns whether there is room.
    ///
    /// # Errors
    /// `StorageFull` while the device accepts no page; `AddressesExhausted`, `Poisoned`, `Closed`.
    pub(crate) async fn wait_within_limits(self, room: Room) -> Result<bool> {
        let (need, bytes) = (Need::page(room.claim), room.bytes());
        let capacity = self.parts.file.units().page_capacity();
        assert!(bytes <= capacity, "a wait for {bytes} bytes in pages of {capacity} would not end");
        loop {
            let told = listen([&self.parts.requests.events.page_free, self.parts.health.changed()]);
            let next = self.parts.tail.page() + 1;
            if self.has_room(room) {
                return Ok(true);
            }
            self.check_room(need)?;
            if !self.parts.tail.limits().admit(room.claim, next) {
                return Ok(false);
            }
            self.page_is_freed(next, told).await;
        }
    }

    /// Waits until the limits let a record have room, or compaction refuses it.
    async fn wait_for_limit(self, room: Room) -> Result<()> {
        if room.claim == Claim::Copy {
            // Only compaction itself makes space.
            return Err(Error::over_budget("compaction has no room for further copies"));
        }
        let (tail, quota) = (&self.parts.tail, &self.state.quota);
        let waiting = quota.begin(room.claim);
        let check = |health: &LogStatus| health.check_room().and_then(|()| waiting.check());
        let is_admitted = || {
            tail.has_room(room.bytes(), room.claim)
                || tail.limits().admit(room.claim, tail.page() + 1)
        };
        self.parts.health.wait_for(quota.moved(), check, is_admitted).await?;
        quota.admit(room.claim);
        Ok(())
    }

    /// Waits until `need.pages` pages after the tail page can be taken at once. Fails if they never
    /// can.
    ///
    /// # Errors
    /// As for [`wait_for_space`](Self::wait_for_space).
    pub(crate) async fn wait_for_pages(self, need: Need) -> Result<()> {
        let pages = need.pages;
        assert!(pages < u64::from(self.parts.pages.limit()), "the tail page stays");
        debug_assert!(pages > 0, "a task that needs no page does not wait for one");
        let aside = (pages > 1).then(|| ReservedFrames(self));
        loop {
            if pages > 1 {
                self.state.reserved_frames.fetch_max(pages, Ordering::Relaxed);
            }
            let told = listen([&self.parts.requests.events.page_free, self.parts.health.changed()]);
            let last = self.parts.tail.page() + pages;
            if self.is_free_for(need, last) {
                // The frames stay set aside until this task takes them in this same poll.
                std::mem::forget(aside);
                return Ok(());
            }
            self.check_room(need)?;
            self.want_frames_up_to(last);
            self.page_is_freed(last, told).await;
        }
    }

    /// Asks the drivers to free `need.pages` frames after the tail page, for a task that retries
    /// later. It asks for one more, since a commit record may come first.
    pub(crate) fn want_pages(self, need: Need) {
        self.want_frames_up_to(self.parts.tail.page() + need.pages + 1);
    }

    fn want_frames_up_to(self, page: u64) {
        let kept = (page + 1).saturating_sub(self.parts.pages.limit().into());
        debug_assert!(kept <= self.parts.tail.page(), "the tail page stays: {kept}");
        self.parts.requests.want_head(Address::at(kept, 0, self.parts.geometry.page_bits));
    }

    /// Waits for `changed`. If the frame of `page` is free and only set aside, it waits for the
    /// time limit at most.
    async fn page_is_freed(self, page: u64, changed: impl Future + Unpin) {
        if !self.frame_is_free(page) {
            changed.await;
        } else if let Either::Right(_) = select(changed, self.parts.handle.sleep(PATIENCE)).await {
            self.release_frames();
        }
    }
}
