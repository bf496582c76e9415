//! The counters of a seat for one table.

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// A kind of event that a seat counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Reads,
    Upserts,
    Modifies,
    Deletes,
    Mutable,
    ReadOnly,
    OnDevice,
    ReadCache,
    Absent,
    Suspensions,
    Appends,
    AppendedBytes,
    Expired,
    Misses,
    Promotions,
    Removals,
}

const COUNTERS: usize = Counter::Removals as usize + 1;

/// The counters of one seat for one table. The owner of the seat writes them, and any thread may
/// read them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; COUNTERS],
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

    /// Adds a count to each of these sums.
    pub(crate) fn add_to<const N: usize>(&self, sums: [(&mut u64, Counter); N]) {
        for (sum, counter) in sums {
            *sum += self.sum(counter);
        }
    }

    /// Adds all counts of `other`. No other task uses `self` meanwhile.
    pub(crate) fn absorb(&self, other: &Self) {
        for (into, from) in self.counts.iter().zip(&other.counts) {
            into.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
