//! The driver that frees frames.
//!
//! A record may begin at a requested head, as at the start of a page: it is the end of a padded
//! flush.

use crate::base::address::Address;
use crate::base::wait::wait_either;
use crate::hybrid_log::pages::region::NOT_PINNED;
use crate::hybrid_log::parts::LogParts;
use kvick_io::sync::atomic::{Ordering, fence};

/// The driver that evicts the pages of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvictDriver<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl EvictDriver<'_> {
    /// Keeps frames free ahead of the tail, as far as flushing allows, until the log is closed.
    pub(crate) async fn drive(self) {
        let LogParts { pages, health, requests, .. } = self.0;
        loop {
            let next = wait_either([&requests.demand, &requests.events.flushed], || {
                if health.is_closed() {
                    return Some(None);
                }
                let target = self.reachable(self.target());
                (target > pages.marks().head.load()).then_some(Some(target))
            });
            let Some(target) = next.await else {
                return;
            };
            self.shift(target).await;
        }
    }

    async fn shift(self, target: Address) {
        let LogParts { geometry, pages, requests, .. } = self.0;
        let (marks, page_bits) = (pages.marks(), geometry.page_bits);
        let first = marks.safe_head.load().page(page_bits);
        assert!(target <= marks.flushed.load(), "what leaves memory is on the device");
        assert!(marks.head.raise(target), "the head goes up to {target:?}");
        // A reader that saw the old head may be reading there. After the drain, no such reader is
        // left.
        self.0.drain().await;
        for page in first..target.page(page_bits) {
            pages.frames().clear(page);
        }
        assert!(marks.safe_head.raise(target), "one driver moves the mark");
        marks.check();
        requests.events.page_free.notify(usize::MAX);
    }

    /// Returns how far the head can move towards `target` now.
    ///
    /// The head stands only between records, but `flushed` may be in the middle of a record. So a
    /// page that is only partly written is not evicted. A page that a snapshot has yet to capture
    /// is not evicted either.
    fn reachable(self, target: Address) -> Address {
        let (marks, page_bits) = (self.0.pages.marks(), self.0.geometry.page_bits);
        let whole_pages = |limit: Address| Address::at(limit.page(page_bits), 0, page_bits);
        let flushed = marks.flushed.load();
        let target = if target <= flushed { target } else { whole_pages(flushed) };
        // Pairs with the fence in `freeze`, which pins first and then loads `flushed`. An eviction
        // that misses the pin here used a `flushed` that the freeze has counted on.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release of the capture, which no longer needs the pages below.
        match marks.pinned.load(Ordering::Acquire) {
            NOT_PINNED => target,
            pinned => target.min(whole_pages(Address::new(pinned))),
        }
    }

    fn target(self) -> Address {
        let LogParts { geometry, pages, tail, requests, .. } = self.0;
        let kept = first_kept(tail.page(), pages.count());
        Address::at(kept, 0, geometry.page_bits).max(requests.head())
    }
}

/// Returns the first page that stays in memory while the tail is in page `tail`. One frame in
/// sixteen, and at least one, is kept free, so that turning a page seldom waits.
pub(crate) fn first_kept(tail: u64, frames: u32) -> u64 {
    let frames = u64::from(frames);
    let ahead = (frames / 16).max(1);
    debug_assert!(ahead < frames, "the tail page stays");
    let first = (tail + 1 + ahead).saturating_sub(frames);
    debug_assert!(first <= tail, "page {first} is at or below the tail page {tail}");
    first
}
