//! The driver that frees frames.
//!
//! A record may begin at `wanted.head`, as at the start of a page: it is the end of a padded flush.

use super::HybridLog;
use super::region::NOT_PINNED;
use crate::address::Address;
use crate::wait::wait_either;
use kvick_io::sync::atomic::{Ordering, fence};

impl HybridLog {
    /// Keeps frames free ahead of the tail, as far as flushing allows.
    pub(super) async fn drive_evict(&self) {
        loop {
            let next = wait_either([&self.events.demand, &self.events.flushed], || {
                if self.health.is_closed() {
                    return Some(None);
                }
                let target = self.reachable(self.head_target());
                (target > self.marks.head.load()).then_some(Some(target))
            });
            let Some(target) = next.await else {
                return;
            };
            self.shift_head(target).await;
        }
    }

    async fn shift_head(&self, target: Address) {
        let page_bits = self.geometry.page_bits;
        let first = self.marks.safe_head.load().page(page_bits);
        self.marks.head.raise(target);
        // A reader that saw the old head may be reading there. After the drain, no such reader is
        // left.
        self.drain().await;
        for page in first..target.page(page_bits) {
            self.frames.clear(page);
        }
        self.marks.safe_head.raise(target);
        self.marks.check();
        self.events.page_free.notify(usize::MAX);
    }

    /// Returns how far the head can move towards `target` now.
    ///
    /// The head stands only between records, but `flushed` may be in the middle of a record. So a
    /// page that is only partly written is not evicted. A page that a snapshot has yet to capture
    /// is not evicted either.
    fn reachable(&self, target: Address) -> Address {
        let page_bits = self.geometry.page_bits;
        let whole_pages = |limit: Address| Address::at(limit.page(page_bits), 0, page_bits);
        let flushed = self.marks.flushed.load();
        let target = if target <= flushed { target } else { whole_pages(flushed) };
        // Pairs with the fence in `freeze`, which pins first and then loads `flushed`. An eviction
        // that misses the pin here used a `flushed` that the freeze has counted on.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release of the capture, which no longer needs the pages below.
        match self.marks.pinned.load(Ordering::Acquire) {
            NOT_PINNED => target,
            pinned => target.min(whole_pages(Address::new(pinned))),
        }
    }

    fn head_target(&self) -> Address {
        let kept = first_kept(self.tail.page(), self.frames.count());
        Address::at(kept, 0, self.geometry.page_bits).max(self.wanted.head.load())
    }
}

/// Returns the first page that stays in memory while the tail is in page `tail`. One frame in
/// sixteen, and at least one, is kept free, so that turning a page seldom waits.
pub(super) fn first_kept(tail: u64, frames: u32) -> u64 {
    let frames = u64::from(frames);
    let ahead = (frames / 16).max(1);
    (tail + 1 + ahead).saturating_sub(frames)
}
