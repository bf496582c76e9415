//! The regions of the log, as one protected operation sees them.
//!
//! ```text
//!   begin        head        safe read-only   read-only        tail
//!     |  on device |  read-only    |    fuzzy     |   mutable    |
//! ----+------------+---------------+--------------+--------------+---->  address
//!                  ^ safe head <= head <= flushed <= safe read-only
//! ```
//!
//! # Invariants
//! 1. `begin <= safe head <= head <= flushed <= safe read-only <= read-only <= tail`, always.
//! 2. Writers change records in place only at or above `read-only`, which they read under
//!    protection. `safe read-only` follows after every operation that may have seen the old mark
//!    has left. Below it nothing ever changes again, and flushing may begin.
//! 3. Readers read memory only at or above `head`, which they read under protection. `safe head`
//!    follows after every operation that may have seen the old mark has left. Then frames are
//!    cleared and used again.
//! 4. `flushed` covers a prefix without a gap, and no failed write moves it.
//! 5. Only one driver moves each mark (`read_only.rs`, `flush.rs`, `evict.rs`). A fold-over also
//!    moves the read-only marks, while no operation changes anything. Compaction moves `begin`
//!    (`begin.rs`).
//!
//! Between `safe read-only` and `read-only` (fuzzy) a writer that saw the old mark may still change
//! a record. An operation whose result depends on the value must not copy it and waits.
//!
//! # Freezing
//! While a snapshot is captured, everything below the end of its version is *frozen*. A scan
//! freezes everything below its moment, until it has read the records that were mutable then.
//! Operations see frozen records as read-only although neither mark has moved, and copy the records
//! that they change. So operations read two [`FrozenUntil`]s; each is the highest of the mark and
//! the frozen ends. Floors come down again, one after the other. The lower floor is first, so that
//! addresses that were final count as fuzzy; after two drains (`versions.rs`, invariant 1), the
//! upper floor follows. Each freeze thaws by itself: what another one still freezes stays frozen.

use crate::base::address::{Address, Watermark};
use crate::hybrid_log::geometry::LogExtent;
use kvick_io::sync::Mutex;
use kvick_io::sync::atomic::{AtomicU64, Ordering};

/// The region of an address. The rule of each operation is one `match` over this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// The record is in memory and updated in place.
    Mutable,
    /// The record is in memory, and other writers may still update it in place.
    Fuzzy,
    /// The record is in memory and final.
    ReadOnly,
    /// The record is on the device only.
    OnDevice,
    /// The record is gone, or the chain ends here.
    Truncated,
}

/// The marks between the regions.
#[derive(Debug)]
pub(crate) struct LogAddresses {
    // Every operation reads the marks and they move seldom: they share cache lines on purpose.
    pub(crate) begin: Watermark,
    pub(crate) head: Watermark,
    pub(crate) read_only: FrozenUntil,
    pub(crate) safe_read_only: FrozenUntil,
    /// The version tag for the headers of changed records; changes with the version.
    pub(crate) version_tag: AtomicU64,
    pub(crate) flushed: Watermark,
    pub(crate) safe_head: Watermark,
    /// No operation links an address below this one any more. At or above `begin`.
    pub(crate) retiring: Watermark,
    /// The first address that is neither captured nor free to be evicted; `NOT_PINNED` without a
    /// capture.
    pub(crate) pinned: AtomicU64,
}

impl LogAddresses {
    /// Creates the marks of a log that has no mutable record yet.
    pub(crate) fn new(extent: LogExtent) -> Self {
        let LogExtent { begin, head, flushed, tail } = extent;
        assert!([begin, head, flushed, tail].is_sorted(), "{extent:?}");
        Self {
            begin: Watermark::new(begin),
            head: Watermark::new(head),
            read_only: FrozenUntil::new(tail),
            safe_read_only: FrozenUntil::new(tail),
            version_tag: AtomicU64::new(0),
            flushed: Watermark::new(flushed),
            safe_head: Watermark::new(head),
            retiring: Watermark::new(begin),
            pinned: AtomicU64::new(NOT_PINNED),
        }
    }

    /// Returns the region of an address, as far as the head shows.
    #[inline(always)]
    pub(crate) fn region(&self, address: Address) -> Region {
        if address >= self.read_only.effective() {
            Region::Mutable
        } else if address < self.head.load() {
            if address >= self.begin.load() { Region::OnDevice } else { Region::Truncated }
        } else if address >= self.safe_read_only.effective() {
            Region::Fuzzy
        } else {
            Region::ReadOnly
        }
    }

    /// Asserts invariant 1. The marks move during the reads, so the lower marks are read first.
    pub(crate) fn check(&self) {
        let ascending = [
            self.begin.load(),
            self.safe_head.load(),
            self.head.load(),
            self.flushed.load(),
            self.safe_read_only.load(),
            self.read_only.load(),
        ];
        assert!(ascending.is_sorted(), "marks out of order: {ascending:?}");
    }
}

/// The value of [`LogAddresses::pinned`] while nothing is captured.
pub(crate) const NOT_PINNED: u64 = u64::MAX;

/// A mark that operations may see at a higher address.
#[derive(Debug)]
pub(crate) struct FrozenUntil {
    // Any thread, atomic: the highest of the mark and the frozen ends.
    effective: AtomicU64,
    mark: Watermark,
    // Under its lock: the ends of the freezes in progress. A publishing thread holds it.
    frozen: Mutex<Vec<Address>>,
}

