//! The driver that makes pages immutable.

use super::HybridLog;
use crate::address::Address;
use crate::wait::wait_until;
use std::ops::Range;

/// The number of frames ahead of the tail that already have memory of the system.
const FRAMES_AHEAD: u64 = 2;

impl HybridLog {
    /// Keeps the mutable region at its size below the tail, and follows the requests of `flush`.
    pub(super) async fn drive_read_only(&self) {
        let first = self.tail.page();
        let head = self.marks.head.load().page(self.geometry.page_bits);
        let mut ahead = unused_frames(head, first, self.frames.count().into());
        // A log without appends gets no memory.
        let is_used = || self.tail.page() > first;
        loop {
            let next = wait_until(&self.events.demand, || {
                if self.health.is_closed() {
                    return Some(None);
                }
                if is_used() {
                    self.touch_ahead(&mut ahead);
                }
                let target = self.read_only_target();
                (target > self.marks.read_only.load()).then_some(Some(target))
            });
            let Some(target) = next.await else {
                return;
            };
            self.shift_read_only(target).await;
        }
    }

    async fn shift_read_only(&self, target: Address) {
        assert!(target <= self.tail.address(), "only what was handed out becomes read-only");
        self.marks.read_only.raise(target);
        // A writer that saw the old mark may be updating in place. After the drain, no such writer
        // is left.
        self.drain().await;
        self.marks.safe_read_only.raise(target);
        self.marks.check();
        self.events.read_only.notify(usize::MAX);
    }

    /// Touches the frames that the tail reaches next, each at most once in the life of the log.
    ///
    /// A page that the tail has already reached is skipped: it may be immutable, and read in place.
    /// A page that the tail reaches during this call is not immutable yet: only this task makes
    /// pages immutable.
    fn touch_ahead(&self, ahead: &mut Range<u64>) {
        let tail = self.tail.page();
        ahead.start = ahead.start.max(tail + 1);
        while ahead.start <= tail + FRAMES_AHEAD
            && let Some(page) = ahead.next()
        {
            self.frames.touch(page);
        }
    }

    fn read_only_target(&self) -> Address {
        let page_bits = self.geometry.page_bits;
        let first_mutable = self.tail.page().saturating_sub(self.geometry.mutable_pages.into());
        Address::at(first_mutable, 0, page_bits).max(self.wanted.read_only.load())
    }
}

/// Returns the pages ahead of the tail whose frames were never used, if `head..=tail` is in memory.
/// After a recovery, other frames ahead hold pages that are read in place.
fn unused_frames(head: u64, tail: u64, frames: u64) -> Range<u64> {
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
