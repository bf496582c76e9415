//! The driver that frees frames, and moves the limit of frames.
//!
//! A record may begin at a requested head, as at the start of a page: it is the end of a padded
//! flush.

use crate::base::address::Address;
use crate::base::wait::wait_either;
use crate::hybrid_log::pages::region::NOT_PINNED;
use crate::hybrid_log::parts::LogParts;
use kvick_io::sync::atomic::{Ordering, fence};

/// The next step of the driver.
enum Step {
    /// The head moves up.
    Head(Address),
    /// The limit of frames moves.
    Limit(u32),
    /// The limit came down, and frames beyond it may have memory.
    Release,
}

/// The driver that evicts the pages of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvictDriver<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl EvictDriver<'_> {
    /// Keeps frames free ahead of the tail, as far as flushing allows, until the log is closed.
    /// Moves the limit of frames as wanted.
    pub(crate) async fn drive(self) {
        let LogParts { pages, health, requests, .. } = self.0;
        loop {
            let next = wait_either([&requests.demand, &requests.events.flushed], || {
                if health.is_closed() { Some(None) } else { self.next_step().map(Some) }
            });
            match next.await {
                None => return,
                Some(Step::Limit(frames)) => {
                    pages.frames().limit().transition_to(frames);
                    // The other drivers follow the limit, too.
                    requests.notify_demand();
                    requests.events.page_free.notify(usize::MAX);
                    continue;
                }
                Some(Step::Head(target)) => self.shift(target).await,
                Some(Step::Release) => self.0.drain().await,
            }
            // A writer that saw the old limit may have turned to a page beyond the new limit. After
            // the drain, no such writer is left.
            if pages.frames().limit().is_lowered() {
                self.release_beyond_limit();
            }
        }
    }

    fn next_step(self) -> Option<Step> {
        let LogParts { pages, requests, .. } = self.0;
        let limit = pages.frames().limit();
        let wanted = requests.frames().map(|frames| limit.nearest(frames));
        if let Some(frames) = wanted.filter(|frames| *frames != limit.load()) {
            return Some(Step::Limit(frames));
        }
        let target = self.reachable(self.target());
        if target > pages.marks().head.load() {
            return Some(Step::Head(target));
        }
        limit.is_lowered().then_some(Step::Release)
    }

    /// Returns the memory of free frames that are beyond the limit: they were touched ahead, or
    /// kept their memory when their page was evicted.
    fn release_beyond_limit(self) {
        let LogParts { pages, tail, geometry, requests, .. } = self.0;
        let frames = pages.frames();
        let first = pages.free_below().max(tail.page() + 1);
        let head = pages.marks().safe_head.load().page(geometry.page_bits);
        frames.release(first..(head + u64::from(frames.ring())).max(first));
        frames.limit().transition_to_returned();
        requests.events.page_free.notify(usize::MAX);
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
        pages.frames().clear(first..target.page(page_bits));
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
        let kept = first_kept(tail.page(), pages.limit());
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
