//! The driver that makes pages immutable.

use crate::base::address::Address;
use crate::base::wait::wait_either;
use crate::hybrid_log::parts::LogParts;

/// The number of frames ahead of the tail that already have memory of the system.
const FRAMES_AHEAD: u64 = 2;

/// The driver that makes the pages of a log immutable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOnlyDriver<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl ReadOnlyDriver<'_> {
    /// Keeps the mutable region at its size below the tail, and follows the requests of `flush`,
    /// until the log is closed.
    pub(crate) async fn drive(self) {
        let LogParts { pages, tail, health, requests, .. } = self.0;
        let first = tail.page();
        let mut touched = first;
        // A log without appends gets no memory.
        let is_used = || tail.page() > first;
        loop {
            let next = wait_either([&requests.demand, &requests.events.page_free], || {
                if health.is_closed() {
                    return Some(None);
                }
                if is_used() {
                    self.touch_ahead(&mut touched);
                }
                let target = self.target();
                (target > pages.marks().read_only.load()).then_some(Some(target))
            });
            let Some(target) = next.await else {
                return;
            };
            self.shift(target).await;
        }
    }

    async fn shift(self, target: Address) {
        let LogParts { pages, tail, requests, .. } = self.0;
        let marks = pages.marks();
        assert!(target <= tail.address(), "only what was handed out becomes read-only");
        marks.read_only.raise(target);
        // A writer that saw the old mark may be updating in place. After the drain, no such writer
        // is left.
        self.0.drain().await;
        // A fold-over may have moved it further meanwhile.
        marks.safe_read_only.raise(target);
        marks.check();
        requests.events.read_only.notify(usize::MAX);
    }

    /// Touches the frames of the pages that the tail reaches next. `touched` is the last touched
    /// page.
    ///
    /// A frame that an older page is in, or that is beyond the limit, is touched later. A page that
    /// the tail has already reached is skipped: it may be immutable, and read in place. A page that
    /// the tail reaches during this call is not immutable yet: only this task makes pages
    /// immutable.
    fn touch_ahead(self, touched: &mut u64) {
        let LogParts { pages, tail, .. } = self.0;
        let tail = tail.page();
        let free_below = pages.free_below();
        let end = (tail + 1 + FRAMES_AHEAD).min(free_below);
        for page in (tail + 1).max(*touched + 1)..end {
            *touched = page;
            debug_assert!(
                Address::at(page, 0, self.0.geometry.page_bits)
                    >= self.0.pages.marks().safe_read_only.load(),
                "page {page} is not read in place yet"
            );
            self.0.pages.frames().touch(page);
        }
    }

    fn target(self) -> Address {
        let LogParts { geometry, pages, tail, requests, .. } = self.0;
        let mutable = geometry.mutable_pages(pages.limit());
        let first_mutable = tail.page().saturating_sub(mutable.into());
        Address::at(first_mutable, 0, geometry.page_bits).max(requests.read_only())
    }
}
