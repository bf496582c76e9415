//! The end of a version of the store, as the log sees it: an address.
//!
//! The caller holds the *cut*: no operation changes anything between the first of these calls and
//! the moment it lets them go on. So every record below the end belongs to the version that ends,
//! and everything from there on to the next one.

use super::HybridLog;
use super::region::NOT_PINNED;
use crate::address::Address;
use kvick_io::sync::atomic::Ordering;

impl HybridLog {
    /// Ends a version: a flush can end at the address returned, and nothing was written behind it.
    pub(crate) fn end_version(&self) -> Address {
        let end = self.tail.pad(self.units.payload());
        debug_assert_eq!(end, self.tail.address(), "nobody appends during a cut");
        end
    }

    /// Makes everything below `end` immutable for good, so that it will be flushed. Nobody is in
    /// the middle of a change, so there is nobody to wait for.
    pub(crate) fn fold_over(&self, end: Address) {
        assert!(end <= self.tail.address(), "only what was handed out becomes read-only");
        self.marks.read_only.raise(end);
        self.marks.safe_read_only.raise(end);
        self.marks.check();
        self.events.read_only.notify(usize::MAX);
    }

    /// Keeps everything below `end` as it is, and in memory, until `thaw`. Returns how far the log
    /// has been flushed: what lies between is to be captured.
    pub(crate) fn freeze(&self, end: Address) -> Address {
        assert!(end <= self.tail.address(), "only what was handed out is frozen");
        let flushed = self.marks.flushed.load().min(end);
        // Release: pairs with the Acquire of eviction.
        self.marks.pinned.store(flushed.raw(), Ordering::Release);
        self.marks.safe_read_only.freeze(end);
        self.marks.read_only.freeze(end);
        self.marks.check();
        self.events.read_only.notify(usize::MAX);
        flushed
    }

    /// Lets pages below `address` be evicted again.
    pub(super) fn unpin_below(&self, address: Address) {
        self.marks.pinned.store(address.raw(), Ordering::Release);
        self.events.demand.notify(usize::MAX);
    }

    /// Ends a freeze: what was mutable is mutable again.
    pub(crate) async fn thaw(&self) {
        self.marks.pinned.store(NOT_PINNED, Ordering::Release);
        self.events.demand.notify(usize::MAX);
        self.marks.safe_read_only.thaw();
        let epoch = self.epoch.bump();
        // Whoever took a frozen record for final may be reading it in place, or linking a copy.
        self.epoch.drained(epoch, &self.handle).await;
        self.marks.read_only.thaw();
        self.events.read_only.notify(usize::MAX);
    }

    /// The flushed mark: below it the device has everything.
    pub(crate) fn flushed(&self) -> Address {
        self.marks.flushed.load()
    }

    /// The stamp that records changed from now on get.
    pub(crate) fn set_stamp(&self, stamp: u64) {
        // Relaxed: set during a cut; whoever goes on afterwards has seen its end.
        self.marks.stamp.store(stamp, Ordering::Relaxed);
    }

    /// The stamp of the present version.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u64 {
        self.marks.stamp.load(Ordering::Relaxed)
    }
}