impl FrozenUntil {
    fn new(address: Address) -> Self {
        Self {
            effective: AtomicU64::new(address.raw()),
            mark: Watermark::new(address),
            frozen: Mutex::default(),
        }
    }

    /// Returns the address that operations use. Acquire: pairs with the Release in `publish`.
    #[inline(always)]
    pub(crate) fn effective(&self) -> Address {
        Address::new(self.effective.load(Ordering::Acquire))
    }

    /// Returns the mark itself.
    #[inline]
    pub(crate) fn load(&self) -> Address {
        self.mark.load()
    }

    /// Moves the mark up to `address` and returns whether it moved.
    pub(crate) fn raise(&self, address: Address) -> bool {
        let frozen = self.frozen.lock().expect("nothing panics under it");
        let moved = self.mark.raise(address);
        self.publish(&frozen);
        moved
    }

    /// Lets operations see at least `end`, until its thaw.
    pub(crate) fn freeze(&self, end: Address) {
        let mut frozen = self.frozen.lock().expect("nothing panics under it");
        debug_assert!(self.mark.load() <= end, "a freeze reaches beyond the mark: {end:?}");
        frozen.push(end);
        self.publish(&frozen);
    }

    /// Ends one freeze up to `end`. Operations see the mark again, or the end of another freeze.
    pub(crate) fn thaw(&self, end: Address) {
        let mut frozen = self.frozen.lock().expect("nothing panics under it");
        let place = frozen.iter().position(|other| *other == end);
        frozen.swap_remove(place.expect("a thaw follows its freeze"));
        self.publish(&frozen);
    }

    fn publish(&self, frozen: &[Address]) {
        let mark = self.mark.load();
        let effective = frozen.iter().fold(mark, |highest, end| highest.max(*end));
        // Release: pairs with the Acquire of `effective`.
        self.effective.store(effective.raw(), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn regions_follow_the_marks() {
        let at = |raw: u64| Address::new(raw);
        let marks = LogAddresses::new(LogExtent::EMPTY);
        marks.read_only.raise(at(4000));
        marks.safe_read_only.raise(at(3000));
        marks.flushed.raise(at(2500));
        marks.head.raise(at(2000));
        marks.check();
        assert_eq!(marks.region(at(4000)), Region::Mutable);
        assert_eq!(marks.region(at(3999)), Region::Fuzzy);
        assert_eq!(marks.region(at(2999)), Region::ReadOnly);
        assert_eq!(marks.region(at(2000)), Region::ReadOnly);
        assert_eq!(marks.region(at(1999)), Region::OnDevice);
        assert_eq!(marks.region(Address::NONE), Region::Truncated);
        assert_eq!(marks.region(Address::UNSET), Region::Truncated);
    }

    #[test]
    fn what_is_frozen_is_read_only_and_thaws_through_fuzzy() {
        let at = |raw: u64| Address::new(raw);
        let [begin, head, flushed, tail] = [at(64), at(1000), at(1000), at(2000)];
        let marks = LogAddresses::new(LogExtent { begin, head, flushed, tail });
        let (low, frozen, new) = (at(1500), at(2500), at(3000));
        assert_eq!(marks.region(frozen), Region::Mutable);
        marks.safe_read_only.freeze(at(2800));
        marks.read_only.freeze(at(2800));
        assert_eq!(marks.region(frozen), Region::ReadOnly);
        assert_eq!(marks.region(new), Region::Mutable);
        // The marks move on underneath. They do not show before they pass the frozen end.
        marks.read_only.raise(at(2100));
        marks.safe_read_only.raise(at(2100));
        assert_eq!(marks.region(frozen), Region::ReadOnly);
        assert_eq!(marks.read_only.load(), at(2100));
        marks.safe_read_only.thaw(at(2800));
        assert_eq!(marks.region(frozen), Region::Fuzzy);
        marks.read_only.thaw(at(2800));
        assert_eq!(marks.region(frozen), Region::Mutable);
        assert_eq!(marks.region(low), Region::ReadOnly);
    }

    /// A scan froze the records of a snapshot again, and the thaw of the snapshot let them change.
    #[test]
    fn each_freeze_ends_by_itself() {
        let at = |raw: u64| Address::new(raw);
        let marks = LogAddresses::new(LogExtent::EMPTY);
        let floors = [&marks.safe_read_only, &marks.read_only];
        let freeze = |end| floors.iter().for_each(|floor| floor.freeze(at(end)));
        let thaw = |end| floors.iter().for_each(|floor| floor.thaw(at(end)));
        freeze(2000);
        freeze(3000);
        freeze(3000);
        thaw(2000);
        assert_eq!(marks.region(at(2999)), Region::ReadOnly);
        thaw(3000);
        assert_eq!(marks.region(at(2999)), Region::ReadOnly, "another one freezes it");
        freeze(4000);
        marks.safe_read_only.thaw(at(3000));
        assert_eq!(marks.region(at(3999)), Region::ReadOnly);
        marks.read_only.thaw(at(3000));
        thaw(4000);
        assert_eq!(marks.region(at(64)), Region::Mutable);
    }
}
