//! Room at the tail: taking it, and waiting for it.

use super::HybridLog;
use super::tail::{PageClosed, Position, Rest};
use crate::address::Address;
use crate::epoch::Guard;
use crate::error::Result;

/// There is no room for a record now. [`HybridLog::room`] waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRoom {
    /// What the record takes.
    pub(crate) bytes: u64,
}

impl HybridLog {
    /// Takes `bytes` bytes that lie in one page. `close` is told the rest of each page that this
    /// call closes.
    #[inline(always)]
    pub(crate) fn take(
        &self,
        bytes: u64,
        close: impl FnMut(Rest),
        _guard: &Guard<'_>,
    ) -> Result<Address, NoRoom> {
        match self.tail.reserve(bytes) {
            Ok(address) => Ok(address),
            Err(closed) => self.take_further(closed, bytes, close),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_further(
        &self,
        closed: PageClosed,
        bytes: u64,
        mut close: impl FnMut(Rest),
    ) -> Result<Address, NoRoom> {
        let mut closed = closed;
        loop {
            closed.rest.into_iter().for_each(&mut close);
            if !self.frame_is_free(closed.page + 1) {
                return Err(NoRoom { bytes });
            }
            self.tail.turn(closed).into_iter().for_each(&mut close);
            self.events.demand.notify(usize::MAX);
            match self.tail.reserve(bytes) {
                Ok(address) => return Ok(address),
                Err(again) => closed = again,
            }
        }
    }

    /// Takes what `plan` asks for, from where the tail is, in one step, if there are free frames
    /// for it; see [`Tail::reserve_with`].
    pub(crate) fn take_with(
        &self,
        mut plan: impl FnMut(Position) -> Option<Position>,
        _guard: &Guard<'_>,
    ) -> Option<[Position; 2]> {
        let taken = self.tail.reserve_with(|from| {
            plan(from).filter(|to| to.page == from.page || self.frame_is_free(to.page))
        })?;
        if taken[0].page != taken[1].page {
            self.events.demand.notify(usize::MAX);
        }
        Some(taken)
    }

    fn frame_is_free(&self, page: u64) -> bool {
        let safe_head = self.marks.safe_head.load().page(self.geometry.page_bits);
        page < safe_head + u64::from(self.frames.count())
    }

    /// Waits until a record of `bytes` bytes can be appended, or says why it never will be.
    ///
    /// # Errors
    /// `StorageFull` while the device takes no page, `Poisoned`, `Closed`.
    pub(crate) async fn room(&self, bytes: u64) -> Result<()> {
        loop {
            let freed = self.events.page_free.listen();
            let changed = self.health.changed().listen();
            if self.tail.has_room(bytes) || self.frame_is_free(self.tail.page() + 1) {
                return Ok(());
            }
            self.health.check_room()?;
            futures::future::select(freed, changed).await;
        }
    }

    /// Waits until `pages` pages behind that of the tail can be taken at once, or says why they
    /// never can.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    pub(crate) async fn room_for_pages(&self, pages: u64) -> Result<()> {
        assert!(pages < u64::from(self.frames.count()), "the tail page stays");
        loop {
            let freed = self.events.page_free.listen();
            let changed = self.health.changed().listen();
            let last = self.tail.page() + pages;
            if self.frame_is_free(last) {
                return Ok(());
            }
            self.health.check_room()?;
            let kept = (last + 1).saturating_sub(self.frames.count().into());
            self.wanted.head.raise(Address::at(kept, 0, self.geometry.page_bits));
            self.events.demand.notify(usize::MAX);
            futures::future::select(freed, changed).await;
        }
    }
}
