//! The limit of frames that may have memory.
//!
//! ```text
//!  31..............................0
//! +--------------------------------+
//! |  frames, LEAST..=reserved      |   raised and lowered by the evicting driver alone
//! +--------------------------------+
//! ```
//!
//! Beside it is a flag: the limit came down, and frames beyond it may still have memory.
//!
//! A writer turns to page `p` only if `p < safe head + limit`, under a guard.
//!
//! # Invariants
//! 1. The limit is at least [`LEAST_FRAMES`]: a page to fill, and a page to flush.
//! 2. The limit is at most the ring, so no two pages in memory ever share a frame. This holds also
//!    for a writer that sees an old limit.
//! 3. A lowered limit counts only after a drain: until then, writers may turn to pages by the old
//!    limit. The driver returns the memory of frames ahead of the tail after that drain. Pages in
//!    memory beyond the limit leave memory by eviction, as far as flushing allows.

use kvick_io::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The smallest limit.
pub(crate) const LEAST_FRAMES: u32 = 2;

/// The limit of frames of one log.
#[derive(Debug)]
pub(crate) struct FrameLimit {
    frames: AtomicU32,
    is_lowered: AtomicBool,
    // Fixed after creation.
    reserved: u32,
}

impl FrameLimit {
    pub(crate) fn new(frames: u32, reserved: u32) -> Self {
        assert!(frames >= LEAST_FRAMES, "a page to fill and a page to flush");
        assert!(frames <= reserved, "{frames} of {reserved} frames");
        Self { frames: AtomicU32::new(frames), is_lowered: AtomicBool::new(false), reserved }
    }

    /// Returns the limit.
    ///
    /// Acquire: pairs with the Release of `transition_to`. A frame below a raised limit has no
    /// memory or is zero.
    pub(crate) fn load(&self) -> u32 {
        self.frames.load(Ordering::Acquire)
    }

    /// Returns the possible limit that is nearest to `frames`.
    pub(crate) fn nearest(&self, frames: u32) -> u32 {
        frames.clamp(LEAST_FRAMES, self.reserved)
    }

    /// Moves the limit to `frames`, within its bounds. Only one driver calls this. If the limit
    /// comes down, that driver drains before it relies on it, and returns the memory beyond.
    pub(crate) fn transition_to(&self, frames: u32) {
        let frames = self.nearest(frames);
        if frames < self.load() {
            // Before the limit: a task that sees the limit sees this.
            self.is_lowered.store(true, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire of `load`.
        self.frames.store(frames, Ordering::Release);
    }

    /// Returns whether the limit came down, and the memory of frames beyond it was not returned
    /// yet.
    pub(crate) fn is_lowered(&self) -> bool {
        // Acquire: pairs with the Release of `transition_to_returned`.
        self.is_lowered.load(Ordering::Acquire)
    }

    /// Records that no free frame beyond the limit has memory. Only the driver calls it.
    pub(crate) fn transition_to_returned(&self) {
        self.is_lowered.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stays_within_its_bounds() {
        let limit = FrameLimit::new(3, 8);
        for (wanted, is, is_lowered) in
            [(5, 5, false), (0, 2, true), (u32::MAX, 8, false), (20, 8, false), (2, 2, true)]
        {
            limit.transition_to(wanted);
            assert_eq!((limit.load(), limit.is_lowered()), (is, is_lowered));
            limit.transition_to_returned();
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::epoch::Epoch;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    /// A writer turns to the third page if the limit allows it, and writes there. The driver lowers
    /// the limit to two, and returns the memory of the third frame if no writer has turned to it.
    fn a_written_frame_keeps_its_memory(drains: bool) {
        let epoch = Epoch::new();
        let limit = Arc::new(FrameLimit::new(3, 4));
        let (turned, returned) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let writer = {
            let mut participant = epoch.register();
            let (limit, turned, returned) = (limit.clone(), turned.clone(), returned.clone());
            thread::spawn(move || {
                participant.protected(|_guard| {
                    if limit.load() == 3 {
                        turned.store(true, Ordering::Release);
                        assert!(!returned.load(Ordering::Relaxed), "the write is lost");
                    }
                });
            })
        };
        limit.transition_to(2);
        let retired = epoch.bump();
        if (!drains || epoch.is_drained(retired)) && !turned.load(Ordering::Acquire) {
            returned.store(true, Ordering::Relaxed);
        }
        writer.join().expect("no panic");
    }

    #[test]
    fn loom_a_frame_with_a_page_keeps_its_memory() {
        loom::model(|| a_written_frame_keeps_its_memory(true));
    }

    #[test]
    #[should_panic(expected = "the write is lost")]
    fn loom_without_a_drain_a_write_is_lost() {
        loom::model(|| a_written_frame_keeps_its_memory(false));
    }
}
