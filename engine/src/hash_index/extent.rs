//! The number of buckets, and the bucket of a hash.
//!
//! With `2^(n-1) < N <= 2^n` buckets, a hash belongs to the bucket of its low `n` bits. If there is
//! no such bucket yet, it belongs to the bucket without the highest of these bits. This is linear
//! hashing: the next split divides one bucket, and moves half of its entries to a new bucket at the
//! end.
//!
//! # Two words
//! The number and the mask of `n` bits are two words, which a step stores one after the other. A
//! search loads the number first. The number and the mask that it has may not belong together; they
//! still give the bucket at some moment of the search:
//!
//! | number | mask | the bucket |
//! |---|---|---|
//! | old | wider than its own | is beyond the number without the new bit, so as with its own |
//! | old | narrower than its own | as after the merge that stored the mask |
//!
//! A number with a mask that was stored before it does not occur, except that a merge narrows the
//! mask last; the wider mask gives the same buckets.
//!
//! Source: Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980.

use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// A number of buckets, with the mask that selects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    buckets: u64,
    mask: u64,
}

/// A bucket that divides in two, or two buckets that become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) low: u64,
    pub(super) high: u64,
    /// The bit of a hash that tells `high` from `low`.
    pub(super) bit: u32,
}

impl Extent {
    pub(super) fn new(buckets: u64) -> Self {
        assert!(buckets > 0, "an index has a bucket");
        Self { buckets, mask: buckets.next_power_of_two() - 1 }
    }

    #[inline(always)]
    pub(super) fn buckets(self) -> u64 {
        self.buckets
    }

    /// Returns the bucket of the bits of a hash.
    #[inline(always)]
    pub(super) fn bucket_of(self, hash: u64) -> u64 {
        let bucket = hash & self.mask;
        if bucket < self.buckets { bucket } else { hash & self.mask >> 1 }
    }

    /// Returns the bucket that divides next, and its new neighbour.
    pub(super) fn next_split(self) -> Pair {
        let high = self.buckets;
        let bit = high.ilog2();
        Pair { low: high - (1 << bit), high, bit }
    }

    /// Returns the last bucket, and the bucket that takes its entries.
    pub(super) fn next_merge(self) -> Pair {
        assert!(self.buckets > 1, "one bucket stays");
        Self::new(self.buckets - 1).next_split()
    }
}

/// The extent of an index in use.
#[derive(Debug)]
pub(super) struct CurrentExtent {
    buckets: AtomicU64,
    mask: AtomicU64,
}

impl CurrentExtent {
    pub(super) fn new(Extent { buckets, mask }: Extent) -> Self {
        Self { buckets: AtomicU64::new(buckets), mask: AtomicU64::new(mask) }
    }

    /// Loads the extent.
    ///
    /// Acquire: pairs with the Release of a transition. So the entries that a step moved are at
    /// their new place, and the mask is as wide as the number needs.
    #[inline(always)]
    pub(super) fn load(&self) -> Extent {
        let buckets = self.buckets.load(Ordering::Acquire);
        Extent { buckets, mask: self.mask.load(Ordering::Acquire) }
    }

    /// Publishes one bucket more, after a split. The task that calls it holds the lock of steps.
    pub(super) fn transition_to_more(&self) {
        let extent = Extent::new(self.load().buckets + 1);
        // Release: pairs with `load`. The mask first: a search that sees the number sees the mask.
        self.mask.store(extent.mask, Ordering::Release);
        self.buckets.store(extent.buckets, Ordering::Release);
    }

    /// Publishes one bucket less, after a merge. The task that calls it holds the lock of steps.
    pub(super) fn transition_to_fewer(&self) {
        let extent = Extent::new(self.load().buckets - 1);
        // Release: pairs with `load`. The mask last: a wider mask does no harm.
        self.buckets.store(extent.buckets, Ordering::Release);
        self.mask.store(extent.mask, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_step_moves_the_hashes_of_one_bucket_alone() {
        for buckets in 1..200 {
            let (before, after) = (Extent::new(buckets), Extent::new(buckets + 1));
            let pair = before.next_split();
            assert_eq!(pair, after.next_merge());
            assert_eq!((before.buckets(), pair.high), (buckets, buckets));
            let mixed = Extent { buckets, mask: after.mask };
            for hash in 0..2048 {
                let (old, new) = (before.bucket_of(hash), after.bucket_of(hash));
                assert!(old < buckets && new <= buckets, "{hash} of {buckets}");
                let moves = old == pair.low && hash >> pair.bit & 1 == 1;
                assert_eq!(new, if moves { pair.high } else { old }, "{hash} of {buckets}");
                assert_eq!(mixed.bucket_of(hash), old, "a wider mask, {hash} of {buckets}");
                // Only a step to or from a power of two stores another mask.
                let late = Extent { buckets: buckets + 1, mask: before.mask };
                let expected = if before.mask == after.mask { new } else { old };
                assert_eq!(late.bucket_of(hash), expected, "a narrower mask, {hash} of {buckets}");
            }
        }
    }

    #[test]
    fn low_bits_select_among_powers_of_two() {
        assert_eq!(Extent::new(1).bucket_of(u64::MAX), 0);
        assert_eq!(Extent::new(8).bucket_of(0b1_1101), 0b101);
        assert_eq!(Extent::new(6).bucket_of(0b111), 0b011);
    }

    #[test]
    fn transitions_publish_the_extent_of_the_number() {
        let current = CurrentExtent::new(Extent::new(1));
        for buckets in 2..70 {
            current.transition_to_more();
            assert_eq!(current.load(), Extent::new(buckets));
        }
        for buckets in (1..69).rev() {
            current.transition_to_fewer();
            assert_eq!(current.load(), Extent::new(buckets));
        }
    }
}
