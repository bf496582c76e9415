//! The driver that frees frames.
//!
//! `wanted.head`, like the start of a page, is where a record may begin: the end of a padded flush.

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
        // Whoever saw the old head may be reading there: after this, nobody is.
        self.drain().await;
        for page in first..target.page(page_bits) {
            self.frames.clear(page);
        }
        self.marks.safe_head.raise(target);
        self.marks.check();
        self.events.page_free.notify(usize::MAX);
    }

    /// How far the head can go towards `target` now. It stands between records only: `flushed` may
    /// be in the middle of one, so of a page that is written in part nothing is evicted.
    /// Nor is a page evicted that a snapshot has yet to capture.
    fn reachable(&self, target: Address) -> Address {
        let page_bits = self.geometry.page_bits;
        let whole_pages = |limit: Address| Address::at(limit.page(page_bits), 0, page_bits);
        let flushed = self.marks.flushed.load();
        let target = if target <= flushed { target } else { whole_pages(flushed) };
        // Pairs with the fence in `freeze`, which pins first and loads `flushed` then: whoever does
        // not see the pin here went by a `flushed` that the freeze has counted on.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release of the capture, which is done with what lies below.
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

/// One frame in sixteen is kept free, but at least one, so that turning a page seldom waits: the
/// first page that stays in memory while the tail is in page `tail`.
pub(super) fn first_kept(tail: u64, frames: u32) -> u64 {
    let frames = u64::from(frames);
    let ahead = (frames / 16).max(1);
    (tail + 1 + ahead).saturating_sub(frames)
}
