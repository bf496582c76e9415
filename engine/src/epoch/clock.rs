//! The shared state of the participants of one epoch clock: the current epoch, the fences, the
//! places.

use super::fence::Fences;
use super::places::Places;
use super::slot::Slot;
use crossbeam_utils::CachePadded;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Clock {
    // Any thread, atomic.
    current: CachePadded<AtomicU64>,
    // Fixed after creation.
    pub(super) fences: Fences,
    // Under its own lock.
    pub(super) places: Places,
}

impl Clock {
    pub(super) fn new() -> Self {
        let current = CachePadded::new(AtomicU64::new(1));
        Self { current, fences: Fences::new(), places: Places::new() }
    }

    /// Protects the owner of `slot` at the current epoch.
    #[inline(always)]
    pub(super) fn enter(&self, slot: &Slot) {
        // Relaxed: a stale epoch is only more conservative; the fence below orders the rest.
        slot.announce(self.current.load(Ordering::Relaxed));
        self.fences.light();
    }

    /// Starts a new epoch and returns it.
    pub(super) fn bump(&self) -> u64 {
        // AcqRel: the Release half pairs with the Relaxed load plus fence of `enter`. A participant
        // that announces the new epoch also sees the changes published before the bump.
        let epoch = self.current.fetch_add(1, Ordering::AcqRel) + 1;
        assert!(epoch < u64::MAX / 2, "epochs do not wrap");
        // Pairs with the light fence of `enter`: a participant that the scans after this fence miss
        // will see the published change.
        self.fences.heavy();
        epoch
    }
}
