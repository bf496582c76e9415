//! The end of a version of the store, as the log sees it: an address.
//!
//! The caller holds the *cut*: no operation changes anything between the first of these calls and
//! the moment it lets them go on. So every record below the end belongs to the version that ends,
//! and everything from there on to the next one.
//!
//! # Invariants
//! 1. A mark that moves *down* needs two drains. Marks move up otherwise, and then one drain is
//!    enough: it waits for those who saw the old mark. A mark that comes down makes a record
//!    changeable again that others were copying. After the first drain no copy of it is linked any
//!    more; but an operation that entered meanwhile may have found the entry before the last copy
//!    was linked, and would change, in place, a record that nothing leads to. The second drain
//!    waits for those.
//! 2. What pins pages is stored before `flushed` is loaded, and eviction loads `flushed` before
//!    what is pinned. So whoever evicts up to a mark that a capture has not counted on sees the
//!    pin, also if the drivers of a log should ever run on several threads.

use super::HybridLog;
use super::region::NOT_PINNED;
use crate::address::Address;
use crate::weak_spot;
use kvick_io::sync::atomic::{Ordering, fence};

impl HybridLog {
    /// Ends a version: a flush can end at the address returned, and nothing was written behind it.
    pub(crate) fn end_version(&self) -> Address {
        let end = self.tail.pad(self.units.block_payload());
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
        // Everything is pinned before `flushed` is loaded (invariant 2).
        self.marks.pinned.store(Address::FIRST.raw(), Ordering::Relaxed);
        // Pairs with the fence in `reachable`: eviction sees the pin, or this sees its `flushed`.
        fence(Ordering::SeqCst);
        let flushed = self.marks.flushed.load().min(end);
        assert!(self.marks.head.load() <= flushed, "what is to be captured is in memory");
        // Release: pairs with the Acquire of eviction.
        self.marks.pinned.store(flushed.raw(), Ordering::Release);
        self.marks.safe_read_only.freeze(end);
        self.marks.read_only.freeze(end);
        weak_spot::enter(weak_spot::Stage::Frozen);
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
        weak_spot::enter(weak_spot::Stage::Thawing);
        // Whoever took a frozen record for final may be reading it in place, or linking a copy.
        self.drain().await;
        if !weak_spot::is_thawed_after_one_drain() {
            // Whoever found an entry before the last of those copies was linked has left.
            self.drain().await;
        }
        self.marks.read_only.thaw();
        self.events.read_only.notify(usize::MAX);
    }

    pub(super) async fn drain(&self) {
        let epoch = self.epoch.bump();
        self.epoch.drained(epoch, &self.handle).await;
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
