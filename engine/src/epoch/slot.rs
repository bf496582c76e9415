//! The word of one participant, and its two transitions.

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The word of a participant that is not protected. No epoch has this number.
pub(super) const UNPROTECTED: u64 = 0;

/// The word of one participant: 0, or the epoch at which it is protected.
#[derive(Debug)]
pub(super) struct Slot {
    epoch: AtomicU64,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { epoch: AtomicU64::new(UNPROTECTED) }
    }

    /// Returns the announced epoch.
    ///
    /// Acquire: pairs with the Release of `leave`. So all reads and writes of its owner under
    /// protection happened before the actions that a drain allows.
    pub(super) fn announced(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns the announced epoch like `announced`, for one of many words. An Acquire fence
    /// follows the last one.
    pub(super) fn announced_relaxed(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Returns whether its owner is protected at an epoch before this one.
    pub(super) fn is_older_than(&self, epoch: u64) -> bool {
        let announced = self.announced();
        announced != UNPROTECTED && announced < epoch
    }

    #[inline(always)]
    pub(super) fn announce(&self, epoch: u64) {
        debug_assert_eq!(
            self.epoch.load(Ordering::Relaxed),
            UNPROTECTED,
            "protection does not nest within one participant"
        );
        // Release: pairs with the Acquire of `announced`. A drain that finds a new epoch here has
        // not seen the `leave` before it, but must still see all work until then.
        self.epoch.store(epoch, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn leave(&self) {
        // Release: pairs with the Acquire of `announced`.
        self.epoch.store(UNPROTECTED, Ordering::Release);
    }
}
