//! The counters of a seat.

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The counters of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Reads,
    Upserts,
    Modifies,
    Deletes,
    Mutable,
    ReadOnly,
    OnDevice,
    Absent,
    Suspensions,
    Appends,
    Expired,
    Misses,
    Promotions,
}

const COUNTERS: usize = Counter::Promotions as usize + 1;

/// The counters of one seat; its owner writes them, and any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; COUNTERS],
    /// The number of operations that may have changed something, which is the serial number of
    /// sessions.
    serial: AtomicU64,
    /// The word of the phase under which the last such operation began.
    phase: AtomicU64,
}

impl Counters {
    #[inline(always)]
    pub(crate) fn add(&self, counter: Counter, amount: u64) {
        let word = &self.counts[counter as usize];
        // Relaxed, and no atomic addition: only the owner of the seat writes.
        word.store(word.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Ordering::Relaxed)
    }

    /// Numbers an operation, in the stretch in which it takes effect.
    #[inline(always)]
    pub(crate) fn advance(&self) {
        // Relaxed: read during a version barrier (`Cut`), after the owner has left protection.
        self.serial.store(self.serial.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Returns the last noted word of the phase. It is 0 at first, which is no phase.
    #[inline(always)]
    pub(crate) fn phase(&self) -> u64 {
        self.phase.load(Ordering::Relaxed)
    }

    pub(crate) fn note_phase(&self, word: u64) {
        // Relaxed: only the owner of the seat reads it.
        self.phase.store(word, Ordering::Relaxed);
    }

    pub(crate) fn set_serial(&self, serial: u64) {
        self.serial.store(serial, Ordering::Relaxed);
    }

    /// Adds all counts of `other`. No other task uses `self` meanwhile.
    pub(crate) fn absorb(&self, other: &Self) {
        for (into, from) in self.counts.iter().zip(&other.counts) {
            into.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
