//! Counts the entries of the index, and decides about its size.
//!
//! The count is spread over stripes of one cache line each, so that tasks on different processors
//! seldom write the same line. A bucket counts in one stripe. A new entry looks at its stripe alone
//! in a large index: the lines of all stripes take longer to come than a step.

use super::extent::Extent;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

const STRIPES: usize = if cfg!(loom) { 1 } else { 8 };
/// With fewer buckets than this, a stripe says little about the others: they differ by a percent.
const FEW: u64 = if cfg!(loom) { 0 } else { 4096 };

/// Above this number of entries in four buckets the index grows. Buckets that wait for their split
/// have twice as many entries as those that were split. An index of this load takes between 12 and
/// 13 bytes an entry, with its overflow lines.
const FULL_FOUR: u64 = 47;
/// The index shrinks if four of the buckets that stay would have fewer entries than this. It is
/// less than `FULL_FOUR`, so that few steps are undone.
const SPARSE_FOUR: u64 = 46;

/// The number of entries of an index, in stripes.
#[derive(Debug, Default)]
pub(super) struct Load {
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Stripe {
    fn load(&self) -> i64 {
        self.0.load(Ordering::Relaxed).cast_signed()
    }
}

impl Load {
    /// Counts new entries of a bucket, or with a negative number entries that are gone.
    pub(super) fn count(&self, bucket: u64, entries: i64) {
        // Relaxed: a count that decides about sizes only.
        self.stripe(bucket).0.fetch_add(entries.cast_unsigned(), Ordering::Relaxed);
    }

    /// Returns whether the stripe of a bucket speaks for a smaller index.
    pub(super) fn seems_sparse(&self, extent: Extent, bucket: u64) -> bool {
        let seen = self.stripe(bucket).load() * STRIPES.cast_signed() as i64;
        let sparse = extent.buckets() * SPARSE_FOUR;
        extent.buckets() < FEW || u64::try_from(seen).unwrap_or(0) * 4 < sparse
    }

    /// Returns whether the index should grow, as far as the stripe of a bucket tells.
    #[inline]
    pub(super) fn is_full(&self, extent: Extent, bucket: u64) -> bool {
        let entries = if extent.buckets() < FEW {
            self.entries()
        } else {
            u64::try_from(self.stripe(bucket).load()).unwrap_or(0) * STRIPES as u64
        };
        entries * 4 > extent.buckets() * FULL_FOUR
    }

    /// Returns whether the index should shrink.
    pub(super) fn is_sparse(&self, extent: Extent) -> bool {
        self.entries() * 4 < (extent.buckets() - 1) * SPARSE_FOUR
    }

    /// Returns about how many entries there are.
    pub(super) fn entries(&self) -> u64 {
        // Tasks count after the fact, so a stripe may be below zero for a moment.
        u64::try_from(self.stripes.iter().map(Stripe::load).sum::<i64>()).unwrap_or(0)
    }

    fn stripe(&self, bucket: u64) -> &Stripe {
        let number = usize::try_from(bucket).expect("buckets are in memory") % STRIPES;
        &self.stripes[number]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_is_neither_full_nor_sparse_stays() {
        for buckets in [2, 4, 100, 6400] {
            let (load, extent) = (Load::default(), Extent::new(buckets));
            let set = |entries: u64| {
                let (each, rest) = (entries / STRIPES as u64, entries % STRIPES as u64);
                for stripe in 0..STRIPES as u64 {
                    let now = load.stripe(stripe).load();
                    load.count(stripe, each.cast_signed() - now);
                }
                load.count(0, rest.cast_signed());
            };
            let seen = |load: &Load| [load.is_full(extent, 0), load.is_sparse(extent)];
            set(buckets * 47 / 4);
            assert_eq!(seen(&load), [false, false], "{buckets}");
            set(buckets * 47 / 4 + 1);
            assert_eq!(seen(&load), [true, false], "{buckets}");
            set(((buckets - 1) * 46).div_ceil(4) - 1);
            assert!(!load.is_full(Extent::new(buckets - 1), 7), "{buckets}: a merge is not undone");
            assert_eq!(seen(&load), [false, true], "{buckets}");
            assert!(load.seems_sparse(extent, 7));
            set(buckets * 47 / 4 + STRIPES as u64);
            assert!(load.is_full(extent, 7));
        }
    }
}
