//! The driver that makes pages immutable.

use super::HybridLog;
use crate::address::Address;
use crate::wait::wait_until;
use std::ops::Range;

/// Frames that have memory of their own before the tail is there.
const FRAMES_AHEAD: u64 = 2;

impl HybridLog {
    /// Keeps the mutable region at its size behind the tail, and at what `flush` wants.
    pub(super) async fn drive_read_only(&self) {
        let first = self.tail.page();
        let mut ahead = first + 1..first + u64::from(self.frames.count());
        // A log that nobody appends to gets no memory.
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
        let epoch = self.epoch.bump();
        // Whoever saw the old mark may be updating in place: after this, nobody is.
        self.epoch.drained(epoch, &self.handle).await;
        self.marks.safe_read_only.raise(target);
        self.marks.check();
        self.events.read_only.notify(usize::MAX);
    }

    /// Touches the frames that the tail comes to next, each once in the life of the log.
    fn touch_ahead(&self, ahead: &mut Range<u64>) {
        let near = self.tail.page() + FRAMES_AHEAD;
        while ahead.start <= near
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
