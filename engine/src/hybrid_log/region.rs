//! The regions of the log, as seen by one protected operation.
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
//! 2. In place, records are changed only at or above `read-only` as read under protection.
//!    `safe read-only` follows once whoever might have seen the old one has left: below it nothing
//!    ever changes again, and flushing may begin.
//! 3. Memory is read only at or above `head` as read under protection. `safe head` follows once
//!    whoever might have seen the old one has left: then frames are cleared and used again.
//! 4. `flushed` covers a prefix without a gap, and no failed write moves it.
//! 5. Each mark is moved by one driver only (`read_only.rs`, `flush.rs`, `evict.rs`).
//!
//! Between `safe read-only` and `read-only` (fuzzy) a record may still be changed by somebody who
//! saw the old mark: an operation whose result depends on the value must not copy it and waits.

use crate::address::{Address, Watermark};

/// Where an address is. The rule of each operation is one `match` over this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// In memory; updates happen in place.
    Mutable,
    /// In memory; others may still update in place.
    Fuzzy,
    /// In memory; final.
    ReadOnly,
    /// On the device only.
    OnDevice,
    /// Gone, or the end of a chain.
    Truncated,
}

/// The marks between the regions.
#[derive(Debug)]
pub(crate) struct Marks {
    // Read by every operation, moved once in a while: they share cache lines on purpose.
    pub(crate) begin: Watermark,
    pub(crate) head: Watermark,
    pub(crate) read_only: Watermark,
    pub(crate) safe_read_only: Watermark,
    pub(crate) flushed: Watermark,
    pub(crate) safe_head: Watermark,
}

impl Marks {
    pub(crate) fn new() -> Self {
        let mark = || Watermark::new(Address::FIRST);
        Self {
            begin: mark(),
            head: mark(),
            read_only: mark(),
            safe_read_only: mark(),
            flushed: mark(),
            safe_head: mark(),
        }
    }

    /// The region of an address that is in memory as far as the head tells.
    #[inline(always)]
    pub(crate) fn region(&self, address: Address) -> Region {
        if address >= self.read_only.load() {
            Region::Mutable
        } else if address < self.head.load() {
            if address >= self.begin.load() { Region::OnDevice } else { Region::Truncated }
        } else if address >= self.safe_read_only.load() {
            Region::Fuzzy
        } else {
            Region::ReadOnly
        }
    }

    /// Asserts invariant 1. Marks move while they are read, so the lower ones are read first.
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn regions_follow_the_marks() {
        let marks = Marks::new();
        let at = |raw: u64| Address::new(raw);
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
}
