//! The driver that makes pages immutable.

use crate::base::address::Address;
use crate::base::wait::wait_until;
use crate::hybrid_log::parts::LogParts;
use std::ops::Range;

/// The number of frames ahead of the tail that already have memory of the system.
const FRAMES_AHEAD: u64 = 2;

/// The driver that makes the pages of a log immutable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOnlyDriver<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl ReadOnlyDriver<'_> {
    /// Keeps the mutable region at its size below the tail, and follows the requests of `flush`,
    /// until the log is closed.
    pub(crate) async fn drive(self) {
        let LogParts { geometry, pages, tail, health, requests, .. } = self.0;
        let first = tail.page();
        let head = pages.marks().head.load().page(geometry.page_bits);
        let mut ahead = unused_frames(head, first, pages.count().into());
        // A log without appends gets no memory.
        let is_used = || tail.page() > first;
        loop {
            let next = wait_until(&requests.demand, || {
                if health.is_closed() {
                    return Some(None);
                }
                if is_used() {
                    self.touch_ahead(&mut ahead);
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

    /// Touches the frames that the tail reaches next, each at most once in the life of the log.
    ///
    /// A page that the tail has already reached is skipped: it may be immutable, and read in place.
    /// A page that the tail reaches during this call is not immutable yet: only this task makes
    /// pages immutable.
    fn touch_ahead(self, ahead: &mut Range<u64>) {
        let tail = self.0.tail.page();
        ahead.start = ahead.start.max(tail + 1);
        while ahead.start <= tail + FRAMES_AHEAD
            && let Some(page) = ahead.next()
        {
            debug_assert!(
                Address::at(page, 0, self.0.geometry.page_bits)
                    >= self.0.pages.marks().safe_read_only.load(),
                "page {page} is not read in place yet"
            );
            self.0.pages.frames().touch(page);
        }
    }

    fn target(self) -> Address {
        let LogParts { geometry, tail, requests, .. } = self.0;
        let first_mutable = tail.page().saturating_sub(geometry.mutable_pages.into());
        Address::at(first_mutable, 0, geometry.page_bits).max(requests.read_only())
    }
}

/// Returns the pages ahead of the tail whose frames were never used, if `head..=tail` is in memory.
/// After a recovery, other frames ahead hold pages that are read in place.
fn unused_frames(head: u64, tail: u64, frames: u64) -> Range<u64> {
    debug_assert!(head <= tail + 1, "the tail page stays in memory: {head}, {tail}");
    tail + 1..head + frames
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// The frames ahead of a recovered log were touched by page number alone. These frames held
    /// pages that readers read as plain bytes, which is formally a data race.
    #[test]
    fn no_frame_is_touched_that_a_page_is_in() {
        for frames in 2..9_u64 {
            for head in 0..20 {
                for tail in head..head + frames {
                    let in_use: Vec<u64> = (head..=tail).map(|page| page % frames).collect();
                    let ahead = unused_frames(head, tail, frames);
                    let unused: Vec<u64> = ahead.map(|page| page % frames).collect();
                    assert!(unused.iter().all(|frame| !in_use.contains(frame)));
                    let all = in_use.len() + unused.len();
                    assert_eq!(all as u64, frames, "every frame has memory in the end");
                }
            }
        }
    }
}
