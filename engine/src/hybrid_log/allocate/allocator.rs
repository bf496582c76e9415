//! Room at the tail: how writers take it and wait for it.
//!
//! A task that needs several pages at once would starve among tasks that need one. So frames are
//! *set aside* for such a task while it waits, and tasks that need fewer take only further frames.
//! A task that is never polled again must not stop the others. So a task that has waited a while
//! for free frames that are set aside takes them.

use super::end::Need;
use super::tail::{PageClosed, PageRemainder, Position};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::listen;
use crate::epoch::Guard;
use crate::hybrid_log::parts::LogParts;
use futures::future::{Either, select};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time for which frames stay set aside for a task that does not come.
const PATIENCE: Duration = Duration::from_millis(10);

/// The frames that are set aside.
#[derive(Debug, Default)]
pub(crate) struct AllocatorState {
    /// Their number.
    reserved_frames: AtomicU64,
}

/// Frames that are set aside while this value lives.
struct ReservedFrames<'l>(Allocator<'l>);

impl Drop for ReservedFrames<'_> {
    fn drop(&mut self) {
        self.0.release_frames();
    }
}

/// There is no room for a record now. [`Allocator::wait_for_space`] waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom {
    /// The bytes of the record.
    pub(crate) bytes: u64,
}

/// Hands out room at the tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocator<'l> {
    pub(in crate::hybrid_log) parts: &'l LogParts,
    pub(in crate::hybrid_log) state: &'l AllocatorState,
}

impl Allocator<'_> {
    /// Takes `bytes` bytes in one page. Calls `close` with the rest of each page that this call
    /// closes.
    #[inline(always)]
    pub(crate) fn allocate(
        self,
        bytes: u64,
        close: impl FnMut(PageRemainder),
        _guard: &Guard<'_>,
    ) -> Result<Address, NoRoom> {
        debug_assert!(bytes > 0 && bytes.is_multiple_of(8), "records are whole words: {bytes}");
        match self.parts.tail.reserve(bytes) {
            Ok(address) => Ok(address),
            Err(closed) => self.allocate_further(closed, bytes, close),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_further(
        self,
        closed: PageClosed,
        bytes: u64,
        mut close: impl FnMut(PageRemainder),
    ) -> Result<Address, NoRoom> {
        let mut closed = closed;
        let capacity = self.parts.file.units().page_capacity();
        loop {
            closed.rest.into_iter().for_each(&mut close);
            // Checked in release builds too: otherwise each turn would close and write a page and
            // still make no room. Types and lengths are checked before this, but a codec may break
            // its contract.
            assert!(bytes <= capacity, "a record of {bytes} bytes in pages of {capacity}");
            if !self.is_free_for(Need::records(1), closed.page + 1) {
                return Err(NoRoom { bytes });
            }
            self.parts.tail.turn(closed).into_iter().for_each(&mut close);
            self.parts.requests.notify_demand();
            match self.parts.tail.reserve(bytes) {
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

    /// Returns whether there is a `page`, and its frame is free for `need`.
    fn is_free_for(self, need: Need, page: u64) -> bool {
        // Relaxed: a task that misses it takes one page more.
        let aside = self.state.reserved_frames.load(Ordering::Relaxed);
        self.parts.geometry.end.has(need, page)
            && self.frame_is_free(if need.pages < aside { page + aside } else { page })
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

    /// Waits until a record of `bytes` bytes can be appended. Fails if it never can be.
    ///
    /// # Errors
    /// `StorageFull` while the device accepts no page, `AddressesExhausted`, `Poisoned`, `Closed`.
    pub(crate) async fn wait_for_space(self, bytes: u64) -> Result<()> {
        let need = Need::records(1);
        let capacity = self.parts.file.units().page_capacity();
        assert!(bytes <= capacity, "a wait for {bytes} bytes in pages of {capacity} would not end");
        loop {
            let told = listen([&self.parts.requests.events.page_free, self.parts.health.changed()]);
            let next = self.parts.tail.page() + 1;
            if self.parts.tail.has_room(bytes) || self.is_free_for(need, next) {
                return Ok(());
            }
            self.check_room(need)?;
            self.page_is_freed(next, told).await;
        }
    }

    /// Waits until `need.pages` pages after the tail page can be taken at once. Fails if they never
    /// can.
    ///
    /// # Errors
    /// As for [`room`](Self::room).
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
